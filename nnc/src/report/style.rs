//! What all pictures share: colours, fonts, and the error of drawing.

use std::borrow::Cow;

use ir::names::printable_lines;
use plotters::prelude::*;

/// A colour: `Color(0, 114, 178)` has these parts of 255 of red, green and blue.
pub use plotters::style::RGBColor as Color;

/// Colours that all kinds of colour vision tell apart (M. Okabe and K. Ito, "Color universal design", 2008), the most
/// distinct first. The yellow is darker than theirs, for lines on white.
pub const PALETTE: [Color; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(190, 175, 20),
];

/// The family of all text.
pub const FONT: &str = "sans-serif";
/// Text and axes.
pub const INK: Color = RGBColor(51, 51, 51);
/// What is said beside the main thing.
pub const FAINT_INK: Color = RGBColor(120, 120, 120);
/// Lines behind the data.
pub const GRID: Color = RGBColor(226, 226, 226);

/// What was trained on.
pub const TRAINING: Color = PALETTE[0];
/// What was held out.
pub const HELD_OUT: Color = PALETTE[1];
/// What is neither.
pub const OTHER: Color = PALETTE[2];

/// Why a picture could not be drawn. Into memory it always can.
pub type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// A document as it is written: XML has no control characters, so those of names are escapes in it.
pub fn finished(svg: String) -> String {
    match printable_lines(&svg) {
        Cow::Borrowed(_) => svg,
        Cow::Owned(escaped) => escaped,
    }
}

/// Text of a size in pixels, in ink.
pub fn text(size: i32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}
