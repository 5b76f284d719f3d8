//! Pictures of rows that are images: what a model makes of them, and what it makes by itself.

use ir::{Shape, Tensor};

use super::{Tile, mosaic};
use crate::Error;

/// The rows of a grid of samples have so many pictures.
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
    let tiles = tiles(rows, image)?;
    mosaic(&tiles.chunks(COLUMNS).map(|line| vec![line.to_vec()]).collect::<Vec<_>>())
}

/// Several lists of rows, one below the other: rows, and what a model makes of them.
///
/// # Errors
/// Where there are none, or they are of another size.
pub fn lines(lists: &[&Tensor], image: [usize; 3]) -> Result<Vec<u8>, Error> {
    let lines: Vec<Vec<Tile>> = lists.iter().map(|rows| tiles(rows, image)).collect::<Result<_, Error>>()?;
    mosaic(&lines.into_iter().map(|line| vec![line]).collect::<Vec<_>>())
}

/// The first so many rows of weights, `f32[units, values]`, as images of this shape in a grid of ten to a line: what each unit looks for.
/// White is 0; each has a scale of its own. Those of three channels are in colour.
///
/// # Errors
/// Where there are none, or they are of another size.
pub fn filters(weights: &Tensor, most: usize, image: [usize; 3]) -> Result<Vec<u8>, Error> {
    let [channels, height, width] = image;
    let values = weights.as_slice::<f32>().unwrap_or_default();
    let tiles: Vec<Tile> = match channels {
        1 => {
            let of_unit = |values: &[f32]| {
                let greatest = values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
                Tile::signed(values, [height, width], greatest)
            };
            values.chunks_exact(height * width).take(most).map(of_unit).collect()
        }
        _ => tiles(weights, image)?.into_iter().take(most).collect(),
    };
    mosaic(&tiles.chunks(COLUMNS).map(|line| vec![line.to_vec()]).collect::<Vec<_>>())
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
