//! What training leaves behind to be looked at: a table and a plot.

mod loss_plot;
mod table;

pub use loss_plot::loss_plot;
pub use table::history_csv;
