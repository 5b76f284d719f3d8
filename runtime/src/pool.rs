//! Threads with a static schedule: a run of `chunks` is cut into contiguous shares, one per thread, by their number
//! alone. No queue, no allocation per run, and a thread sees the same chunks of the same shapes run after run, so its
//! caches stay warm. One liberty is taken: a share that its worker has not begun when the caller has finished its own
//! is done by the caller, so that nobody waits for a worker to wake, or to get back a processor that it has lost.
//!
//! A worker that has nothing to do spins for a moment and then parks: handing work to a spinning thread takes a
//! fraction of a microsecond, to a parked one some tens of them. Each worker has a mailbox of its own cache lines. Its
//! ticket is even while a share is posted that nobody has claimed, and odd otherwise.

#![allow(
    unsafe_code,
    reason = "workers call a closure that lives on the stack of the caller, who waits for them"
)]

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::RunError;

/// How long an idle worker spins before it parks.
const SPIN_TIME: Duration = Duration::from_micros(50);
/// How many times a spinning thread looks before it reads the clock (workers) or gives way (the caller).
const LOOKS: u32 = 64;
/// The ticket of a worker that is to end. It is odd: there is nothing to claim.
const STOP: u64 = u64::MAX;

/// What a run executes: `task(thread, begin, end)` does chunks `begin..end` as thread number `thread`.
type Task<'a> = dyn Fn(usize, u64, u64) + Sync + 'a;

/// A set of threads: the caller of [`Pool::run`] and `threads - 1` workers.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    hand_over_ns: f64,
}

/// What the workers and the caller share.
struct Shared {
    /// What the current run executes. Written while no worker is at work.
    job: UnsafeCell<Option<Job>>,
    mailboxes: Box<[Mailbox]>,
    /// Whether a run is going on.
    is_busy: AtomicBool,
    /// What a worker panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Clone, Copy)]
struct Job {
    task: *const Task<'static>,
    chunks: u64,
    shares: usize,
}

/// How a worker is told to run, on cache lines of its own (two, because processors fetch them in pairs).
#[repr(align(128))]
struct Mailbox {
    /// Grows by one with each post and with each claim.
    ticket: AtomicU64,
    /// The ticket of the last share that is done, or that the caller does itself.
    done: AtomicU64,
    is_parked: AtomicBool,
}

impl Mailbox {
    /// The mailbox of a worker that has nothing to do.
    fn new() -> Mailbox {
        Mailbox { ticket: AtomicU64::new(1), done: AtomicU64::new(1), is_parked: AtomicBool::new(false) }
    }

    /// Claims the share that is posted; the ticket that stands for it. `None` where there is none any more.
    fn claim(&self) -> Option<u64> {
        let posted = self.ticket.load(Ordering::Relaxed);
        let claimed = posted.wrapping_add(1);
        let is_claimed = posted.is_multiple_of(2)
            && self.ticket.compare_exchange(posted, claimed, Ordering::Acquire, Ordering::Relaxed).is_ok();
        is_claimed.then_some(claimed)
    }

    /// Claims the share for the caller, who does not wait for itself; whether it was still there.
    fn take_back(&self) -> bool {
        let claimed = self.claim();
        if let Some(claimed) = claimed {
            self.done.store(claimed, Ordering::Relaxed);
        }
        claimed.is_some()
    }
}

// SAFETY: `job` is written only by the thread that holds `is_busy` and while no worker is at work, and read by a
// worker only between its claim of a share and its `done`; both are ordered by the atomics of its mailbox. The task
// is `Sync`, and it outlives the run because the caller waits for the shares that workers have claimed, and claims
// the others itself, before it returns.
unsafe impl Sync for Shared {}
// SAFETY: as above; nothing in it belongs to one thread.
unsafe impl Send for Shared {}

impl Shared {
    fn new(workers: usize) -> Shared {
        Shared {
            job: UnsafeCell::new(None),
            mailboxes: (0..workers).map(|_| Mailbox::new()).collect(),
            is_busy: AtomicBool::new(false),
            panic: Mutex::new(None),
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("workers", &self.mailboxes.len()).finish_non_exhaustive()
    }
}

impl Pool {
    /// The greatest number of threads of a pool.
    pub const MAX_THREADS: usize = 1024;

    /// A pool of `threads` threads, the caller included. Workers are pinned to processors that this process may use
    /// where there is one for each thread.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// let pool = runtime::Pool::new(2)?;
    /// let sum = AtomicU64::new(0);
    /// pool.run(10, 2, &|_thread, begin, end| {
    ///     sum.fetch_add((begin..end).sum(), Ordering::Relaxed);
    /// });
    /// assert_eq!(sum.into_inner(), 45);
    /// # Ok::<(), runtime::RunError>(())
    /// ```
    ///
    /// # Errors
    /// Where `threads` is 0 or above [`Pool::MAX_THREADS`], or the system starts no more of them.
    pub fn new(threads: usize) -> Result<Pool, RunError> {
        let refused = |reason: String| RunError::Threads { threads, reason };
        if threads == 0 || threads > Pool::MAX_THREADS {
            return Err(refused("the number is out of range".into()));
        }
        let shared = Arc::new(Shared::new(threads - 1));
        let workers = Vec::with_capacity(threads - 1);
        let mut pool = Pool { shared, workers, hand_over_ns: f64::INFINITY };
        let processors = processors_for_workers(threads);
        for worker in 0..threads - 1 {
            let shared = Arc::clone(&pool.shared);
            let processor = processors.get(worker).copied();
            let body = move || {
                if let Some(processor) = processor {
                    core_affinity::set_for_current(processor);
                }
                work(&shared, worker);
            };
            let name = format!("nnc-worker-{}", worker + 1);
            let handle =
                std::thread::Builder::new().name(name).spawn(body).map_err(|e| refused(e.to_string()))?;
            pool.workers.push(handle);
        }
        pool.hand_over_ns = pool.measure_hand_over();
        Ok(pool)
    }

    /// What it takes to hand a share to a worker that waits for one and to hear that it is done, in nanoseconds, as it was when the
    /// pool was made; infinite without workers.
    pub fn hand_over_ns(&self) -> f64 {
        self.hand_over_ns
    }

    /// Measures it, in less than a millisecond: the least of some batches, as threads lose their processors for a moment. Where a worker
    /// does not answer in time, it is taken for what cores that are far apart need.
    fn measure_hand_over(&self) -> f64 {
        const BATCHES: usize = 5;
        const RUNS: u32 = 16;
        const MOST: Duration = Duration::from_micros(100);
        const FAR_NS: f64 = 500.0;
        if self.workers.is_empty() {
            return f64::INFINITY;
        }
        let has_answered = AtomicBool::new(false);
        let answered = |limit: Duration| {
            has_answered.store(false, Ordering::Relaxed);
            let start = Instant::now();
            self.run(2, 2, &|thread, _, _| {
                if thread > 0 {
                    has_answered.store(true, Ordering::Release);
                }
                let mut looks = 0u32;
                while thread == 0 && !has_answered.load(Ordering::Acquire) {
                    looks += 1;
                    if looks.is_multiple_of(LOOKS) && start.elapsed() > limit {
                        return;
                    }
                    std::hint::spin_loop();
                }
            });
            has_answered.load(Ordering::Relaxed)
        };
        // The first one waits until the worker has started.
        if !answered(10 * MOST) {
            return FAR_NS;
        }
        let batch = || {
            let start = Instant::now();
            let all_answered = (0..RUNS).all(|_| answered(MOST));
            all_answered.then(|| start.elapsed().as_secs_f64() * 1e9 / f64::from(RUNS))
        };
        (0..BATCHES).filter_map(|_| batch()).fold(FAR_NS, f64::min)
    }

    /// The number of processors that this process may use.
    pub fn available_threads() -> usize {
        std::thread::available_parallelism().map_or(1, |count| count.get().min(Pool::MAX_THREADS))
    }

    /// The number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Executes `task(thread, begin, end)` over chunks `0..chunks`, cut into at most `shares` contiguous shares of
    /// nearly equal size, and returns when all are done. Share `i` runs on thread `i`, or else on the caller, which is
    /// thread 0.
    ///
    /// Where another run is going on, be it one of another thread or the one that calls this, the caller does
    /// everything itself: it never waits for that run. A panic of `task` on any thread goes on in the caller, after all
    /// threads are done.
    pub fn run(&self, chunks: u64, shares: usize, task: &Task<'_>) {
        let shares = shares.min(self.threads()).min(usize::try_from(chunks).unwrap_or(usize::MAX));
        if shares <= 1 || self.shared.is_busy.swap(true, Ordering::Acquire) {
            return task(0, 0, chunks);
        }
        // SAFETY: only the lifetime changes. The pointer is used by workers during this call alone: `Run` waits for
        // them when it is dropped, also where the caller's own share panics.
        let task_pointer: *const Task<'static> = unsafe { std::mem::transmute(std::ptr::from_ref(task)) };
        let job = Job { task: task_pointer, chunks, shares };
        // SAFETY: this thread holds `is_busy`, and no worker is at work: the last run waited for them.
        unsafe { *self.shared.job.get() = Some(job) };
        let run = Run { pool: self, workers: shares - 1 };
        for worker in 0..run.workers {
            self.post(worker);
        }
        let (begin, end) = share(chunks, shares, 0);
        task(0, begin, end);
        for worker in (0..run.workers).rev() {
            if self.shared.mailboxes[worker].take_back() {
                let (begin, end) = share(chunks, shares, worker + 1);
                task(0, begin, end);
            }
        }
        let panic = run.wait();
        drop(run);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Tells a worker that there is something to do.
    fn post(&self, worker: usize) {
        let mailbox = &self.shared.mailboxes[worker];
        // Sequentially consistent, as in `wait_for_share`: of the post here and the announcement to park there, the
        // one that comes second sees the other.
        let claimed = mailbox.ticket.load(Ordering::Relaxed);
        mailbox.ticket.store(claimed + 1, Ordering::SeqCst);
        self.wake(worker);
    }

    fn wake(&self, worker: usize) {
        if self.shared.mailboxes[worker].is_parked.load(Ordering::SeqCst) {
            self.workers[worker].thread().unpark();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Where a thread could not be started, there are more mailboxes than workers.
        for (worker, mailbox) in self.shared.mailboxes.iter().enumerate().take(self.workers.len()) {
            mailbox.ticket.store(STOP, Ordering::SeqCst);
            self.wake(worker);
        }
        for worker in self.workers.drain(..) {
            worker.join().expect("a worker catches the panics of its tasks");
        }
    }
}

/// A run that is going on; dropped, it waits for its workers.
struct Run<'a> {
    pool: &'a Pool,
    workers: usize,
}

impl Run<'_> {
    /// Waits until no worker is at work on it; what a worker has panicked with.
    fn wait(&self) -> Option<Box<dyn Any + Send>> {
        for mailbox in &self.pool.shared.mailboxes[..self.workers] {
            // Where the caller's share has panicked, there may be shares that nobody has begun. They stay undone.
            mailbox.take_back();
            let claimed = mailbox.ticket.load(Ordering::Relaxed);
            let mut looks = 0;
            while mailbox.done.load(Ordering::Acquire) != claimed {
                looks += 1;
                // A worker that its processor has been taken from may be waiting for this one.
                if looks % (64 * LOOKS) == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
            }
        }
        self.pool.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // A panic that is left belongs to this run, whose caller's own share has panicked, too; not to the next run.
        self.wait();
        self.pool.shared.is_busy.store(false, Ordering::Release);
    }
}

/// The life of a worker.
fn work(shared: &Shared, worker: usize) {
    let mailbox = &shared.mailboxes[worker];
    while wait_for_share(mailbox) {
        let Some(claimed) = mailbox.claim() else { continue };
        // SAFETY: this worker has claimed a share of the job, so the caller does not write until it is done.
        let job = unsafe { *shared.job.get() }.expect("a job is written before its shares are posted");
        // SAFETY: the caller of `run` keeps the task alive until this worker is done.
        let task = unsafe { &*job.task };
        let (begin, end) = share(job.chunks, job.shares, worker + 1);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task(worker + 1, begin, end))) {
            *shared.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
        mailbox.done.store(claimed, Ordering::Release);
    }
}

/// Waits until a share is posted, spinning at first, then parked; `false` where the worker is to end.
fn wait_for_share(mailbox: &Mailbox) -> bool {
    let is_over = |ticket: u64| ticket == STOP || ticket.is_multiple_of(2);
    let start = Instant::now();
    while start.elapsed() < SPIN_TIME {
        for _ in 0..LOOKS {
            let ticket = mailbox.ticket.load(Ordering::Acquire);
            if is_over(ticket) {
                return ticket != STOP;
            }
            std::hint::spin_loop();
        }
    }
    mailbox.is_parked.store(true, Ordering::SeqCst);
    let ticket = loop {
        let ticket = mailbox.ticket.load(Ordering::SeqCst);
        if is_over(ticket) {
            break ticket;
        }
        std::thread::park();
    };
    mailbox.is_parked.store(false, Ordering::Relaxed);
    ticket != STOP
}

/// The chunks of share number `index` of `shares`.
fn share(chunks: u64, shares: usize, index: usize) -> (u64, u64) {
    let bound = |i: usize| (u128::from(chunks) * i as u128 / shares as u128) as u64;
    (bound(index), bound(index + 1))
}

/// A processor for each worker: those that this process may use, without the one that the caller is on. Empty, so that
/// nothing is pinned, where there are fewer processors than threads: the system then shares them out better.
fn processors_for_workers(threads: usize) -> Vec<core_affinity::CoreId> {
    let mut processors = core_affinity::get_core_ids().unwrap_or_default();
    if processors.len() < threads {
        return Vec::new();
    }
    let own = current_processor();
    processors.retain(|processor| Some(processor.id) != own);
    processors
}

/// The processor that this thread runs on at the moment.
fn current_processor() -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the call has no preconditions.
        usize::try_from(unsafe { libc::sched_getcpu() }).ok()
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    /// The shares of a run, as `(begin, end)` in the order of chunks.
    fn shares_of(pool: &Pool, chunks: u64, shares: usize) -> Vec<(u64, u64)> {
        let seen = Mutex::new(Vec::new());
        pool.run(chunks, shares, &|_, begin, end| seen.lock().unwrap().push((begin, end)));
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        seen
    }

    #[test]
    fn shares_are_contiguous_and_cover_every_chunk_once() {
        for threads in [1, 2, 3, 7] {
            let pool = Pool::new(threads).unwrap();
            for chunks in [1, 2, 5, 64, 1009] {
                let shares = shares_of(&pool, chunks, threads);
                assert_eq!(shares.len(), threads.min(chunks as usize));
                assert!(shares.windows(2).all(|pair| pair[0].1 == pair[1].0));
                assert_eq!((shares[0].0, shares[shares.len() - 1].1), (0, chunks));
            }
        }
    }

    #[test]
    fn there_are_no_more_shares_than_asked_for() {
        let pool = Pool::new(4).unwrap();
        assert_eq!(shares_of(&pool, 10, 2), [(0, 5), (5, 10)]);
        assert_eq!(shares_of(&pool, 10, 1), [(0, 10)]);
    }

    #[test]
    fn all_threads_work_at_the_same_time_each_on_its_share() {
        let pool = Pool::new(3).unwrap();
        let barrier = Barrier::new(3);
        for _ in 0..100 {
            pool.run(3, 3, &|thread, begin, _| {
                barrier.wait(); // passed when all three have come
                assert_eq!(thread as u64, begin);
            });
        }
    }

    #[test]
    fn the_caller_does_the_shares_of_workers_that_do_not_come() {
        let mut pool = Pool::new(3).unwrap();
        let watched = std::mem::replace(&mut pool.shared, Arc::new(Shared::new(2)));
        assert_eq!(shares_of(&pool, 9, 3), [(0, 3), (3, 6), (6, 9)]);
        pool.shared = watched;
    }

    #[test]
    fn what_a_hand_over_costs_is_known_where_there_are_workers() {
        assert_eq!(Pool::new(1).unwrap().hand_over_ns(), f64::INFINITY);
        let cost = Pool::new(2).unwrap().hand_over_ns();
        assert!((10.0..=500.0).contains(&cost), "{cost}");
    }

    #[test]
    fn many_runs_in_a_row_each_do_everything() {
        let pool = Pool::new(3).unwrap();
        let total = AtomicU64::new(0);
        for i in 0..20_000 {
            pool.run(6, 3, &|_, begin, end| {
                total.fetch_add(end - begin, Ordering::Relaxed);
            });
            if i % 5000 == 0 {
                std::thread::sleep(4 * SPIN_TIME); // so that workers park
            }
        }
        assert_eq!(total.into_inner(), 120_000);
    }

    #[test]
    fn a_panic_of_a_worker_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2).unwrap();
        for panicking in [0, 1] {
            let barrier = Barrier::new(2);
            let run = || {
                pool.run(2, 2, &|thread, _, _| {
                    barrier.wait();
                    if thread == panicking {
                        resume_unwind(Box::new("stop"));
                    }
                });
            };
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert_eq!(*panic.downcast::<&str>().unwrap(), "stop");
            assert_eq!(shares_of(&pool, 2, 2), [(0, 1), (1, 2)]);
        }
    }

    #[test]
    fn a_panic_of_all_shares_is_that_of_the_run_and_not_of_the_next() {
        let pool = Pool::new(2).unwrap();
        let barrier = Barrier::new(2);
        let run = || {
            pool.run(2, 2, &|thread, _, _| {
                barrier.wait();
                resume_unwind(Box::new(thread));
            });
        };
        let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(*panic.downcast::<usize>().unwrap(), 0);
        assert_eq!(shares_of(&pool, 2, 2), [(0, 1), (1, 2)]);
    }

    #[test]
    fn a_run_within_a_run_is_done_by_its_caller() {
        let pool = Pool::new(2).unwrap();
        let inner = AtomicU64::new(0);
        pool.run(2, 2, &|_, _, _| {
            pool.run(8, 2, &|thread, begin, end| {
                assert_eq!((thread, begin, end), (0, 0, 8));
                inner.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(inner.into_inner(), 2);
    }

    #[test]
    fn runs_of_several_threads_on_one_pool_do_not_mix() {
        let pool = Pool::new(3).unwrap();
        let total = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        pool.run(5, 3, &|_, begin, end| {
                            total.fetch_add(end - begin, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 4 * 2000 * 5);
    }

    #[test]
    fn a_number_of_threads_out_of_range_is_an_error() {
        for threads in [0, Pool::MAX_THREADS + 1] {
            let error = Pool::new(threads).unwrap_err().to_string();
            let expected = "threads cannot be started (the number is out of range); use from 1 to 1024";
            assert_eq!(error, format!("{threads} {expected}"));
        }
    }

    #[test]
    fn shares_of_the_greatest_number_of_chunks_do_not_overflow() {
        assert_eq!(share(u64::MAX, 3, 2), (u64::MAX / 3 * 2, u64::MAX));
    }
}
