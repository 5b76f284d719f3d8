//! One diagram of a picture: lines over epochs with a title, a legend and, where there is one, the best epoch.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::style::{DrawError, FAINT_INK, GRID, INK, text};

/// The length of a line in the legend.
const LEGEND_LINE: i32 = 22;
/// The parts of the width and of the height of a diagram that a legend takes at most.
const LEGEND_PART: (f64, f64) = (0.35, 0.3);
/// A value of 0 has no logarithm; it is drawn here.
const LEAST_ON_LOG_AXIS: f64 = 1e-12;

/// The area that a panel fills.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line of a panel: its name, its colour, and its points.
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// Its colour.
    pub color: RGBColor,
    /// Epochs and values, both finite, in order.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// The line through the values that are there and finite, at epochs 1, 2, ..
    pub fn new(name: &str, color: RGBColor, values: impl Iterator<Item = Option<f64>>) -> Line {
        let finite = |(epoch, value): (usize, Option<f64>)| {
            value.filter(|value| value.is_finite()).map(|value| (epoch as f64, value))
        };
        Line { name: name.to_owned(), color, points: (1..).zip(values).filter_map(finite).collect() }
    }
}

/// Which values the vertical axis has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Logarithmic: what happens late is as visible as what happens early. Linear where the values are so close that the
    /// axis would have less than two labels.
    Log,
    /// Of parts of a whole, in percent: from below the least to above the greatest, and to no more than 100 %.
    Percent,
    /// From 0 to above the greatest.
    FromZero,
}

/// A diagram.
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// Its lines; those without points are left out.
    pub lines: Vec<Line>,
    /// Its vertical axis.
    pub scale: Scale,
    /// The epoch to mark.
    pub best_epoch: Option<usize>,
}

impl Panel {
    /// Draws it, up to this epoch.
    pub fn draw(mut self, area: &Area, epochs: usize) -> Result<(), DrawError> {
        self.lines.retain(|line| !line.points.is_empty());
        let values = self.lines.iter().flat_map(|line| &line.points).map(|point| point.1);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let (low, high) = if low > high { (0.1, 1.0) } else { (low, high) };
        if self.scale == Scale::Log && labels_of_log_axis(low, high) < 2 {
            self.scale = Scale::FromZero; // one label says nothing of an axis
        }
        let epochs = epochs.max(1) as f64;
        let mut builder = ChartBuilder::on(area);
        builder.margin(14).caption(&self.title, text(17)).x_label_area_size(36).y_label_area_size(64);
        let first = if epochs > 1.0 { 1.0 } else { 0.5 };
        let range = first..epochs + 0.02 * (epochs - first);
        match self.scale {
            Scale::Log => {
                let clamp = |x: f64| x.max(LEAST_ON_LOG_AXIS);
                self.lines
                    .iter_mut()
                    .flat_map(|line| &mut line.points)
                    .for_each(|point| point.1 = clamp(point.1));
                let (low, high) = (clamp(low) / 1.2, clamp(high) * 1.2);
                let label = |value: &f64| short(*value);
                self.plot(
                    builder.build_cartesian_2d(range, (low..high).log_scale())?,
                    low..high,
                    epochs,
                    &label,
                )
            }
            Scale::Percent => {
                let room = (0.06 * (high - low)).max(1e-3);
                let values = low - room..(high + room).min(high.max(1.0));
                let label = |value: &f64| format!("{} %", short(100.0 * value));
                self.plot(builder.build_cartesian_2d(range, values.clone())?, values, epochs, &label)
            }
            Scale::FromZero => {
                let values = 0.0..if high > 0.0 { 1.1 * high } else { 1.0 };
                let label = |value: &f64| short(*value);
                self.plot(builder.build_cartesian_2d(range, values.clone())?, values, epochs, &label)
            }
        }
    }

    fn plot<'a, Y: Ranged<ValueType = f64> + ValueFormatter<f64>>(
        &self,
        mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Y>>,
        values: Range<f64>,
        epochs: f64,
        label: &dyn Fn(&f64) -> String,
    ) -> Result<(), DrawError> {
        chart
            .configure_mesh()
            .x_desc("epoch")
            .axis_desc_style(text(13))
            .label_style(text(13))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .x_labels(8)
            .y_labels(6)
            .x_label_formatter(&|epoch| {
                if epoch.fract() == 0.0 { format!("{epoch:.0}") } else { String::new() }
            })
            .y_label_formatter(&label)
            .draw()?;
        if let Some(best) = self.best_epoch {
            let at = best as f64;
            let line = vec![(at, values.start), (at, values.end)];
            chart
                .draw_series(DashedLineSeries::new(line, 4, 4, FAINT_INK.stroke_width(1)))?
                .label(format!("best: epoch {best}"))
                .legend(|(x, y)| PathElement::new([(x, y), (x + LEGEND_LINE, y)], FAINT_INK.stroke_width(1)));
        }
        for line in &self.lines {
            let color = line.color;
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?
                .label(&line.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + LEGEND_LINE, y)], color.stroke_width(2))
                });
            if let [point] = line.points[..] {
                chart.draw_series([Circle::new(point, 3, color.filled())])?; // a line of one point is not seen
            }
        }
        if self.lines.len() + usize::from(self.best_epoch.is_some()) < 2 {
            return Ok(());
        }
        chart
            .configure_series_labels()
            .position(self.freest_corner(epochs, &values))
            .margin(10)
            .legend_area_size(LEGEND_LINE + 8)
            .label_font(text(13))
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .draw()
    }

    /// The corner in which a legend hides the fewest points; of several, the first that is usual.
    fn freest_corner(&self, epochs: f64, values: &Range<f64>) -> SeriesLabelPosition {
        let part = |value: f64| match self.scale {
            Scale::Log => (value / values.start).ln() / (values.end / values.start).ln(),
            Scale::Percent | Scale::FromZero => (value - values.start) / (values.end - values.start),
        };
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let hidden = |is_right: bool, is_upper: bool| {
            let from_side = |part: f64, is_far: bool| if is_far { 1.0 - part } else { part };
            let is_hidden = |point: &&(f64, f64)| {
                from_side(point.0 / epochs, is_right) < LEGEND_PART.0
                    && from_side(part(point.1), is_upper) < LEGEND_PART.1
            };
            points().filter(is_hidden).count()
        };
        let corners = [
            (SeriesLabelPosition::UpperRight, hidden(true, true)),
            (SeriesLabelPosition::LowerRight, hidden(true, false)),
            (SeriesLabelPosition::LowerLeft, hidden(false, false)),
            (SeriesLabelPosition::UpperLeft, hidden(false, true)),
        ];
        corners.into_iter().min_by_key(|corner| corner.1).expect("there are four").0
    }
}

/// The number of powers of ten in a range: a logarithmic axis has its labels there.
fn labels_of_log_axis(low: f64, high: f64) -> i64 {
    let exponent = |value: f64| value.max(LEAST_ON_LOG_AXIS).log10();
    exponent(high).floor() as i64 - exponent(low).ceil() as i64 + 1
}

/// A number in few characters: `0.005`, `1e-7`, `97.5`.
fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    if rounded != 0.0 && !(1e-4..1e6).contains(&rounded.abs()) {
        format!("{rounded:e}")
    } else {
        rounded.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses of which those in training fall, and those held out do not.
    #[test]
    fn the_legend_hides_no_line() {
        let line = |values: [f64; 4]| Line::new("a", INK, values.into_iter().map(Some));
        let panel = |scale, best_epoch, lines| Panel { title: "p".into(), lines, scale, best_epoch };
        let falling =
            panel(Scale::Log, None, vec![line([1.0, 0.1, 0.01, 0.001]), line([1.0, 0.9, 0.8, 0.9])]);
        assert!(matches!(falling.freest_corner(4.0, &(1e-3..1.0)), SeriesLabelPosition::LowerLeft));
        let alone = panel(Scale::Log, None, vec![line([1.0, 0.1, 0.01, 0.001])]);
        assert!(matches!(alone.freest_corner(4.0, &(1e-3..1.0)), SeriesLabelPosition::UpperRight));
        let rising = panel(Scale::Percent, None, vec![line([0.1, 0.8, 0.9, 1.0])]);
        assert!(matches!(rising.freest_corner(4.0, &(0.1..1.0)), SeriesLabelPosition::LowerRight));
    }

    #[test]
    fn axes_with_few_powers_of_ten_are_not_logarithmic() {
        for (low, high, labels) in
            [(0.2, 0.9, 0), (0.02, 0.9, 1), (0.1, 1.0, 2), (0.02, 30.0, 3), (0.0, 1.0, 13)]
        {
            assert_eq!(labels_of_log_axis(low, high), labels, "{low}..{high}");
        }
    }

    #[test]
    fn labels_are_short() {
        for (value, label) in [(0.0, "0"), (0.005, "0.005"), (1e-7, "1e-7"), (0.1 + 0.2, "0.3"), (2e6, "2e6")]
        {
            assert_eq!(short(value), label);
        }
    }
}
