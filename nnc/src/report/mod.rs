//! What there is to be looked at: a model as a table, the table and the pictures that training leaves behind, and the
//! parts to draw others from. Pictures are there with the feature `plots`.

#[cfg(feature = "plots")]
mod confusion_plot;
mod contours;
#[cfg(feature = "plots")]
mod figure;
#[cfg(feature = "plots")]
mod history_plot;
#[cfg(feature = "plots")]
mod mosaic;
#[cfg(feature = "plots")]
mod panel;
#[cfg(feature = "plots")]
pub mod pictures;
#[cfg(feature = "plots")]
mod scatter_plot;
#[cfg(feature = "plots")]
mod style;
mod summary;
mod table;

#[cfg(feature = "plots")]
pub use confusion_plot::confusion_plot;
pub use contours::contours;
#[cfg(feature = "plots")]
pub use figure::figure;
#[cfg(feature = "plots")]
pub use history_plot::history_plot;
#[cfg(feature = "plots")]
pub use mosaic::{Tile, mosaic};
#[cfg(feature = "plots")]
pub use panel::{Axis, Corner, Line, Panel, Scale, Stroke};
#[cfg(feature = "plots")]
pub use scatter_plot::scatter_plot;
#[cfg(feature = "plots")]
pub use style::{Color, PALETTE};
pub use summary::{Memory, ModelSummary};
pub use table::history_csv;
