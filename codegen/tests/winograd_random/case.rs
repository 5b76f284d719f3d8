//! A convolution or a gradient of one: its kernel, what is in its buffers, and what it gives by plain loops.

use ir::winograd::{PRODUCTS, TAPS, filter_shape, filter_weights};

use super::epilogue::{Epilogue, Point};
use super::support::numbers;

/// The parameters of kernels, in their order.
pub mod buffers {
    /// The image.
    pub const IMAGE: usize = 0;
    /// The filters; the gradient of the result, where theirs is computed.
    pub const RIGHT: usize = 1;
    /// The transformed filters.
    pub const TRANSFORMED: usize = 2;
    /// A number per column.
    pub const BIAS: usize = 3;
    /// As many numbers as the result has.
    pub const OTHER: usize = 4;
    /// One number.
    pub const SCALAR: usize = 5;
    /// A number per row.
    pub const ROWS: usize = 6;
    /// An integer per row.
    pub const ROW_INTEGERS: usize = 7;
    /// As many integers as the result has.
    pub const INTEGERS: usize = 8;
    /// A truth value.
    pub const FLAG: usize = 9;
    /// A number per place and column.
    pub const PLACES: usize = 10;
    /// The result; what follows are others.
    pub const RESULT: usize = 11;
    /// A second result.
    pub const SECOND: usize = 12;
    /// A result of integers.
    pub const COUNTS: usize = 13;
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A convolution.
    Forwards,
    /// One with filters that are read backwards.
    Backwards,
    /// The gradient of filters.
    Gradient,
}

/// An axis along which filters move.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// The extent of the image.
    pub image: usize,
    /// The place of the image that the first result meets first.
    pub first: i64,
    /// The extent of the result.
    pub outputs: usize,
}

impl Side {
    /// Whether all that is read is inside of the image.
    fn is_inside(&self) -> bool {
        self.first >= 0 && self.first as usize + self.outputs + TAPS - 1 <= self.image
    }
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    pub kind: Kind,
    /// The extents of the axes of images.
    pub images: Vec<usize>,
    /// The lines of an image, and the places in a line.
    pub sides: [Side; 2],
    pub channels: usize,
    pub columns: usize,
    /// The channels of the image and the columns of the other operand that are not read.
    pub more: [usize; 2],
    /// Whether the gradient of the result is read from right to left.
    pub is_mirrored: bool,
    /// In which order the axes of the image and of the gradient are in memory, but the last: axes beyond those are left out.
    pub image_order: Vec<usize>,
    pub loop_order: Vec<usize>,
    pub filter_order: Vec<usize>,
    pub result_order: Vec<usize>,
    pub reduce_order: Vec<usize>,
    /// Whether the image is the second factor.
    pub is_swapped: bool,
    pub epilogue: Epilogue,
    pub seed: u64,
}

/// An axis: its name and its extent.
type Axis = (&'static str, usize);

/// Those of the numbers in an order that are small enough, as a selection of `all`.
fn ordered<T: Copy>(all: &[T], order: &[usize]) -> Vec<T> {
    order.iter().filter_map(|&at| all.get(at).copied()).collect()
}

fn names(axes: &[Axis]) -> String {
    axes.iter().map(|axis| axis.0).collect::<Vec<_>>().join(", ")
}

fn loops(axes: &[Axis]) -> String {
    axes.iter().map(|(name, extent)| format!("{name} in {extent}")).collect::<Vec<_>>().join(", ")
}

fn shape(axes: &[Axis]) -> String {
    axes.iter().map(|axis| axis.1.to_string()).collect::<Vec<_>>().join(", ")
}

fn elements(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.1).product()
}

/// The place of an element whose index along each axis is given by name.
fn flat(axes: &[Axis], at: impl Fn(&str) -> usize) -> usize {
    axes.iter().fold(0, |sum, &(name, extent)| sum * extent + at(name))
}

/// What is expected of the results: for each buffer and element the value, and what rounding is relative to.
pub struct Expected(Vec<(usize, usize, f64, f64)>);

impl Expected {
    /// The first element that is not as expected.
    pub fn difference(&self, results: &[Vec<f32>]) -> Option<String> {
        let is_near = |&(buffer, at, value, size): &(usize, usize, f64, f64)| {
            let result = results[buffer][at];
            match buffer {
                buffers::COUNTS => f64::from(result.to_bits() as i32) == value,
                _ => (f64::from(result) - value).abs() <= 2e-6 * size,
            }
        };
        self.0.iter().find(|element| !is_near(element)).map(|&(buffer, at, value, size)| {
            format!("element {at} of buffer {buffer} is {}, not {value} of {size}", results[buffer][at])
        })
    }
}

impl Case {
    /// The products that are summed up.
    fn products(&self) -> usize {
        let images: usize = self.images.iter().product();
        images * self.sides[0].outputs * self.sides[1].outputs * TAPS * TAPS * self.channels * self.columns
    }

    /// Makes the largest extents smaller until there are at most so many products.
    pub fn shrink_to(&mut self, products: usize) {
        while self.products() > products {
            let lines = self.sides.map(|side| side.outputs);
            if self.channels * self.columns > 64 * 64 {
                let larger =
                    if self.channels > self.columns { &mut self.channels } else { &mut self.columns };
                *larger -= 16;
            } else if self.images.iter().any(|&images| images > 1) {
                self.images.iter_mut().for_each(|images| *images = (*images - 1).max(1));
            } else if lines[0] * lines[1] > 12 * 12 {
                let longer = &mut self.sides[usize::from(lines[1] > lines[0])];
                longer.outputs = longer.outputs * 2 / 3;
            } else {
                let larger =
                    if self.channels > self.columns { &mut self.channels } else { &mut self.columns };
                *larger -= 16;
            }
        }
    }

    fn is_gradient(&self) -> bool {
        self.kind == Kind::Gradient
    }

    fn image_axes(&self) -> Vec<Axis> {
        ["n", "m"].into_iter().zip(self.images.iter().copied()).collect()
    }

    /// The axes of the result.
    fn result(&self) -> Vec<Axis> {
        let [p, q] = self.sides.map(|side| side.outputs);
        match self.kind {
            Kind::Gradient => vec![("k", TAPS), ("l", TAPS), ("c", self.channels), ("o", self.columns)],
            _ => [&self.image_axes()[..], &[("i", p), ("j", q), ("o", self.columns)]].concat(),
        }
    }

    /// The axes of the result as they are in memory.
    fn result_in_memory(&self) -> Vec<Axis> {
        let result = self.result();
        let (columns, leading) = result.split_last().expect("there are columns");
        [ordered(leading, &self.result_order), vec![*columns]].concat()
    }

    /// The axes that are summed over.
    fn reduced(&self) -> Vec<Axis> {
        let [p, q] = self.sides.map(|side| side.outputs);
        match self.kind {
            Kind::Gradient => {
                let all = [&[("i", p), ("j", q)][..], &self.image_axes()].concat();
                ordered(&all, &self.reduce_order)
            }
            _ => ordered(&[("k", TAPS), ("l", TAPS), ("c", self.channels)], &self.reduce_order),
        }
    }

    /// The axes of the image in memory: `h` and `w` are the lines and the places.
    fn image(&self) -> Vec<Axis> {
        let [h, w] = self.sides.map(|side| side.image);
        let leading = [&self.image_axes()[..], &[("h", h), ("w", w)]].concat();
        [ordered(&leading, &self.image_order), vec![("c", self.channels_in_memory())]].concat()
    }

    fn channels_in_memory(&self) -> usize {
        self.channels + self.more[0]
    }

    /// The axes of the other operand in memory.
    fn right(&self) -> Vec<Axis> {
        let [p, q] = self.sides.map(|side| side.outputs);
        match self.kind {
            Kind::Gradient => {
                let leading = [&self.image_axes()[..], &[("i", p), ("j", q)]].concat();
                let columns = self.columns + self.more[1];
                [ordered(&leading, &self.result_order), vec![("o", columns)]].concat()
            }
            _ => {
                let all = [("k", TAPS), ("l", TAPS), ("c", self.channels), ("o", self.columns)];
                ordered(&all, &self.filter_order)
            }
        }
    }

    /// The rows and the places of the result, as an epilogue knows them.
    fn point_axes(&self) -> [Axis; 2] {
        let result = self.result();
        let first = if self.is_gradient() { 0 } else { self.images.len() };
        [result[first], result[first + 1]]
    }

    /// The kernel.
    pub fn text(&self) -> String {
        let (image, right) = (self.image(), self.right());
        let index = |name: &str| match name {
            "h" | "w" => {
                let (side, at, tap) = if name == "h" { (0, "i", "k") } else { (1, "j", "l") };
                let (sign, first) = match self.kind {
                    Kind::Backwards => ("-", self.sides[side].first + TAPS as i64 - 1),
                    _ => ("+", self.sides[side].first),
                };
                let first = match first {
                    0 => String::new(),
                    first => format!(" {} {}", if first < 0 { "-" } else { "+" }, first.abs()),
                };
                format!("{at} {sign} {tap}{first}")
            }
            name => name.to_owned(),
        };
        let x_at: Vec<String> = image.iter().map(|axis| index(axis.0)).collect();
        let is_inside = self.sides.iter().all(Side::is_inside);
        let fill = if is_inside { "" } else { " fill 0.0" };
        let mirrored = |&(name, extent): &Axis| match self.is_gradient() && self.is_mirrored && name == "j" {
            true => format!("{} - j", extent as i64 - 1),
            false => name.to_owned(),
        };
        let y_at: Vec<String> = right.iter().map(mirrored).collect();
        let product = if self.is_swapped { "%y, %x" } else { "%x, %y" };
        let loads = [
            format!("%x = load %image[{}]{fill}", x_at.join(", ")),
            format!("%y = load %right[{}]", y_at.join(", ")),
        ];
        let [first, second] = if self.is_swapped { [&loads[1], &loads[0]] } else { [&loads[0], &loads[1]] };
        let result = self.result();
        let memory = self.result_in_memory();
        let [row, place] = self.point_axes();
        let transformed = match self.kind {
            Kind::Gradient => "1".to_owned(),
            _ => self.transformed_shape().map(|extent| extent.to_string()).join(", "),
        };
        let declared =
            if self.is_gradient() { "winograd gradient" } else { "winograd %transformed of %right" };
        let columns = self.columns;
        let epilogue = self.epilogue.text(&names(&result), &names(&memory), row, place);
        format!(
            "kernel @k(%image: f32[{}], %right: f32[{}], %transformed: f32[{transformed}], %bias: f32[{columns}], \
             %other: f32[{}], %scalar: f32[], %rows: f32[{rows}], %row_integers: i32[{rows}], %integers: i32[{}], \
             %flag: bool[], %places: f32[{}, {columns}]) \
             -> (%r: f32[{}], %q: f32[{}], %counts: i32[{}]) {{
               {declared}
               for {} {{
                 %sum = reduce add {} {{
                   {first}
                   {second}
                   %xy = mul {product}
                   yield %xy
                 }}
                 {epilogue}
               }}
             }}",
            shape(&image),
            shape(&right),
            shape(&result),
            shape(&result),
            place.1,
            shape(&memory),
            shape(&memory),
            shape(&memory),
            loops(&ordered(&result, &self.loop_order)),
            loops(&self.reduced()),
            rows = row.1,
        )
    }

    fn transformed_shape(&self) -> [usize; 4] {
        let shape = filter_shape(self.channels, self.columns).expect("columns are multiples of 16");
        [shape[0], shape[1], shape[2], shape[3]]
    }

    /// What is in the buffers before.
    pub fn buffers(&self) -> Vec<Vec<f32>> {
        let [row, place] = self.point_axes();
        let count = elements(&self.result());
        let sizes = [
            elements(&self.image()),
            elements(&self.right()),
            0,
            self.columns,
            count,
            1,
            row.1,
            row.1,
            count,
            1,
            place.1 * self.columns,
            count,
            count,
            count,
        ];
        let seed = self.seed % (1 << 32);
        let mut all: Vec<Vec<f32>> =
            (1..).zip(sizes).map(|(number, size)| numbers(size, seed + 1000 * number)).collect();
        for integers in [buffers::ROW_INTEGERS, buffers::INTEGERS] {
            all[integers].iter_mut().for_each(|x| *x = f32::from_bits((*x as i32 % 50) as u32));
        }
        all[buffers::FLAG] = vec![f32::from_bits(u32::from(!self.seed.is_multiple_of(3)))];
        all[buffers::TRANSFORMED] =
            if self.is_gradient() { vec![0.0] } else { self.transformed(&all[buffers::RIGHT]) };
        all
    }

    /// The filters transformed: what is vertical is what takes longer steps through the image.
    fn transformed(&self, filters: &[f32]) -> Vec<f32> {
        let [_, panels, channels, panel] = self.transformed_shape();
        let image = self.image();
        let place = |name: &str| image.iter().position(|axis| axis.0 == name);
        let is_transposed = place("w") < place("h");
        let weights = filter_weights(self.kind == Kind::Backwards);
        let right = self.right();
        let mut all = vec![0.0; PRODUCTS * channels * self.columns];
        for (c, o) in (0..channels).flat_map(|c| (0..self.columns).map(move |o| (c, o))) {
            let taps: Vec<f64> = (0..TAPS * TAPS)
                .map(|tap| {
                    let (a, b) = (tap / TAPS, tap % TAPS);
                    let (k, l) = if is_transposed { (b, a) } else { (a, b) };
                    let index = |name: &str| match name {
                        "k" => k,
                        "l" => l,
                        "c" => c,
                        _ => o,
                    };
                    f64::from(filters[flat(&right, index)])
                })
                .collect();
            for (point, weights) in weights.chunks_exact(TAPS * TAPS).enumerate() {
                let sum: f64 = weights.iter().zip(&taps).map(|(&weight, tap)| f64::from(weight) * tap).sum();
                all[((point * panels + o / panel) * channels + c) * panel + o % panel] = sum as f32;
            }
        }
        all
    }

    /// What the kernel gives.
    pub fn expected(&self, start: &[Vec<f32>]) -> Expected {
        let sums = self.sums(&start[buffers::IMAGE], &start[buffers::RIGHT]);
        // What a tile rounds by depends on the largest of its elements: transforms add them all.
        let size = sums.iter().map(|sum| sum.1).fold(0.0, f64::max);
        let (result, memory) = (self.result(), self.result_in_memory());
        let [row, place] = self.point_axes();
        let mut all = Vec::new();
        for (logical, &(sum, _)) in sums.iter().enumerate() {
            let mut rest = logical;
            let index: Vec<(&str, usize)> = result
                .iter()
                .rev()
                .map(|&(name, extent)| {
                    let at = rest % extent;
                    rest /= extent;
                    (name, at)
                })
                .collect();
            let at = |name: &str| index.iter().find(|index| index.0 == name).map_or(0, |index| index.1);
            let point = Point {
                start,
                sum,
                size,
                logical,
                mirrored: flat(&result, |name| if name == row.0 { row.1 - 1 - at(name) } else { at(name) }),
                memory: flat(&memory, at),
                row: at(row.0),
                place: at(place.0),
                column: at("o"),
                columns: self.columns,
            };
            all.extend(self.epilogue.expected(&point));
        }
        Expected(all)
    }

    /// The sums in f64, and those of the sizes of all that is added, in the order of [`Case::result`].
    fn sums(&self, x: &[f32], y: &[f32]) -> Vec<(f64, f64)> {
        let (image, right) = (self.image(), self.right());
        let columns = self.columns;
        let mut sums = vec![(0.0, 0.0); elements(&self.result())];
        let images: usize = self.images.iter().product();
        let [p, q] = self.sides.map(|side| side.outputs);
        let inner = self.images.get(1).copied().unwrap_or(1);
        let place = |side: usize, at: usize, tap: usize| {
            let Side { image, first, .. } = self.sides[side];
            let tap = if self.kind == Kind::Backwards { TAPS - 1 - tap } else { tap };
            usize::try_from(at as i64 + tap as i64 + first).ok().filter(|&place| place < image)
        };
        let step = right.iter().rev().take_while(|axis| axis.0 != "o").map(|axis| axis.1).product::<usize>();
        for number in 0..images * p * q * TAPS * TAPS {
            let (l, rest) = (number % TAPS, number / TAPS);
            let (k, rest) = (rest % TAPS, rest / TAPS);
            let (j, rest) = (rest % q, rest / q);
            let (i, n) = (rest % p, rest / p);
            let (Some(h), Some(w)) = (place(0, i, k), place(1, j, l)) else { continue };
            for c in 0..self.channels {
                let index = |name: &str| match name {
                    "n" => n / inner,
                    "m" => n % inner,
                    "h" => h,
                    "w" => w,
                    "c" => c,
                    "i" => i,
                    "j" => {
                        if self.is_mirrored && self.is_gradient() {
                            q - 1 - j
                        } else {
                            j
                        }
                    }
                    "k" => k,
                    "l" => l,
                    _ => 0,
                };
                let x = f64::from(x[flat(&image, index)]);
                let from = flat(&right, index);
                let to = match self.kind {
                    Kind::Gradient => (k * TAPS + l) * self.channels + c,
                    _ => (n * p + i) * q + j,
                };
                for (o, sum) in sums[to * columns..(to + 1) * columns].iter_mut().enumerate() {
                    let product = x * f64::from(y[from + o * step]);
                    sum.0 += product;
                    sum.1 += product.abs();
                }
            }
        }
        sums
    }
}
