//! Whose turn a graph is, where it is the step of a player of a game.

use super::Context;

impl Context {
    /// For the step of a player of a [game](crate::game).
    pub(crate) fn in_turn_of(self, player: &str) -> Context {
        Context { player: Some(player.to_owned()), ..self }
    }

    /// Whether the graph needs the loss of this player of a [game](crate::game): it is a step of the player, or one of nobody, as an
    /// evaluation is. A network may leave out the loss elsewhere; it declares all inputs and parameters, in one order, in each graph.
    pub fn is_turn_of(&self, player: &str) -> bool {
        self.player.as_ref().is_none_or(|it| it == player)
    }
}
