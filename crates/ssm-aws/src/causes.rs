//! An error and its causes, which the AWS SDK nests deeply.

use std::error::Error as StdError;

type Cause<'a> = &'a (dyn StdError + 'static);

/// An error and its causes, outermost first.
pub fn causes(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The texts of an error and its causes, without repetitions. `Display` only: an SDK error's `Debug`
/// may show secrets.
pub fn cause_chain(error: Cause<'_>) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if !texts.iter().any(|before| before.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Nested {
        text: &'static str,
        source: Option<Box<Nested>>,
    }

    #[test]
    fn causes_follow_without_repetitions() {
        let nested = |text, source: Option<Nested>| Nested {
            text,
            source: source.map(Box::new),
        };
        let root = nested("refused", None);
        let error = nested("no answer", Some(nested("connect: refused", Some(root))));
        assert_eq!(cause_chain(&error), "no answer: connect: refused");
        assert_eq!(causes(&error).count(), 3);
    }
}
