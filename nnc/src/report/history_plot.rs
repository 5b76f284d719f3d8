//! The history of training as a picture: loss, accuracy and learning rate over epochs.

use plotters::prelude::*;

use super::panel::{Area, Axis, Corner, Line, Panel, Scale};
use super::style::{DrawError, HELD_OUT, OTHER, TRAINING, text};
use crate::trainer::{Epoch, Evaluation, History};

const SIZE: (u32, u32) = (1080, 560);
/// The width of the panel of the loss, and the height of that of the accuracy.
const SPLIT: (u32, u32) = (600, 310);

/// Loss (left, on a logarithmic axis), accuracy (of values, the mean absolute error) and learning rate (right) over
/// epochs, as an SVG document. `held_out` is what the legend calls the rows that were held out. Where a best epoch was
/// kept, it is marked.
///
/// ```
/// use nnc::trainer::{Epoch, History};
/// let epoch = |loss| Epoch { loss, metrics: [("accuracy".into(), 0.9)].into(), ..Epoch::default() };
/// let history = History { epochs: vec![epoch(1.0), epoch(0.1)], ..History::default() };
/// assert!(nnc::report::history_plot("mlp on digits", "test", &history).starts_with("<svg"));
/// ```
pub fn history_plot(title: &str, held_out: &str, history: &History) -> String {
    let mut svg = String::new();
    draw(&mut svg, title, held_out, history).expect("an SVG document in memory can be written");
    svg
}

fn draw(svg: &mut String, title: &str, held_out: &str, history: &History) -> Result<(), DrawError> {
    let page = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    page.fill(&WHITE)?;
    let page: Area = page.titled(title, text(21))?;
    let (left, right) = page.split_horizontally(SPLIT.0);
    let (upper, lower) = right.split_vertically(SPLIT.1);
    let line = |name: &str, color, value: &dyn Fn(&Epoch) -> Option<f64>| {
        let values =
            (1..).zip(&history.epochs).filter_map(|(number, epoch)| Some((number as f64, value(epoch)?)));
        Line::new(name, color, values)
    };
    let held_out_line = |value: fn(&Evaluation) -> Option<f64>| {
        line(held_out, HELD_OUT, &|epoch| epoch.held_out.as_ref().and_then(value))
    };
    let over_epochs = |title: &str, lines, scale| {
        let last = history.epochs.len().max(1) as f64;
        let first = if last > 1.0 { 1.0 } else { 0.5 };
        let epochs = Axis::new("epoch", Scale::Whole).within(first..last + 0.02 * (last - first));
        let corner = if scale == Scale::Log { Corner::UpperRight } else { Corner::LowerRight };
        Panel::new(title, epochs, Axis::new("", scale), lines).legend(corner)
    };
    let marks: Vec<(String, f64)> =
        history.best_epoch.iter().map(|best| (format!("best: epoch {best}"), *best as f64)).collect();

    let loss = vec![
        line("training", TRAINING, &|epoch| Some(epoch.loss)),
        held_out_line(|evaluation| Some(evaluation.loss)),
    ];
    Panel { marks: marks.clone(), ..over_epochs("loss", loss, Scale::Log) }.draw(&left)?;

    let accuracy =
        vec![line("training", TRAINING, &Epoch::accuracy), held_out_line(|evaluation| evaluation.accuracy)];
    let has_accuracy = accuracy.iter().any(|line| !line.points.is_empty());
    let second = if has_accuracy {
        over_epochs("accuracy", accuracy, Scale::Percent)
    } else {
        let error = vec![held_out_line(|evaluation| evaluation.mean_absolute_error)];
        over_epochs(&format!("mean absolute error, {held_out}"), error, Scale::Log)
    };
    Panel { marks, ..second }.draw(&upper)?;

    let rate = vec![line("learning rate", OTHER, &|epoch| epoch.learning_rate)];
    over_epochs("learning rate", rate, Scale::FromZero).draw(&lower)?;
    page.present()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(losses: &[f64], held_out: Option<f64>) -> String {
        let held_out = held_out.map(|loss| Evaluation { loss, ..Evaluation::default() });
        let epoch = |&loss| Epoch {
            loss,
            metrics: [("accuracy".into(), 0.5)].into(),
            learning_rate: Some(0.1),
            held_out: held_out.clone(),
        };
        let epochs = losses.iter().map(epoch).collect();
        history_plot(
            "mlp on digits",
            "validation",
            &History { epochs, best_epoch: Some(2), ..History::default() },
        )
    }

    #[test]
    fn a_plot_names_its_panels_and_lines() {
        let svg = plot(&[2.0, 0.5, 0.01], Some(0.1));
        for text in
            ["mlp on digits", "epoch", "loss", "accuracy", "learning rate", "training", "best: epoch 2"]
        {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
        assert!(svg.contains("validation") && !plot(&[2.0, 0.5], None).contains("validation"));
    }

    #[test]
    fn odd_histories_can_be_drawn() {
        for losses in [[].as_slice(), &[0.0], &[0.0, 0.0], &[1e-30, 1e30], &[f64::NAN, 1.0], &[f64::INFINITY]]
        {
            assert!(plot(losses, None).ends_with("</svg>\n"), "{losses:?}");
        }
        let values = Evaluation { loss: 1.0, mean_absolute_error: Some(0.5), ..Evaluation::default() };
        let epoch = Epoch { loss: 1.0, learning_rate: Some(0.0), held_out: Some(values), ..Epoch::default() };
        let history = History { epochs: vec![epoch], ..History::default() };
        assert!(history_plot("line", "test", &history).contains("mean absolute error, test"));
    }
}
