//! The classes that rows are of, for layers that depend on them.

use ir::Value;

use super::Context;

impl Context {
    /// What `build` builds, with these classes of rows, `i64[rows]`, for the layers in it that
    /// [depend on them](crate::conditional).
    pub fn with_labels<T>(&mut self, labels: Value, build: impl FnOnce(&mut Context) -> T) -> T {
        let before = self.labels.replace(labels);
        let built = build(self);
        self.labels = before;
        built
    }

    /// The classes of the rows, `i64[rows]`, where they have been [given](Context::with_labels).
    pub fn labels(&self) -> Option<Value> {
        self.labels
    }
}
