//! What all pictures share: colours, fonts, and the error of drawing.

use plotters::prelude::*;

/// The family of all text.
pub const FONT: &str = "sans-serif";
/// Text and axes.
pub const INK: RGBColor = RGBColor(51, 51, 51);
/// What is said beside the main thing.
pub const FAINT_INK: RGBColor = RGBColor(120, 120, 120);
/// Lines behind the data.
pub const GRID: RGBColor = RGBColor(226, 226, 226);

// Blue, vermilion and bluish green of M. Okabe and K. Ito's palette, which all kinds of colour vision tell apart.

/// What was trained on.
pub const TRAINING: RGBColor = RGBColor(0, 114, 178);
/// What was held out.
pub const HELD_OUT: RGBColor = RGBColor(213, 94, 0);
/// What is neither.
pub const OTHER: RGBColor = RGBColor(0, 158, 115);

/// Why a picture could not be drawn. Into memory it always can.
pub type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// Text of a size in pixels, in ink.
pub fn text(size: i32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}
