//! One-time codes as AWS's virtual MFA devices generate them: TOTP (RFC 6238) with HOTP (RFC 4226),
//! SHA-1, 30 s, 6 digits.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

const STEP_SECS: u64 = 30;

/// The time step that a moment is in.
pub(crate) fn step(unix: Duration) -> u64 {
    unix.as_secs() / STEP_SECS
}

/// The code of a time step.
pub(crate) fn code(seed: &[u8], step: u64) -> String {
    format!("{:06}", truncated(seed, step) % 1_000_000)
}

fn truncated(seed: &[u8], counter: u64) -> u32 {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(seed) else {
        return 0;
    };
    mac.update(&counter.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let offset = usize::from(digest.last().copied().unwrap_or(0) & 0xf);
    let word = digest
        .get(offset..offset + 4)
        .and_then(|word| word.first_chunk::<4>());
    u32::from_be_bytes(word.copied().unwrap_or_default()) & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8] = b"12345678901234567890";

    #[test]
    fn matches_rfc_4226_appendix_d() {
        let codes: Vec<_> = (0..10).map(|counter| code(SEED, counter)).collect();
        assert_eq!(
            codes,
            [
                "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
                "399871", "520489"
            ]
        );
    }

    #[test]
    fn matches_rfc_6238_appendix_b() {
        for (secs, eight_digits) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            let step = step(Duration::from_secs(secs));
            assert_eq!(truncated(SEED, step) % 100_000_000, eight_digits);
        }
    }
}
