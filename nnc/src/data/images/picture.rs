//! One picture: decoded, turned as its orientation says, grey or in colours.

use std::io::Cursor;

use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Luma, Rgb};

use super::jpeg;
use crate::{Error, memory};

/// No picture has more pixels: those of cameras have up to 200 million.
const MAX_PIXELS: u64 = 1 << 28;
/// The bytes that a pixel takes beside what the decoder makes of it: numbers, those of rows that are scaled, and coefficients.
const BYTES_PER_PIXEL: u64 = 40;
/// What red, green and blue are of grey (ITU-R BT.709).
const GREY: [f32; 3] = [0.2126, 0.7152, 0.0722];
const HELP: &str = "give a whole PNG or JPEG, or take the file away";

/// Pixels from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// 1 or 3.
    pub channels: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// `f32[height, width, channels]`, row-major.
    values: Vec<f32>,
}

/// Whether bytes begin as those of a PNG or a JPEG do.
pub fn is_picture(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n") || bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// The picture in the bytes of a file; `subject` is what an error calls it.
///
/// # Errors
/// Where it is no PNG or JPEG, is cut off or damaged, or has more pixels than there is memory for.
pub fn decode(bytes: &[u8], subject: &str) -> Result<Picture, Error> {
    let invalid = |problem: String| Error::invalid(subject, problem, HELP);
    if bytes.is_empty() {
        return Err(invalid("the file is empty".into()));
    }
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) if is_picture(bytes) => format,
        _ => return Err(invalid("this is no PNG or JPEG".into())),
    };
    if format == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
        return Err(invalid("it is cut off: its end is missing".into()));
    }
    let damaged = |error: image::ImageError| invalid(format!("it cannot be read: {error}"));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits(); // they are checked here, in words
    limits.max_alloc = Some(MAX_PIXELS * BYTES_PER_PIXEL);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        let problem = format!("it has {width}x{height} pixels, and no more than {MAX_PIXELS} are read");
        return Err(invalid(problem));
    }
    let bytes_of_all = decoder.total_bytes().saturating_mul(2) + pixels * BYTES_PER_PIXEL;
    memory::check(subject, usize::try_from(bytes_of_all).unwrap_or(usize::MAX))?;
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(Picture::of(&image))
}

impl Picture {
    fn of(image: &DynamicImage) -> Picture {
        let size = [image.height() as usize, image.width() as usize];
        let byte = |value: &u8| f32::from(*value) / f32::from(u8::MAX);
        let wide = |value: &u16| f32::from(*value) / f32::from(u16::MAX);
        let (channels, numbers): (usize, Vec<f32>) = match image {
            DynamicImage::ImageLuma8(it) => (1, it.as_raw().iter().map(byte).collect()),
            DynamicImage::ImageLumaA8(it) => (1, on_white(it.as_raw().iter().map(byte), 2)),
            DynamicImage::ImageRgb8(it) => (3, it.as_raw().iter().map(byte).collect()),
            DynamicImage::ImageRgba8(it) => (3, on_white(it.as_raw().iter().map(byte), 4)),
            DynamicImage::ImageLuma16(it) => (1, it.as_raw().iter().map(wide).collect()),
            DynamicImage::ImageLumaA16(it) => (1, on_white(it.as_raw().iter().map(wide), 2)),
            DynamicImage::ImageRgb16(it) => (3, it.as_raw().iter().map(wide).collect()),
            DynamicImage::ImageRgba16(it) => (3, on_white(it.as_raw().iter().map(wide), 4)),
            other => (3, other.to_rgb32f().into_raw()),
        };
        let is_grey = channels == 3
            && numbers.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
        match is_grey {
            true => Picture { channels: 1, size, values: numbers.into_iter().step_by(3).collect() },
            false => Picture { channels, size, values: numbers },
        }
    }

    /// The picture stretched to another size; a pixel of a smaller one is the mean of what it covers, weighted by a triangle.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn resized(self, size: [usize; 2], subject: &str) -> Result<Picture, Error> {
        if self.size == size {
            return Ok(self);
        }
        let [from, to] = [self.size, size].map(|[height, width]| [height as u32, width as u32]);
        let pixels = size[0].saturating_mul(self.size[1]).saturating_add(size[0].saturating_mul(size[1]));
        memory::check(subject, pixels.saturating_mul(4 * size_of::<f32>()))?;
        let fits = "there are as many numbers as pixels";
        let values = match self.channels {
            1 => {
                let image = ImageBuffer::<Luma<f32>, _>::from_raw(from[1], from[0], self.values).expect(fits);
                resize(&image, to[1], to[0], FilterType::Triangle).into_raw()
            }
            _ => {
                let image = ImageBuffer::<Rgb<f32>, _>::from_raw(from[1], from[0], self.values).expect(fits);
                resize(&image, to[1], to[0], FilterType::Triangle).into_raw()
            }
        };
        Ok(Picture { size, values, ..self })
    }

    /// Appends it as `f32[channels, height, width]`. Of colours, one channel is the grey of BT.709; of grey, all three are the same.
    pub fn write(self, channels: usize, rows: &mut Vec<f32>) {
        match (self.channels, channels) {
            (1, _) => (0..channels).for_each(|_| rows.extend_from_slice(&self.values)),
            (_, 1) => {
                let grey = |pixel: &[f32]| pixel.iter().zip(GREY).map(|(x, part)| x * part).sum::<f32>();
                rows.extend(self.values.chunks_exact(3).map(grey));
            }
            _ => (0..3).for_each(|channel| rows.extend(self.values.iter().skip(channel).step_by(3))),
        }
    }
}

/// Pixels of `width` numbers, the last of which says how much of white does not shine through.
fn on_white(numbers: impl Iterator<Item = f32>, width: usize) -> Vec<f32> {
    let numbers: Vec<f32> = numbers.collect();
    let composed = |pixel: &[f32]| -> Vec<f32> {
        let (alpha, colours) = pixel.split_last().expect("a pixel has numbers");
        colours.iter().map(|colour| colour * alpha + (1.0 - alpha)).collect()
    };
    numbers.chunks_exact(width).flat_map(composed).collect()
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, ImageEncoder, LumaA, Rgba};

    use super::*;

    fn png(image: &DynamicImage) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, ImageFormat::Png).unwrap();
        file.into_inner()
    }

    fn read(image: impl Into<DynamicImage>) -> Picture {
        decode(&png(&image.into()), "a.png").unwrap()
    }

    fn problem(bytes: &[u8]) -> String {
        decode(bytes, "a.png").unwrap_err().to_string()
    }

    /// A grey JPEG of 16x8 pixels, black on the left and white on the right, with such an orientation.
    fn jpeg(orientation: u8) -> Vec<u8> {
        let pixels: Vec<u8> = (0..128).map(|at| if at % 16 < 8 { 0 } else { 255 }).collect();
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 100);
        // TIFF, little-endian: one entry, 0x112, one short.
        let exif =
            [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[orientation, 0, 0, 0, 0, 0, 0, 0][..]]
                .concat();
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(&pixels, 16, 8, ExtendedColorType::L8).unwrap();
        file
    }

    fn rows(picture: Picture, channels: usize) -> Vec<f32> {
        let mut rows = Vec::new();
        picture.write(channels, &mut rows);
        rows
    }

    #[test]
    fn pixels_of_8_and_16_bits_become_0_to_1() {
        let bytes = ImageBuffer::<Luma<u8>, _>::from_raw(3, 1, vec![0u8, 51, 255]).unwrap();
        let picture = read(bytes);
        assert_eq!((picture.channels, picture.size), (1, [1, 3]));
        assert_eq!(rows(picture.clone(), 1), [0.0, 0.2, 1.0]);
        assert_eq!(rows(picture, 3), [0.0, 0.2, 1.0, 0.0, 0.2, 1.0, 0.0, 0.2, 1.0]);
        let wide = ImageBuffer::<Luma<u16>, _>::from_raw(1, 2, vec![1u16, 65535]).unwrap();
        assert_eq!(rows(read(wide), 1), [1.0 / 65535.0, 1.0]);
    }

    #[test]
    fn colours_are_planes_and_those_that_are_all_grey_one() {
        let colours = ImageBuffer::<Rgb<u8>, _>::from_raw(2, 1, vec![255u8, 0, 0, 0, 51, 255]).unwrap();
        let picture = read(colours);
        assert_eq!((picture.channels, picture.size), (3, [1, 2]));
        assert_eq!(rows(picture.clone(), 3), [1.0, 0.0, 0.0, 0.2, 0.0, 1.0]);
        let grey = rows(picture, 1);
        assert!(
            (grey[0] - 0.2126).abs() < 1e-6 && (grey[1] - (0.2 * 0.7152 + 0.0722)).abs() < 1e-6,
            "{grey:?}"
        );
        let grey = ImageBuffer::<Rgb<u8>, _>::from_raw(2, 1, vec![9u8, 9, 9, 51, 51, 51]).unwrap();
        assert_eq!(read(grey).channels, 1);
    }

    #[test]
    fn what_is_transparent_lies_on_white() {
        let grey = ImageBuffer::<LumaA<u8>, _>::from_raw(3, 1, vec![0u8, 0, 0, 255, 0, 51]).unwrap();
        assert_eq!(rows(read(grey), 1), [1.0, 0.0, 0.8]);
        let colours = ImageBuffer::<Rgba<u16>, _>::from_raw(1, 1, vec![65535u16, 0, 0, 13107]).unwrap();
        assert_eq!(rows(read(colours), 3), [1.0, 0.8, 0.8]);
    }

    #[test]
    fn pictures_are_turned_as_their_orientation_says() {
        let shape = |orientation| {
            let picture = decode(&jpeg(orientation), "a.jpg").unwrap();
            (picture.size, picture.values[0].round(), picture.values[picture.values.len() - 1].round())
        };
        assert_eq!(shape(1), ([8, 16], 0.0, 1.0));
        assert_eq!(shape(3), ([8, 16], 1.0, 0.0)); // upside down
        assert_eq!(shape(6), ([16, 8], 0.0, 1.0)); // a quarter to the right
        assert_eq!(shape(8), ([16, 8], 1.0, 0.0)); // a quarter to the left
    }

    #[test]
    fn a_smaller_picture_is_of_means_and_a_larger_one_has_no_other_greys() {
        let picture =
            Picture { channels: 1, size: [2, 4], values: vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0] };
        let small = picture.clone().resized([1, 2], "a").unwrap();
        assert!(small.size == [1, 2] && small.values[0] < 0.2 && small.values[1] > 0.8, "{small:?}");
        assert!((small.values[0] + small.values[1] - 1.0).abs() < 1e-6);
        let large = picture.clone().resized([3, 8], "a").unwrap();
        assert!(large.values.iter().all(|x| (0.0..=1.0).contains(x)));
        assert_eq!(picture.clone().resized([2, 4], "a").unwrap(), picture);
        let colours = Picture { channels: 3, size: [1, 1], values: vec![0.5, 0.25, 1.0] };
        assert_eq!(rows(colours.resized([2, 1], "a").unwrap(), 3), [0.5, 0.5, 0.25, 0.25, 1.0, 1.0]);
    }

    #[test]
    fn what_is_no_whole_picture_is_an_error_that_says_so() {
        let help = "give a whole PNG or JPEG, or take the file away";
        assert_eq!(problem(b""), format!("a.png: the file is empty; {help}"));
        assert_eq!(
            problem(b"GIF89a, which is another format"),
            format!("a.png: this is no PNG or JPEG; {help}")
        );
        let jpeg = jpeg(1);
        for length in 3..jpeg.len() {
            assert!(problem(&jpeg[..length]).starts_with("a.png: it "), "{length}");
        }
        assert!(problem(&jpeg[..jpeg.len() - 1]).contains("it is cut off: its end is missing"));
        let noise = ImageBuffer::<Luma<u8>, _>::from_fn(20, 20, |x, y| Luma([(x * 7 + y * 13) as u8]));
        let png = png(&noise.into());
        // The last chunk, of 12 bytes, has no pixels.
        for length in 8..png.len() - 12 {
            assert!(problem(&png[..length]).starts_with("a.png: it cannot be read: "), "{length}");
        }
        let mut damaged = png.clone();
        damaged[50] ^= 1;
        assert!(problem(&damaged).contains("it cannot be read: "));
    }

    #[test]
    fn any_single_byte_can_be_wrong_without_a_panic() {
        let noise = ImageBuffer::<Rgb<u8>, _>::from_fn(9, 9, |x, y| Rgb([(x * 7) as u8, (y * 13) as u8, 9]));
        for file in [jpeg(6), png(&noise.into())] {
            for at in 0..file.len() {
                for flip in [1, 0x80, 0xff] {
                    let mut bytes = file.clone();
                    bytes[at] ^= flip;
                    let _ = decode(&bytes, "a");
                }
            }
        }
    }

    #[test]
    fn a_header_that_claims_more_pixels_than_any_picture_has_is_an_error() {
        let small = ImageBuffer::<Luma<u8>, _>::from_pixel(4, 4, Luma([7u8]));
        let mut file = png(&small.into());
        // The width and the height of the first chunk, and its checksum (CRC-32 as in PNG's annex D).
        file[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let mut crc = u32::MAX;
        for &byte in &file[12..29] {
            crc ^= u32::from(byte);
            (0..8).for_each(|_| crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 });
        }
        file[29..33].copy_from_slice(&(!crc).to_be_bytes());
        let expected = "a.png: it has 65536x65536 pixels, and no more than 268435456 are read; ";
        assert!(problem(&file).starts_with(expected), "{}", problem(&file));
    }
}
