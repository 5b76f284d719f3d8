//! How much memory an executable has, by what it is for.

/// The memory of an executable, in bytes. States belong to the caller: [`State::bytes`](crate::State::bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Intermediate values.
    pub arena_bytes: usize,
    /// What is made once of states that the program never writes: packed weights, and filters that are transformed.
    pub prepared_bytes: usize,
    /// Copies of states that lie in another order than the program wants. There are none before the first run.
    pub reordered_bytes: usize,
    /// Outputs.
    pub output_bytes: usize,
    /// Memory of its own for each thread.
    pub scratch_bytes: usize,
    /// Machine code, which forks share.
    pub code_bytes: usize,
}

impl Memory {
    /// All of it.
    ///
    /// ```
    /// let memory = runtime::executable::Memory { arena_bytes: 64, scratch_bytes: 128, ..Default::default() };
    /// assert_eq!(memory.bytes(), 192);
    /// ```
    pub fn bytes(&self) -> usize {
        let Memory { arena_bytes, prepared_bytes, reordered_bytes, output_bytes, scratch_bytes, code_bytes } =
            self;
        arena_bytes + prepared_bytes + reordered_bytes + output_bytes + scratch_bytes + code_bytes
    }
}
