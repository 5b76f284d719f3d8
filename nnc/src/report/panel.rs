//! One diagram of a picture: lines, dashes and dots between two axes, with a title and a legend.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::combinators::BindKeyPoints;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::Color as _;

use super::style::{Color, DrawError, FAINT_INK, GRID, INK, text};

/// The length of a line in the legend.
const LEGEND_LINE: i32 = 22;
/// A value of 0 has no logarithm; it is drawn here.
const ZERO_ON_LOG_AXIS: f64 = 1e-12;
/// About so many pixels lie between two labels of an axis.
const LABEL_SPACING: (u32, u32) = (75, 45);
/// Room for the numbers of an axis, and for its name.
const ROOM_LEFT: (u32, u32) = (56, 22);
const ROOM_BELOW: (u32, u32) = (22, 18);

/// The area that a panel fills.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A diagram.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// The axis to the right.
    pub x: Axis,
    /// The axis upwards.
    pub y: Axis,
    /// What is drawn, the first at the bottom; lines without points are left out.
    pub lines: Vec<Line>,
    /// Places on the horizontal axis that a dashed line marks, by name.
    pub marks: Vec<(String, f64)>,
    /// Where names of lines and marks are explained, where there are two of them.
    pub legend: Option<Corner>,
}

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it measures, with the unit; empty where the title says it.
    pub name: String,
    /// Which values it has.
    pub scale: Scale,
    /// Its ends; where there are none, all values are seen.
    pub range: Option<Range<f64>>,
}

/// Which values an axis has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From below the least to above the greatest.
    Linear,
    /// From the least to the greatest, with labels at whole numbers alone: epochs, layers, years.
    Whole,
    /// Logarithmic, for a vertical axis: what happens late is as visible as what happens early.
    Log,
    /// Of parts of a whole, in percent: from below the least to above the greatest, and to no more than 100 %.
    Percent,
    /// From 0 to above the greatest.
    FromZero,
}

/// A line of a panel.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the legend calls it; nothing where it is empty.
    pub name: String,
    /// Its colour.
    pub color: Color,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Its points in order, all finite.
    pub points: Vec<(f64, f64)>,
}

/// How a line is drawn, with sizes in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// Through its points, so wide.
    Solid(u32),
    /// Through its points, in dashes.
    Dashed,
    /// A dot at each point, of this radius.
    Dots(u32),
}

/// A corner of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Corner {
    UpperLeft,
    UpperRight,
    LowerLeft,
    LowerRight,
}

impl Axis {
    /// An axis on which all values are seen.
    pub fn new(name: &str, scale: Scale) -> Axis {
        Axis { name: name.to_owned(), scale, range: None }
    }

    /// With these ends: what lies beyond them is not drawn.
    pub fn within(self, range: Range<f64>) -> Axis {
        Axis { range: Some(range), ..self }
    }

    /// Where it begins and ends, for these values.
    fn ends(&self, values: impl Iterator<Item = f64>) -> Range<f64> {
        if let Some(range) = &self.range {
            return range.clone();
        }
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let (low, high) = if low > high { (0.1, 1.0) } else { (low, high) };
        let room = if high > low { 0.06 * (high - low) } else { (0.06 * high.abs()).max(1e-3) };
        match self.scale {
            Scale::Linear => low - room..high + room,
            Scale::Whole => low..high.max(low + 1.0),
            Scale::Log => positive(low) / 1.2..positive(high) * 1.2,
            Scale::Percent => low - room.max(1e-3)..(high + room.max(1e-3)).min(high.max(1.0)),
            Scale::FromZero => 0.0..if high > 0.0 { 1.1 * high } else { 1.0 },
        }
    }

    fn label(&self, value: f64) -> String {
        match self.scale {
            Scale::Whole if value.fract() == 0.0 => format!("{value:.0}"),
            Scale::Whole => String::new(),
            Scale::Percent => format!("{} %", short(100.0 * value)),
            Scale::Linear | Scale::Log | Scale::FromZero => short(value),
        }
    }
}

impl Line {
    /// The part of it from here on along the horizontal axis.
    pub(super) fn from(mut self, start: f64) -> Line {
        self.points.retain(|point| point.0 >= start);
        self
    }

    /// A line through these points, of which those that are not finite are left out.
    pub fn new(name: &str, color: Color, points: impl IntoIterator<Item = (f64, f64)>) -> Line {
        let is_finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
        let points = points.into_iter().filter(is_finite).collect();
        Line { name: name.to_owned(), color, stroke: Stroke::Solid(2), points }
    }

    /// Drawn so.
    pub fn stroke(self, stroke: Stroke) -> Line {
        Line { stroke, ..self }
    }
}

impl Panel {
    /// A diagram of these lines, without marks and legend.
    pub fn new(title: &str, x: Axis, y: Axis, lines: Vec<Line>) -> Panel {
        Panel { title: title.to_owned(), x, y, lines, marks: Vec::new(), legend: None }
    }

    /// With a legend in a corner.
    pub fn legend(self, corner: Corner) -> Panel {
        Panel { legend: Some(corner), ..self }
    }

    /// Draws it.
    pub(super) fn draw(mut self, area: &Area) -> Result<(), DrawError> {
        self.lines.retain(|line| !line.points.is_empty());
        if self.y.scale == Scale::Log {
            let points = self.lines.iter_mut().flat_map(|line| &mut line.points);
            points.for_each(|point| point.1 = positive(point.1));
        }
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (x, y) = (self.x.ends(points().map(|point| point.0)), self.y.ends(points().map(|point| point.1)));
        let room = |(numbers, name): (u32, u32), axis: &Axis| {
            if axis.name.is_empty() { numbers } else { numbers + name }
        };
        let mut builder = ChartBuilder::on(area);
        builder.margin(14).caption(&self.title, text(17));
        builder.x_label_area_size(room(ROOM_BELOW, &self.x)).y_label_area_size(room(ROOM_LEFT, &self.y));
        let size = area.dim_in_pixel();
        match self.y.scale {
            Scale::Log => {
                let labels = log_labels(&y, labels_of(size.1, LABEL_SPACING.1));
                let upwards = y.clone().log_scale().with_key_points(labels);
                self.plot(builder.build_cartesian_2d(x.clone(), upwards)?, x, y, size)
            }
            _ => self.plot(builder.build_cartesian_2d(x.clone(), y.clone())?, x, y, size),
        }
    }

    fn plot<'a, Y: Ranged<ValueType = f64> + ValueFormatter<f64>>(
        &self,
        mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Y>>,
        x: Range<f64>,
        y: Range<f64>,
        size: (u32, u32),
    ) -> Result<(), DrawError> {
        chart
            .configure_mesh()
            .x_desc(&self.x.name)
            .y_desc(&self.y.name)
            .axis_desc_style(text(13))
            .label_style(text(13))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .x_labels(labels_of(size.0, LABEL_SPACING.0))
            .y_labels(labels_of(size.1, LABEL_SPACING.1))
            .x_label_formatter(&|value| self.x.label(*value))
            .y_label_formatter(&|value| self.y.label(*value))
            .draw()?;
        for (name, at) in &self.marks {
            let line = vec![(*at, y.start), (*at, y.end)];
            chart
                .draw_series(DashedLineSeries::new(line, 4, 4, FAINT_INK.stroke_width(1)))?
                .label(name)
                .legend(|(x, y)| PathElement::new([(x, y), (x + LEGEND_LINE, y)], FAINT_INK.stroke_width(1)));
        }
        let is_seen = |&(a, b): &(f64, f64)| x.start <= a && a <= x.end && y.start <= b && b <= y.end;
        for line in &self.lines {
            let mut name = Some(line.name.as_str()).filter(|name| !name.is_empty());
            for run in line.points.split(|point| !is_seen(point)).filter(|run| !run.is_empty()) {
                draw_run(&mut chart, line, run, name.take())?;
            }
        }
        let named = self.lines.iter().filter(|line| !line.name.is_empty()).count() + self.marks.len();
        let Some(corner) = self.legend.filter(|_| named > 1) else { return Ok(()) };
        chart
            .configure_series_labels()
            .position(match corner {
                Corner::UpperLeft => SeriesLabelPosition::UpperLeft,
                Corner::UpperRight => SeriesLabelPosition::UpperRight,
                Corner::LowerLeft => SeriesLabelPosition::LowerLeft,
                Corner::LowerRight => SeriesLabelPosition::LowerRight,
            })
            .margin(10)
            .legend_area_size(LEGEND_LINE + 8)
            .label_font(text(13))
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .draw()
    }
}

/// Draws points of a line that are all seen; where there is a `name`, the legend gets it.
fn draw_run<'a, Y: Ranged<ValueType = f64>>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Y>>,
    line: &Line,
    run: &[(f64, f64)],
    name: Option<&str>,
) -> Result<(), DrawError> {
    let color = line.color;
    let stroke = match line.stroke {
        Stroke::Solid(_) | Stroke::Dashed if run.len() == 1 => Stroke::Dots(3), // no line is seen
        stroke => stroke,
    };
    let points = run.iter().copied();
    let series = match stroke {
        Stroke::Solid(width) => chart.draw_series(LineSeries::new(points, color.stroke_width(width)))?,
        Stroke::Dashed => chart.draw_series(DashedLineSeries::new(points, 6, 4, color.stroke_width(2)))?,
        Stroke::Dots(radius) => {
            chart.draw_series(points.map(|point| Circle::new(point, radius, color.filled())))?
        }
    };
    let Some(name) = name else { return Ok(()) };
    // A line in three parts, which may meet, and a dot: one type for all strokes. What a stroke has not is of size 0.
    let (parts, dot) = match line.stroke {
        Stroke::Solid(_) => ([(0, 8), (8, 16), (16, LEGEND_LINE)], 0),
        Stroke::Dashed => ([(0, 5), (8, 14), (17, LEGEND_LINE)], 0),
        Stroke::Dots(_) => ([(0, 0); 3], 4),
    };
    series.label(name).legend(move |at| {
        let [first, second, third] =
            parts.map(|(from, to)| PathElement::new([(from, 0), (to, 0)], color.stroke_width(2)));
        let dot = Circle::new((LEGEND_LINE / 2, 0), dot, color.filled());
        EmptyElement::at(at) + first + second + third + dot
    });
    Ok(())
}

/// About how many labels an axis of so many pixels has.
fn labels_of(pixels: u32, spacing: u32) -> usize {
    (pixels / spacing).clamp(5, 10) as usize
}

/// Where a logarithmic axis has about `count` labels: at powers of ten, at 1, 2 and 5 times these, or, where it is
/// shorter than a decade, at equal steps.
fn log_labels(range: &Range<f64>, count: usize) -> Vec<f64> {
    let decades = (range.end / range.start).log10();
    let exponents = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
    let every = (decades / count as f64).ceil().max(1.0) as i32;
    let factors: &[f64] = if 3.0 * decades > count as f64 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let labels: Vec<f64> = if decades >= 1.0 {
        let powers = exponents.filter(|exponent| exponent.rem_euclid(every) == 0);
        powers.flat_map(|exponent| factors.iter().map(move |factor| factor * 10f64.powi(exponent))).collect()
    } else {
        let least = (range.end - range.start) / count as f64;
        let power = 10f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= least);
        let step = step.unwrap_or(10.0 * power);
        ((range.start / step) as i64..=(range.end / step) as i64).map(|number| number as f64 * step).collect()
    };
    labels.into_iter().filter(|label| range.contains(label)).collect()
}

/// What a logarithmic axis shows of a value.
fn positive(value: f64) -> f64 {
    if value > 0.0 { value } else { ZERO_ON_LOG_AXIS }
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

    #[test]
    fn labels_are_short() {
        for (value, label) in [(0.0, "0"), (0.005, "0.005"), (1e-7, "1e-7"), (0.1 + 0.2, "0.3"), (2e6, "2e6")]
        {
            assert_eq!(short(value), label);
        }
        let label = |scale, value| Axis::new("", scale).label(value);
        assert_eq!([label(Scale::Percent, 0.25), label(Scale::Whole, 3.0)], ["25 %", "3"]);
        assert_eq!(label(Scale::Whole, 3.5), "");
    }

    #[test]
    fn logarithmic_axes_have_round_labels() {
        assert_eq!(log_labels(&(1e-9..1e2), 6), [1e-8, 1e-6, 1e-4, 1e-2, 1.0]);
        assert_eq!(log_labels(&(0.015..2.0), 8), [0.02, 0.05, 0.1, 0.2, 0.5, 1.0]);
        assert_eq!(
            log_labels(&(0.9..1.9), 5),
            [1.0, 1.2, 1.4, 1.6, 1.8].map(|x: f64| (x * 5.0).round() * 0.2)
        );
    }

    #[test]
    fn axes_hold_all_values() {
        for scale in [Scale::Linear, Scale::Whole, Scale::Log, Scale::Percent, Scale::FromZero] {
            for values in [[].as_slice(), &[0.5], &[0.0, 0.0], &[0.25, 0.75]] {
                let ends = Axis::new("", scale).ends(values.iter().copied());
                assert!(ends.start < ends.end, "{scale:?} {values:?}");
                let shown = |x: f64| if scale == Scale::Log { positive(x) } else { x };
                let has = |&x: &f64| (ends.start..=ends.end).contains(&shown(x));
                assert!(values.iter().all(has), "{scale:?} {values:?}: {ends:?}");
            }
        }
        assert_eq!(Axis::new("", Scale::Linear).within(1.0..2.0).ends([5.0].into_iter()), 1.0..2.0);
    }
}
