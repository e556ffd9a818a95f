//! One run at a time, whose outcome all concurrent callers share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Runs work in a task of its own: callers may come and go, and none of them cancels it.
pub(crate) struct SingleFlight<R, T> {
    running: Slot<R, T>,
}

type Slot<R, T> = Arc<Mutex<Option<Running<R, T>>>>;

/// A run that has not ended, and what it was asked for.
struct Running<R, T> {
    request: R,
    outcome: watch::Receiver<Option<T>>,
}

impl<R, T> SingleFlight<R, T>
where
    R: Copy + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        Self {
            running: Arc::default(),
        }
    }

    /// The outcome of the run in progress if it `serves` this caller, given its request, or else of
    /// one that is started for it. `None` when the run's task was dropped together with its runtime.
    pub(crate) async fn run<F>(
        &self,
        request: R,
        serves: impl Fn(R, &T) -> bool,
        start: impl Fn() -> F,
    ) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        loop {
            let (mut running, started_here) = self.join(request, &start);
            let ended = running.outcome.wait_for(Option::is_some).await;
            let outcome = ended.ok()?.clone()?;
            if started_here || serves(running.request, &outcome) {
                return Some(outcome);
            }
        }
    }

    /// The run in progress, or a new one; and whether it is a new one.
    fn join<F>(&self, request: R, start: impl Fn() -> F) -> (Running<R, T>, bool)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut slot = lock(&self.running);
        if let Some(running) = &*slot {
            return (running.clone(), false);
        }
        let (sender, outcome) = watch::channel(None);
        let running = Running { request, outcome };
        *slot = Some(running.clone());
        drop(slot);
        let vacate = Vacate(self.running.clone());
        let work = start();
        tokio::spawn(async move {
            let outcome = work.await;
            // A later caller starts its own run instead of receiving a past outcome.
            drop(vacate);
            sender.send_replace(Some(outcome));
        });
        (running, true)
    }
}

impl<R: Copy, T> Clone for Running<R, T> {
    fn clone(&self) -> Self {
        Self {
            request: self.request,
            outcome: self.outcome.clone(),
        }
    }
}

/// Empties the slot when the run ends, even when its task is dropped.
struct Vacate<R, T>(Slot<R, T>);

impl<R, T> Drop for Vacate<R, T> {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    /// Numbers its runs; each takes a second.
    struct Work {
        flight: SingleFlight<u32, u32>,
        runs: Arc<AtomicU32>,
    }

    impl Work {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                flight: SingleFlight::new(),
                runs: Arc::default(),
            })
        }

        /// A run serves requests that are not larger than its own.
        async fn run(&self, request: u32) -> Option<u32> {
            let runs = self.runs.clone();
            let start = move || {
                let runs = runs.clone();
                async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    runs.fetch_add(1, Ordering::SeqCst) + 1
                }
            };
            let serves = |ran, _: &u32| ran >= request;
            self.flight.run(request, serves, start).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_one_run() {
        let work = Work::new();
        let (a, b, c) = tokio::join!(work.run(1), work.run(1), work.run(0));
        assert_eq!((a, b, c), (Some(1), Some(1), Some(1)));
        assert_eq!(work.run(1).await, Some(2), "a later caller starts another");
    }

    #[tokio::test(start_paused = true)]
    async fn caller_that_is_not_served_starts_another_run() {
        let work = Work::new();
        let (small, large) = tokio::join!(work.run(1), work.run(2));
        assert_eq!((small, large), (Some(1), Some(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_caller_does_not_stop_the_run() {
        let work = Work::new();
        let half = Duration::from_millis(500);
        let dropped = tokio::time::timeout(half, work.run(1)).await;
        assert!(dropped.is_err());
        assert_eq!(work.run(1).await, Some(1), "it joins the first run");
    }

    #[test]
    fn run_that_ends_with_its_runtime_has_no_outcome() {
        let work = Work::new();
        let runtime = || {
            let builder = &mut tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_time().start_paused(true).build();
            runtime.expect("a runtime")
        };
        let (first, second) = (runtime(), runtime());
        let half = Duration::from_millis(500);
        let cut = first.block_on(async { tokio::time::timeout(half, work.run(1)).await });
        assert!(cut.is_err());
        let waiting = {
            let work = work.clone();
            second.spawn(async move { work.run(1).await })
        };
        second.block_on(tokio::task::yield_now());
        drop(first);
        assert_eq!(second.block_on(waiting).expect("it ends"), None);
        assert_eq!(second.block_on(work.run(1)), Some(1));
    }
}
