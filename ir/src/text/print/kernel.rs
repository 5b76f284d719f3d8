//! Printing kernels.
//!
//! Variables are printed under their numbers and axes under their names; what is printed is
//! [`Kernel::numbered`], in which names are unique.

use std::fmt;

use super::{Element, Indent, List, Name};
use crate::kernel::{Axis, Winograd};
use crate::{Access, Affine, AxisId, BufferId, Index, Inst, Kernel, ReduceOp, Stmt, StoreMode, Var};

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print_kernel(f, self, &Name(&self.name), 0)
    }
}

/// Prints a kernel under a name and at a depth of nesting.
pub fn print_kernel(
    f: &mut fmt::Formatter<'_>,
    kernel: &Kernel,
    name: &dyn fmt::Display,
    depth: usize,
) -> fmt::Result {
    let kernel = &kernel.clone().numbered();
    let indent = Indent(depth);
    let parameters: Vec<_> = kernel.parameters().map(|(_, buffer)| buffer).collect();
    // Written parameters behind the last one that is read stand behind the arrow; the others are marked.
    let split = parameters.iter().rposition(|buffer| buffer.access == Access::Read).map_or(0, |at| at + 1);
    write!(f, "{indent}kernel @{name}(")?;
    for (index, buffer) in parameters[..split].iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let mark = if buffer.access == Access::Write { "write " } else { "" };
        write!(f, "{comma}{mark}%{}: {}", Name(&buffer.name), buffer.ty)?;
    }
    let written = parameters[split..].iter().map(|buffer| format!("%{}: {}", Name(&buffer.name), buffer.ty));
    writeln!(f, ") -> ({}) {{", List(written))?;
    for local in kernel.buffers.iter().filter(|buffer| buffer.access == Access::Local) {
        writeln!(f, "{}local %{}: {}", Indent(depth + 1), Name(&local.name), local.ty)?;
    }
    let indent_of_body = Indent(depth + 1);
    match kernel.winograd {
        None => {}
        Some(Winograd::Gradient) => writeln!(f, "{indent_of_body}winograd gradient")?,
        Some(Winograd::Convolution { filters, transformed: Some(transformed) }) => {
            let [transformed, filters] = [transformed, filters].map(|id| buffer_name(kernel, id));
            writeln!(f, "{indent_of_body}winograd %{transformed} of %{filters}")?;
        }
        Some(Winograd::Convolution { filters, transformed: None }) => {
            writeln!(f, "{indent_of_body}winograd %{}", buffer_name(kernel, filters))?;
        }
    }
    let printer = KernelPrinter { kernel };
    printer.block(f, &kernel.body, depth + 1)?;
    writeln!(f, "{indent}}}")
}

struct KernelPrinter<'a> {
    kernel: &'a Kernel,
}

impl KernelPrinter<'_> {
    fn block(&self, f: &mut fmt::Formatter<'_>, body: &[Stmt], depth: usize) -> fmt::Result {
        body.iter().try_for_each(|stmt| self.stmt(f, stmt, depth))
    }

    fn stmt(&self, f: &mut fmt::Formatter<'_>, stmt: &Stmt, depth: usize) -> fmt::Result {
        let indent = Indent(depth);
        match stmt {
            Stmt::For { axes, sequential, body } => {
                let mark = if *sequential { " seq" } else { "" };
                writeln!(f, "{indent}for{mark}{} {{", self.axes(axes))?;
                self.block(f, body, depth + 1)?;
                writeln!(f, "{indent}}}")
            }
            Stmt::Reduce { axes, accumulators, body } => {
                let results = List(accumulators.iter().map(|accumulator| VarText(accumulator.result)));
                let ops: Vec<ReduceOp> = accumulators.iter().map(|accumulator| accumulator.op).collect();
                let ops = if let [op] = ops[..] { op.to_string() } else { format!("({})", List(ops.iter())) };
                writeln!(f, "{indent}{results} = reduce {ops}{} {{", self.axes(axes))?;
                self.block(f, body, depth + 1)?;
                let yielded = List(accumulators.iter().map(|accumulator| VarText(accumulator.value)));
                writeln!(f, "{}yield {yielded}", Indent(depth + 1))?;
                writeln!(f, "{indent}}}")
            }
            Stmt::Let { var, inst } => {
                write!(f, "{indent}{} = ", VarText(*var))?;
                self.inst(f, *var, inst)?;
                f.write_str("\n")
            }
            Stmt::Store { value, buffer, indices, mode } => {
                let mark = if *mode == StoreMode::Add { " add" } else { "" };
                writeln!(f, "{indent}store{mark} {}, {}", VarText(*value), self.place(*buffer, indices))
            }
        }
    }

    fn inst(&self, f: &mut fmt::Formatter<'_>, var: Var, inst: &Inst) -> fmt::Result {
        match inst {
            Inst::Constant(value) => write!(f, "{} : {}", Element(*value), value.dtype()),
            Inst::Axis(axis) => {
                let dtype = self.kernel.vars[var.0 as usize];
                write!(f, "axis {} : {dtype}", self.kernel.axes[axis.0 as usize].name)
            }
            Inst::Load { buffer, indices, fill } => {
                write!(f, "load {}", self.place(*buffer, indices))?;
                fill.map_or(Ok(()), |fill| write!(f, " fill {}", Element(fill)))
            }
            Inst::Apply { function, operands } => {
                write!(f, "{function} {}", List(operands.iter().map(|&operand| VarText(operand))))
            }
        }
    }

    /// ` i in 64, j in 128`
    fn axes(&self, axes: &[AxisId]) -> String {
        let axis = |axis: &AxisId| &self.kernel.axes[axis.0 as usize];
        let text = List(axes.iter().map(axis).map(|Axis { name, extent }| format!("{name} in {extent}")))
            .to_string();
        if text.is_empty() { text } else { format!(" {text}") }
    }

    /// `%x[i, j]`
    fn place(&self, buffer: BufferId, indices: &[Index]) -> String {
        let name = buffer_name(self.kernel, buffer);
        format!("%{name}[{}]", List(indices.iter().map(|index| self.index(index))))
    }

    /// `%7 + i - 2*k + 1`
    fn index(&self, index: &Index) -> String {
        let Index { affine, var } = index;
        let mut text = var.map_or_else(String::new, |var| VarText(var).to_string());
        for &(axis, coefficient) in affine.terms() {
            let name = &self.kernel.axes[axis.0 as usize].name;
            let term = match coefficient.unsigned_abs() {
                1 => name.clone(),
                factor => format!("{factor}*{name}"),
            };
            push_term(&mut text, coefficient, &term);
        }
        push_constant(&mut text, affine);
        text
    }
}

fn push_constant(text: &mut String, affine: &Affine) {
    if affine.offset() != 0 || text.is_empty() {
        push_term(text, affine.offset(), &affine.offset().unsigned_abs().to_string());
    }
}

/// Appends `term` with the sign of `sign`.
fn push_term(text: &mut String, sign: i64, term: &str) {
    text.push_str(match (text.is_empty(), sign < 0) {
        (true, false) => "",
        (true, true) => "-",
        (false, false) => " + ",
        (false, true) => " - ",
    });
    text.push_str(term);
}

/// `%3`
struct VarText(Var);

impl fmt::Display for VarText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0.0)
    }
}

/// The name of a buffer; one that does not exist is made up, for such a kernel is invalid.
fn buffer_name(kernel: &Kernel, buffer: BufferId) -> Name<'_> {
    Name(kernel.buffers.get(buffer.0 as usize).map_or("missing", |buffer| &buffer.name))
}
