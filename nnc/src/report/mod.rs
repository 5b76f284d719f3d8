//! What there is to be looked at: a model as a table, and the table and the pictures that training leaves behind.

mod confusion_plot;
mod history_plot;
mod mosaic;
mod panel;
mod style;
mod summary;
mod table;

pub use confusion_plot::confusion_plot;
pub use history_plot::history_plot;
pub use mosaic::{Tile, mosaic};
pub use summary::{Memory, ModelSummary};
pub use table::history_csv;
