//! The history of training as a picture: loss, accuracy and learning rate over epochs.

use std::collections::BTreeMap;

use plotters::prelude::*;

use super::panel::{Area, Axis, Corner, Line, Panel, Scale};
use super::style::{DrawError, HELD_OUT, OTHER, TRAINING, finished, text};
use crate::trainer::{Epoch, Evaluation, History};

const SIZE: (u32, u32) = (1080, 560);
/// How the names of the losses of players end, as `nn::game::loss_name` makes them.
const LOSS_ENDING: &str = "_loss";
/// The width of the panel of the loss, and the height of that of the accuracy.
const SPLIT: (u32, u32) = (600, 310);

/// Loss (left, on a logarithmic axis where none is negative), accuracy (of values, the mean absolute error; or an error that the network
/// itself reports) and learning rate (right) over
/// epochs, as an SVG document. `held_out` is what the legend calls the rows that were held out. Where a best epoch was
/// kept, it is marked. Of a game whose players have epochs one after the other, loss and accuracy are those of the last phase.
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
    finished(svg)
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
    let over_epochs = |title: &str, lines, scale, first: usize| {
        let last = history.epochs.len().max(1) as f64;
        let first = if last > first as f64 { first as f64 } else { last - 0.5 };
        let epochs = Axis::new("epoch", Scale::Whole).within(first..last + 0.02 * (last - first));
        let corner = if scale == Scale::Log { Corner::UpperRight } else { Corner::LowerRight };
        Panel::new(title, epochs, Axis::new("", scale), lines).legend(corner)
    };
    let marks: Vec<(String, f64)> =
        history.best_epoch.iter().map(|best| (format!("best: epoch {best}"), *best as f64)).collect();

    let first = last_phase(history);
    let loss = vec![
        line("training", TRAINING, &|epoch| Some(epoch.loss)).from(first as f64),
        held_out_line(|evaluation| Some(evaluation.loss)).from(first as f64),
    ];
    let is_negative = |line: &Line| line.points.iter().any(|point| point.1 < 0.0);
    let scale = if loss.iter().any(is_negative) { Scale::Linear } else { Scale::Log };
    Panel { marks: marks.clone(), ..over_epochs("loss", loss, scale, first) }.draw(&left)?;

    let accuracy =
        vec![line("training", TRAINING, &Epoch::accuracy), held_out_line(|evaluation| evaluation.accuracy)];
    let has_accuracy = accuracy.iter().any(|line| !line.points.is_empty());
    let second = if has_accuracy {
        let lines = accuracy.into_iter().map(|line| line.from(first as f64)).collect();
        over_epochs("accuracy", lines, Scale::Percent, first)
    } else if let Some(name) = own_error(history) {
        let own = |metrics: &BTreeMap<String, f64>| metrics.get(name).copied();
        let of_held_out = |epoch: &Epoch| epoch.held_out.as_ref().and_then(|it| own(&it.metrics));
        let error = vec![
            line("training", TRAINING, &|epoch| own(&epoch.metrics)),
            line(held_out, HELD_OUT, &of_held_out),
        ];
        over_epochs(&name.replace('_', " "), error, Scale::Log, 1)
    } else {
        let error = vec![held_out_line(|evaluation| evaluation.mean_absolute_error)];
        over_epochs(&format!("mean absolute error, {held_out}"), error, Scale::Log, 1)
    };
    Panel { marks, ..second }.draw(&upper)?;

    let rate = vec![line("learning rate", OTHER, &|epoch| epoch.learning_rate)];
    over_epochs("learning rate", rate, Scale::FromZero, 1).draw(&lower)?;
    page.present()
}

/// The number of the first epoch, from 1, in which the players had turns who had them in the last: of a game of phases, losses before
/// are of others.
fn last_phase(history: &History) -> usize {
    let players =
        |epoch: &Epoch| epoch.metrics.keys().filter(|it| it.ends_with(LOSS_ENDING)).cloned().collect();
    let of_epochs: Vec<Vec<String>> = history.epochs.iter().map(players).collect();
    let is_other = |players: &Vec<String>| Some(players) != of_epochs.last();
    of_epochs.iter().rposition(is_other).map_or(1, |other| other + 2)
}

/// An error that the network itself reports in training and on held-out rows.
fn own_error(history: &History) -> Option<&str> {
    let last = history.epochs.last()?;
    let of_held_out = &last.held_out.as_ref()?.metrics;
    let is_error = |name: &&String| name.ends_with("_error") && of_held_out.contains_key(*name);
    last.metrics.keys().find(is_error).map(String::as_str)
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
    fn of_phases_the_last_is_drawn_and_own_errors_where_there_is_no_accuracy() {
        let epoch = |names: &[&str]| Epoch {
            loss: -1.0,
            metrics: names.iter().map(|name| ((*name).to_owned(), 0.5)).collect(),
            held_out: Some(Evaluation {
                metrics: [("own_error".into(), 1.0)].into(),
                ..Evaluation::default()
            }),
            ..Epoch::default()
        };
        let phases = |names: [&[&str]; 3]| History { epochs: names.map(epoch).into(), ..History::default() };
        let history = phases([&["layer1_loss"], &["layer2_loss"], &["layer2_loss", "own_error"]]);
        assert_eq!((last_phase(&history), own_error(&history)), (2, Some("own_error")));
        assert!(history_plot("stack", "test", &history).contains("own error"));
        let history = phases([&["a_loss", "b_loss"]; 3]);
        assert_eq!((last_phase(&history), own_error(&history)), (1, None));
        assert_eq!(last_phase(&History::default()), 1);
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
