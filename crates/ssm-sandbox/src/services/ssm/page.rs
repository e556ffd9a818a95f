//! Pages of what Systems Manager lists.

use std::ops::RangeInclusive;

use super::failure::{Failure, failure};

/// The page size, if one was requested.
pub(super) fn page_size(
    asked: Option<i64>,
    allowed: RangeInclusive<i64>,
) -> Result<Option<usize>, Failure> {
    let Some(asked) = asked else { return Ok(None) };
    let (bound, limit) = match asked {
        asked if asked < *allowed.start() => ("greater", allowed.start()),
        asked if asked > *allowed.end() => ("less", allowed.end()),
        asked => return Ok(usize::try_from(asked).ok()),
    };
    Err(failure(
        "ValidationException",
        format!(
            "1 validation error detected: Value '{asked}' at 'maxResults' failed to satisfy constraint: Member must have value {bound} than or equal to {limit}"
        ),
    ))
}

/// Where the next page begins, as something to be handed back unread.
pub(super) fn token(offset: usize) -> String {
    format!("{:016x}", offset ^ MASK)
}

pub(super) fn offset(token: &str) -> Result<usize, Failure> {
    usize::from_str_radix(token, 16)
        .ok()
        .filter(|_| token.len() == 16)
        .map(|masked| masked ^ MASK)
        .ok_or_else(|| failure("InvalidNextToken", "The specified token is not valid."))
}

/// A token does not look like a number.
const MASK: usize = 0x2b7e_1516;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_continues_and_any_other_text_is_refused() {
        for at in [0, 10, 4711] {
            assert_eq!(offset(&token(at)).ok(), Some(at));
        }
        for text in ["", "10", "a token", "zzzzzzzzzzzzzzzz"] {
            let code = offset(text).map_err(|failure| failure.code);
            assert_eq!(code, Err("InvalidNextToken"), "{text}");
        }
    }
}
