//! The states of a program by name: parameters, moments of optimizers, statistics, keys of random numbers.
//!
//! States belong to the caller, not to an executable: two specialisations of one model, for a full batch and for the
//! last short one, work on the same states.

mod parts;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use ir::names::choices;
use ir::{AxisOrder, DType, Element, Init, Place, Plan, Slot, Tensor, Type, VerifiedPlan, with_elements};

use crate::{Buffer, RunError, memory, reorder};
use parts::{Part, parts};

/// Named values that are kept from run to run, in the order in which plans introduced them.
///
/// The memory of a state never moves and is never freed before the `State` is, so an executable looks names up once
/// per `State` and not once per run.
///
/// A clone has memory of its own: a program that runs on one of the two changes nothing for the other. Threads that only
/// read share one `State` ([`Executable::infer`](crate::Executable::infer)).
#[derive(Debug)]
pub struct State {
    entries: Vec<Entry>,
    by_name: BTreeMap<String, usize>,
    /// The memory: a block for the states of each plan that was adopted, so that many small states share large pages.
    blocks: Vec<Buffer>,
    id: u64,
    /// Grows whenever a value may have changed.
    version: u64,
}

/// What a `State` held at some time: equal stamps mean equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// A number that no other `State` of this process has.
    pub id: u64,
    version: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    /// Its type as the user knows it, and the order of its axes in memory.
    ty: Type,
    order: AxisOrder,
    /// The program that it belongs to, where it is private.
    owner: Option<String>,
    /// The block that it is in, and its first byte there.
    block: usize,
    offset: usize,
}

/// What lies between two states of a block. Without it a parameter and its moments, which kernels walk through together,
/// could be a multiple of 4 KiB apart: then processors take a load of one for one that depends on a store to another.
const GAP_BYTES: usize = 4 * Plan::ALIGNMENT;

impl Default for State {
    fn default() -> State {
        State::empty()
    }
}

impl Clone for State {
    /// The same states with the same values, in memory of their own.
    ///
    /// The process ends, as with a `Vec`, where there is no memory for them.
    fn clone(&self) -> State {
        State {
            entries: self.entries.clone(),
            by_name: self.by_name.clone(),
            blocks: self.blocks.clone(),
            id: next_id(),
            version: 0,
        }
    }
}

/// A number that no `State` of this process has had.
fn next_id() -> u64 {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

impl State {
    /// No states at all.
    pub fn empty() -> State {
        State { entries: Vec::new(), by_name: BTreeMap::new(), blocks: Vec::new(), id: next_id(), version: 0 }
    }

    /// The states of `plan` as they are before the first run. The same seed gives the same bits.
    ///
    /// ```
    /// let plan = ir::text::parse_plan("plan @p { arena 0  slot %w : f32[2] = state constant(1) }")?;
    /// let plan = ir::VerifiedPlan::new(plan)?;
    /// let mut state = runtime::State::new(&plan, 0)?;
    /// assert_eq!(state.get("w")?.as_slice::<f32>().unwrap(), [1.0, 1.0]);
    /// state.set("w", &ir::Tensor::new([2], vec![3.0f32, 4.0]).unwrap())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub fn new(plan: &VerifiedPlan, seed: u64) -> Result<State, RunError> {
        let mut state = State::empty();
        state.adopt(plan, seed)?;
        Ok(state)
    }

    /// The states of `plan`, all zero: for who writes each of them.
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub fn zeros(plan: &VerifiedPlan) -> Result<State, RunError> {
        let mut state = State::empty();
        state.adopt_zeros(plan)?;
        Ok(state)
    }

    /// Adds the states of `plan` that are not there yet, initialised from `seed`; those that are there keep their
    /// values. Where an error is returned, nothing has been added.
    ///
    /// # Errors
    /// Where a state is there with another type than the plan's, or one that is private to a plan of another name
    /// ([`RunError::PrivateState`]), or there is no memory.
    pub fn adopt(&mut self, plan: &VerifiedPlan, seed: u64) -> Result<(), RunError> {
        let first = self.entries.len();
        self.adopt_zeros(plan)?;
        let inits: BTreeMap<&str, &Init> = plan.slots.iter().filter_map(init).collect();
        for index in first..self.entries.len() {
            let entry = &self.entries[index];
            let (init, dtype) = (inits[entry.name.as_str()], entry.ty.dtype);
            self.write_parts(index, |range| Ok::<_, RunError>(init.part(dtype, range, seed)))?;
        }
        Ok(())
    }

    /// As [`State::adopt`], with states that are zero: for who writes each of them.
    ///
    /// # Errors
    /// As `adopt`.
    pub fn adopt_zeros(&mut self, plan: &VerifiedPlan) -> Result<(), RunError> {
        let mut missing: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        for slot in &plan.slots {
            let Place::State { order, is_private, .. } = &slot.place else { continue };
            match self.by_name.get(&slot.name) {
                Some(&index) => self.entries[index].check_slot(slot, &plan.name)?,
                None => {
                    let (name, order, block) = (slot.name.clone(), order.clone(), self.blocks.len());
                    let owner = is_private.then(|| plan.name.clone());
                    let ty = Type::new(slot.ty.dtype, order.known(&slot.ty.shape));
                    missing.push(Entry { name, ty, order, owner, block, offset: bytes });
                    bytes += slot.ty.size_bytes().next_multiple_of(Plan::ALIGNMENT) + GAP_BYTES;
                }
            }
        }
        if !missing.is_empty() {
            // One value after another is made before it is copied to its place.
            let largest = missing.iter().map(|entry| entry.ty.size_bytes()).max().unwrap_or(0);
            memory::check(bytes.saturating_add(largest))?;
            self.blocks.push(Buffer::zeroed(bytes)?);
            self.note_change();
        }
        for entry in missing {
            self.by_name.insert(entry.name.clone(), self.entries.len());
            self.entries.push(entry);
        }
        Ok(())
    }

    /// The number of states.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is a state of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names and types, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Type)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), &entry.ty))
    }

    /// The bytes of all states.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.ty.size_bytes()).sum()
    }

    /// A copy of the state of this name.
    ///
    /// # Errors
    /// Where there is none; the error lists those that there are. Where there is no memory for the copy.
    pub fn get(&self, name: &str) -> Result<Tensor, RunError> {
        let index = self.index(name)?;
        let Entry { ty, order, .. } = &self.entries[index];
        memory::check(if order.is_row_major() { 1 } else { 2 } * ty.size_bytes())?;
        Ok(self.row_major(index))
    }

    /// Overwrites the state of this name.
    ///
    /// # Errors
    /// Where there is none, or it is of another type.
    pub fn set(&mut self, name: &str, value: &Tensor) -> Result<(), RunError> {
        let index = self.index(name)?;
        self.entries[index].check(&value.ty())?;
        self.write(index, value);
        Ok(())
    }

    /// Overwrites the state of this name a part at a time, so that its values need not be in memory a second time: `part` is
    /// called with ranges of its elements, numbered in row-major order, and returns these, as a tensor of rank 1.
    ///
    /// ```
    /// # let plan = ir::text::parse_plan("plan @p { arena 0  slot %w : f32[2] = state constant(1) }")?;
    /// # let plan = ir::VerifiedPlan::new(plan)?;
    /// let mut state = runtime::State::zeros(&plan)?;
    /// state.set_in_parts("w", |range| {
    ///     let part: Vec<f32> = range.map(|element| element as f32).collect();
    ///     Ok::<_, runtime::RunError>(ir::Tensor::new([part.len()], part).unwrap())
    /// })?;
    /// assert_eq!(state.get("w")?.as_slice::<f32>().unwrap(), [0.0, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Where there is none, a part is of another type, or `part` fails; then some of its elements may have been overwritten.
    pub fn set_in_parts<E: From<RunError>>(
        &mut self,
        name: &str,
        part: impl FnMut(Range<usize>) -> Result<Tensor, E>,
    ) -> Result<(), E> {
        let index = self.index(name)?;
        self.write_parts(index, part)
    }

    /// Which values these are.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { id: self.id, version: self.version }
    }

    /// Takes note that values may have changed, as whoever writes to an [`State::address`] must.
    pub(crate) fn note_change(&mut self) {
        self.version += 1;
    }

    /// The address of a state of program `program`; its axes lie as in `slot` from now on.
    pub(crate) fn address(&mut self, slot: &Slot, program: &str) -> Result<*mut u8, RunError> {
        let (index, order) = self.find(slot, program)?;
        if self.entries[index].order != *order {
            let value = self.row_major(index);
            self.entries[index].order = order.clone();
            self.write(index, &value);
        }
        let entry = &self.entries[index];
        Ok(self.blocks[entry.block].as_ptr().wrapping_add(entry.offset))
    }

    /// The bytes of a state of program `program`, where its axes lie as in `slot`; else `None`.
    pub(crate) fn in_place(&self, slot: &Slot, program: &str) -> Result<Option<&[u8]>, RunError> {
        let (index, order) = self.find(slot, program)?;
        Ok((self.entries[index].order == *order).then(|| self.read(index)))
    }

    /// Copies a state of program `program` to as many bytes, with its axes as in `slot`.
    pub(crate) fn copy_in_order(&self, slot: &Slot, program: &str, to: &mut [u8]) -> Result<(), RunError> {
        let (index, order) = self.find(slot, program)?;
        self.copy_to(index, order, to);
        Ok(())
    }

    /// Which state `slot` of program `program` stands for, and the order of axes that it wants.
    fn find<'a>(&self, slot: &'a Slot, program: &str) -> Result<(usize, &'a AxisOrder), RunError> {
        let Place::State { order, .. } = &slot.place else { unreachable!("the slot is a state") };
        let Some(&index) = self.by_name.get(&slot.name) else {
            let ty = Type::new(slot.ty.dtype, order.known(&slot.ty.shape)).into();
            return Err(RunError::MissingState { name: slot.name.clone(), ty });
        };
        self.entries[index].check_slot(slot, program)?;
        Ok((index, order))
    }

    /// The bytes of a state.
    fn read(&self, index: usize) -> &[u8] {
        let entry = &self.entries[index];
        &self.blocks[entry.block].as_slice()[entry.range()]
    }

    /// A copy of a state as the user knows it.
    fn row_major(&self, index: usize) -> Tensor {
        let Entry { ty, order, .. } = &self.entries[index];
        if order.is_row_major() {
            return read_tensor(ty, self.read(index));
        }
        let mut buffer = vec![0_u64; ty.size_bytes().div_ceil(size_of::<u64>())];
        let bytes = &mut bytemuck::cast_slice_mut(&mut buffer)[..ty.size_bytes()];
        self.copy_to(index, &AxisOrder::default(), bytes);
        read_tensor(ty, bytes)
    }

    /// Copies a state to as many bytes, with its axes in `order`.
    fn copy_to(&self, index: usize, order: &AxisOrder, to: &mut [u8]) {
        let Entry { ty, order: from, .. } = &self.entries[index];
        let size = ty.dtype.size_bytes();
        match reorder::loops(&ty.shape, from, order) {
            Some(loops) => reorder::copy(&loops, size, self.read(index), to),
            // There is a way by the order of the user.
            None => {
                let row_major = self.row_major(index);
                let loops = reorder::loops(&ty.shape, &AxisOrder::default(), order);
                reorder::copy(&loops.expect("one order has no blocks"), size, bytes(&row_major), to);
            }
        }
    }

    /// Copies the elements of a tensor of its type into a state.
    fn write(&mut self, index: usize, tensor: &Tensor) {
        let entry = &self.entries[index];
        let to = &mut self.blocks[entry.block].as_mut_slice()[entry.range()];
        let loops = reorder::loops(&entry.ty.shape, &AxisOrder::default(), &entry.order);
        reorder::copy(
            &loops.expect("one order has no blocks"),
            entry.ty.dtype.size_bytes(),
            bytes(tensor),
            to,
        );
        self.note_change();
    }

    /// As [`State::set_in_parts`].
    fn write_parts<E: From<RunError>>(
        &mut self,
        index: usize,
        mut part: impl FnMut(Range<usize>) -> Result<Tensor, E>,
    ) -> Result<(), E> {
        self.note_change();
        let Entry { ty, order, block, .. } = &self.entries[index];
        let range = self.entries[index].range();
        for Part { elements, loops, to } in parts(&ty.shape, order) {
            let values = part(elements.clone())?;
            self.entries[index].check_part(&values.ty(), elements.len())?;
            let to = &mut self.blocks[*block].as_mut_slice()[range.clone()][to * ty.dtype.size_bytes()..];
            reorder::copy(&loops, ty.dtype.size_bytes(), bytes(&values), to);
        }
        Ok(())
    }

    fn index(&self, name: &str) -> Result<usize, RunError> {
        self.by_name.get(name).copied().ok_or_else(|| {
            let known = choices(name, "the states are", self.iter().map(|(name, _)| name));
            RunError::UnknownState { name: name.to_owned(), known }
        })
    }
}

impl Entry {
    /// Where its bytes are in its block.
    fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.ty.size_bytes()
    }

    /// Checks that this is what `slot` of program `program` wants.
    fn check_slot(&self, slot: &Slot, program: &str) -> Result<(), RunError> {
        let Place::State { order, is_private, .. } = &slot.place else { unreachable!("the slot is a state") };
        self.check(&Type::new(slot.ty.dtype, order.known(&slot.ty.shape)))?;
        match &self.owner {
            Some(owner) if *is_private && owner != program => Err(RunError::PrivateState {
                name: self.name.clone(),
                owner: owner.clone(),
                program: program.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Checks that a value of type `given` is one of so many elements of this state.
    fn check_part(&self, given: &Type, elements: usize) -> Result<(), RunError> {
        let expected = Type::new(self.ty.dtype, [elements]);
        if expected == *given {
            return Ok(());
        }
        let name = format!("a part of {}", self.name);
        Err(RunError::StateType { name, expected: expected.into(), given: given.clone().into() })
    }

    /// Checks that a value of type `given` is one for this state.
    fn check(&self, given: &Type) -> Result<(), RunError> {
        if self.ty == *given {
            return Ok(());
        }
        Err(RunError::StateType {
            name: self.name.clone(),
            expected: self.ty.clone().into(),
            given: given.clone().into(),
        })
    }
}

/// The name of a state that a slot is, and how it starts.
fn init(slot: &Slot) -> Option<(&str, &Init)> {
    match &slot.place {
        Place::State { init, .. } => Some((&slot.name, init)),
        _ => None,
    }
}

/// The elements of a tensor.
fn bytes(tensor: &Tensor) -> &[u8] {
    with_elements!(tensor.elements(), elements => bytemuck::cast_slice(elements))
}

/// The tensor of type `ty` with the elements that `bytes` holds.
fn read_tensor(ty: &Type, bytes: &[u8]) -> Tensor {
    fn read<T: Element + bytemuck::Pod>(ty: &Type, bytes: &[u8]) -> Option<Tensor> {
        Tensor::new(ty.shape.clone(), bytemuck::cast_slice::<u8, T>(bytes).to_vec())
    }
    let tensor = match ty.dtype {
        DType::F32 => read::<f32>(ty, bytes),
        DType::F64 => read::<f64>(ty, bytes),
        DType::I32 => read::<i32>(ty, bytes),
        DType::I64 => read::<i64>(ty, bytes),
        DType::Bool => {
            Tensor::new(ty.shape.clone(), bytes.iter().map(|&byte| byte != 0).collect::<Vec<bool>>())
        }
    };
    tensor.expect("a buffer has the bytes of its type")
}

#[cfg(test)]
mod tests;
