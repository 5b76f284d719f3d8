//! What a program reads and writes gets its addresses: inputs, states and outputs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use ir::names::with_nearest;
use ir::{DType, SlotId, Tensor, Type, with_elements};

use super::Executable;
use crate::error::is_of_type;
use crate::{Buffer, RunError, State};

impl Executable {
    /// Inputs by name, in the program's order.
    pub(super) fn ordered<'a>(&self, inputs: &[(&str, &'a Tensor)]) -> Result<Vec<&'a Tensor>, RunError> {
        let given: BTreeMap<&str, &Tensor> = inputs.iter().rev().copied().collect();
        let ordered: Vec<&Tensor> = self.inputs().filter_map(|(name, _)| given.get(name).copied()).collect();
        if ordered.len() < given.len() {
            let known: BTreeSet<&str> = self.inputs().map(|(name, _)| name).collect();
            let unknown = given.keys().find(|name| !known.contains(*name));
            let name = unknown.expect("more are given than known").to_string();
            let known = with_nearest(&name, known, format!("its inputs are {}", list(self.inputs())));
            return Err(RunError::UnknownInput { name, known });
        }
        if ordered.len() < self.inputs.len() {
            let missing = self.inputs().filter(|(name, _)| !given.contains_key(name));
            return Err(RunError::MissingInputs(list(missing)));
        }
        Ok(ordered)
    }

    pub(super) fn bind_inputs(&mut self, inputs: &[&Tensor]) -> Result<(), RunError> {
        if inputs.len() != self.inputs.len() {
            let (expected, given) = (self.inputs.len(), inputs.len());
            return Err(RunError::InputCount { expected, given, names: list(self.inputs()) });
        }
        for (input, tensor) in self.inputs.iter_mut().zip(inputs) {
            let slot = self.plan.slot(input.slot);
            if !is_of_type(tensor, &slot.ty) {
                let (expected, given) = (slot.ty.clone().into(), tensor.ty().into());
                return Err(RunError::InputType { name: slot.name.clone(), expected, given });
            }
            // The address is that of a shared borrow: the plan has no step that writes an input.
            let address =
                with_elements!(tensor.elements(), elements => elements.as_ptr().cast::<u8>().cast_mut());
            if input.address != address {
                input.address = address;
                self.program.set(input.slot, address);
            }
        }
        Ok(())
    }

    /// Sets the addresses of states that the program may write, and tells whether what depends on them alone has been
    /// prepared and still holds.
    pub(super) fn bind_state(&mut self, state: &mut State) -> Result<bool, RunError> {
        let stamp = state.stamp();
        if self.bound_state == Some(stamp) {
            return Ok(true);
        }
        // Until all have been found, addresses of two states may be mixed. Another program may have wanted axes in another
        // order since.
        self.bound_state = None;
        for &slot in &self.states {
            self.program.set(slot, state.address(self.plan.slot(slot), &self.plan.name)?);
        }
        self.bound_state = Some(state.stamp());
        Ok(false)
    }

    /// As `bind_state`, with states that stay as they are: where the program wants the axes of one in another order, it gets a
    /// copy in that order, which is made again where the states have changed.
    pub(super) fn bind_shared_state(&mut self, state: &State) -> Result<bool, RunError> {
        let stamp = state.stamp();
        if self.bound_state == Some(stamp) {
            return Ok(true);
        }
        self.bound_state = None;
        for index in 0..self.states.len() {
            let slot = self.states[index];
            // No step writes a state of this program: the addresses are those of shared borrows.
            let address = match state.in_place(self.plan.slot(slot), &self.plan.name)? {
                Some(bytes) => {
                    self.reordered.remove(&slot);
                    bytes.as_ptr().cast_mut()
                }
                None => self.reorder(slot, state)?,
            };
            self.program.set(slot, address);
        }
        self.bound_state = Some(stamp);
        Ok(false)
    }

    /// Copies a state in the order that the program wants, and returns the address of the copy.
    fn reorder(&mut self, slot: SlotId, state: &State) -> Result<*mut u8, RunError> {
        let described = self.plan.slot(slot);
        let copy = match self.reordered.entry(slot) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(place) => place.insert(Buffer::zeroed(described.ty.size_bytes())?),
        };
        state.copy_in_order(described, &self.plan.name, copy.as_mut_slice())?;
        Ok(copy.as_ptr())
    }

    pub(super) fn bind_outputs(&mut self) {
        for (output, tensor) in self.outputs.iter_mut().zip(&mut self.tensors) {
            let address = tensor.as_mut_ptr();
            if output.address != address {
                output.address = address;
                self.program.set(output.slot, address);
            }
        }
    }

    /// Makes every byte of outputs of `bool` 0 or 1, as Rust demands: where a plan writes a part of one alone, or copies what
    /// kernels have written in part, the rest is whatever was in the memory.
    pub(super) fn normalise_booleans(&mut self) {
        for output in &self.outputs {
            let ty = &self.plan.slot(output.slot).ty;
            if ty.dtype == DType::Bool {
                for index in 0..ty.shape.elements() {
                    // SAFETY: the address is that of the output's tensor, which has so many elements of a byte each.
                    let byte = unsafe { output.address.add(index) };
                    // SAFETY: as above; any byte is a `u8`, and nothing else refers to the tensor.
                    unsafe { byte.write(u8::from(byte.read() != 0)) };
                }
            }
        }
    }
}

/// `x: f32[2], y: i64[]`
fn list<'a>(named: impl Iterator<Item = (&'a str, &'a Type)>) -> String {
    let names: Vec<String> = named.map(|(name, ty)| format!("`{name}` ({ty})")).collect();
    names.join(", ")
}
