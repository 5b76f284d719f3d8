//! From text to graphs, kernels and plans.
//!
//! A source is cut into tokens (`lexer`), over which one function per rule of the grammar walks (`graph`, `kernel`,
//! `plan`). Graphs are built with [`crate::Builder`], so that types are inferred and checked here as everywhere.
//! Names are looked up in tables; the time is linear in the size of the source.

pub mod cursor;
pub mod graph;
pub mod index;
pub mod kernel;
pub mod lexer;
pub mod literal;
pub mod plan;

use crate::ops::edit_distance;

/// The one of `known` that is most like `name`, where one is like it.
pub fn nearest<T: AsRef<str>>(name: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let distances = known.into_iter().filter(|known| known.as_ref().len() <= LONGEST).map(|known| {
        let distance = edit_distance(&name.to_lowercase(), &known.as_ref().to_lowercase());
        (distance, known)
    });
    let best = distances.min_by(|a, b| (a.0, a.1.as_ref()).cmp(&(b.0, b.1.as_ref())))?;
    (best.0 <= 1 + name.len() / 3).then_some(best.1)
}

/// The help for a name that is not known: the nearest one that is, or `otherwise`.
pub fn did_you_mean<T: AsRef<str>>(
    name: &str,
    known: impl IntoIterator<Item = T>,
    otherwise: &str,
) -> String {
    let nearest = nearest(name, known);
    nearest.map_or_else(|| otherwise.to_owned(), |known| format!("did you mean `{}`?", known.as_ref()))
}
