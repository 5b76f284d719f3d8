//! The numbering of a kernel that its text shows.

use std::collections::{BTreeMap, HashMap};

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
        let mut taken = RESERVED_AXIS_NAMES.map(|name| (name.to_owned(), 0)).into();
        for axis in &mut self.axes {
            axis.name = unique_name(word(&axis.name), &mut taken);
        }
        let mut taken = HashMap::new();
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

/// `stem`, with a number where it is taken: the least that is free. `taken` has, for each name, the last number tried on it.
fn unique_name(stem: String, taken: &mut HashMap<String, u32>) -> String {
    let Some(&last) = taken.get(&stem) else {
        taken.insert(stem.clone(), 0);
        return stem;
    };
    let numbers = (last + 1..).map(|number| (number, format!("{stem}_{number}")));
    let mut free = numbers.filter(|(_, name)| !taken.contains_key(name));
    let (number, name) = free.next().expect("numbers do not end");
    taken.insert(stem, number);
    taken.insert(name.clone(), 0);
    name
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse_kernel;
    use crate::{Access, Type};

    #[test]
    fn names_that_meet_are_told_apart_by_the_least_free_number() {
        let mut taken = HashMap::new();
        let names = ["x", "x_1", "x", "x", "y", "x_1"].map(|name| unique_name(name.to_owned(), &mut taken));
        assert_eq!(names, ["x", "x_1", "x_2", "x_3", "y", "x_1_1"]);
    }

    /// Axes and variables are added in another order than the text defines them, under names that are taken or no
    /// words, and some are not used.
    #[test]
    fn a_numbered_kernel_reads_back_as_itself() {
        let mut kernel = Kernel::new("k");
        let ty = Type::new(DType::F32, [3, 2]);
        let x = kernel.buffer("x", ty.clone(), Access::Read);
        let y = kernel.buffer("x", ty, Access::Write);
        let inner = kernel.axis("i", 2);
        kernel.axis("unused", 5);
        let outer = kernel.axis("i", 3);
        let third = kernel.axis("1 st", 1);
        kernel.var(DType::Bool);
        let value = kernel.var(DType::F32);
        let at = |axis| Index { affine: Affine::axis(axis), var: None };
        let indices: crate::Indices = [at(outer), at(inner)].into_iter().collect();
        let load = Inst::Load { buffer: x, indices: indices.clone(), fill: None };
        let mode = crate::StoreMode::Set;
        let body =
            vec![Stmt::Let { var: value, inst: load }, Stmt::Store { value, buffer: y, indices, mode }];
        let axes = [outer, third, inner].into_iter().collect();
        kernel.body.push(Stmt::For { axes, sequential: false, body });
        let text = kernel.to_string();
        let numbered = kernel.numbered();
        assert_eq!(parse_kernel(&text).expect("printed text is valid"), numbered);
        assert_eq!(numbered.to_string(), text);
        assert_eq!(
            text,
            "kernel @k(%x: f32[3, 2]) -> (%x_1: f32[3, 2]) {\n  for i in 3, i1_st in 1, i_1 in 2 {\n    \
             %0 = load %x[i, i_1]\n    store %0, %x_1[i, i_1]\n  }\n}\n"
        );
    }
}
