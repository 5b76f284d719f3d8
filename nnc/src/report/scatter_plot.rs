//! Points of a plane as a picture, each in the colour of its class.

use super::figure::figure;
use super::panel::{Axis, Corner, Line, Panel, Scale, Stroke};
use super::style::{Color, PALETTE};

/// Width and height of the diagram in pixels.
const SIZE: (u32, u32) = (760, 600);
/// The radius of a dot.
const DOT: u32 = 3;
/// The part of the width right of the points that is left to the legend.
const ROOM: f64 = 0.2;
/// Two colours more than those of lines, for ten classes: brown and light grey.
const MORE: [Color; 2] = [Color(128, 72, 40), Color(168, 168, 168)];

/// Points as an SVG document. With labels, one for each point and from 0 to one less than there are names, each class has a colour and a line of the
/// legend, but for those without points; more than ten classes share colours.
///
/// ```
/// let names = ["cat".to_owned(), "dog".to_owned()];
/// let points = [(0.0, 0.5), (1.0, -0.5), (1.0, 0.0)];
/// let svg = nnc::report::scatter_plot("codes", ["first", "second"], &points, Some((&[0, 1, 1], &names)));
/// assert!(svg.contains("cat") && svg.contains("dog"));
/// ```
pub fn scatter_plot(
    title: &str,
    axes: [&str; 2],
    points: &[(f64, f64)],
    labels: Option<(&[i64], &[String])>,
) -> String {
    let dots = |name: &str, color: Color, points: Vec<(f64, f64)>| {
        Line::new(name, color, points).stroke(Stroke::Dots(DOT))
    };
    let lines = match labels {
        None => vec![dots("", PALETTE[0], points.to_vec())],
        Some((labels, names)) => {
            let of_class = |(class, name): (usize, &String)| {
                let own = points.iter().zip(labels).filter(|(_, label)| **label == class as i64);
                dots(name, color_of(class), own.map(|(point, _)| *point).collect())
            };
            names.iter().enumerate().map(of_class).collect()
        }
    };
    let [x, y] = axes.map(|name| Axis::new(name, Scale::Linear));
    let has_legend = lines.iter().filter(|line| !line.points.is_empty()).count() > 1;
    let x = if has_legend { with_room(x, points) } else { x };
    figure(title, 1, SIZE, vec![Panel::new("", x, y, lines).legend(Corner::UpperRight)])
}

/// The colour of a class.
fn color_of(class: usize) -> Color {
    let colors = PALETTE.iter().chain(&MORE);
    colors.cycle().nth(class).copied().unwrap_or(PALETTE[0])
}

/// The axis to the right, with room for a legend.
fn with_room(axis: Axis, points: &[(f64, f64)]) -> Axis {
    let ends = points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.0), h.max(p.0)));
    let extent = ends.1 - ends.0;
    if !(extent > 0.0 && extent.is_finite()) {
        return axis;
    }
    axis.within(ends.0 - 0.06 * extent..ends.1 + ROOM * extent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_colours_of_their_own_and_points_without_labels_one() {
        let points: Vec<(f64, f64)> = (0..20).map(|i| (f64::from(i), f64::from(i * i))).collect();
        let labels: Vec<i64> = (0..20).map(|i| i % 10).collect();
        let names: Vec<String> = (0..11).map(|class| format!("class {class}")).collect();
        let svg = scatter_plot("points", ["", ""], &points, Some((&labels, &names)));
        for class in 0..10 {
            let Color(red, green, blue) = color_of(class);
            let fill = format!("fill=\"#{red:02X}{green:02X}{blue:02X}\"");
            assert!(svg.matches(&fill).count() >= 3, "{fill}: two points and a line of the legend");
            assert!(svg.contains(&format!("class {class}\n")), "{class}");
        }
        assert!(!svg.contains("class 10"), "it has no points");
        assert_eq!(scatter_plot("points", ["", ""], &points, None).matches("<circle").count(), 20);
    }

    #[test]
    fn few_points_and_none_can_be_drawn() {
        let names = ["a".to_owned(), "b".to_owned()];
        for (points, labels) in
            [(&[][..], &[][..]), (&[(1.0, 1.0)], &[0]), (&[(1.0, 1.0), (1.0, 2.0)], &[0, 1])]
        {
            assert!(scatter_plot("", ["", ""], points, Some((labels, &names))).ends_with("</svg>\n"));
        }
    }
}
