//! Pictures of rows that are images: what a model makes of them, and what it makes by itself.

use ir::{Shape, Tensor};

use super::{Tile, mosaic};
use crate::Error;

/// A line of [`grid`] has so many pictures.
const COLUMNS: usize = 10;

/// `[channels, height, width]` of rows that are images; `None` of others.
pub fn image_shape(row: &Shape) -> Option<[usize; 3]> {
    match row[..] {
        [height, width] if height > 1 && width > 1 => Some([1, height, width]),
        [channels, height, width] => Some([channels, height, width]),
        _ => None,
    }
}

/// Rows, `f32[count, ..]`, as images of this shape in a grid of ten to a line.
///
/// # Errors
/// Where there are none, or they are of another size.
pub fn grid(rows: &Tensor, image: [usize; 3]) -> Result<Vec<u8>, Error> {
    grid_of(rows, image, COLUMNS)
}

/// The same with so many to a line, at least one.
///
/// # Errors
/// As [`grid`].
pub fn grid_of(rows: &Tensor, image: [usize; 3], columns: usize) -> Result<Vec<u8>, Error> {
    let tiles = tiles(rows, image)?;
    mosaic(&tiles.chunks(columns.max(1)).map(|line| vec![line.to_vec()]).collect::<Vec<_>>())
}

/// Several lists of rows, one below the other: rows, and what a model makes of them.
///
/// # Errors
/// Where there are none, or they are of another size.
pub fn lines(lists: &[&Tensor], image: [usize; 3]) -> Result<Vec<u8>, Error> {
    let lines: Vec<Vec<Tile>> = lists.iter().map(|rows| tiles(rows, image)).collect::<Result<_, Error>>()?;
    mosaic(&lines.into_iter().map(|line| vec![line]).collect::<Vec<_>>())
}

/// The first so many rows of weights, `f32[units, values]`, as images of this shape in a grid of ten to a line: what each unit looks for in
/// `rows`, `f32[count, values]`. A weight counts as its product with the standard deviation of its value in the rows, for a value that
/// never changes tells nothing. White is 0; each unit has a scale of its own. Those of three channels are in colour.
///
/// # Errors
/// Where there are none, or they are of another size.
pub fn filters(weights: &Tensor, rows: &Tensor, most: usize, image: [usize; 3]) -> Result<Vec<u8>, Error> {
    let [channels, height, width] = image;
    let deviations = deviations(rows.as_slice::<f32>().unwrap_or_default(), image.iter().product());
    let values = weights.as_slice::<f32>().unwrap_or_default().iter();
    let telling: Vec<f32> =
        values.zip(deviations.iter().cycle()).map(|(weight, deviation)| weight * deviation).collect();
    let tiles: Vec<Tile> = match channels {
        1 => {
            let of_unit = |values: &[f32]| {
                let greatest = values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
                Tile::signed(values, [height, width], greatest)
            };
            telling.chunks_exact(height * width).take(most).map(of_unit).collect()
        }
        _ => {
            let telling = Tensor::new(weights.shape().clone(), telling).expect("as many as there were");
            tiles(&telling, image)?.into_iter().take(most).collect()
        }
    };
    mosaic(&tiles.chunks(COLUMNS).map(|line| vec![line.to_vec()]).collect::<Vec<_>>())
}

/// The standard deviation of each of so many values over rows.
fn deviations(rows: &[f32], values: usize) -> Vec<f32> {
    let count = (rows.len() / values.max(1)).max(1) as f64;
    let mean = |of: &dyn Fn(f64) -> f64, value: usize| {
        rows.iter().skip(value).step_by(values.max(1)).map(|&x| of(f64::from(x))).sum::<f64>() / count
    };
    let deviation = |value| (mean(&|x| x * x, value) - mean(&|x| x, value).powi(2)).max(0.0).sqrt();
    (0..values).map(|value| deviation(value) as f32).collect()
}

fn tiles(rows: &Tensor, image: [usize; 3]) -> Result<Vec<Tile>, Error> {
    let pixels: usize = image.iter().product();
    let values = rows.as_slice::<f32>().unwrap_or_default();
    if values.is_empty() || !values.len().is_multiple_of(pixels) {
        let problem = format!("they are {}, and no images of {image:?}", rows.ty());
        return Err(Error::invalid("pictures", problem, "give rows of whole images"));
    }
    Ok(values.chunks(pixels).map(|values| Tile::image(values, image)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_those_of_each_value() {
        assert_eq!(deviations(&[1.0, 5.0, 3.0, 5.0], 2), [1.0, 0.0]);
        assert_eq!(deviations(&[], 2), [0.0, 0.0]);
    }
}
