//! Batches of rows of named arrays in a given order, gathered while the one before is computed on.
//!
//! Large batches are gathered on a thread of their own, into two buffers that go back and forth through bounded
//! channels. Small ones are gathered on the caller's thread, where the copy costs less than waking another thread; so are
//! all where the program that computes on them keeps every core busy. The batches are the same either way, and none takes
//! memory after the first.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use ir::Tensor;
use nn::supervised::ROWS;

use super::arrays::{Arrays, Examples, copy_rows};
use super::augment::Augmenter;
use crate::Error;

/// From this size on, batches are gathered on another thread where a core is free. Below, waking it takes about as long as
/// the copy; the benchmark `batches` measures both ways.
pub const MIN_BYTES_AHEAD: usize = 256 << 10;

/// Some rows of named arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    names: Vec<String>,
    /// `[rows, ..]` each, in the order of the arrays.
    tensors: Vec<Tensor>,
    rows: usize,
}

impl Batch {
    /// A batch of so many rows of such arrays, zeros until they are gathered.
    pub fn zeros(arrays: &Arrays, rows: usize) -> Batch {
        let columns = arrays.columns();
        Batch {
            names: columns.iter().map(|column| column.name().to_owned()).collect(),
            tensors: columns.iter().map(|column| Tensor::zeros(&column.batch(rows))).collect(),
            rows,
        }
    }

    /// Sets it to the rows of these numbers, of which there are as many as it has rows.
    ///
    /// # Panics
    /// Where the arrays have no such row or are not like those that the batch was made for.
    pub fn gather(&mut self, arrays: &Arrays, rows: &[u32]) {
        for (tensor, column) in self.tensors.iter_mut().zip(arrays.columns()) {
            copy_rows(tensor, column, rows);
        }
    }

    /// The array of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        let index = self.names.iter().position(|known| known == name)?;
        self.tensors.get(index)
    }

    /// The arrays in order, as [`Executable::run`](crate::Executable::run) takes them.
    pub fn tensors(&self) -> Vec<&Tensor> {
        self.tensors.iter().collect()
    }

    /// The arrays by name, as [`Executable::run_named`](crate::Executable::run_named) takes them.
    pub fn named(&self) -> Vec<(&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.tensors).collect()
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The elements of the images that an augmenter changes.
    fn images(&mut self) -> &mut [f32] {
        let index = self.names.iter().position(|name| name == ROWS);
        let images = index.and_then(|index| self.tensors[index].as_mut_slice());
        images.expect("who augments has checked that there are images")
    }
}

/// The batches of an epoch, in order. Dropped early, it stops gathering.
///
/// ```
/// use nnc::data::{Batches, digits};
/// let (train, _) = digits();
/// let mut batches = Batches::new(&train, (0..100).collect(), 64, 1)?;
/// let mut rows = Vec::new();
/// while let Some(batch) = batches.next_batch() {
///     rows.push(batch.named().into_iter().map(|(name, array)| format!("{name} {}", array.ty())).collect::<Vec<_>>());
/// }
/// assert_eq!(rows[1], ["x f32[36, 1, 8, 8]", "y i64[36]"]);
/// # Ok::<(), nnc::Error>(())
/// ```
pub struct Batches {
    gatherer: Gatherer,
}

/// Who gathers.
enum Gatherer {
    /// The caller of `next_batch`.
    Here { work: Box<Work>, next: usize },
    /// A thread, which ends when it has no more batches or the channels are closed.
    Ahead {
        filled: Receiver<Batch>,
        free: SyncSender<Batch>,
        lent: Option<Batch>,
        thread: Option<JoinHandle<()>>,
    },
}

/// The number of buffers that go back and forth: one is computed on, one is filled.
const BUFFERS: usize = 2;

impl Batches {
    /// The rows of `data` (a data set, or named arrays) with the numbers in `order`, `batch` at a time; the last batch has those that are left. What
    /// computes on them runs on `threads` threads.
    ///
    /// # Errors
    /// Where `batch` is 0, or there is no row of one of the numbers.
    pub fn new(
        data: &impl Examples,
        order: Vec<u32>,
        batch: usize,
        threads: usize,
    ) -> Result<Batches, Error> {
        Batches::augmented(data, order, batch, threads, None)
    }

    /// As [`Batches::new`], of images that are changed by an augmenter, the first batch as that of the step beside it.
    ///
    /// # Errors
    /// As [`Batches::new`].
    pub fn augmented(
        data: &impl Examples,
        order: Vec<u32>,
        batch: usize,
        threads: usize,
        augment: Option<(Augmenter, u64)>,
    ) -> Result<Batches, Error> {
        let data = data.arrays();
        let row_bytes: usize = data.columns().iter().map(|column| column.row().size_bytes()).sum();
        let bytes = batch.saturating_mul(row_bytes);
        let is_worth_a_thread = bytes >= MIN_BYTES_AHEAD && order.len() > batch;
        let has_free_core = || thread::available_parallelism().is_ok_and(|cores| cores.get() > threads);
        let is_ahead = is_worth_a_thread && has_free_core();
        let work = Work { augment, ..Work::new(&data, order, batch)? };
        if is_ahead { Batches::start(work) } else { Ok(Batches::of(work)) }
    }

    /// As [`Batches::new`], always gathered on the thread that asks for them.
    ///
    /// # Errors
    /// As [`Batches::new`].
    pub fn here(data: &impl Examples, order: Vec<u32>, batch: usize) -> Result<Batches, Error> {
        Ok(Batches::of(Work::new(&data.arrays(), order, batch)?))
    }

    /// As [`Batches::new`], always gathered on another thread.
    ///
    /// # Errors
    /// As [`Batches::new`], and where the thread cannot be started.
    pub fn ahead(data: &impl Examples, order: Vec<u32>, batch: usize) -> Result<Batches, Error> {
        Batches::start(Work::new(&data.arrays(), order, batch)?)
    }

    fn of(work: Work) -> Batches {
        Batches { gatherer: Gatherer::Here { work: work.into(), next: 0 } }
    }

    fn start(work: Work) -> Result<Batches, Error> {
        let ((free, to_fill), (to_use, filled)) = (sync_channel(BUFFERS), sync_channel(BUFFERS));
        for _ in 0..BUFFERS {
            free.send(work.whole.clone()).expect("the channel has room for all buffers");
        }
        let thread = thread::Builder::new().name("nnc-batches".into());
        let thread = thread.spawn(move || work.gather_all(&to_fill, &to_use)).map_err(|error| {
            Error::invalid("batches", format!("a thread cannot be started: {error}"), "end other programs")
        })?;
        Ok(Batches { gatherer: Gatherer::Ahead { filled, free, lent: None, thread: Some(thread) } })
    }

    /// The next batch; `None` after the last.
    pub fn next_batch(&mut self) -> Option<&Batch> {
        match &mut self.gatherer {
            Gatherer::Here { work, next } => {
                let rows = work.order.chunks(work.batch).nth(*next)?;
                *next += 1;
                let is_whole = rows.len() == work.whole.len();
                let buffer = if is_whole { &mut work.whole } else { &mut work.short };
                buffer.gather(&work.data, rows);
                augment(buffer, work.augment.as_mut(), *next - 1);
                Some(buffer)
            }
            Gatherer::Ahead { filled, free, lent, thread } => {
                if let Some(used) = lent.take() {
                    let _ = free.send(used); // once the thread has ended, nobody wants it
                }
                *lent = filled.recv().ok();
                if lent.is_none()
                    && let Some(Err(panic)) = thread.take().map(JoinHandle::join)
                {
                    std::panic::resume_unwind(panic);
                }
                lent.as_ref()
            }
        }
    }
}

/// What is to be gathered, and into what.
struct Work {
    data: Arrays,
    order: Vec<u32>,
    batch: usize,
    whole: Batch,
    /// For the last batch, where it has fewer rows than the others; else without rows.
    short: Batch,
    /// What changes images, and the step that the first batch is for.
    augment: Option<(Augmenter, u64)>,
}

/// Changes the images of batch `number`.
fn augment(batch: &mut Batch, augment: Option<&mut (Augmenter, u64)>, number: usize) {
    let Some((augmenter, first)) = augment else { return };
    augmenter.apply(batch.images(), *first + number as u64);
}

impl Work {
    fn new(data: &Arrays, order: Vec<u32>, batch: usize) -> Result<Work, Error> {
        if batch == 0 {
            return Err(Error::invalid("batch", "it is 0", "give at least 1"));
        }
        if let Some(row) = order.iter().find(|&&row| row as usize >= data.len()) {
            let problem = format!("there are {} rows, and none has number {row}", data.len());
            return Err(Error::invalid(data.name(), problem, "give numbers below the number of rows"));
        }
        let whole = Batch::zeros(data, batch.min(order.len()));
        let short = Batch::zeros(data, order.len() % batch);
        Ok(Work { data: data.clone(), order, batch, whole, short, augment: None })
    }

    /// Fills buffers from `free` and sends them to `filled`, until all are sent or one channel is closed.
    fn gather_all(mut self, free: &Receiver<Batch>, filled: &SyncSender<Batch>) {
        let mut short = Some(self.short);
        for (number, rows) in self.order.chunks(self.batch).enumerate() {
            let is_whole = rows.len() == self.whole.len();
            let Some(mut buffer) = (if is_whole { free.recv().ok() } else { short.take() }) else { return };
            buffer.gather(&self.data, rows);
            augment(&mut buffer, self.augment.as_mut(), number);
            if filled.send(buffer).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Targets};

    /// Rows 0, 1, .. of two values each, with themselves as value or their parity as class.
    fn numbers(rows: usize, has_classes: bool) -> Dataset {
        let features = (0..2 * rows).map(|index| (index / 2) as f32).collect();
        let targets = if has_classes {
            Targets::classes((0..rows as i64).map(|row| row % 2).collect(), 2)
        } else {
            Targets::values((0..rows).map(|row| row as f32).collect(), 1)
        };
        Dataset::new("numbers", [2], features, targets).unwrap()
    }

    fn rows_of(batch: &Batch) -> &[f32] {
        batch.get("x").unwrap().as_slice().unwrap()
    }

    fn all(mut batches: Batches) -> Vec<Batch> {
        std::iter::from_fn(|| batches.next_batch().cloned()).collect()
    }

    #[test]
    fn both_ways_give_the_rows_in_order() {
        for (rows, batch) in [(0, 3), (1, 3), (3, 3), (7, 3), (9, 3), (5, 1), (4, 100)] {
            for has_classes in [false, true] {
                let data = numbers(rows, has_classes);
                let order: Vec<u32> = (0..rows as u32).rev().collect();
                let here = all(Batches::here(&data, order.clone(), batch).unwrap());
                assert_eq!(here, all(Batches::ahead(&data, order.clone(), batch).unwrap()));
                assert_eq!(here, all(Batches::new(&data, order.clone(), batch, 1).unwrap()));
                let x: Vec<f32> = here.iter().flat_map(rows_of).copied().collect();
                let expected: Vec<f32> = order.iter().flat_map(|&row| [row as f32; 2]).collect();
                assert_eq!(x, expected, "{rows} rows, {batch} at a time");
                assert_eq!(here.len(), rows.div_ceil(batch));
                for (batch, order) in here.iter().zip(order.chunks(batch)) {
                    let y: Vec<f64> =
                        (0..batch.len()).map(|index| batch.get("y").unwrap().get(index).as_f64()).collect();
                    let target = |&row: &u32| f64::from(if has_classes { row % 2 } else { row });
                    assert_eq!(y, order.iter().map(target).collect::<Vec<f64>>());
                }
            }
        }
    }

    #[test]
    fn both_ways_change_images_alike_by_the_number_of_their_step() {
        let pixels = (0..7 * 16).map(|index| index as f32).collect();
        let data = Dataset::new("images", [4, 4], pixels, Targets::classes(vec![0; 7], 1)).unwrap();
        let augmenter = "shift,flip".parse::<crate::data::Augment>().unwrap();
        let augmenter = augmenter.of_images(data.row_shape(), 1).unwrap().unwrap();
        let work = |rows: std::ops::Range<u32>, step| {
            let work = Work::new(&data.arrays(), rows.collect(), 2).unwrap();
            Work { augment: Some((augmenter.clone(), step)), ..work }
        };
        let here = all(Batches::of(work(0..7, 3)));
        assert_eq!(here, all(Batches::start(work(0..7, 3)).unwrap()));
        assert_eq!(here[1..], all(Batches::of(work(2..7, 4))));
        assert_ne!(here, all(Batches::of(work(0..7, 4))));
        assert_ne!(here, all(Batches::here(&data, (0..7).collect(), 2).unwrap()));
    }

    #[test]
    fn a_row_can_come_twice_and_others_not_at_all() {
        let batches = all(Batches::ahead(&numbers(5, true), vec![4, 4, 0], 2).unwrap());
        assert_eq!(rows_of(&batches[0]), [4.0; 4]);
        assert_eq!(rows_of(&batches[1]), [0.0; 2]);
    }

    /// The thread holds a clone of the data set; when it has ended, the test has the only one.
    #[test]
    fn dropped_early_the_thread_ends() {
        let (sent, ended) = std::sync::mpsc::channel::<()>();
        let data = numbers(1000, true);
        for taken in [0, 1, 5] {
            let mut batches = Batches::ahead(&data, (0..1000).collect(), 1).unwrap();
            for _ in 0..taken {
                assert!(batches.next_batch().is_some());
            }
            let Gatherer::Ahead { thread, .. } = &mut batches.gatherer else { panic!("it gathers here") };
            let (thread, sent) = (thread.take().unwrap(), sent.clone());
            drop(batches);
            thread::spawn(move || thread.join().map(|()| sent.send(())));
            let within = std::time::Duration::from_secs(60);
            ended.recv_timeout(within).expect("the thread ends when its channels are closed");
        }
    }

    #[test]
    fn after_the_last_batch_there_is_none_however_often_one_asks() {
        for new in [Batches::here, Batches::ahead] {
            let mut batches = new(&numbers(3, true), vec![0, 1, 2], 2).unwrap();
            assert!(batches.next_batch().is_some() && batches.next_batch().is_some());
            assert!(batches.next_batch().is_none() && batches.next_batch().is_none());
        }
    }

    #[test]
    fn rows_that_are_not_there_are_an_error() {
        let error =
            |order, batch| Batches::new(&numbers(3, true), order, batch, 1).err().unwrap().to_string();
        let expected =
            "numbers: there are 3 rows, and none has number 3; give numbers below the number of rows";
        assert_eq!(error(vec![0, 3], 1), expected);
        assert_eq!(error(vec![0], 0), "batch: it is 0; give at least 1");
    }
}
