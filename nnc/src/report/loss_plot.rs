//! The loss over epochs as a picture.

use plotters::prelude::*;

use crate::trainer::History;

const SIZE: (u32, u32) = (800, 480);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(226, 226, 226);
/// The length of a line in the legend.
const LEGEND_LINE: i32 = 24;
/// Blue and vermilion of M. Okabe and K. Ito's palette, which all kinds of colour vision tell apart.
const TRAINING: RGBColor = RGBColor(0, 114, 178);
const HELD_OUT: RGBColor = RGBColor(213, 94, 0);

/// A loss of 0 has no logarithm; it is drawn here.
const LEAST_LOSS: f64 = 1e-12;

/// A line of the plot: its name, its colour, and its points.
struct Line {
    name: &'static str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// The training loss and, where rows were held out, theirs, over epochs, as an SVG document. The loss axis is
/// logarithmic: what happens late is as visible as what happens early.
///
/// ```
/// use nnc::trainer::{Epoch, History};
/// let epoch = |loss| Epoch { loss, accuracy: 0.9, held_out: None };
/// let history = History { epochs: vec![epoch(1.0), epoch(0.1)], ..History::default() };
/// assert!(nnc::report::loss_plot("mlp on digits", &history).starts_with("<svg"));
/// ```
pub fn loss_plot(title: &str, history: &History) -> String {
    let mut svg = String::new();
    draw(&mut svg, title, &lines(history)).expect("an SVG document in memory can be written");
    svg
}

fn lines(history: &History) -> Vec<Line> {
    let points = |loss: &dyn Fn(usize) -> Option<f64>| -> Vec<(f64, f64)> {
        let finite = |index| {
            loss(index).filter(|loss| loss.is_finite()).map(|loss| ((index + 1) as f64, loss.max(LEAST_LOSS)))
        };
        (0..history.epochs.len()).filter_map(finite).collect()
    };
    let training = points(&|index| Some(history.epochs[index].loss));
    let held_out = points(&|index| history.epochs[index].held_out.map(|held_out| held_out.loss));
    let lines = [
        Line { name: "training", color: TRAINING, points: training },
        Line { name: "held out", color: HELD_OUT, points: held_out },
    ];
    lines.into_iter().filter(|line| !line.points.is_empty()).collect()
}

type DrawError = DrawingAreaErrorKind<std::io::Error>;

fn draw(svg: &mut String, title: &str, lines: &[Line]) -> Result<(), DrawError> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let epochs = lines.iter().flat_map(|line| &line.points).fold(1.0, |most: f64, point| most.max(point.0));
    let (low, high) = loss_range(lines);
    let mut chart = ChartBuilder::on(&area)
        .margin(20)
        .caption(title, (FONT, 20).into_font().color(&INK))
        .x_label_area_size(46)
        .y_label_area_size(66)
        .build_cartesian_2d(0.0..epochs * 1.02, (low..high).log_scale())?;
    let text = (FONT, 14).into_font().color(&INK);
    chart
        .configure_mesh()
        .x_desc("epoch")
        .y_desc("loss (softmax cross entropy)")
        .axis_desc_style(text.clone())
        .label_style(text.clone())
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .x_labels(10)
        .y_labels(8)
        .x_label_formatter(&|epoch| format!("{epoch:.0}"))
        .y_label_formatter(&|loss| format!("{loss}"))
        .draw()?;
    for line in lines {
        let color = line.color;
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + LEGEND_LINE, y)], color.stroke_width(2)));
        if let [point] = line.points[..] {
            chart.draw_series([Circle::new(point, 3, color.filled())])?; // a line of one point is not seen
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(12)
        .legend_area_size(LEGEND_LINE + 8)
        .label_font(text)
        .background_style(WHITE)
        .border_style(GRID)
        .draw()?;
    area.present()
}

/// From below the least loss to above the greatest; a range that can be drawn where there are none.
fn loss_range(lines: &[Line]) -> (f64, f64) {
    let losses = lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let (low, high) =
        losses.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), x| (low.min(x), high.max(x)));
    if low > high { (0.1, 1.0) } else { (low / 1.2, high * 1.2) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::{Epoch, Evaluation};

    fn plot(losses: &[f64], held_out: Option<f64>) -> String {
        let held_out = held_out.map(|loss| Evaluation { loss, ..Evaluation::default() });
        let epochs = losses.iter().map(|&loss| Epoch { loss, accuracy: 0.5, held_out }).collect();
        loss_plot("mlp on digits", &History { epochs, ..History::default() })
    }

    #[test]
    fn a_plot_names_its_axes_and_lines() {
        let svg = plot(&[2.0, 0.5, 0.01], Some(0.1));
        for text in ["mlp on digits", "epoch", "loss (softmax cross entropy)", "training", "held out"] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
        assert!(!plot(&[2.0, 0.5], None).contains("held out"));
    }

    #[test]
    fn odd_histories_can_be_drawn() {
        for losses in [[].as_slice(), &[0.0], &[0.0, 0.0], &[1e-30, 1e30], &[f64::NAN, 1.0], &[f64::INFINITY]]
        {
            assert!(plot(losses, None).ends_with("</svg>\n"), "{losses:?}");
        }
    }
}
