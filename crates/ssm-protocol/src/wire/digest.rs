//! The PayloadDigest field.

use sha2::{Digest as _, Sha256};

/// SHA-256 of a payload, as the header's PayloadDigest carries it.
pub(super) fn of(payload: &[u8]) -> [u8; 32] {
    Sha256::digest(payload).into()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn matches_the_published_vector_for_abc() {
        // FIPS 180-4, example B.1.
        let expected = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
            0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61,
            0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(of(b"abc"), expected);
    }
}
