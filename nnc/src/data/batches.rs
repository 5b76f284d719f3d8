//! Batches of a data set's rows in a given order, gathered while the one before is computed on.
//!
//! Large batches are gathered on a thread of their own, into two buffers that go back and forth through bounded
//! channels. Small ones are gathered on the caller's thread, where the copy costs less than waking another thread; so are
//! all where the program that computes on them keeps every core busy. The batches are the same either way, and none takes
//! memory after the first.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use ir::{DType, Shape, Tensor, Type};

use super::augment::Augmenter;
use super::{Dataset, Targets};
use crate::Error;

/// From this size on, batches are gathered on another thread where a core is free. Below, waking it takes about as long as
/// the copy; the benchmark `batches` measures both ways.
pub const MIN_BYTES_AHEAD: usize = 256 << 10;

/// Rows of a data set with their targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `f32[rows, ..]`, each row in the shape that rows of the data set have.
    pub x: Tensor,
    /// `i64[rows]`, the classes, or `f32[rows, outputs]`, the values.
    pub y: Tensor,
}

impl Batch {
    /// A batch of as many rows of `data`, zeros until they are gathered.
    pub fn zeros(data: &Dataset, rows: usize) -> Batch {
        let shape: Shape = [rows].into_iter().chain(data.row_shape().iter().copied()).collect();
        let y = match data.targets() {
            Targets::Classes { .. } => Type::new(DType::I64, [rows]),
            Targets::Values { .. } => Type::new(DType::F32, [rows, data.outputs()]),
        };
        Batch { x: Tensor::zeros(&Type { dtype: DType::F32, shape }), y: Tensor::zeros(&y) }
    }

    /// Sets it to the rows of these numbers, of which there are as many as it has rows.
    ///
    /// # Panics
    /// Where the data set has no such row or is not like the one that the batch was made for.
    pub fn gather(&mut self, data: &Dataset, rows: &[u32]) {
        let x = self.x.as_mut_slice::<f32>().expect("rows are f32");
        copy_rows(x, data.features(), rows, |row| data.row(row));
        match data.targets() {
            Targets::Classes { labels, .. } => {
                let y = self.y.as_mut_slice::<i64>().expect("classes are i64");
                y.iter_mut().zip(rows).for_each(|(y, &row)| *y = labels[row as usize]);
            }
            Targets::Values { values, names } => {
                let (y, width) = (self.y.as_mut_slice::<f32>().expect("values are f32"), names.len());
                copy_rows(y, width, rows, |row| &values[row * width..][..width]);
            }
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.x.shape()[0]
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Copies `row(number)` for each of the numbers to the next `width` elements of `to`.
fn copy_rows<'a>(to: &mut [f32], width: usize, numbers: &[u32], row: impl Fn(usize) -> &'a [f32]) {
    for (to, &number) in to.chunks_exact_mut(width.max(1)).zip(numbers) {
        to.copy_from_slice(row(number as usize));
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
///     rows.push((batch.x.ty().to_string(), batch.y.ty().to_string()));
/// }
/// assert_eq!(rows[1], ("f32[36, 1, 8, 8]".into(), "i64[36]".into()));
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
    /// The rows of `data` with the numbers in `order`, `batch` at a time; the last batch has those that are left. What
    /// computes on them runs on `threads` threads.
    ///
    /// # Errors
    /// Where `batch` is 0, or the data set has no row of one of the numbers.
    pub fn new(data: &Dataset, order: Vec<u32>, batch: usize, threads: usize) -> Result<Batches, Error> {
        Batches::augmented(data, order, batch, threads, None)
    }

    /// As [`Batches::new`], of images that are changed by an augmenter, the first batch as that of the step beside it.
    ///
    /// # Errors
    /// As [`Batches::new`].
    pub fn augmented(
        data: &Dataset,
        order: Vec<u32>,
        batch: usize,
        threads: usize,
        augment: Option<(Augmenter, u64)>,
    ) -> Result<Batches, Error> {
        let bytes = batch.saturating_mul(data.features()).saturating_mul(size_of::<f32>());
        let is_worth_a_thread = bytes >= MIN_BYTES_AHEAD && order.len() > batch;
        let has_free_core = || thread::available_parallelism().is_ok_and(|cores| cores.get() > threads);
        let is_ahead = is_worth_a_thread && has_free_core();
        let work = Work { augment, ..Work::new(data, order, batch)? };
        if is_ahead { Batches::start(work) } else { Ok(Batches::of(work)) }
    }

    /// As [`Batches::new`], always gathered on the thread that asks for them.
    ///
    /// # Errors
    /// As [`Batches::new`].
    pub fn here(data: &Dataset, order: Vec<u32>, batch: usize) -> Result<Batches, Error> {
        Ok(Batches::of(Work::new(data, order, batch)?))
    }

    /// As [`Batches::new`], always gathered on another thread.
    ///
    /// # Errors
    /// As [`Batches::new`], and where the thread cannot be started.
    pub fn ahead(data: &Dataset, order: Vec<u32>, batch: usize) -> Result<Batches, Error> {
        Batches::start(Work::new(data, order, batch)?)
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
    data: Dataset,
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
    augmenter.apply(batch.x.as_mut_slice().expect("rows are f32"), *first + number as u64);
}

impl Work {
    fn new(data: &Dataset, order: Vec<u32>, batch: usize) -> Result<Work, Error> {
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
                let x: Vec<f32> = here.iter().flat_map(|b| b.x.as_slice::<f32>().unwrap()).copied().collect();
                let expected: Vec<f32> = order.iter().flat_map(|&row| [row as f32; 2]).collect();
                assert_eq!(x, expected, "{rows} rows, {batch} at a time");
                assert_eq!(here.len(), rows.div_ceil(batch));
                for (batch, order) in here.iter().zip(order.chunks(batch)) {
                    let y: Vec<f64> = (0..batch.len()).map(|index| batch.y.get(index).as_f64()).collect();
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
            let work = Work::new(&data, rows.collect(), 2).unwrap();
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
        assert_eq!(batches[0].x.as_slice::<f32>().unwrap(), [4.0; 4]);
        assert_eq!(batches[1].x.as_slice::<f32>().unwrap(), [0.0; 2]);
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
