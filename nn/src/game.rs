//! Games: networks of several players, each of whom has a loss, the parameters that it moves, and an optimizer of its own.
//!
//! The network names a loss for each player ([`Outputs::player`](crate::Outputs::player)); a [`Player`] says how that is made
//! small. In each step one player has its turn: the gradients are those of its loss, and its own parameters change.
//! The others stay as they are. Whose turn it is follows from the number of steps alone ([`turn_of`]): as many steps of the first
//! player as it has each round, then those of the second, and so on. What belongs to the network and to no player, as the
//! statistics of batch normalisation, follows every step that computes it.
//!
//! A step reports the loss of its player under the name [`loss_name`]. Metrics, and the loss of the game where it has one
//! ([`Outputs::loss`](crate::Outputs::loss)), are what epochs are judged by; no player moves along it, and the first player's steps
//! report it, so that those of the others need not compute it. A game without one is judged by the loss of the last player.

use std::ops::{Bound, Range, RangeBounds};

use ir::{Error, Graph};

use crate::network::{self, Network};
use crate::{Context, Gradient, Optimizer, Schedule, TrainStep};

/// A player of a game: an [`Optimizer`] of some parameters, whose states have its name, and when it has turns: how many steps each
/// round, and in which epochs.
///
/// ```
/// use nn::{Adam, Player, RmsProp};
/// let critic = Player::new("critic", RmsProp::new(5e-5)).moves("critic.*").steps(5);
/// let generator = Player::new("generator", Adam::new(1e-4)).moves("generator.*");
/// assert_eq!((critic.name(), critic.steps_per_round()), ("critic", 5));
/// assert_eq!(generator.steps_per_round(), 1);
/// let classifier = Player::new("classifier", Adam::new(1e-3)).epochs(20..);
/// assert!(classifier.has_turns_in(20) && !classifier.has_turns_in(19));
/// ```
pub struct Player {
    name: String,
    steps: usize,
    epochs: Range<usize>,
    schedule: Option<Schedule>,
    step: TrainStep,
}

impl Player {
    /// A player that moves all parameters, by one step each round of all epochs. The optimizer may be a [`TrainStep`] with bounds and groups; its
    /// name is the player's.
    pub fn new(name: impl Into<String>, optimizer: impl Optimizer + 'static) -> Player {
        let name = name.into();
        let step = TrainStep::new(optimizer).named(name.clone());
        Player { name, steps: 1, epochs: 0..usize::MAX, schedule: None, step }
    }

    /// For the parameters of names like `pattern`, in which a `*` stands for any characters, and like those given before.
    pub fn moves(self, pattern: impl Into<String>) -> Player {
        Player { step: self.step.only(pattern), ..self }
    }

    /// With so many steps each round.
    pub fn steps(self, steps: usize) -> Player {
        Player { steps, ..self }
    }

    /// With turns in these epochs alone, counted from 0.
    pub fn epochs(self, epochs: impl RangeBounds<usize>) -> Player {
        let start = match epochs.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match epochs.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => usize::MAX,
        };
        Player { epochs: start..end, ..self }
    }

    /// With a learning rate that changes by this schedule, counted from the first step of its first epoch, in the place of the one
    /// that the run has.
    pub fn schedule(self, schedule: Schedule) -> Player {
        Player { schedule: Some(schedule), ..self }
    }

    /// Its name, which is that of its loss among the outputs of the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many steps it has each round.
    pub fn steps_per_round(&self) -> usize {
        self.steps
    }

    /// The epochs in which it has turns, counted from 0; up to `usize::MAX` where nothing ends them.
    pub fn its_epochs(&self) -> Range<usize> {
        self.epochs.clone()
    }

    /// Whether it has turns in this epoch.
    pub fn has_turns_in(&self, epoch: usize) -> bool {
        self.steps > 0 && self.epochs.contains(&epoch)
    }

    /// Its own schedule, where it has one.
    pub fn its_schedule(&self) -> Option<Schedule> {
        self.schedule
    }
}

impl Optimizer for Player {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        if let Some(inner) = self.step.optimizer.name().filter(|inner| *inner != self.name) {
            let problem = format!("its optimizer is named `{inner}`");
            return Err(Error::new(&self.name, problem, "leave that name out: states have the player's"));
        }
        self.step.follow(cx, gradients)
    }

    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn batches_per_step(&self) -> usize {
        self.step.batches_per_step()
    }
}

/// What the loss of a player is called among the outputs of graphs.
///
/// ```
/// assert_eq!(nn::game::loss_name("critic"), "critic_loss");
/// ```
pub fn loss_name(player: &str) -> String {
    format!("{player}_loss")
}

/// The number of the player whose turn it is after `done` steps, of players with so many steps each round; `None` where no
/// player has a step.
///
/// ```
/// let turns: Vec<Option<usize>> = (0..5).map(|done| nn::game::turn_of(done, &[2, 1])).collect();
/// assert_eq!(turns, [Some(0), Some(0), Some(1), Some(0), Some(0)]);
/// ```
pub fn turn_of(done: u64, steps: &[usize]) -> Option<usize> {
    let round: u64 = steps.iter().map(|&steps| steps as u64).sum();
    let mut left = done.checked_rem(round)?;
    steps.iter().position(|&steps| {
        let is_its = left < steps as u64;
        left = left.saturating_sub(steps as u64);
        is_its
    })
}

/// How many of the first `done` steps each player has, of players with so many steps each round.
///
/// ```
/// assert_eq!(nn::game::turns_of(5, &[2, 1]), [4, 1]);
/// ```
pub fn turns_of(done: u64, steps: &[usize]) -> Vec<u64> {
    let round: u64 = steps.iter().map(|&steps| steps as u64).sum();
    let (rounds, mut left) = (done.checked_div(round).unwrap_or(0), done.checked_rem(round).unwrap_or(0));
    let of_player = |&steps: &usize| {
        let of_last_round = left.min(steps as u64);
        left -= of_last_round;
        rounds * steps as u64 + of_last_round
    };
    steps.iter().map(of_player).collect()
}

/// A player's step on a batch of `rows` rows (forward, backward, optimizer). Its inputs are those of the network; its outputs
/// are, each a float of rank 0 and as it is before the step, what a step of this player reports. It takes place where its loss
/// is finite, as [`training_graph`](crate::network::training_graph) says.
///
/// ```
/// use ir::{DType, Init};
/// use nn::{Context, Outputs, Player, Sgd, game::turn_graph};
/// /// One pulls a number up, the other another one down, each as far as the other is away.
/// fn tug(cx: &mut Context, rows: usize) -> Result<Outputs, ir::Error> {
///     let [a, b] = ["a", "b"].map(|name| cx.parameter(name, [], Init::Constant(1.0)));
///     let product = cx.mul(a?, b?)?;
///     let negative = cx.neg(product)?;
///     let _ = rows;
///     Ok(Outputs::new().player("first", product).player("second", negative))
/// }
/// let first = turn_graph("tug", &tug, 1, &Player::new("first", Sgd::new(0.1)).moves("a"))?;
/// assert_eq!(first.outputs[0].name, "first_loss");
/// let second = turn_graph("tug", &tug, 1, &Player::new("second", Sgd::new(0.1)).moves("b"))?;
/// assert_eq!(second.outputs[0].name, "loss"); // by which the game is judged
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the network cannot be built or has no such player, none of its parameters is one that the player moves, or a setting
/// is out of its range.
pub fn turn_graph(name: &str, network: &dyn Network, rows: usize, player: &Player) -> Result<Graph, Error> {
    network::turn_graph(name, network, rows, player)
}

/// Checks that the players of a game are those of a network, each once, and that each round has a step.
///
/// # Errors
/// Where one is missing or there twice, there is none, or no player has a step.
pub fn check_players(name: &str, network: &dyn Network, players: &[Player]) -> Result<(), Error> {
    let mut cx = Context::training(name);
    // Of one row there is no variance, which some layers need.
    let outputs = network.build(&mut cx, 2)?;
    let given = |name: &str| players.iter().filter(|player| player.name() == name).count();
    if let Some((missing, _)) = outputs.players.iter().find(|(player, _)| given(player) == 0) {
        let problem = format!("player `{missing}` of the network is not given");
        let help = format!("give it an optimizer: `Player::new(\"{missing}\", ..)`");
        return Err(Error::new(name, problem, help));
    }
    if let Some(twice) = players.iter().find(|player| given(player.name()) > 1) {
        let problem = format!("player `{}` is given twice", twice.name());
        return Err(Error::new(name, problem, "give each player once"));
    }
    if players.iter().all(|player| player.steps == 0) {
        let help = "give at least one player a step each round: `Player::steps`";
        return Err(Error::new(name, "no player has a step", help));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ir::{DType, Init};

    use super::*;
    use crate::{Outputs, Sgd, network::evaluation_graph, network::training_graph};

    /// A painter and a critic of one weight each.
    fn game(cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let x = cx.input("x", DType::F32, [rows])?;
        let [a, b] = ["painter", "critic"]
            .map(|name| cx.scope(name, |cx| cx.parameter("weight", [], Init::Constant(1.0))));
        let score = cx.eval((x * a? * b?).mean_all())?;
        let lost = cx.eval(-score)?;
        Ok(Outputs::new().player("critic", score).player("painter", lost).metric("size", score))
    }

    fn player(name: &str) -> Player {
        Player::new(name, Sgd::new(0.1)).moves(format!("{name}.*"))
    }

    fn outputs(graph: &Graph) -> Vec<&str> {
        graph.outputs.iter().map(|output| output.name.as_str()).collect()
    }

    #[test]
    fn a_turn_moves_the_parameters_of_its_player_alone() {
        let graph = turn_graph("g", &game, 3, &player("critic")).unwrap();
        let moved: Vec<&str> =
            graph.updates.iter().filter_map(|update| graph.node(update.state).name.as_deref()).collect();
        assert_eq!(moved, ["critic.weight"]);
    }

    #[test]
    fn the_first_player_reports_metrics_and_the_last_the_loss_of_a_game_that_has_none() {
        let of = |name| turn_graph("g", &game, 3, &player(name)).unwrap();
        assert_eq!(outputs(&of("critic")), ["critic_loss", "size"]);
        assert_eq!(outputs(&of("painter")), ["loss", "painter_loss"]);
        let all = evaluation_graph("g", &game, 3).unwrap();
        assert_eq!(outputs(&all), ["loss", "critic_loss", "painter_loss", "size"]);
        let judged = |cx: &mut Context, rows: usize| {
            let outputs = game(cx, rows)?;
            let loss = outputs.metrics[0].1;
            Ok(outputs.loss(loss))
        };
        let of = |name| turn_graph("g", &judged, 3, &player(name)).unwrap();
        assert_eq!(outputs(&of("critic")), ["loss", "critic_loss", "size"]);
        assert_eq!(outputs(&of("painter")), ["painter_loss"]);
    }

    #[test]
    fn rounds_follow_one_another() {
        let turns = |steps: &[usize]| -> Vec<Option<usize>> { (0..7).map(|n| turn_of(n, steps)).collect() };
        assert_eq!(turns(&[1, 0, 2]), [0, 2, 2, 0, 2, 2, 0].map(Some));
        assert_eq!(turns(&[1]), [Some(0); 7]);
        assert_eq!(turns(&[0, 0]), [None; 7]);
        for steps in [&[1, 0, 2][..], &[1], &[0, 0], &[3, 2]] {
            for done in 0..20 {
                let count = |player| (0..done).filter(|&n| turn_of(n, steps) == Some(player)).count() as u64;
                let counts: Vec<u64> = (0..steps.len()).map(count).collect();
                assert_eq!(turns_of(done, steps), counts, "{steps:?} {done}");
            }
        }
    }

    #[test]
    fn mistakes_in_a_game_say_what_to_do() {
        let message = |player: &Player| turn_graph("g", &game, 2, player).unwrap_err().to_string();
        assert_eq!(message(&player("judge")), "g: it has no player `judge`; its players are critic, painter");
        let named = Player::new("critic", Sgd::new(0.1).named("other"));
        let help = "leave that name out: states have the player's";
        assert_eq!(message(&named), format!("critic: its optimizer is named `other`; {help}"));
        let error = training_graph("g", &game, 2, &Sgd::new(0.1)).unwrap_err().to_string();
        assert!(
            error.starts_with("g: the network is a game of critic, painter; give each of them"),
            "{error}"
        );
        let check = |players: &[Player]| check_players("g", &game, players).unwrap_err().to_string();
        let error = check(&[player("critic")]);
        assert!(error.starts_with("g: player `painter` of the network is not given; "), "{error}");
        let error = check(&[player("critic"), player("painter"), player("critic")]);
        assert_eq!(error, "g: player `critic` is given twice; give each player once");
        let error = check(&["critic", "painter"].map(|name| player(name).steps(0)));
        assert!(error.starts_with("g: no player has a step; give at least one"), "{error}");
    }
}
