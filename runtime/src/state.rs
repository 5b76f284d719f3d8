//! The states of a program by name: parameters, moments of optimizers, statistics, keys of random numbers.
//!
//! States belong to the caller, not to an executable: two specialisations of one model, for a full batch and for the
//! last short one, work on the same states.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use ir::names::choices;
use ir::{AxisOrder, DType, Element, Init, Place, Plan, Slot, Tensor, Type, VerifiedPlan, with_elements};

use crate::{Buffer, RunError, memory};

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

/// The bytes of a state in the order that a program wants.
pub(crate) enum Shared<'a> {
    /// They lie so.
    InPlace(&'a [u8]),
    /// They lie in another order: a copy.
    Converted(Buffer),
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

    /// Adds the states of `plan` that are not there yet, initialised from `seed`; those that are there keep their
    /// values. Where an error is returned, nothing has been added.
    ///
    /// # Errors
    /// Where a state is there with another type than the plan's, or one that is private to a plan of another name
    /// ([`RunError::PrivateState`]), or there is no memory.
    pub fn adopt(&mut self, plan: &VerifiedPlan, seed: u64) -> Result<(), RunError> {
        let mut missing: Vec<(Entry, &Init)> = Vec::new();
        let mut bytes = 0;
        for slot in &plan.slots {
            let Place::State { init, order, is_private } = &slot.place else { continue };
            match self.by_name.get(&slot.name) {
                Some(&index) => self.entries[index].check_slot(slot, &plan.name)?,
                None => {
                    let (name, order, block) = (slot.name.clone(), order.clone(), self.blocks.len());
                    let owner = is_private.then(|| plan.name.clone());
                    let ty = Type::new(slot.ty.dtype, order.known(&slot.ty.shape));
                    missing.push((Entry { name, ty, order, owner, block, offset: bytes }, init));
                    bytes += slot.ty.size_bytes().next_multiple_of(Plan::ALIGNMENT) + GAP_BYTES;
                }
            }
        }
        if !missing.is_empty() {
            // One value after another is made before it is copied to its place.
            let largest = missing.iter().map(|(entry, _)| entry.ty.size_bytes()).max().unwrap_or(0);
            memory::check(bytes.saturating_add(largest))?;
            self.blocks.push(Buffer::zeroed(bytes)?);
        }
        for (entry, init) in missing {
            self.by_name.insert(entry.name.clone(), self.entries.len());
            let value = init.materialize(&entry.ty, seed);
            self.entries.push(entry);
            self.write(self.entries.len() - 1, &value);
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

    /// A copy of the state of this name.
    ///
    /// # Errors
    /// Where there is none; the error lists those that there are. Where there is no memory for the copy.
    pub fn get(&self, name: &str) -> Result<Tensor, RunError> {
        let index = self.index(name)?;
        let Entry { ty, order, .. } = &self.entries[index];
        memory::check(if order.is_row_major() { 1 } else { 2 } * ty.size_bytes())?;
        let bytes = self.read(index);
        if order.is_row_major() {
            return Ok(read_tensor(ty, bytes));
        }
        let mut row_major = vec![0; bytes.len()];
        let size = ty.dtype.size_bytes();
        for (element, at) in bytes.chunks_exact(size).zip(order.elements(&ty.shape)) {
            row_major[at * size..][..size].copy_from_slice(element);
        }
        Ok(read_tensor(ty, &row_major))
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
            let value = self.get(&slot.name)?;
            self.entries[index].order = order.clone();
            self.write(index, &value);
        }
        let entry = &self.entries[index];
        Ok(self.blocks[entry.block].as_ptr().wrapping_add(entry.offset))
    }

    /// The bytes of a state of program `program`, with its axes as in `slot`.
    pub(crate) fn shared(&self, slot: &Slot, program: &str) -> Result<Shared<'_>, RunError> {
        let (index, order) = self.find(slot, program)?;
        let bytes = self.read(index);
        if self.entries[index].order == *order {
            return Ok(Shared::InPlace(bytes));
        }
        let mut copy = Buffer::zeroed(bytes.len())?;
        lay_out(&self.get(&slot.name)?, order, copy.as_mut_slice());
        Ok(Shared::Converted(copy))
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

    /// Copies the elements of a tensor of its type into a state.
    fn write(&mut self, index: usize, tensor: &Tensor) {
        let entry = &self.entries[index];
        let bytes = &mut self.blocks[entry.block].as_mut_slice()[entry.range()];
        lay_out(tensor, &entry.order, bytes);
        self.note_change();
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

/// Writes the elements of a tensor, with its axes in `order`, to as many bytes.
fn lay_out(tensor: &Tensor, order: &AxisOrder, bytes: &mut [u8]) {
    with_elements!(tensor.elements(), elements => {
        let row_major: &[u8] = bytemuck::cast_slice(elements);
        if order.is_row_major() {
            bytes.copy_from_slice(row_major);
        } else {
            let size = tensor.dtype().size_bytes();
            for (element, at) in bytes.chunks_exact_mut(size).zip(order.elements(tensor.shape())) {
                element.copy_from_slice(&row_major[at * size..][..size]);
            }
        }
    });
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
mod tests {
    use super::*;

    /// A plan with nothing but these states, all of which start at 2.
    fn plan(states: &[(&str, Type)]) -> VerifiedPlan {
        VerifiedPlan::new(unverified(states)).unwrap()
    }

    fn unverified(states: &[(&str, Type)]) -> Plan {
        let place = state_place(Init::Constant(2.0), AxisOrder::default());
        let slot =
            |(name, ty): &(&str, Type)| Slot { name: (*name).into(), ty: ty.clone(), place: place.clone() };
        Plan {
            name: "p".into(),
            kernels: vec![],
            slots: states.iter().map(slot).collect(),
            prepare: vec![],
            steps: vec![],
            arena_bytes: 0,
            updates: vec![],
        }
    }

    fn state_place(init: Init, order: AxisOrder) -> Place {
        Place::State { init, order, is_private: false }
    }

    fn ty(dtype: DType, shape: &[usize]) -> Type {
        Type::new(dtype, shape)
    }

    #[test]
    fn what_is_set_is_what_one_gets_in_every_dtype() {
        let names = DType::ALL.map(|dtype| (dtype.name(), ty(dtype, &[3])));
        let mut state = State::new(&plan(&names), 0).unwrap();
        let values = [
            Tensor::new([3], vec![1.5f32, f32::NAN, -0.0]).unwrap(),
            Tensor::new([3], vec![1.5f64, f64::INFINITY, -0.0]).unwrap(),
            Tensor::new([3], vec![i32::MIN, 0, 7]).unwrap(),
            Tensor::new([3], vec![i64::MAX, 0, 7]).unwrap(),
            Tensor::new([3], vec![true, false, true]).unwrap(),
        ];
        for value in &values {
            state.set(value.dtype().name(), value).unwrap();
            let got = state.get(value.dtype().name()).unwrap();
            assert!((0..3).all(|i| got.get(i) == value.get(i)), "{got:?}");
        }
        assert!(state.iter().map(|(name, _)| name).eq(DType::ALL.map(DType::name)));
    }

    #[test]
    fn adopt_keeps_values_and_adds_what_is_missing() {
        let weight = ("w", ty(DType::F32, &[2]));
        let mut state = State::new(&plan(std::slice::from_ref(&weight)), 0).unwrap();
        state.set("w", &Tensor::new([2], vec![5.0f32, 6.0]).unwrap()).unwrap();
        state.adopt(&plan(&[("m", ty(DType::F32, &[0])), weight]), 0).unwrap();
        assert_eq!(state.get("w").unwrap().as_slice::<f32>().unwrap(), [5.0, 6.0]);
        assert_eq!(state.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["w", "m"]);
    }

    #[test]
    fn adopting_another_type_names_both_and_adds_nothing() {
        let mut state = State::new(&plan(&[("w", ty(DType::F32, &[2]))]), 0).unwrap();
        let error =
            state.adopt(&plan(&[("m", ty(DType::F32, &[1])), ("w", ty(DType::F32, &[3]))]), 0).unwrap_err();
        assert_eq!(error.to_string(), "state `w` is f32[2], not f32[3]; give a value of its own type");
        assert_eq!(state.len(), 1);
        assert!(state.get("m").is_err());
    }

    /// A program of this name with a private state and one that others may share.
    fn optimizer(name: &str) -> VerifiedPlan {
        let mut plan = unverified(&[("rate", ty(DType::F32, &[])), ("w", ty(DType::F32, &[2]))]);
        plan.name = name.into();
        let Place::State { is_private, .. } = &mut plan.slots[0].place else { panic!("a state") };
        *is_private = true;
        VerifiedPlan::new(plan).unwrap()
    }

    #[test]
    fn a_private_state_is_shared_by_programs_of_one_name_alone() {
        let mut state = State::new(&optimizer("a"), 0).unwrap();
        state.adopt(&optimizer("a"), 0).unwrap();
        let expected = "state `rate` belongs to program `a`, and program `b` would share it; name the optimizers, as in \
            `Adam::new(1e-3).named(\"b\")`, or give each program states of its own";
        assert_eq!(state.adopt(&optimizer("b"), 0).unwrap_err().to_string(), expected);
        assert_eq!(state.address(&optimizer("b").slots[0], "b").unwrap_err().to_string(), expected);
        assert_eq!(state.clone().adopt(&optimizer("b"), 0).unwrap_err().to_string(), expected);
        state.address(&optimizer("b").slots[1], "b").unwrap();
        // Who says nothing of the kind may read it.
        state.adopt(&plan(&[("rate", ty(DType::F32, &[]))]), 0).unwrap();
    }

    #[test]
    fn a_stamp_lasts_until_a_value_changes() {
        let weight = ("w", ty(DType::F32, &[2]));
        let mut state = State::new(&plan(std::slice::from_ref(&weight)), 0).unwrap();
        let before = state.stamp();
        state.get("w").unwrap();
        state.adopt(&plan(&[weight]), 1).unwrap();
        assert_eq!(state.stamp(), before);
        state.set("w", &Tensor::zeros(&ty(DType::F32, &[2]))).unwrap();
        assert_ne!(state.stamp(), before);
        assert_ne!(State::empty().stamp(), State::empty().stamp());
    }

    #[test]
    fn a_clone_has_the_values_and_memory_of_its_own() {
        let large = ("m", ty(DType::F32, &[1 << 20])); // so that its memory is a mapping
        let mut state = State::new(&plan(&[("w", ty(DType::F32, &[2])), large]), 0).unwrap();
        let clone = state.clone();
        assert_ne!(state.stamp(), clone.stamp());
        state.set("w", &Tensor::new([2], vec![5.0f32, 6.0]).unwrap()).unwrap();
        assert_eq!(clone.get("w").unwrap().as_slice::<f32>().unwrap(), [2.0, 2.0]);
        assert_eq!(clone.get("m").unwrap(), state.get("m").unwrap());
        drop(state);
        assert_eq!(clone.get("w").unwrap().as_slice::<f32>().unwrap(), [2.0, 2.0]);
    }

    #[test]
    fn a_state_whose_axes_lie_in_another_order_is_known_as_it_was() {
        let placed = |order: AxisOrder| {
            let mut plan = unverified(&[("w", Type::new(DType::F32, order.in_memory(&[2, 3, 1].into())))]);
            let init = Init::Uniform { low: 0.0, high: 1.0, stream: 3 };
            plan.slots[0].place = state_place(init, order);
            VerifiedPlan::new(plan).unwrap()
        };
        let plain = State::new(&placed(AxisOrder::default()), 5).unwrap();
        let order = AxisOrder::new(&[2, 1, 0]);
        let mut state = State::new(&placed(order.clone()), 5).unwrap();
        assert_eq!(state.get("w").unwrap(), plain.get("w").unwrap());
        let value = Tensor::new([2, 3, 1], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        state.set("w", &value).unwrap();
        let in_memory: Vec<u8> =
            [1.0f32, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|x| x.to_ne_bytes()).collect();
        assert_eq!(state.read(0), in_memory);
        // A program that wants it row-major finds it so.
        state.address(&placed(AxisOrder::default()).slots[0], "p").unwrap();
        assert_eq!(state.get("w").unwrap(), value);
        assert_eq!(state.read(0)[4..8], 2.0f32.to_ne_bytes());
    }

    #[test]
    fn an_unknown_name_lists_those_that_there_are() {
        let mut state =
            State::new(&plan(&[("w", ty(DType::F32, &[2])), ("b", ty(DType::F32, &[]))]), 0).unwrap();
        let message = "there is no state `v`; the states are w, b";
        assert_eq!(state.get("v").unwrap_err().to_string(), message);
        assert_eq!(state.set("v", &Tensor::zeros(&ty(DType::F32, &[2]))).unwrap_err().to_string(), message);
        let error = state.set("w", &Tensor::zeros(&ty(DType::F64, &[2]))).unwrap_err();
        assert_eq!(error.to_string(), "state `w` is f32[2], not f64[2]; give a value of its own type");
    }
}
