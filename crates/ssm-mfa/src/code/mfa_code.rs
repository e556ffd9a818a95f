//! The one-time code of an MFA device.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use zeroize::Zeroizing;

/// A one-time code: six digits, wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct MfaCode(Zeroizing<String>);

/// A text is not a code. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an MFA code is six digits")]
#[non_exhaustive]
pub struct InvalidCode;

impl MfaCode {
    /// The digits, for the one request that carries them.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for MfaCode {
    type Err = InvalidCode;

    /// Reads six digits as people type them: with spaces or hyphens between, or full-width.
    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        let mut digits = Zeroizing::new(String::with_capacity(6));
        for c in text.chars() {
            match c {
                '0'..='9' if digits.len() < 6 => digits.push(c),
                // Full-width digits are in the same order.
                '\u{ff10}'..='\u{ff19}' if digits.len() < 6 => {
                    digits.push(char::from(b'0' + (u32::from(c) - 0xff10) as u8));
                }
                c if c.is_whitespace()
                    || "-\u{2010}\u{2011}\u{2013}\u{2212}\u{ff0d}".contains(c) => {}
                _ => return Err(InvalidCode),
            }
        }
        if digits.len() == 6 {
            Ok(Self(digits))
        } else {
            Err(InvalidCode)
        }
    }
}

impl fmt::Debug for MfaCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MfaCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_read_as_people_type_it() {
        for text in [
            "123456",
            " 123 456\r\n",
            "123-456",
            "１２３４５６",
            "1２3４5６",
            "123\u{3000}456",
        ] {
            assert_eq!(text.parse::<MfaCode>().expect(text).expose(), "123456");
        }
    }

    #[test]
    fn invalid_code_is_not_repeated_in_the_error() {
        for text in ["", "12345", "1234567", "12345a", "123.456", "١٢٣٤٥٦"] {
            let error = text.parse::<MfaCode>().expect_err(text);
            assert_eq!(error.to_string(), "an MFA code is six digits");
        }
    }

    #[test]
    fn code_is_redacted_in_debug_output() {
        let code: MfaCode = "918273".parse().expect("six digits");
        assert_eq!(format!("{code:?}"), "MfaCode(..)");
    }
}
