//! Whose turn a step is. Most networks have one optimizer, which has all turns; in a game the players take theirs as
//! [`nn::game`] says. Everything else in training is the same for both.

use std::collections::BTreeMap;

use ir::{Graph, Scalar, Tensor};
use nn::network::{self, LOSS};
use nn::optimizer::{GRADIENT_NORM, LEARNING_RATE, own_name};
use nn::{Network, Optimizer, Player, Schedule, game};
use runtime::{Executable, State};

use super::{StepResult, Trainer};
use crate::Error;

/// Who makes a step.
enum Who {
    /// The optimizer of a network with one loss.
    Alone(Box<dyn Optimizer>),
    /// A player of a game.
    Player(Box<Player>),
}

/// One of those who have turns, with the programs of its step.
pub(super) struct Turn {
    who: Who,
    /// By the size of the batch.
    pub programs: BTreeMap<usize, Executable>,
    /// What the learning rate was made, where the optimizer has one.
    made_rate: Option<f64>,
    /// What schedules multiply: that, unless the run has changed it.
    base_rate: Option<f64>,
    /// What it was last multiplied by; NaN where that is not known.
    factor: f64,
}

/// A learning rate as it was before it changed.
pub(super) struct RateBefore {
    rate: Tensor,
    factor: f64,
}

impl Trainer {
    /// The number of the turn in an epoch, counted from 0, after so many steps in all.
    pub(super) fn turn_in(&self, epoch: usize, steps: u64) -> Result<usize, Error> {
        let steps_per_round: Vec<usize> = self.turns.iter().map(|turn| turn.steps_in(epoch)).collect();
        game::turn_of(steps, &steps_per_round).ok_or_else(|| {
            let problem = format!("no player has a turn in epoch {}", epoch + 1);
            let help = "train it for fewer epochs, or give a player these: `Player::epochs`";
            Error::invalid(self.predictor.name(), problem, help)
        })
    }

    /// Checks that each of those who have turns in a run changes its parameters at least once: of one that averages gradients over more
    /// batches than the run has for it, none would ever change.
    pub(super) fn check_accumulation(&self, epochs: usize, steps_per_epoch: u64) -> Result<(), Error> {
        let mut batches = vec![0u64; self.turns.len()];
        let phases = if self.is_game() { 0..epochs as u64 } else { 0..0 };
        for epoch in phases {
            let steps_per_round: Vec<usize> =
                self.turns.iter().map(|turn| turn.steps_in(epoch as usize)).collect();
            let done = game::turns_of(epoch.saturating_mul(steps_per_epoch), &steps_per_round);
            let then = game::turns_of((epoch + 1).saturating_mul(steps_per_epoch), &steps_per_round);
            batches.iter_mut().zip(then).zip(done).for_each(|((sum, then), done)| *sum += then - done);
        }
        if !self.is_game() {
            batches[0] = (epochs as u64).saturating_mul(steps_per_epoch);
        }
        for (turn, batches) in self.turns.iter().zip(batches).filter(|(_, batches)| *batches > 0) {
            let wanted = turn.optimizer().batches_per_step();
            if wanted as u64 > batches {
                let whose = turn.player().map_or(String::new(), |player| format!(" for {player}"));
                let problem = format!(
                    "gradients are averaged over {wanted} batches for one step, and the run has {batches}{whose} \
                     in {epochs} epochs: no weight would ever change"
                );
                let help = format!("give at most {batches}, or train for more epochs");
                return Err(Error::invalid("accumulate", problem, help));
            }
        }
        Ok(())
    }

    /// The number of the turn after so many steps, in the epoch in which the run is.
    pub(super) fn turn_after(&self, steps: u64) -> Result<usize, Error> {
        self.turn_in(self.run.history.epochs.len(), steps)
    }

    /// Whether the network is a game.
    pub(super) fn is_game(&self) -> bool {
        self.turns[0].player().is_some()
    }

    /// Whether epochs are judged from this one on, counted from 0: nobody's turns are yet to begin.
    pub(super) fn is_judged(&self, epoch: usize) -> bool {
        self.turns.iter().all(|turn| turn.first_epoch() <= epoch)
    }

    /// The player who has all turns of the epoch in which the run is, where others have theirs in other epochs.
    pub(super) fn player_of_phase(&self) -> Option<&str> {
        let epoch = self.run.history.epochs.len();
        let mut present = self.turns.iter().filter(|turn| turn.steps_in(epoch) > 0);
        let alone = present.next().filter(|_| present.next().is_none() && self.turns.len() > 1);
        alone.and_then(Turn::player)
    }

    /// Makes a run go on at another learning rate, that of all players of a game: what its schedule multiplies from the next step of
    /// [`Trainer::fit`] on. Checkpoints say so, and who resumes one goes on at this rate.
    ///
    /// ```
    /// use nn::{Adam, Loss, Relu, Supervised, models::Mlp};
    /// use nnc::data::digits;
    /// use nnc::trainer::{FitOptions, Trainer, TrainerOptions, silent};
    /// let network = Supervised::new([64], Mlp::new(&[64, 16, 10], Relu), Loss::cross_entropy());
    /// let mut trainer = Trainer::new("small", network, Adam::new(0.01), TrainerOptions::default())?;
    /// trainer.fit(&digits().0, None, &FitOptions::epochs(1), &mut silent)?;
    /// trainer.change_learning_rate(0.001)?;
    /// let history = trainer.fit(&digits().0, None, &FitOptions::epochs(2), &mut silent)?;
    /// let rates: Vec<f32> = history.epochs.iter().filter_map(|epoch| Some(epoch.learning_rate? as f32)).collect();
    /// assert_eq!(rates, [0.01, 0.001]);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where it is no finite number above 0, or no optimizer has a learning rate.
    pub fn change_learning_rate(&mut self, rate: f64) -> Result<(), Error> {
        if !(rate.is_finite() && rate > 0.0) {
            return Err(Error::invalid(
                "the learning rate",
                format!("it is {rate}"),
                "give a finite number above 0",
            ));
        }
        self.state_mut()?;
        if self.turns.iter().all(|turn| turn.made_rate.is_none()) {
            let problem = "its optimizer has no learning rate that could change";
            return Err(Error::invalid(self.predictor.name(), problem, "leave it as it is"));
        }
        self.run.learning_rate = Some(rate);
        self.set_base_rates()
    }

    /// Sets the learning rates that schedules multiply to that of the run, where it has one of its own.
    pub(super) fn set_base_rates(&mut self) -> Result<(), Error> {
        for turn in self.turns.iter_mut().filter(|turn| turn.made_rate.is_some()) {
            let dtype = self.state.get(&turn.rate_name())?.dtype();
            let of_run = self.run.learning_rate.map(|rate| Scalar::from_f64(dtype, rate).as_f64());
            turn.base_rate = of_run.or(turn.made_rate);
            turn.forget_factor();
        }
        Ok(())
    }

    /// The learning rate that the schedule of a run multiplies: of a game that of the first player who has one.
    pub fn base_learning_rate(&self) -> Option<f64> {
        self.run.learning_rate.or_else(|| self.turns.iter().find_map(|turn| turn.base_rate))
    }

    /// The name of the player whose turn the next step is; `None` where the network is no game, or no player has turns in this
    /// epoch.
    pub fn next_player(&self) -> Option<&str> {
        self.turns[self.turn_after(self.run.steps).ok()?].player()
    }
}

impl Turn {
    fn new(who: Who) -> Turn {
        Turn { who, programs: BTreeMap::new(), made_rate: None, base_rate: None, factor: 1.0 }
    }

    /// The turns of the optimizer of a network with one loss.
    pub fn alone(optimizer: impl Optimizer + 'static) -> Turn {
        Turn::new(Who::Alone(Box::new(optimizer)))
    }

    /// The turns of a player.
    pub fn of_player(player: Player) -> Turn {
        Turn::new(Who::Player(Box::new(player)))
    }

    fn optimizer(&self) -> &dyn Optimizer {
        match &self.who {
            Who::Alone(optimizer) => optimizer,
            Who::Player(player) => &**player,
        }
    }

    /// The name of the player, in a game.
    pub fn player(&self) -> Option<&str> {
        match &self.who {
            Who::Alone(_) => None,
            Who::Player(player) => Some(Player::name(player)),
        }
    }

    /// How many steps it has each round of this epoch, counted from 0.
    pub fn steps_in(&self, epoch: usize) -> usize {
        match &self.who {
            Who::Alone(_) => 1,
            Who::Player(player) if player.has_turns_in(epoch) => player.steps_per_round(),
            Who::Player(_) => 0,
        }
    }

    /// The first of its epochs.
    pub fn first_epoch(&self) -> usize {
        match &self.who {
            Who::Alone(_) => 0,
            Who::Player(player) => player.its_epochs().start,
        }
    }

    /// What the learning rate is multiplied by in a step, counted from 0 over all epochs of so many steps: by its own schedule, which
    /// begins with its first epoch, or by that of the run.
    pub fn factor(&self, of_run: &Schedule, step: u64, steps_per_epoch: u64) -> f64 {
        match &self.who {
            Who::Player(player) if player.its_schedule().is_some() => {
                let before = self.first_epoch() as u64 * steps_per_epoch;
                player.its_schedule().unwrap_or_default().factor(step.saturating_sub(before))
            }
            _ => of_run.factor(step),
        }
    }

    /// What tells its turns from those of others, where it is a player: what a run depends on to the bit besides its graph.
    pub fn fingerprint(&self) -> Option<String> {
        let Who::Player(player) = &self.who else { return None };
        Some(format!("{} {:?}", player.steps_per_round(), player.its_epochs()))
    }

    /// The graph of its step on a batch of this size.
    pub fn graph(&self, name: &str, network: &dyn Network, batch: usize) -> Result<Graph, Error> {
        Ok(match &self.who {
            Who::Alone(optimizer) => network::training_graph(name, network, batch, &**optimizer)?,
            Who::Player(player) => game::turn_graph(name, network, batch, player)?,
        })
    }

    /// What its last step on a batch of this size gave, and the norm of the gradients, where it has one.
    pub fn result(&self, batch: usize) -> (StepResult, Option<f64>) {
        let program = &self.programs[&batch];
        let norm_name = own_name(GRADIENT_NORM, self.optimizer().name());
        let own_loss = self.player().map(game::loss_name);
        let (mut result, mut norm) = (StepResult::default(), None);
        let values = program.output_types().map(|(name, _)| name).zip(program.outputs());
        for (name, value) in values.map(|(name, value)| (name, value.get(0).as_f64())) {
            if name == LOSS {
                result.judged = Some(value);
            } else if name == norm_name {
                norm = Some(value);
            } else {
                result.metrics.insert(name.to_owned(), value);
            }
        }
        let own = own_loss.and_then(|name| result.metrics.get(&name).copied());
        result.loss = own.or(result.judged).unwrap_or(f64::NAN);
        (result, norm)
    }

    /// The state that holds the learning rate, where there is one.
    fn rate_name(&self) -> String {
        own_name(LEARNING_RATE, self.optimizer().name())
    }

    /// The learning rate as it is; `None` where the optimizer has none.
    pub fn learning_rate(&self, state: &State) -> Option<f64> {
        state.get(&self.rate_name()).ok().map(|rate| rate.get(0).as_f64())
    }

    /// Takes the learning rate as it is for that of the start of a run.
    pub fn note_base_rate(&mut self, state: &State) {
        self.made_rate = self.learning_rate(state);
        self.base_rate = self.made_rate;
    }

    /// Forgets what the learning rate has been multiplied by: states have been set to others.
    pub fn forget_factor(&mut self) {
        self.factor = f64::NAN;
    }

    /// Sets the learning rate to so many times what it is at the start of a run, and returns what it was, and what it had
    /// been multiplied by, where it changes. `step` is the number of the step that is to be done.
    ///
    /// # Errors
    /// Where it would be negative or not finite. Then it is as it was.
    pub fn set_learning_rate(
        &mut self,
        state: &mut State,
        factor: f64,
        step: u64,
    ) -> Result<Option<RateBefore>, Error> {
        let Some(base) = self.base_rate else { return Ok(None) };
        if self.factor == factor {
            return Ok(None);
        }
        let before = state.get(&self.rate_name())?;
        let rate = Scalar::from_f64(before.dtype(), base * factor);
        if !(rate.as_f64().is_finite() && rate.as_f64() >= 0.0) {
            let problem = format!("in step {step} its schedule makes it {}", base * factor);
            let help = "give a schedule of finite factors of at least 0";
            return Err(Error::invalid("the learning rate", problem, help));
        }
        state.set(&self.rate_name(), &Tensor::scalar(rate))?;
        Ok(Some(RateBefore { rate: before, factor: std::mem::replace(&mut self.factor, factor) }))
    }

    /// Sets the learning rate to what [`Turn::set_learning_rate`] says it was.
    pub fn restore_learning_rate(
        &mut self,
        state: &mut State,
        before: Option<RateBefore>,
    ) -> Result<(), Error> {
        if let Some(RateBefore { rate, factor }) = before {
            state.set(&self.rate_name(), &rate)?;
            self.factor = factor;
        }
        Ok(())
    }
}
