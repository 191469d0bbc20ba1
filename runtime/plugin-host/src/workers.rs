//! The threads on which guests run: a bounded queue, fair between rollouts.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

use crate::engine::THREAD_STACK_BYTES;

/// Questions that may wait. Each holds a view of a site; more than this is a host that cannot
/// keep up, and waiting longer would not help it.
const QUEUE_MAX: usize = 4096;

/// Why work was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotRun {
    /// No worker was free in time.
    Busy { waited: Duration },
    /// The worker panicked at it.
    Panicked { message: String },
    /// The pool is gone.
    Stopped,
}

enum Go {
    Run,
    Busy(Duration),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    InPanic,
}

type Task = Box<dyn FnOnce(Go) -> Ended + Send>;

struct Waiting {
    since: Instant,
    task: Task,
}

#[derive(Default)]
struct State {
    /// By rollout. Rollouts with nothing to do are not in the map.
    queues: BTreeMap<String, VecDeque<Waiting>>,
    waiting: usize,
    running: BTreeMap<String, usize>,
    last_served: String,
    stopped: bool,
}

struct Shared {
    name: &'static str,
    per_key: usize,
    wait_max: Duration,
    state: Mutex<State>,
    more: Condvar,
}

/// A pool of threads.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

/// A handle that ends waits which have lasted too long.
#[derive(Clone)]
pub(crate) struct Expirer(Arc<Shared>);

impl Pool {
    /// Starts the threads. One key gets at most half of them, rounded up, and at least one is
    /// left for the others; for that there are at least two.
    pub(crate) fn start(
        name: &'static str,
        workers: usize,
        wait_max: Duration,
    ) -> std::io::Result<Self> {
        let workers = workers.max(2);
        let per_key = workers.div_ceil(2).min(workers - 1);
        let (state, more) = (Mutex::new(State::default()), Condvar::new());
        let pool = Self {
            shared: Arc::new(Shared {
                name,
                per_key,
                wait_max,
                state,
                more,
            }),
        };
        for _ in 0..workers {
            spawn(&pool.shared)?;
        }
        Ok(pool)
    }

    pub(crate) fn expirer(&self) -> Expirer {
        Expirer(Arc::clone(&self.shared))
    }

    /// Does work on one of the threads. If the caller goes away first, it is not done.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        let (reply, answer) = oneshot::channel();
        let task: Task = Box::new(move |go| {
            let (result, ended) = match go {
                Go::Busy(waited) => (Err(NotRun::Busy { waited }), Ended::Well),
                Go::Run if reply.is_closed() => return Ended::Well,
                // The work owns all that it changes, so nothing half-changed is left behind.
                Go::Run => match caught(work) {
                    Ok(value) => (Ok(value), Ended::Well),
                    Err(panicked) => (Err(panicked), Ended::InPanic),
                },
            };
            // The caller may have gone away meanwhile.
            let _ = reply.send(result);
            ended
        });
        self.shared.enqueue(key, task);
        answer.await.unwrap_or(Err(NotRun::Stopped))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        // Dropping a task drops its reply, which tells whoever waits for it.
        let left = std::mem::take(&mut state.queues);
        drop(state);
        drop(left);
        self.shared.more.notify_all();
    }
}

impl Expirer {
    /// Ends all waits that have lasted too long.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        for (task, waited) in self.0.take_expired(now) {
            task(Go::Busy(waited));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is changed by code that does not panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, key: &str, task: Task) {
        let mut state = self.lock();
        if state.stopped {
            return;
        }
        if state.waiting >= QUEUE_MAX {
            drop(state);
            task(Go::Busy(Duration::ZERO));
            return;
        }
        state.waiting += 1;
        let queue = state.queues.entry(key.to_owned()).or_default();
        queue.push_back(Waiting {
            since: Instant::now(),
            task,
        });
        drop(state);
        self.more.notify_one();
    }

    fn take_expired(&self, now: Instant) -> Vec<(Task, Duration)> {
        let mut state = self.lock();
        let mut expired = Vec::new();
        if state.waiting == 0 {
            return expired;
        }
        for queue in state.queues.values_mut() {
            while let Some(first) = queue.front() {
                let waited = now.saturating_duration_since(first.since);
                if waited < self.wait_max {
                    break;
                }
                expired.extend(queue.pop_front().map(|waiting| (waiting.task, waited)));
            }
        }
        state.queues.retain(|_, queue| !queue.is_empty());
        state.waiting -= expired.len();
        expired
    }

    /// Waits for work; `None` when the pool is gone.
    fn next(&self) -> Option<(String, Task)> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(next) = state.take(self.per_key) {
                return Some(next);
            }
            state = self
                .more
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, key: &str) {
        let mut state = self.lock();
        if let Some(count) = state.running.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                state.running.remove(key);
            }
        }
        let more = state.waiting > 0;
        drop(state);
        // What this key has waiting may run now, on whichever thread is free.
        if more {
            self.more.notify_one();
        }
    }
}

impl State {
    /// The next task of the next key in turn that has a worker left.
    fn take(&mut self, per_key: usize) -> Option<(String, Task)> {
        let after = (Bound::Excluded(self.last_served.clone()), Bound::Unbounded);
        let in_turn = self
            .queues
            .range(after)
            .chain(&self.queues)
            .map(|(key, _)| key);
        let may_run = |key: &&String| self.running.get(*key).copied().unwrap_or(0) < per_key;
        let key = in_turn.clone().find(may_run)?.clone();
        let queue = self.queues.get_mut(&key)?;
        let first = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        self.waiting -= 1;
        *self.running.entry(key.clone()).or_default() += 1;
        self.last_served.clone_from(&key);
        Some((key, first.task))
    }
}

fn spawn(shared: &Arc<Shared>) -> std::io::Result<()> {
    let worker = Arc::clone(shared);
    let builder = std::thread::Builder::new()
        .name(shared.name.into())
        .stack_size(THREAD_STACK_BYTES);
    builder.spawn(move || work(&worker)).map(drop)
}

fn work(shared: &Arc<Shared>) {
    while let Some((key, task)) = shared.next() {
        let ended = task(Go::Run);
        shared.done(&key);
        // Thread-locals may be in any state after a panic, so another thread takes over. If there
        // can be none, this one is better than none.
        if ended == Ended::InPanic && spawn(shared).is_ok() {
            return;
        }
    }
}

/// Does work, and makes a panic of it a reason why it was not done.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, NotRun> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| NotRun::Panicked {
        message: panic_message(&*panic),
    })
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::sync::mpsc::channel;
    use std::task::{Context, Waker};

    /// Starts a future that cannot be ready yet; only its first step matters.
    fn start<F: Future + Unpin>(future: &mut F) {
        assert!(
            std::pin::Pin::new(future)
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn one_rollout_leaves_workers_to_others() {
        let pool = Pool::start("test-fair", 4, Duration::from_secs(60)).unwrap();
        let (started, starts) = channel();
        let mut releases = Vec::new();
        let mut greedy = Vec::new();
        for _ in 0..4 {
            let (release, released) = channel::<()>();
            let started = started.clone();
            let mut run = Box::pin(pool.run("greedy", move || {
                started.send(()).unwrap();
                released.recv().unwrap();
            }));
            start(&mut run);
            releases.push(release);
            greedy.push(run);
        }
        for _ in 0..2 {
            starts.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        // Two of four run and two wait, so another rollout's work is done at once.
        assert_eq!(block_on(pool.run("modest", || 7)), Ok(7));
        assert!(starts.try_recv().is_err());
        for release in releases {
            release.send(()).unwrap();
        }
        for run in greedy {
            assert_eq!(block_on(run), Ok(()));
        }
    }

    #[test]
    fn a_panic_is_an_answer_and_the_worker_is_replaced() {
        let pool = Pool::start("test-panic", 2, Duration::from_secs(60)).unwrap();
        for _ in 0..5 {
            let panicked = block_on(pool.run("r", || -> u32 { panic!("on purpose") }));
            assert_eq!(
                panicked,
                Err(NotRun::Panicked {
                    message: "on purpose".into()
                })
            );
        }
        assert_eq!(block_on(pool.run("r", || 1)), Ok(1));
    }

    #[test]
    fn a_wait_ends() {
        let pool = Pool::start("test-wait", 2, Duration::ZERO).unwrap();
        let (release, released) = channel::<()>();
        let (started, starts) = channel();
        let mut first = Box::pin(pool.run("r", move || {
            started.send(()).unwrap();
            released.recv().unwrap();
        }));
        start(&mut first);
        starts.recv_timeout(Duration::from_secs(10)).unwrap();
        let mut second = Box::pin(pool.run("r", || ()));
        start(&mut second);
        pool.expirer().expire();
        assert!(matches!(block_on(second), Err(NotRun::Busy { .. })));
        release.send(()).unwrap();
        assert_eq!(block_on(first), Ok(()));
    }

    #[test]
    fn what_waits_is_told_when_the_pool_goes() {
        let pool = Pool::start("test-stop", 2, Duration::from_secs(60)).unwrap();
        let shared = Arc::clone(&pool.shared);
        drop(pool);
        let gone = Pool { shared };
        assert_eq!(block_on(gone.run("r", || ())), Err(NotRun::Stopped));
    }
}
