//! The size and the channels that pictures are to have.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// The greatest height and width.
const MAX_SIDE: usize = 1 << 14;

/// The size and the channels of pictures, as far as they are asked for: `28x28`, `28x28x1`.
///
/// ```
/// let layout: nnc::data::images::Layout = "32x24x3".parse()?;
/// assert_eq!((layout.size, layout.channels), (Some([32, 24]), Some(3)));
/// assert_eq!(layout.to_string(), "32x24x3");
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Height and width; without them, those that all pictures have.
    pub size: Option<[usize; 2]>,
    /// 1, which makes pictures grey, or 3; without them, 1 where all pictures are grey.
    pub channels: Option<usize>,
}

impl Layout {
    /// That of rows `[channels, height, width]`; `None` of other rows.
    pub fn of_row(row: &[usize]) -> Option<Layout> {
        match *row {
            [channels @ (1 | 3), height, width] => {
                Some(Layout { size: Some([height, width]), channels: Some(channels) })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some([height, width]) = self.size else { return Ok(()) };
        write!(f, "{height}x{width}")?;
        self.channels.map_or(Ok(()), |channels| write!(f, "x{channels}"))
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Layout, Error> {
        let numbers: Option<Vec<usize>> = text.split('x').map(|number| number.parse().ok()).collect();
        let is_side = |side: &usize| (1..=MAX_SIDE).contains(side);
        match numbers.as_deref() {
            Some(&[height, width]) if is_side(&height) && is_side(&width) => {
                Ok(Layout { size: Some([height, width]), channels: None })
            }
            Some(&[height, width, channels @ (1 | 3)]) if is_side(&height) && is_side(&width) => {
                Ok(Layout { size: Some([height, width]), channels: Some(channels) })
            }
            _ => {
                let help = format!(
                    "give height and width, from 1 to {MAX_SIDE}, and channels, 1 or 3: `64x64`, `28x28x1`"
                );
                Err(Error::invalid(format!("size `{text}`"), "it is no size of pictures", help))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_size_is_an_error() {
        for text in ["", "28", "28x", "0x4", "4x16385", "4x4x2", "4x4x1x1", "-1x2", "a"] {
            let error = text.parse::<Layout>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("size `{text}`: it is no size of pictures; give height")),
                "{error}"
            );
        }
        assert_eq!("7x9".parse::<Layout>().unwrap(), Layout { size: Some([7, 9]), channels: None });
        assert_eq!(Layout::of_row(&[2, 7, 9]), None);
        assert_eq!(Layout::of_row(&[3, 7, 9]).unwrap().to_string(), "7x9x3");
    }
}
