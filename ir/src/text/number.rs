//! The numbering of a kernel that its text shows.

use std::collections::{BTreeMap, HashSet};

use super::RESERVED_AXIS_NAMES;
use crate::kernel::Axis;
use crate::{Affine, AxisId, DType, Index, Inst, Kernel, Stmt, Var};

impl Kernel {
    /// The same kernel with variables and axes numbered in the order in which its text defines them, without those
    /// that it does not use, and with unique names. A kernel that was parsed is numbered so, and parsing
    /// `kernel.to_string()` gives `kernel.numbered()`.
    pub fn numbered(mut self) -> Kernel {
        let mut numbering = Numbering::default();
        numbering.define_block(&self.body);
        self.body.iter_mut().for_each(|stmt| numbering.rename(stmt));
        self.vars = numbering.var_order.iter().map(|var| dtype_of(&self.vars, *var)).collect();
        self.axes = numbering.axis_order.iter().map(|axis| axis_of(&self.axes, *axis)).collect();
        let mut taken = RESERVED_AXIS_NAMES.map(str::to_owned).into();
        for axis in &mut self.axes {
            axis.name = unique_name(word(&axis.name), &mut taken);
        }
        let mut taken = HashSet::new();
        for buffer in &mut self.buffers {
            buffer.name = unique_name(std::mem::take(&mut buffer.name), &mut taken);
        }
        self
    }
}

/// The dtype of a variable; that of one that does not exist is of no matter, for such a kernel is invalid.
fn dtype_of(vars: &[DType], var: Var) -> DType {
    vars.get(var.0 as usize).copied().unwrap_or(DType::F32)
}

/// An axis; one that does not exist is made up, for such a kernel is invalid.
fn axis_of(axes: &[Axis], axis: AxisId) -> Axis {
    let missing = || Axis { name: "missing".to_owned(), extent: 0 };
    axes.get(axis.0 as usize).cloned().unwrap_or_else(missing)
}

/// `name` itself where it is a word, else a word made of it.
fn word(name: &str) -> String {
    let follows = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let mut word: String = name.chars().map(|c| if follows(c) { c } else { '_' }).collect();
    if !word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        word.insert(0, 'i');
    }
    word
}

/// `stem`, with a number where it is taken.
fn unique_name(stem: String, taken: &mut HashSet<String>) -> String {
    let numbered = (1..).map(|number| format!("{stem}_{number}"));
    let mut candidates = std::iter::once(stem.clone()).chain(numbered);
    let unique = candidates.find(|candidate| !taken.contains(candidate)).expect("numbers do not end");
    taken.insert(unique.clone());
    unique
}

/// The new numbers of variables and axes.
#[derive(Default)]
struct Numbering {
    vars: BTreeMap<Var, Var>,
    var_order: Vec<Var>,
    axes: BTreeMap<AxisId, AxisId>,
    axis_order: Vec<AxisId>,
}

impl Numbering {
    fn define_block(&mut self, block: &[Stmt]) {
        for stmt in block {
            match stmt {
                Stmt::For { axes, body, .. } => {
                    axes.iter().for_each(|&axis| {
                        self.axis(axis);
                    });
                    self.define_block(body);
                }
                Stmt::Reduce { axes, accumulators, body } => {
                    accumulators.iter().for_each(|accumulator| {
                        self.var(accumulator.result);
                    });
                    axes.iter().for_each(|&axis| {
                        self.axis(axis);
                    });
                    self.define_block(body);
                }
                Stmt::Let { var, .. } => {
                    self.var(*var);
                }
                Stmt::Store { .. } => {}
            }
        }
    }

    fn rename(&mut self, stmt: &mut Stmt) {
        match stmt {
            Stmt::For { axes, body, .. } => {
                axes.iter_mut().for_each(|axis| *axis = self.axis(*axis));
                body.iter_mut().for_each(|stmt| self.rename(stmt));
            }
            Stmt::Reduce { axes, accumulators, body } => {
                axes.iter_mut().for_each(|axis| *axis = self.axis(*axis));
                for accumulator in accumulators {
                    accumulator.result = self.var(accumulator.result);
                    accumulator.value = self.var(accumulator.value);
                }
                body.iter_mut().for_each(|stmt| self.rename(stmt));
            }
            Stmt::Let { var, inst } => {
                *var = self.var(*var);
                self.rename_inst(inst);
            }
            Stmt::Store { value, indices, .. } => {
                *value = self.var(*value);
                indices.iter_mut().for_each(|index| self.rename_index(index));
            }
        }
    }

    fn rename_inst(&mut self, inst: &mut Inst) {
        match inst {
            Inst::Constant(_) => {}
            Inst::Axis(axis) => *axis = self.axis(*axis),
            Inst::Load { indices, .. } => indices.iter_mut().for_each(|index| self.rename_index(index)),
            Inst::Apply { operands, .. } => operands.iter_mut().for_each(|var| *var = self.var(*var)),
        }
    }

    fn rename_index(&mut self, index: &mut Index) {
        let terms: Vec<(AxisId, i64)> = index.affine.terms().to_vec();
        let start = Affine::constant(index.affine.offset());
        index.affine = terms
            .iter()
            .fold(start, |sum, &(axis, factor)| sum.plus(&Affine::axis(self.axis(axis)).times(factor)));
        index.var = index.var.map(|var| self.var(var));
    }

    /// The number of a variable: the next one where it has none yet.
    fn var(&mut self, var: Var) -> Var {
        let next = Var(self.var_order.len() as u32);
        *self.vars.entry(var).or_insert_with(|| {
            self.var_order.push(var);
            next
        })
    }

    /// The number of an axis: the next one where it has none yet.
    fn axis(&mut self, axis: AxisId) -> AxisId {
        let next = AxisId(self.axis_order.len() as u32);
        *self.axes.entry(axis).or_insert_with(|| {
            self.axis_order.push(axis);
            next
        })
    }
}
