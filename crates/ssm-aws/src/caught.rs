//! The AWS SDK panics on some unexpected values. Here such a panic becomes an error of the call that
//! caused it.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use thiserror::Error;

use crate::printable::printable;

/// What a panic said.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("it panicked: {0}")]
pub struct Panicked(String);

/// A future's output, or the panic that ended it. The future is not polled again, so that no state
/// that it left inconsistent is seen.
///
/// # Errors
/// When it panics.
pub async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = pin!(future);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(Panicked(text(panic.as_ref())))),
        },
    )
    .await
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    printable(text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_error_with_its_text() {
        let fails = async {
            tokio::task::yield_now().await;
            panic!("unexpected {}", 7)
        };
        let outcome: Result<(), _> = caught(fails).await;
        assert_eq!(outcome, Err(Panicked("unexpected 7".to_owned())));
        assert_eq!(caught(async { 5 }).await, Ok(5));
    }
}
