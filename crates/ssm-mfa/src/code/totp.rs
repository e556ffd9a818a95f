//! Codes computed on this machine.

use std::env::VarError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_types::sdk_config::{SharedTimeSource, TimeSource};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use thiserror::Error;
use zeroize::Zeroizing;

use super::countdown;
use super::program::command::{Command, InvalidCommand};
use super::source::{BoxFuture, Challenge, CodeError, MfaCodeSource};
use crate::code::mfa_code::MfaCode;

/// RFC 6238, section 5.2; AWS's virtual devices use it too.
const STEP_SECS: u64 = 30;
/// Time allowed for the program that prints the seed.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Computes codes from a device's seed (RFC 6238: SHA-1, six digits, 30 s).
///
/// **A seed on the machine that has the access key puts both factors in one place**: an intruder
/// there has both. The log warns about it. The seed comes from the environment or from a program,
/// such as a password manager's; it is never stored.
///
/// Once a code has been used, the next one is computed in the next 30 s step; the terminal shows a
/// countdown.
#[derive(Clone)]
pub struct Totp {
    seed: Seed,
    clock: SharedTimeSource,
}

#[derive(Clone)]
enum Seed {
    Known(Zeroizing<Vec<u8>>),
    Program(Command),
}

/// A text is not a seed. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an MFA seed is Base32: the letters A to Z and the digits 2 to 7")]
#[non_exhaustive]
pub struct InvalidSeed;

impl Totp {
    /// A source with this seed, in Base32, as AWS shows it when a virtual device is created ("secret
    /// key").
    ///
    /// # Errors
    /// When it is not Base32.
    pub fn from_base32(seed: &str) -> Result<Self, InvalidSeed> {
        Ok(Self::of(Seed::Known(base32(seed)?)))
    }

    /// A source with the seed in this environment variable; `None` if it is unset. The variable becomes
    /// one of [`secret_variables`](crate::secret_variables), which child processes do not inherit.
    ///
    /// # Errors
    /// When it is not Base32.
    pub fn from_env(variable: &str) -> Result<Option<Self>, InvalidSeed> {
        ssm_aws::keep_from_children(variable.as_ref());
        match std::env::var(variable).map(Zeroizing::new) {
            Ok(text) => Self::from_base32(&text).map(Some),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(InvalidSeed),
        }
    }

    /// A source with the seed that this program prints, each time a code is needed. It runs as a
    /// [`ProcessCode`](crate::ProcessCode) does.
    ///
    /// # Errors
    /// When the text names no program.
    pub fn from_process(command: &str) -> Result<Self, InvalidCommand> {
        Ok(Self::of(Seed::Program(Command::parse(command)?)))
    }

    fn of(seed: Seed) -> Self {
        Self {
            seed,
            clock: SharedTimeSource::default(),
        }
    }

    /// The clock that codes change by. Default: the system's.
    pub fn clock(mut self, clock: impl TimeSource + 'static) -> Self {
        self.clock = SharedTimeSource::new(clock);
        self
    }
}

impl std::fmt::Debug for Totp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Totp(..)")
    }
}

impl MfaCodeSource for Totp {
    fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        Box::pin(async move {
            tracing::warn!("the MFA seed is on this machine, and so are both factors");
            let seed = match &self.seed {
                Seed::Known(seed) => seed.clone(),
                Seed::Program(command) => {
                    let environment = [("SSM_MFA_SERIAL", challenge.serial.as_str())];
                    let text = command.output(&environment, TIMEOUT).await?;
                    base32(&text).map_err(|error| CodeError::Other(error.to_string()))?
                }
            };
            countdown::until(challenge.not_before, &self.clock).await;
            let now = self.clock.now();
            // A test's clock stands still.
            let at = challenge.not_before.map_or(now, |moment| moment.max(now));
            let digits = Zeroizing::new(code(&seed, step(at)));
            Ok(digits.parse::<MfaCode>()?)
        })
    }
}

fn step(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() / STEP_SECS
}

fn code(seed: &[u8], step: u64) -> String {
    format!("{:06}", truncated(seed, step) % 1_000_000)
}

/// RFC 4226, section 5.3.
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

/// RFC 4648, section 6; padding, case, spaces and hyphens do not matter.
fn base32(text: &str) -> Result<Zeroizing<Vec<u8>>, InvalidSeed> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut bits, mut count) = (0u32, 0u32);
    for c in text.chars() {
        let value = match c {
            'A'..='Z' => u32::from(c) - u32::from('A'),
            'a'..='z' => u32::from(c) - u32::from('a'),
            '2'..='7' => u32::from(c) - u32::from('2') + 26,
            '=' | '-' => continue,
            c if c.is_whitespace() => continue,
            _ => return Err(InvalidSeed),
        };
        bits = (bits << 5 | value) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    if bytes.is_empty() {
        return Err(InvalidSeed);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::source::ChallengeReason;

    const SEED: &[u8] = b"12345678901234567890";
    const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn codes_match_rfc_4226_appendix_d() {
        let codes: Vec<_> = (0..10).map(|counter| code(SEED, counter)).collect();
        let expected = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        assert_eq!(codes, expected);
    }

    #[test]
    fn codes_match_rfc_6238_appendix_b() {
        for (secs, eight_digits) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            let at = UNIX_EPOCH + Duration::from_secs(secs);
            assert_eq!(truncated(SEED, step(at)) % 100_000_000, eight_digits);
        }
    }

    #[test]
    fn seed_is_read_as_people_copy_it_and_never_repeated() {
        for text in [
            BASE32,
            "gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n",
            "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ====",
        ] {
            assert_eq!(base32(text).expect(text).as_slice(), SEED);
        }
        // RFC 4648, section 10.
        assert_eq!(base32("MZXW6YTB").expect("Base32").as_slice(), b"fooba");
        assert_eq!(base32("MZXW6===").expect("Base32").as_slice(), b"foo");
        for text in ["", "GEZDGNBV1", "0", "GEZD,GNBV"] {
            let error = Totp::from_base32(text).expect_err(text).to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
        let totp = Totp::from_base32(BASE32).expect("Base32");
        assert_eq!(format!("{totp:?}"), "Totp(..)");
    }

    #[tokio::test(start_paused = true)]
    async fn used_code_is_followed_by_that_of_the_next_step() {
        let second = |secs| UNIX_EPOCH + Duration::from_secs(secs);
        let clock = aws_smithy_async::time::StaticTimeSource::new(second(59));
        let totp = Totp::from_base32(BASE32).expect("Base32").clock(clock);
        let mut challenge = Challenge {
            serial: "arn:aws:iam::123456789012:mfa/taro"
                .parse()
                .expect("a serial"),
            profile: None,
            attempt: 1,
            reason: ChallengeReason::NoSession,
            not_before: None,
        };
        let first = totp.code(&challenge).await.expect("a code");
        assert_eq!(first.expose(), code(SEED, 1));
        challenge.not_before = Some(second(60));
        let begin = tokio::time::Instant::now();
        let second = totp.code(&challenge).await.expect("a code");
        assert_eq!(second.expose(), code(SEED, 2));
        assert_eq!(begin.elapsed(), Duration::from_secs(1));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn process_prints_the_seed_of_the_device() {
        let challenge = Challenge {
            serial: "arn:aws:iam::123456789012:mfa/taro"
                .parse()
                .expect("a serial"),
            profile: None,
            attempt: 1,
            reason: ChallengeReason::NoSession,
            not_before: None,
        };
        let ask = async |script: &str| {
            let command = format!("/bin/sh -c '{script}'");
            let clock = aws_smithy_async::time::StaticTimeSource::from_secs(59);
            let totp = Totp::from_process(&command).expect("a command");
            totp.clock(clock).code(&challenge).await
        };
        let script = format!("case $SSM_MFA_SERIAL in *:mfa/taro) echo {BASE32};; esac");
        assert_eq!(ask(&script).await.expect("a code").expose(), code(SEED, 1));
        let error = ask("echo MARKER18").await.expect_err("not Base32");
        let error = format!("{error} {error:?}");
        assert!(error.contains("Base32"), "{error}");
        assert!(!error.contains("MARKER"), "{error}");
    }
}
