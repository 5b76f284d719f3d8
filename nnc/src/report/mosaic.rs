//! Many small pictures as one, in a grid, as a PNG file.

use crate::Error;

/// Pixels between pictures, and around them.
const GAP: usize = 4;
/// Groups of pictures in a row are apart by so many pixels more.
const GROUP_GAP: usize = 8;
/// What is behind the pictures.
const BACKGROUND: [u8; 3] = [224; 3];
/// The sides of pictures are scaled by a whole number to at least this.
const LEAST_SIDE: usize = 48;

/// A small picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    height: usize,
    width: usize,
    /// Red, green and blue, row by row.
    pixels: Vec<[u8; 3]>,
}

impl Tile {
    /// Values `[height, width]` from black, the least, to white, the greatest.
    ///
    /// # Panics
    /// Where there are not as many values.
    pub fn gray(values: &[f32], [height, width]: [usize; 2]) -> Tile {
        let (low, high) = ends(values);
        let pixels = values.iter().map(|value| [byte((value - low) / (high - low)); 3]);
        Tile::new([height, width], pixels.collect())
    }

    /// Values `[height, width]` with a sign: white is 0, blue as far below as `greatest`, vermilion as far above.
    ///
    /// # Panics
    /// Where there are not as many values.
    pub fn signed(values: &[f32], [height, width]: [usize; 2], greatest: f32) -> Tile {
        let pixel = |value: &f32| {
            let part = value / greatest.max(f32::MIN_POSITIVE);
            let end: [u8; 3] = if part < 0.0 { [0, 84, 158] } else { [200, 70, 0] };
            end.map(|end| byte(1.0 - part.abs().min(1.0) * (1.0 - f32::from(end) / 255.0)))
        };
        Tile::new([height, width], values.iter().map(pixel).collect())
    }

    /// An image `[channels, height, width]`: of three channels in colour, else the mean of the channels.
    ///
    /// # Panics
    /// Where there are not as many values.
    pub fn image(values: &[f32], [channels, height, width]: [usize; 3]) -> Tile {
        let places = height * width;
        if channels != 3 {
            let mean =
                |place| (0..channels).map(|c| values[c * places + place]).sum::<f32>() / channels as f32;
            return Tile::gray(&(0..places).map(mean).collect::<Vec<f32>>(), [height, width]);
        }
        let (low, high) = ends(values);
        let pixel = |place| [0, 1, 2].map(|c| byte((values[c * places + place] - low) / (high - low)));
        Tile::new([height, width], (0..places).map(pixel).collect())
    }

    fn new([height, width]: [usize; 2], pixels: Vec<[u8; 3]>) -> Tile {
        assert_eq!(pixels.len(), height * width, "a tile has as many values as pixels");
        Tile { height, width, pixels }
    }
}

/// The least and the greatest value; where they are alike, two that are not.
fn ends(values: &[f32]) -> (f32, f32) {
    let ends = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
    if ends.0 < ends.1 { ends } else { (ends.0, ends.0 + 1.0) }
}

/// 0 for 0, 255 for 1.
fn byte(part: f32) -> u8 {
    (255.0 * part.clamp(0.0, 1.0)).round() as u8
}

/// Rows of groups of tiles as a PNG file. Tiles are aligned in columns as wide as the widest tile.
///
/// ```
/// use nnc::report::{Tile, mosaic};
/// let tile = Tile::gray(&[0.0, 0.5, 1.0, 0.25], [2, 2]);
/// let png = mosaic(&[vec![vec![tile.clone()], vec![tile; 2]]])?;
/// assert!(png.starts_with(b"\x89PNG"));
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where there are no tiles, or too many for a picture.
pub fn mosaic(rows: &[Vec<Vec<Tile>>]) -> Result<Vec<u8>, Error> {
    let tiles = || rows.iter().flatten().flatten();
    let sides = |side: fn(&Tile) -> usize| tiles().map(side).max().unwrap_or(0);
    let (height, width) = (sides(|tile| tile.height), sides(|tile| tile.width));
    let scale = LEAST_SIDE.div_ceil(height.min(width).max(1));
    let (height, width) = (height * scale, width * scale);
    let row_width = |row: &Vec<Vec<Tile>>| {
        let group = |tiles: &Vec<Tile>| tiles.len() * (width + GAP) + GROUP_GAP;
        (GAP + row.iter().map(group).sum::<usize>()).saturating_sub(GROUP_GAP)
    };
    let page_width = rows.iter().map(row_width).max().unwrap_or(0);
    let page_height = GAP + rows.len() * (height + GAP);
    let mut page = vec![BACKGROUND; page_width * page_height];
    for (number, row) in rows.iter().enumerate() {
        let (top, mut left) = (GAP + number * (height + GAP), GAP);
        for group in row {
            for tile in group {
                draw(&mut page[top * page_width + left..], page_width, tile, scale);
                left += width + GAP;
            }
            left += GROUP_GAP;
        }
    }
    encode(&page, page_width, page_height)
}

/// Draws a tile, each of its pixels as a square, at the beginning of lines that are `stride` apart.
fn draw(page: &mut [[u8; 3]], stride: usize, tile: &Tile, scale: usize) {
    for y in 0..tile.height * scale {
        let line = &mut page[y * stride..][..tile.width * scale];
        let from = &tile.pixels[y / scale * tile.width..][..tile.width];
        line.iter_mut().enumerate().for_each(|(x, pixel)| *pixel = from[x / scale]);
    }
}

fn encode(page: &[[u8; 3]], width: usize, height: usize) -> Result<Vec<u8>, Error> {
    let failed = |error: png::EncodingError| {
        let problem = format!("{width} by {height} pixels cannot be written: {error}");
        Error::invalid("the picture", problem, "show from 1 to fewer feature maps")
    };
    let side = |side: usize| u32::try_from(side).unwrap_or(0); // an error of the encoder's
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(width), side(height));
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(page.as_flattened()).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(png: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        (info.width, info.height, bytes)
    }

    #[test]
    fn tiles_are_scaled_and_lie_in_groups() {
        let tile = Tile::gray(&[0.0, 1.0], [1, 2]);
        let (width, height, bytes) = pixels(&mosaic(&[vec![vec![tile.clone()], vec![tile]]]).unwrap());
        let (side, gap) = (LEAST_SIDE, GAP + GROUP_GAP);
        assert_eq!((width as usize, height as usize), (4 * side + gap + 2 * GAP, side + 2 * GAP));
        let row = &bytes[3 * GAP * width as usize..];
        let at = |x: usize| row[3 * x];
        assert_eq!([at(0), at(GAP), at(GAP + side), at(GAP + 2 * side)], [224, 0, 255, 224]);
        assert_eq!([at(GAP + 2 * side + gap), at(GAP + 3 * side + gap - 1)], [0, 0]);
    }

    #[test]
    fn colours_say_what_values_are() {
        assert_eq!(Tile::gray(&[3.0, 3.0], [1, 2]).pixels, [[0; 3]; 2]);
        assert_eq!(
            Tile::signed(&[0.0, -2.0, 9.0], [1, 3], 2.0).pixels,
            [[255; 3], [0, 84, 158], [200, 70, 0]]
        );
        assert_eq!(Tile::image(&[1.0, 0.0, 0.5], [3, 1, 1]).pixels, [[255, 0, 128]]);
        assert_eq!(Tile::image(&[0.0, 1.0, 1.0, 2.0], [2, 1, 2]).pixels, [[0; 3], [255; 3]]);
    }

    #[test]
    fn no_tiles_are_no_picture() {
        let error = mosaic(&[]).unwrap_err().to_string();
        assert!(error.starts_with("the picture: 0 by 4 pixels cannot be written: "), "{error}");
    }
}
