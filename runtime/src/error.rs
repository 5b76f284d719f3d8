//! What a caller can do wrong when running a program, as values.

use ir::names::printable;
use ir::{Shape, Type};
use thiserror::Error;

use crate::memory::in_words;

/// Why a program could not be made ready, or was not run. Where a run returns an error, no kernel has run and no
/// state has changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// Another number of inputs than the program has.
    #[error("the program takes {expected} inputs, {given} were given; give, in this order: {}", printable(.names))]
    InputCount {
        /// How many it takes.
        expected: usize,
        /// How many there were.
        given: usize,
        /// Their names and types.
        names: String,
    },
    /// Inputs that were not given.
    #[error("inputs are missing: {}; give a tensor for each", printable(.0))]
    MissingInputs(String),
    /// A tensor for an input that the program does not have.
    #[error("the program has no input `{}`; {}", printable(.name), printable(.known))]
    UnknownInput {
        /// The name that was given.
        name: String,
        /// The nearest name, and the names and types of all inputs.
        known: String,
    },
    /// A tensor of the wrong type.
    #[error("input `{}` is {given}, the program wants {expected}; give a tensor of that type", printable(.name))]
    InputType {
        /// The name of the input.
        name: String,
        /// What the program wants.
        expected: Box<Type>,
        /// What was given.
        given: Box<Type>,
    },
    /// A state of the program that is not among the states given.
    #[error(
        "state `{}` ({ty}) is missing; make the states with `State::new` or `State::adopt` of this plan",
        printable(.name)
    )]
    MissingState {
        /// The name of the state.
        name: String,
        /// Its type.
        ty: Box<Type>,
    },
    /// A program that writes a state was to run on states that are shared.
    #[error(
        "program `{}` writes state `{}`, so it cannot run on states that are shared; call `run` with a `&mut State`, for \
         example a clone of these",
        printable(.program),
        printable(.state)
    )]
    WritesState {
        /// The name of the program.
        program: String,
        /// The first state that it writes.
        state: String,
    },
    /// A state of this name that does not exist.
    #[error("there is no state `{}`; {}", printable(.name), printable(.known))]
    UnknownState {
        /// The name that was asked for.
        name: String,
        /// The states that there are, and the nearest.
        known: String,
    },
    /// A state that is private to a program, and that a program of another name would share.
    #[error(
        "state `{}` belongs to program `{}`, and program `{program}` would share it; name the optimizers, as in \
         `Adam::new(1e-3).named(\"{program}\")`, or give each program states of its own",
        printable(.name),
        printable(.owner),
        program = printable(.program)
    )]
    PrivateState {
        /// The name of the state.
        name: String,
        /// The name of the program that made it.
        owner: String,
        /// The name of the program that was to share it.
        program: String,
    },
    /// A state, or a value for it, of the wrong type.
    #[error("state `{}` is {expected}, not {given}; give a value of its own type", printable(.name))]
    StateType {
        /// The name of the state.
        name: String,
        /// Its type.
        expected: Box<Type>,
        /// What was given.
        given: Box<Type>,
    },
    /// The system has no memory of this size.
    #[error("{} of memory cannot be had{}; use a smaller batch or model", in_words(*bytes as u64), there_is(*available))]
    OutOfMemory {
        /// How much was wanted.
        bytes: usize,
        /// How much there is, where that is known.
        available: Option<u64>,
    },
    /// The system starts no more threads, or the number is out of range.
    #[error("{threads} threads cannot be started ({reason}); use from 1 to {}", crate::Pool::MAX_THREADS)]
    Threads {
        /// How many were wanted.
        threads: usize,
        /// What the system says.
        reason: String,
    },
}

/// `, and 1.5 GiB are there`
fn there_is(available: Option<u64>) -> String {
    available.map_or(String::new(), |available| format!(", and {} are there", in_words(available)))
}

/// Whether a tensor of this dtype and shape is of type `ty`; without building a `Type`, which can allocate.
pub(crate) fn is_of_type(tensor: &ir::Tensor, ty: &Type) -> bool {
    let shape: &Shape = tensor.shape();
    tensor.dtype() == ty.dtype && *shape == ty.shape
}
