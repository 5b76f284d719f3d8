//! What follows from the sum in a random kernel: its statements, and what they give.

use super::case::buffers::{
    BIAS, COUNTS, FLAG, INTEGERS, OTHER, PLACES, RESULT, ROW_INTEGERS, ROWS, SCALAR, SECOND,
};

/// There are fewer registers for pointers.
const MANY: usize = 10;

/// What follows from the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// Nothing.
    None,
    Bias,
    /// A bias, another image, and a rectifier.
    Layer,
    /// Two results.
    Stores,
    /// Where another image is above a limit.
    Mask,
    /// A number for all, one per row, one per place.
    Scalars,
    /// What is in the result is updated.
    Update,
    /// Gradient descent with momentum, both in place.
    Momentum,
    /// A load that is outside for some places.
    Fill,
    /// A load that is outside for some rows.
    FillRows,
    /// More loads of that kind than there are registers for pointers.
    Pointers,
    /// Integers are read and written.
    Integers,
    /// An integer per row goes through 64 bits.
    Wide,
    /// A truth value decides.
    Flag,
    /// Another image upside down.
    UpsideDown,
    /// The index of the place.
    Place,
    /// The index of the row.
    Row,
}

/// An element of the result.
pub struct Point<'a> {
    /// The buffers before.
    pub start: &'a [Vec<f32>],
    pub sum: f64,
    /// What rounding of sums is relative to.
    pub size: f64,
    /// Its number, in the order of the axes of the result.
    pub logical: usize,
    /// That of the element in the row as far from the last as this one is from the first.
    pub mirrored: usize,
    /// Where it is in memory.
    pub memory: usize,
    pub row: usize,
    pub place: usize,
    pub column: usize,
    pub columns: usize,
}

impl Epilogue {
    /// All.
    pub const ALL: [Epilogue; 17] = [
        Epilogue::None,
        Epilogue::Bias,
        Epilogue::Layer,
        Epilogue::Stores,
        Epilogue::Mask,
        Epilogue::Scalars,
        Epilogue::Update,
        Epilogue::Momentum,
        Epilogue::Fill,
        Epilogue::FillRows,
        Epilogue::Pointers,
        Epilogue::Integers,
        Epilogue::Wide,
        Epilogue::Flag,
        Epilogue::UpsideDown,
        Epilogue::Place,
        Epilogue::Row,
    ];

    /// What runs in the loop, for results with these indices, as in `at` or as in memory, and these axes of rows
    /// and of places with their extents.
    pub fn text(
        self,
        at: &str,
        memory: &str,
        (row, rows): (&str, usize),
        (place, _): (&str, usize),
    ) -> String {
        let upside_down: Vec<String> = at
            .split(", ")
            .map(|axis| if axis == row { format!("{} - {row}", rows - 1) } else { axis.to_owned() })
            .collect();
        let upside_down = upside_down.join(", ");
        let store = format!("store %v, %r[{memory}]");
        match self {
            Epilogue::None => format!("store %sum, %r[{memory}]"),
            Epilogue::Bias => format!("%b = load %bias[o] %v = add %sum, %b {store}"),
            Epilogue::Layer => format!(
                "%b = load %bias[o] %v0 = add %sum, %b %z = load %other[{at}] %v1 = add %v0, %z %v = relu %v1 {store}"
            ),
            Epilogue::Stores => {
                format!("store %sum, %q[{memory}] %h = 0.5 : f32 %v = mul %sum, %h {store}")
            }
            Epilogue::Mask => format!(
                "%z = load %other[{at}] %h = 0.5 : f32 %m = gt %z, %h %s = load %scalar[] %v = select %m, %sum, %s {store}"
            ),
            Epilogue::Scalars => format!(
                "%s = load %scalar[] %v0 = mul %sum, %s %b = load %rows[{row}] %v1 = add %v0, %b \
                 %p = load %places[{place}, 3] %v = add %v1, %p {store}"
            ),
            Epilogue::Update => format!(
                "%old = load %r[{memory}] %s = load %scalar[] %step = mul %sum, %s %v = sub %old, %step {store}"
            ),
            Epilogue::Momentum => format!(
                "%old = load %q[{memory}] %h = 0.5 : f32 %kept = mul %old, %h %new = add %kept, %sum \
                 store %new, %q[{memory}] %w = load %r[{memory}] %s = load %scalar[] %step = mul %new, %s \
                 %v = sub %w, %step {store}"
            ),
            Epilogue::Fill => {
                format!("%p = load %places[{place} - 1, o] fill 0.25 %v = add %sum, %p {store}")
            }
            Epilogue::FillRows => format!("%p = load %rows[{row} - 1] fill 0.25 %v = add %sum, %p {store}"),
            Epilogue::Pointers => {
                let add = |back: usize| {
                    format!(
                        "%p{back} = load %places[{place} - {back}, o] fill 0.25 %v{back} = add %v{}, %p{back}",
                        back - 1
                    )
                };
                let all: Vec<String> = (1..=MANY).map(add).collect();
                format!(
                    "%half = 0.5 : f32 %v0 = mul %sum, %half {} store %v{MANY}, %r[{memory}]",
                    all.join(" ")
                )
            }
            Epilogue::Integers => format!(
                "%t = load %integers[{at}] %tt = add %t, %t store %tt, %counts[{memory}] %f = cast_f32 %t \
                 %v = add %sum, %f {store}"
            ),
            Epilogue::Wide => format!(
                "%t = load %row_integers[{row}] %t64 = cast_i64 %t %tt = mul %t64, %t64 %f = cast_f32 %tt \
                 %v = add %sum, %f {store}"
            ),
            Epilogue::Flag => {
                format!("%m = load %flag[] %s = load %scalar[] %v = select %m, %sum, %s {store}")
            }
            Epilogue::UpsideDown => {
                format!("%z = load %other[{upside_down}] %v = add %sum, %z {store}")
            }
            Epilogue::Place => format!("%p = axis {place} : f32 %v = add %sum, %p {store}"),
            Epilogue::Row => format!("%p = axis {row} : f32 %v = add %sum, %p {store}"),
        }
    }

    /// What an element is to be, and what rounding is relative to, for each buffer.
    pub fn expected(self, point: &Point<'_>) -> Vec<(usize, usize, f64, f64)> {
        let &Point { start, sum, size, memory, .. } = point;
        let number = |buffer: usize, at: usize| f64::from(start[buffer][at]);
        let integer = |buffer: usize, at: usize| f64::from(start[buffer][at].to_bits() as i32);
        let result = |value: f64, size: f64| vec![(RESULT, memory, value, size)];
        let plus = |other: f64| result(sum + other, size + other.abs());
        let scalar = number(SCALAR, 0);
        let places = |back: usize| match point.place.checked_sub(back) {
            Some(place) => number(PLACES, place * point.columns + point.column),
            None => 0.25,
        };
        match self {
            Epilogue::None => plus(0.0),
            Epilogue::Bias => plus(number(BIAS, point.column)),
            Epilogue::Layer => {
                let (bias, other) = (number(BIAS, point.column), number(OTHER, point.logical));
                result((sum + bias + other).max(0.0), size + bias.abs() + other.abs())
            }
            Epilogue::Stores => {
                vec![(RESULT, memory, sum * 0.5, size), (SECOND, memory, sum, size)]
            }
            Epilogue::Mask if number(OTHER, point.logical) > 0.5 => plus(0.0),
            Epilogue::Flag if start[FLAG][0].to_bits() == 1 => plus(0.0),
            Epilogue::Mask | Epilogue::Flag => result(scalar, 0.0),
            Epilogue::Scalars => {
                let (row, place) = (number(ROWS, point.row), number(PLACES, point.place * point.columns + 3));
                let size = size * scalar.abs() + row.abs() + place.abs();
                result(sum * scalar + row + place, size)
            }
            Epilogue::Update => {
                let old = number(RESULT, memory);
                result(old - sum * scalar, size * scalar.abs() + old.abs())
            }
            Epilogue::Momentum => {
                let (momentum, old) = (number(SECOND, memory), number(RESULT, memory));
                let new = momentum * 0.5 + sum;
                let size = size + momentum.abs();
                let size_of_result = size * scalar.abs() + old.abs();
                vec![(SECOND, memory, new, size), (RESULT, memory, old - new * scalar, size_of_result)]
            }
            Epilogue::Fill => plus(places(1)),
            Epilogue::FillRows => plus(point.row.checked_sub(1).map_or(0.25, |row| number(ROWS, row))),
            Epilogue::Pointers => {
                let all = (1..=MANY).map(places);
                let sizes: f64 = all.clone().map(f64::abs).sum();
                result(sum * 0.5 + all.sum::<f64>(), size + sizes)
            }
            Epilogue::Integers => {
                let integer = integer(INTEGERS, point.logical);
                let mut all = plus(integer);
                all.push((COUNTS, memory, 2.0 * integer, 0.0));
                all
            }
            Epilogue::Wide => plus(integer(ROW_INTEGERS, point.row).powi(2)),
            Epilogue::UpsideDown => plus(number(OTHER, point.mirrored)),
            Epilogue::Place => plus(point.place as f64),
            Epilogue::Row => plus(point.row as f64),
        }
    }
}
