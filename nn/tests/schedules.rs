//! Schedules against PyTorch.

mod support;

use nn::{Decay, Plateau, Schedule};
use support::{assert_close, torch};

fn factors(schedule: Schedule) -> Vec<f64> {
    (0..12).map(|step| schedule.factor(step)).collect()
}

#[test]
fn schedules_are_those_of_pytorch() {
    let of = |decay| Schedule { decay, ..Schedule::default() };
    assert_close("step", &factors(of(Decay::Step { steps: 3, factor: 0.5 })), &torch("step_rates"));
    assert_close("cosine", &factors(of(Decay::Cosine { steps: 11, least: 0.1 })), &torch("cosine_rates"));
    let warm_up = Schedule { warm_up: 4, ..Schedule::default() };
    assert_close("warm-up", &factors(warm_up), &torch("warm_up_rates"));
    assert_close("constant", &factors(Schedule::default()), &[1.0; 12]);
}

#[test]
fn a_decay_starts_where_the_warm_up_ends() {
    let decay = Decay::Cosine { steps: 8, least: 0.0 };
    let alone = Schedule { warm_up: 0, decay };
    let after = Schedule { warm_up: 3, decay };
    assert_eq!((0..3).map(|step| after.factor(step)).collect::<Vec<f64>>(), [1.0 / 3.0, 2.0 / 3.0, 1.0]);
    assert!((0..20).all(|step| after.factor(step + 3) == alone.factor(step)));
}

#[test]
fn plateaus_are_those_of_pytorch() {
    let mut plateau = Plateau { factor: 0.5, patience: 2, ..Plateau::default() };
    let scales = torch("plateau_losses").into_iter().map(|loss| plateau.observe(loss));
    assert_close("plateau", &scales.collect::<Vec<f64>>(), &torch("plateau_rates"));
}

#[test]
fn a_loss_that_is_no_number_is_no_better() {
    let mut plateau = Plateau { patience: 0, ..Plateau::default() };
    plateau.observe(1.0);
    assert_eq!(plateau.observe(f64::NAN), 0.1);
    assert_eq!(plateau.best, 1.0);
}
