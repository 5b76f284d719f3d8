//! What `nnc dump` works on: a model that nnc knows, a workload of `nnc bench`, or a file.

use std::path::Path;

use ir::Graph;
use ir::names::{choices, with_nearest};
use ir::text::Module;
use nn::game::turn_graph;
use nn::network::{inference_graph, training_graph};
use nn::{Adam, Player, TrainStep};
use nnc::bench::{WORKLOADS, Workload};
use nnc::models::{ARCHITECTURES, Architecture, Learns, ModelOptions};
use nnc::{Error, modules};

use super::streams;

/// The rows that models are built for: those of the embedded digits.
const ROW: [usize; 3] = [1, 8, 8];
const CLASSES: usize = 10;
/// The planes, the height and the width of a position of Go.
const POSITION: [usize; 3] = [17, 19, 19];

/// What is wanted of a model.
pub enum Wanted<'a> {
    /// How it is used.
    Inference,
    /// Its training step; of a game, that of a player, the first one where none is named.
    Training(Option<&'a str>),
}

/// A model by its name, as what is wanted of it on batches of `batch`; a workload by its name; or the contents of a `.nnir` file,
/// or of stdin.
pub fn load(program: &str, wanted: &Wanted<'_>, batch: usize) -> Result<Module, Error> {
    if let Ok(model) = Architecture::find(program) {
        return Ok(Module::Graph(graph(model, wanted, batch)?));
    }
    if WORKLOADS.iter().any(|workload| workload.name == program) {
        return Ok(Module::Graph(Workload::find(program)?.model()?.graph));
    }
    let path = Path::new(program);
    if path.extension().is_none() && !path.exists() && !streams::is_stream(path) {
        let models = ARCHITECTURES.iter().map(|model| model.name);
        let all = format!(
            "the models are {}; or give a workload of `nnc list workloads`, or a .nnir file",
            models.clone().collect::<Vec<&str>>().join(", ")
        );
        let names = models.chain(WORKLOADS.iter().map(|workload| workload.name));
        let help = with_nearest(program, names, all);
        return Err(Error::invalid(program, "there is no model or file of this name", help));
    }
    if let Wanted::Training(_) = wanted {
        let help = "leave it out: a file is printed as it is";
        return Err(Error::invalid(
            "--train",
            format!("{program} is a file, and only models have training steps"),
            help,
        ));
    }
    modules::parse(&streams::read_text(path)?, &streams::name(path))
}

/// The graph of a model for the embedded digits; of one of boards, for positions of Go.
fn graph(model: &Architecture, wanted: &Wanted<'_>, batch: usize) -> Result<Graph, Error> {
    let row = if model.learns == Learns::Several { POSITION } else { ROW };
    let row = model.row_of(&row.into())?;
    let options = ModelOptions::default();
    let network = model.network(&row, CLASSES, &options, None);
    let Wanted::Training(player) = wanted else {
        return Ok(inference_graph(model.name, &network, batch)?);
    };
    let players = model.game.map(|game| game(&options, &|| TrainStep::new(Adam::default())));
    let Some(players) = players else {
        if let Some(player) = player {
            let problem = format!("{} is no game, and has no players", model.name);
            return Err(Error::invalid(format!("--player {player}"), problem, "leave it out"));
        }
        return Ok(training_graph(model.name, &network, batch, &Adam::default())?);
    };
    let name = player.unwrap_or(players[0].name());
    let known = players.iter().find(|known| known.name() == name).ok_or_else(|| {
        let help = choices(name, "the players are", players.iter().map(Player::name));
        Error::invalid("--player", format!("{} has no player {name}", model.name), help)
    })?;
    Ok(turn_graph(model.name, &network, batch, known)?)
}
