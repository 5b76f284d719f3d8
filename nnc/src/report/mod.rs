//! What there is to be looked at: a model as a table, the table and the pictures that training leaves behind, and the
//! parts to draw others from.

mod confusion_plot;
mod contours;
mod figure;
mod history_plot;
mod mosaic;
mod panel;
mod style;
mod summary;
mod table;

pub use confusion_plot::confusion_plot;
pub use contours::contours;
pub use figure::figure;
pub use history_plot::history_plot;
pub use mosaic::{Tile, mosaic};
pub use panel::{Axis, Corner, Line, Panel, Scale, Stroke};
pub use style::{Color, PALETTE};
pub use summary::{Memory, ModelSummary};
pub use table::history_csv;
