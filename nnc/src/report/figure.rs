//! Diagrams beside and below each other, as one picture.

use plotters::prelude::*;

use super::panel::{Area, Panel};
use super::style::{DrawError, finished, text};

/// Panels in rows of `columns`, each of `panel_size` (width and height in pixels), below a title, as an SVG document.
///
/// ```
/// use nnc::report::{Axis, Line, PALETTE, Panel, Scale, figure};
/// let wave = Line::new("sin", PALETTE[0], (0..100).map(|i| (f64::from(i) / 10.0, (f64::from(i) / 10.0).sin())));
/// let panel = Panel::new("a wave", Axis::new("t, s", Scale::Linear), Axis::new("u, V", Scale::Linear), vec![wave]);
/// assert!(figure("waves", 1, (400, 300), vec![panel]).starts_with("<svg"));
/// ```
pub fn figure(title: &str, columns: usize, panel_size: (u32, u32), panels: Vec<Panel>) -> String {
    let mut svg = String::new();
    draw(&mut svg, title, columns.max(1), panel_size, panels)
        .expect("an SVG document in memory can be written");
    finished(svg)
}

/// The height of the title.
const TITLE: u32 = 36;

fn draw(
    svg: &mut String,
    title: &str,
    columns: usize,
    panel_size: (u32, u32),
    panels: Vec<Panel>,
) -> Result<(), DrawError> {
    let rows = panels.len().div_ceil(columns).max(1);
    let size = (columns as u32 * panel_size.0, rows as u32 * panel_size.1 + TITLE);
    let page = SVGBackend::with_string(svg, size).into_drawing_area();
    page.fill(&WHITE)?;
    let page: Area = page.titled(title, text(21))?;
    for (panel, area) in panels.into_iter().zip(page.split_evenly((rows, columns))) {
        panel.draw(&area)?;
    }
    page.present()
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Corner, Line, PALETTE, Scale, Stroke};
    use super::*;

    fn panel(points: &[(f64, f64)], scale: Scale) -> Panel {
        let strokes = [("line", Stroke::Solid(1)), ("dashes", Stroke::Dashed), ("dots", Stroke::Dots(2))];
        let lines =
            strokes.map(|(name, stroke)| Line::new(name, PALETTE[0], points.iter().copied()).stroke(stroke));
        Panel::new("a panel", Axis::new("across", Scale::Linear), Axis::new("up", scale), lines.to_vec())
    }

    #[test]
    fn a_figure_names_panels_axes_and_lines() {
        let panels = vec![panel(&[(0.0, 1.0), (1.0, 2.0)], Scale::Linear).legend(Corner::UpperLeft); 3];
        let svg = figure("a figure", 2, (300, 200), panels);
        for text in ["a figure", "a panel", "across", "up", "line", "dashes", "dots", "width=\"600\""] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
    }

    #[test]
    fn what_lies_beyond_the_ends_of_an_axis_is_not_drawn() {
        let circles = |points: &[(f64, f64)]| {
            let mut panel = panel(points, Scale::Linear);
            panel.x = panel.x.within(0.0..1.0);
            panel.lines.drain(..2);
            figure("", 1, (300, 200), vec![panel]).matches("<circle").count()
        };
        assert_eq!(circles(&[(-0.1, 0.0), (0.0, 0.0), (1.0, 1.0), (1.1, 0.0)]), 2);
    }

    #[test]
    fn odd_figures_can_be_drawn() {
        for points in
            [[].as_slice(), &[(0.0, 0.0)], &[(f64::NAN, 0.0), (1.0, f64::INFINITY)], &[(1.0, 1e300)]]
        {
            for scale in [Scale::Linear, Scale::Whole, Scale::Log, Scale::Percent, Scale::FromZero] {
                let svg = figure("", 1, (300, 200), vec![panel(points, scale).legend(Corner::LowerLeft)]);
                assert!(svg.ends_with("</svg>\n"), "{points:?} {scale:?}");
            }
        }
        assert!(figure("", 0, (300, 200), vec![]).ends_with("</svg>\n"));
    }
}
