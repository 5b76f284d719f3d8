//! What there is to be looked at: a model as a table, and the table and the plot that training leaves behind.

mod loss_plot;
mod summary;
mod table;

pub use loss_plot::loss_plot;
pub use summary::{Memory, ModelSummary};
pub use table::history_csv;
