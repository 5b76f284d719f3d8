//! Lines along which a function of two numbers has one value.

use std::collections::BTreeMap;
use std::ops::Range;

/// A point of the plane.
type Point = (f64, f64);
/// An edge of the grid: the node at its lower left end, and whether it goes upwards.
type Edge = (usize, usize, bool);

/// The lines along which a function has the value `level`, by linear interpolation on a grid:
/// `values[row * columns + column]` is its value at the column's part of `x` and the row's part of `y`, both ends
/// included. It is the method of marching squares; cells with a value that is not finite are left out. In a saddle, the
/// two lines part the cell's low corners.
///
/// ```
/// use nnc::report::contours;
/// let radius: Vec<f64> = (0..81).map(|i| f64::from(i % 9 - 4).hypot(f64::from(i / 9 - 4))).collect();
/// let circles = contours(&radius, 9, -4.0..4.0, -4.0..4.0, 2.0);
/// assert_eq!(circles.len(), 1);
/// assert_eq!(circles[0].first(), circles[0].last());
/// ```
///
/// # Panics
/// Where the values are no grid of so many columns, and of at least two columns and rows.
pub fn contours(values: &[f64], columns: usize, x: Range<f64>, y: Range<f64>, level: f64) -> Vec<Vec<Point>> {
    assert!(
        columns >= 2 && values.len() >= 2 * columns && values.len().is_multiple_of(columns),
        "it is no grid"
    );
    let rows = values.len() / columns;
    let value = |row: usize, column: usize| values[row * columns + column];
    // Each crossed edge with those that it is joined to, at most one in each of the two cells that it belongs to.
    let mut joined: BTreeMap<Edge, Vec<Edge>> = BTreeMap::new();
    for (row, column) in (0..rows - 1).flat_map(|row| (0..columns - 1).map(move |column| (row, column))) {
        let corners = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)];
        let corners = corners.map(|(row, column)| value(row, column));
        let edges =
            [(row, column, false), (row, column + 1, true), (row + 1, column, false), (row, column, true)];
        for [from, to] in segments(corners, level) {
            joined.entry(edges[from]).or_default().push(edges[to]);
            joined.entry(edges[to]).or_default().push(edges[from]);
        }
    }
    let place = |(row, column, is_upwards): Edge| {
        let (next_row, next_column) = if is_upwards { (row + 1, column) } else { (row, column + 1) };
        let (from, to) = (value(row, column), value(next_row, next_column));
        let part = (level - from) / (to - from);
        let (right, up) = if is_upwards { (0.0, part) } else { (part, 0.0) };
        let across = (column as f64 + right) / (columns - 1) as f64;
        let upwards = (row as f64 + up) / (rows - 1) as f64;
        (x.start + across * (x.end - x.start), y.start + upwards * (y.end - y.start))
    };
    chains(joined).into_iter().map(|chain| chain.into_iter().map(place).collect()).collect()
}

/// The pairs of edges (below, right, above, left) that a line through a cell joins; its corners are given from the
/// lower left one on, against the clock.
fn segments(corners: [f64; 4], level: f64) -> Vec<[usize; 2]> {
    if corners.iter().any(|corner| !corner.is_finite()) {
        return Vec::new();
    }
    let is_high = corners.map(|corner| corner >= level);
    let crossed: Vec<usize> = (0..4).filter(|&edge| is_high[edge] != is_high[(edge + 1) % 4]).collect();
    match crossed[..] {
        [from, to] => vec![[from, to]],
        // Around the low corners: 1 and 3, or 0 and 2.
        [_, _, _, _] if is_high[0] => vec![[0, 1], [2, 3]],
        [_, _, _, _] => vec![[3, 0], [1, 2]],
        _ => Vec::new(),
    }
}

/// The edges in order along each line: lines that end at the border of the grid first, then closed ones.
fn chains(mut joined: BTreeMap<Edge, Vec<Edge>>) -> Vec<Vec<Edge>> {
    let mut chains = Vec::new();
    while !joined.is_empty() {
        let is_end = |(_, others): &(&Edge, &Vec<Edge>)| others.len() == 1;
        let first = joined.iter().find(is_end).or(joined.iter().next()).map(|(&edge, _)| edge);
        let Some(first) = first else { break };
        let (mut chain, mut at) = (vec![first], first);
        while let Some(next) = joined.get_mut(&at).and_then(Vec::pop) {
            let back = joined.get_mut(&next).expect("edges are joined both ways");
            back.remove(back.iter().position(|&edge| edge == at).expect("edges are joined both ways"));
            chain.push(next);
            at = next;
        }
        joined.retain(|_, others| !others.is_empty());
        chains.push(chain);
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(columns: usize, rows: usize, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        (0..columns * rows).map(|i| f((i % columns) as f64, (i / columns) as f64)).collect()
    }

    #[test]
    fn a_plane_has_straight_lines_from_border_to_border() {
        let plane = grid(3, 4, |x, y| x + y);
        let lines = contours(&plane, 3, 0.0..2.0, 0.0..3.0, 1.5);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].iter().all(|(x, y)| (x + y - 1.5).abs() < 1e-12), "{lines:?}");
        let ends = [lines[0][0], lines[0][lines[0].len() - 1]];
        assert!(ends.contains(&(0.0, 1.5)) && ends.contains(&(1.5, 0.0)), "{lines:?}");
    }

    #[test]
    fn two_hills_have_two_closed_lines() {
        let hills = grid(21, 11, |x, y| {
            let hill = |at: f64| (-((x - at).powi(2) + (y - 5.0).powi(2)) / 4.0).exp();
            hill(5.0) + hill(15.0)
        });
        let lines = contours(&hills, 21, 0.0..20.0, 0.0..10.0, 0.5);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.len() > 8 && line.first() == line.last()), "{lines:?}");
    }

    #[test]
    fn saddles_flat_grounds_and_holes_have_lines_that_do_not_meet() {
        assert_eq!(contours(&[1.0, 0.0, 0.0, 1.0], 2, 0.0..1.0, 0.0..1.0, 0.5).len(), 2);
        assert_eq!(contours(&[0.0, 1.0, 1.0, 0.0], 2, 0.0..1.0, 0.0..1.0, 0.5).len(), 2);
        assert!(contours(&[1.0; 9], 3, 0.0..1.0, 0.0..1.0, 1.0).is_empty());
        assert!(contours(&[f64::NAN, 0.0, 0.0, 1.0], 2, 0.0..1.0, 0.0..1.0, 0.5).is_empty());
    }
}
