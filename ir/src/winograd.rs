//! Winograd's minimal filtering F(4x4, 3x3): a convolution with a filter of three by three in a quarter of the products
//! (A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", 2016, section 4.1).
//!
//! Along one axis, four neighbouring outputs `y` of a filter `g` of three on six inputs `d` are
//! `y = OUTPUT (FILTER g * INPUT d)`, with a product per element in between: both are polynomials whose values at six points are
//! multiplied. Along two axes the same is done along one, then along the other, so there are 36 products in the place of
//! 144, and over many channels 36 products of matrices.
//!
//! The points are 0, 3/4, -3/4, 3/2, -3/2 and infinity. Errors in `f32` are about twice those of the direct sum; the usual 0, 1, -1,
//! 2, -2 round more (B. Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution for deep neural
//! networks", 2020, on the choice of points).

use crate::Shape;

/// Outputs of a tile along an axis.
pub const OUTPUTS: usize = 4;
/// The length of a filter.
pub const TAPS: usize = 3;
/// Inputs of a tile along an axis, and the points at which polynomials are multiplied.
pub const POINTS: usize = OUTPUTS + TAPS - 1;
/// The products per tile, channel and filter.
pub const PRODUCTS: usize = POINTS * POINTS;
/// The first pair of points is this, and less than zero.
pub const NEAR: f32 = 0.75;
/// The second pair.
pub const FAR: f32 = 1.5;

const A2: f32 = NEAR * NEAR;
const B2: f32 = FAR * FAR;

/// What filters are multiplied with: Lagrange's weights are in it.
pub const FILTER: [[f32; TAPS]; POINTS] = {
    const ZERO: f32 = 1.0 / (A2 * B2);
    const A: f32 = 1.0 / (2.0 * A2 * (A2 - B2));
    const B: f32 = 1.0 / (2.0 * B2 * (B2 - A2));
    [
        [ZERO, 0.0, 0.0],
        [A, A * NEAR, A * A2],
        [A, -A * NEAR, A * A2],
        [B, B * FAR, B * B2],
        [B, -B * FAR, B * B2],
        [0.0, 0.0, 1.0],
    ]
};

/// What inputs are multiplied with.
pub const INPUT: [[f32; POINTS]; POINTS] = [
    [A2 * B2, 0.0, -A2 - B2, 0.0, 1.0, 0.0],
    [0.0, -NEAR * B2, -B2, NEAR, 1.0, 0.0],
    [0.0, NEAR * B2, -B2, -NEAR, 1.0, 0.0],
    [0.0, -FAR * A2, -A2, FAR, 1.0, 0.0],
    [0.0, FAR * A2, -A2, -FAR, 1.0, 0.0],
    [0.0, A2 * B2, 0.0, -A2 - B2, 0.0, 1.0],
];

/// What sums of products are multiplied with.
pub const OUTPUT: [[f32; POINTS]; OUTPUTS] = [
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, NEAR, -NEAR, FAR, -FAR, 0.0],
    [0.0, A2, A2, B2, B2, 0.0],
    [0.0, A2 * NEAR, -A2 * NEAR, B2 * FAR, -B2 * FAR, 1.0],
];

/// The columns of a panel of transformed filters for so many columns, where they can be cut into panels.
pub fn panel_columns(columns: usize) -> Option<usize> {
    [64, 48, 32, 16].into_iter().find(|&panel| columns > 0 && columns.is_multiple_of(panel))
}

/// The shape of the transformed filters of a convolution with so many channels and columns (output channels): `[36, panels,
/// channels, columns of a panel]`.
pub fn filter_shape(channels: usize, columns: usize) -> Option<Shape> {
    let panel = panel_columns(columns)?;
    Some(Shape::from([PRODUCTS, columns / panel, channels, panel]))
}

/// The shape of [`filter_weights`].
pub const WEIGHTS_SHAPE: [usize; 3] = [PRODUCTS, TAPS, TAPS];

/// The weights of the nine taps in each of the 36 products, `[36, 3, 3]`: of filters that are read forwards, as a convolution
/// does, or backwards along both axes, as its gradient for the input does.
pub fn filter_weights(backwards: bool) -> Vec<f32> {
    let tap = |tap: usize| if backwards { TAPS - 1 - tap } else { tap };
    let mut weights = Vec::with_capacity(PRODUCTS * TAPS * TAPS);
    for row in &FILTER {
        for column in &FILTER {
            for i in 0..TAPS {
                weights.extend((0..TAPS).map(|j| row[tap(i)] * column[tap(j)]));
            }
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product<const N: usize, const M: usize>(matrix: &[[f32; M]; N], x: &[f64; M]) -> [f64; N] {
        std::array::from_fn(|i| (0..M).map(|j| f64::from(matrix[i][j]) * x[j]).sum())
    }

    #[test]
    fn products_at_points_give_the_filtered_inputs() {
        let d: [f64; POINTS] = [0.3, -1.2, 2.5, 0.7, -0.4, 1.9];
        let g: [f64; TAPS] = [1.5, -0.8, 0.6];
        let (at_d, at_g) = (product(&INPUT, &d), product(&FILTER, &g));
        let y = product(&OUTPUT, &std::array::from_fn(|i| at_d[i] * at_g[i]));
        for (i, y) in y.into_iter().enumerate() {
            let direct: f64 = (0..TAPS).map(|k| g[k] * d[i + k]).sum();
            assert!((y - direct).abs() < 1e-6, "{i}: {y} {direct}");
        }
    }

    #[test]
    fn weights_are_products_of_those_along_each_axis() {
        let (forwards, backwards) = (filter_weights(false), filter_weights(true));
        assert_eq!(forwards.len(), 36 * 9);
        assert_eq!(forwards[9 * (6 + 3) + 3 + 2], FILTER[1][1] * FILTER[3][2]);
        for product in 0..PRODUCTS {
            let at = 9 * product..9 * (product + 1);
            let reversed: Vec<f32> = backwards[at.clone()].iter().rev().copied().collect();
            assert_eq!(forwards[at], reversed);
        }
    }

    #[test]
    fn panels_divide_columns() {
        assert_eq!(filter_shape(17, 128), Some(Shape::from([36, 2, 17, 64])));
        assert_eq!(filter_shape(64, 96), Some(Shape::from([36, 2, 64, 48])));
        assert_eq!(panel_columns(17), None);
        assert_eq!(panel_columns(0), None);
    }
}
