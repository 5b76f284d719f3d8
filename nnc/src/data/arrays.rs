//! Named arrays of as many rows each: what any network is trained and used on.

use std::sync::Arc;

use ir::{DType, Shape, Tensor, Type};
use sha2::{Digest, Sha256};

use super::{Dataset, Sequences};
use crate::Error;
use crate::trainer::shuffle::permutation;

/// What a model can be trained and evaluated on: rows of named arrays.
pub trait Examples {
    /// The arrays. Their elements are shared, not copied.
    fn arrays(&self) -> Arrays;

    /// The data set with one target per row that this is, where it is one.
    fn dataset(&self) -> Option<&Dataset> {
        None
    }

    /// The sequences with a target at each step that this is, where it is some.
    fn sequences(&self) -> Option<&Sequences> {
        None
    }

    /// The numbers of the rows in the order in which an epoch of training takes them, `batch` at a time: a shuffle that depends
    /// on the seed and the number of the epoch alone, unless rows have an order of their own.
    ///
    /// # Errors
    /// Where they are made for batches of another size.
    fn order(&self, batch: usize, seed: u64, epoch: u64) -> Result<Vec<u32>, Error> {
        let _ = batch;
        Ok(permutation(self.arrays().len(), seed, epoch))
    }
}

/// Named arrays, each with as many rows along its first axis. All floats are finite. A clone shares the elements.
///
/// ```
/// use ir::Tensor;
/// use nnc::data::Arrays;
/// let a = Tensor::new([3, 2], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
/// let b = Tensor::new([3], vec![0i64, 1, 1]).unwrap();
/// let pairs = Arrays::new("pairs", [("a", a), ("class", b)])?;
/// assert_eq!(pairs.len(), 3);
/// assert_eq!(pairs.to_string(), "pairs: 3 rows of a f32[2], class i64[]");
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Arrays {
    name: Arc<str>,
    rows: usize,
    columns: Vec<Column>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    name: Arc<str>,
    row: Type,
    elements: Arc<Tensor>,
}

impl Column {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of one of its rows.
    pub fn row(&self) -> &Type {
        &self.row
    }

    /// All elements, row after row.
    pub fn elements(&self) -> &Tensor {
        &self.elements
    }

    /// The same elements in rows of this shape, which has as many elements.
    pub(crate) fn reshaped(&self, shape: Shape) -> Column {
        debug_assert_eq!(shape.elements(), self.row.shape.elements(), "rows keep their elements");
        Column { row: Type::new(self.row.dtype, shape), ..self.clone() }
    }

    /// `rows` of it as a type: `[rows, ..row]`.
    pub(crate) fn batch(&self, rows: usize) -> Type {
        let shape: Shape = [rows].into_iter().chain(self.row.shape.iter().copied()).collect();
        Type::new(self.row.dtype, shape)
    }
}

impl Arrays {
    /// The arrays of these names, each `[rows, ..]`.
    ///
    /// # Errors
    /// Where there are none, one has no axis of rows, their numbers of rows differ or do not fit `u32`, two have one name, or a
    /// float is NaN or infinite (the row is named).
    pub fn new<N: AsRef<str>>(
        name: &str,
        arrays: impl IntoIterator<Item = (N, Tensor)>,
    ) -> Result<Arrays, Error> {
        let mut columns: Vec<Column> = Vec::new();
        let mut rows = None;
        for (array, tensor) in arrays {
            let array = array.as_ref();
            let invalid =
                |problem: String, help| Error::invalid(name, format!("array `{array}` {problem}"), help);
            let Some((&count, row)) = tensor.shape().split_first() else {
                return Err(invalid("is one number".into(), "give arrays [rows, ..]"));
            };
            if *rows.get_or_insert(count) != count || u32::try_from(count).is_err() {
                let first = columns.first().map_or(array, |column| column.name());
                let problem = format!("has {count} rows, `{first}` {}", rows.unwrap_or(count));
                return Err(invalid(problem, "give as many rows of each, fewer than 2^32"));
            }
            if columns.iter().any(|column| *column.name == *array) {
                return Err(invalid("is there twice".into(), "give each array a name of its own"));
            }
            let row = Type::new(tensor.dtype(), Shape::from(row));
            if let Some((at, element)) = first_not_finite(&tensor) {
                let row = at / row.shape.elements().max(1);
                return Err(invalid(format!("holds {element} in row {row}"), "give finite numbers"));
            }
            columns.push(Column { name: array.into(), row, elements: tensor.into() });
        }
        let Some(rows) = rows else {
            return Err(Error::invalid(name, "there are no arrays", "give at least one"));
        };
        Ok(Arrays { name: name.into(), rows, columns })
    }

    /// Arrays that have been checked before.
    pub(super) fn checked(name: Arc<str>, rows: usize, columns: Vec<(&str, Shape, Arc<Tensor>)>) -> Arrays {
        let column = |(name, shape, elements): (&str, Shape, Arc<Tensor>)| Column {
            name: name.into(),
            row: Type::new(elements.dtype(), shape),
            elements,
        };
        Arrays { name, rows, columns: columns.into_iter().map(column).collect() }
    }

    /// What errors call them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The arrays in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The array of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| *column.name == *name)
    }

    /// The arrays that inputs of these names and types (`[rows, ..]`, for any number of rows) take, in their order.
    ///
    /// # Errors
    /// Where one is missing, or of another type. A row may have other extents where it has as many elements and one of the two
    /// shapes is that of a vector, or they differ by extents of 1.
    pub fn for_inputs<'a>(&self, inputs: impl Iterator<Item = (&'a str, &'a Type)>) -> Result<Arrays, Error> {
        let columns = inputs.map(|(name, ty)| {
            let Some(column) = self.column(name) else {
                let known: Vec<&str> = self.columns.iter().map(Column::name).collect();
                let help = format!("give an array of that name; there are {}", known.join(", "));
                return Err(Error::invalid(self.name(), format!("the model takes `{name}`"), help));
            };
            let wanted = Type::new(ty.dtype, Shape::from(&ty.shape[1..]));
            if wanted.dtype != column.row.dtype || !are_alike(&column.row.shape, &wanted.shape) {
                let problem = format!("rows of `{name}` are {}, the model takes {wanted}", column.row);
                let help = "give rows of that type, or make the model for these";
                return Err(Error::invalid(self.name(), problem, help));
            }
            Ok(column.reshaped(wanted.shape))
        });
        let columns = columns.collect::<Result<_, Error>>()?;
        Ok(Arrays { name: Arc::clone(&self.name), rows: self.rows, columns })
    }

    /// These rows, in this order.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn subset(&self, rows: &[u32]) -> Arrays {
        let columns = self.columns.iter().map(|column| {
            let mut picked = Tensor::zeros(&column.batch(rows.len()));
            copy_rows(&mut picked, column, rows);
            Column { elements: picked.into(), ..column.clone() }
        });
        Arrays { name: Arc::clone(&self.name), rows: rows.len(), columns: columns.collect() }
    }

    /// The rows for which `is_held_out(index)` is false, and those for which it is true, both in order.
    pub fn split(&self, is_held_out: impl Fn(usize) -> bool) -> (Arrays, Arrays) {
        let (held_out, rest): (Vec<u32>, Vec<u32>) =
            (0..self.rows as u32).partition(|&index| is_held_out(index as usize));
        (self.subset(&rest), self.subset(&held_out))
    }

    /// The SHA-256 of names, types and elements.
    pub(crate) fn digest(&self) -> Sha256 {
        let mut sha = Sha256::new();
        for column in &self.columns {
            sha.update(format!("{} {}\n", column.name, column.row));
            sha.update(crate::checkpoint::little_endian_bytes(&column.elements));
        }
        sha
    }
}

impl Examples for Arrays {
    fn arrays(&self) -> Arrays {
        self.clone()
    }
}

impl std::fmt::Display for Arrays {
    /// `pairs: 3 rows of a f32[2], class i64[]`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns: Vec<String> =
            self.columns.iter().map(|column| format!("{} {}", column.name, column.row)).collect();
        write!(f, "{}: {} rows of {}", self.name, self.rows, columns.join(", "))
    }
}

/// Whether rows of one shape can be taken for rows of another: as many values and, where neither are vectors, the same
/// extents but for those of 1. An image of 4 by 9 is not one of 6 by 6.
pub(super) fn are_alike(given: &Shape, wanted: &Shape) -> bool {
    let extents = |shape: &Shape| shape.iter().copied().filter(|&extent| extent != 1).collect::<Vec<_>>();
    let is_vector = given.rank() < 2 || wanted.rank() < 2;
    given.elements() == wanted.elements() && (is_vector || extents(given) == extents(wanted))
}

/// Copies the rows of these numbers to a tensor of as many.
///
/// # Panics
/// Where there is no such row, or the tensor is of another type.
pub(super) fn copy_rows(to: &mut Tensor, from: &Column, rows: &[u32]) {
    fn copy<T: ir::Element>(to: &mut Tensor, from: &Column, rows: &[u32]) {
        let width = from.row.shape.elements();
        let to = to.as_mut_slice::<T>().expect("a batch has the dtypes of its arrays");
        let from = from.elements.as_slice::<T>().expect("it is of its dtype");
        for (to, &row) in to.chunks_exact_mut(width.max(1)).zip(rows) {
            to.copy_from_slice(&from[row as usize * width..][..width]);
        }
    }
    match from.row.dtype {
        DType::F32 => copy::<f32>(to, from, rows),
        DType::F64 => copy::<f64>(to, from, rows),
        DType::I32 => copy::<i32>(to, from, rows),
        DType::I64 => copy::<i64>(to, from, rows),
        DType::Bool => copy::<bool>(to, from, rows),
    }
}

/// The first element that is not finite, and its position.
fn first_not_finite(tensor: &Tensor) -> Option<(usize, f64)> {
    if !tensor.dtype().is_float() {
        return None;
    }
    let element = |position| tensor.get(position).as_f64();
    (0..tensor.shape().elements()).map(|at| (at, element(at))).find(|(_, element)| !element.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(rows: usize, width: usize) -> Tensor {
        Tensor::new([rows, width], (0..rows * width).map(|index| index as f32).collect()).unwrap()
    }

    fn message<T>(result: Result<T, Error>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn arrays_that_do_not_belong_together_are_errors_that_name_them() {
        let none: [(&str, Tensor); 0] = [];
        assert_eq!(message(Arrays::new("toy", none)), "toy: there are no arrays; give at least one");
        assert_eq!(
            message(Arrays::new("toy", [("a", column(3, 1)), ("b", column(2, 1))])),
            "toy: array `b` has 2 rows, `a` 3; give as many rows of each, fewer than 2^32"
        );
        assert_eq!(
            message(Arrays::new("toy", [("a", column(3, 1)), ("a", column(3, 2))])),
            "toy: array `a` is there twice; give each array a name of its own"
        );
        let number = Tensor::new([], vec![1.0f32]).unwrap();
        assert_eq!(
            message(Arrays::new("toy", [("a", number)])),
            "toy: array `a` is one number; give arrays [rows, ..]"
        );
        let bad = Tensor::new([2, 2], vec![0.0f64, 1.0, f64::NAN, 2.0]).unwrap();
        assert_eq!(
            message(Arrays::new("toy", [("a", bad)])),
            "toy: array `a` holds NaN in row 1; give finite numbers"
        );
    }

    #[test]
    fn inputs_take_arrays_by_name_and_type() {
        let arrays = Arrays::new("toy", [("a", column(3, 6)), ("b", column(3, 2))]).unwrap();
        let take = |name: &str, dtype: DType, shape: &[usize]| {
            arrays.for_inputs([(name, &Type::new(dtype, shape))].into_iter())
        };
        let image = take("a", DType::F32, &[9, 2, 3]).unwrap();
        assert_eq!(image.to_string(), "toy: 3 rows of a f32[2, 3]");
        assert_eq!(
            message(take("c", DType::F32, &[9, 2])),
            "toy: the model takes `c`; give an array of that name; there are a, b"
        );
        let help = "give rows of that type, or make the model for these";
        assert_eq!(
            message(take("b", DType::I64, &[9, 2])),
            format!("toy: rows of `b` are f32[2], the model takes i64[2]; {help}")
        );
        assert_eq!(
            message(take("b", DType::F32, &[9, 3])),
            format!("toy: rows of `b` are f32[2], the model takes f32[3]; {help}")
        );
    }

    #[test]
    fn a_split_takes_all_arrays_along() {
        let labels = Tensor::new([3], vec![5i64, 6, 7]).unwrap();
        let arrays = Arrays::new("toy", [("a", column(3, 2)), ("y", labels)]).unwrap();
        let (rest, held_out) = arrays.split(|row| row == 1);
        assert_eq!((rest.len(), held_out.len()), (2, 1));
        assert_eq!(rest.columns()[0].elements().as_slice::<f32>().unwrap(), [0.0, 1.0, 4.0, 5.0]);
        assert_eq!(held_out.columns()[1].elements().as_slice::<i64>().unwrap(), [6]);
    }
}
