//! Parsing kernels.
//!
//! Variables and axes are numbered in the order in which the text defines them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use smallvec::SmallVec;

use super::cursor::{Cursor, Label, Parsed, Reference};
use super::did_you_mean;
use super::index::parse_indices;
use super::lexer::TokenKind;
use super::literal::{parse_dtype, parse_extent, parse_number, parse_type};
use crate::text::{MAX_DEPTH, ParseError, RESERVED_AXIS_NAMES};
use crate::{
    Access, Accumulator, AxisId, BufferId, DType, Indices, Inst, Kernel, ReduceOp, ScalarFn, Stmt, StoreMode,
    Var, Winograd,
};

/// What a name of a kernel stands for.
#[derive(Clone, Copy)]
enum Named {
    Buffer(BufferId),
    Var(Var),
    /// A variable of a block that has ended.
    Gone,
}

/// A kernel that is being read.
pub struct KernelParser {
    kernel: Kernel,
    names: HashMap<Label, Named>,
    axes: HashMap<String, AxisId>,
    /// The variables of the open blocks, in the order of their definition.
    visible: Vec<Label>,
    /// The axes of the open loops.
    open_axes: Vec<AxisId>,
    depth: usize,
}

/// What was open when a block began.
struct Block {
    visible: usize,
    open_axes: usize,
}

/// `kernel @name(%x: f32[2], ..) -> (%out: f32[2], ..) { .. }`: the kernel, and how it is referred to.
pub fn parse_kernel(cursor: &mut Cursor<'_>) -> Parsed<(Kernel, Reference)> {
    cursor.expect("kernel", "a kernel starts with `kernel @name(..) -> (..) {`")?;
    let reference = cursor.global()?;
    let mut parser = KernelParser {
        kernel: Kernel::new(reference.label.name.clone()),
        names: HashMap::new(),
        axes: HashMap::new(),
        visible: Vec::new(),
        open_axes: Vec::new(),
        depth: 0,
    };
    parser.parameters(cursor, Access::Read)?;
    if cursor.eat("->") {
        parser.parameters(cursor, Access::Write)?;
    }
    cursor.expect("{", "the statements of a kernel stand in braces")?;
    while cursor.eat("local") {
        parser.buffer(cursor, Access::Local)?;
    }
    if cursor.eat("winograd") {
        parser.kernel.winograd = Some(parser.winograd(cursor)?);
    }
    let body = parser.statements(cursor, "}")?;
    cursor.expect("}", "close the kernel with `}`")?;
    Ok((Kernel { body, ..parser.kernel }, reference))
}

impl KernelParser {
    /// `(%x: f32[2], write %y: f32[2])`
    fn parameters(&mut self, cursor: &mut Cursor<'_>, access: Access) -> Parsed<()> {
        cursor.expect("(", "parameters stand in parentheses as in `(%x: f32[2])`")?;
        while !cursor.eat(")") {
            let is_written = cursor.eat("write");
            self.buffer(cursor, if is_written { Access::Write } else { access })?;
            if !cursor.is(")") {
                cursor.expect(",", "parameters are separated by commas and end with `)`")?;
            }
        }
        Ok(())
    }

    /// `%x: f32[2]`
    fn buffer(&mut self, cursor: &mut Cursor<'_>, access: Access) -> Parsed<()> {
        let name = cursor.local("a buffer")?;
        cursor.expect(":", "a buffer has a type as in `%x: f32[2]`")?;
        let ty = parse_type(cursor)?;
        let buffer = self.kernel.buffer(name.label.name.clone(), ty, access);
        if name.label.is_number || name.label.part.is_some() {
            return Err(cursor.error(name.span, "this is no name of a buffer", "use a name as in `%x`"));
        }
        self.define(cursor, name, Named::Buffer(buffer))
    }

    /// `%u of %w`, `%w`, or `gradient`.
    fn winograd(&self, cursor: &mut Cursor<'_>) -> Parsed<Winograd> {
        if cursor.eat("gradient") {
            return Ok(Winograd::Gradient);
        }
        let (_, first) = self.known_buffer(cursor)?;
        if !cursor.eat("of") {
            return Ok(Winograd::Convolution { filters: first, transformed: None });
        }
        let (_, filters) = self.known_buffer(cursor)?;
        Ok(Winograd::Convolution { filters, transformed: Some(first) })
    }

    /// The statements of a block, up to `end`.
    fn statements(&mut self, cursor: &mut Cursor<'_>, end: &str) -> Parsed<Vec<Stmt>> {
        let mut statements = Vec::new();
        while !cursor.is(end) {
            if matches!(cursor.peek().kind, TokenKind::End) || cursor.is("}") {
                return Err(
                    cursor.unexpected(&format!("a statement or `{end}`"), "the block is not complete")
                );
            }
            statements.push(self.statement(cursor)?);
        }
        Ok(statements)
    }

    fn statement(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Stmt> {
        if cursor.eat("for") {
            return self.for_loop(cursor);
        }
        if cursor.eat("store") {
            return self.store(cursor);
        }
        if cursor.peek().kind != TokenKind::Local {
            let help = "statements are `for ..`, `store ..`, `%name = ..` and, at the end of a reduction, `yield ..`";
            return Err(cursor.unexpected("a statement", help));
        }
        let mut results = vec![cursor.local("a result")?];
        while cursor.eat(",") {
            results.push(cursor.local("a result")?);
        }
        cursor.expect("=", "a definition is `%name = ..`")?;
        if cursor.eat("reduce") {
            return self.reduce(cursor, results);
        }
        if let Some(second) = results.get(1) {
            let help = "write one name before the `=`";
            return Err(cursor.error(second.span.clone(), "only a reduction has several results", help));
        }
        let result = results.swap_remove(0);
        let (inst, dtype) = self.inst(cursor)?;
        let var = self.kernel.var(dtype);
        self.define(cursor, result, Named::Var(var))?;
        Ok(Stmt::Let { var, inst })
    }

    /// `[seq] i in 64, j in 128 { .. }`
    fn for_loop(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Stmt> {
        let sequential = cursor.eat("seq");
        let axes = self.loop_axes(cursor)?;
        let block = self.open(cursor, &axes)?;
        let body = self.statements(cursor, "}")?;
        self.close(cursor, block, "close the block with `}`")?;
        Ok(Stmt::For { axes, sequential, body })
    }

    /// `add k in 784 { .. yield %3 }` or `(add, max) k in 784 { .. yield %3, %4 }`
    fn reduce(&mut self, cursor: &mut Cursor<'_>, results: Vec<Reference>) -> Parsed<Stmt> {
        let start = cursor.peek().start;
        let mut ops = Vec::new();
        if cursor.eat("(") {
            while !cursor.eat(")") {
                ops.push(parse_reduce_op(cursor)?);
                if !cursor.is(")") {
                    cursor.expect(",", "reductions are separated by commas and end with `)`")?;
                }
            }
        } else {
            ops.push(parse_reduce_op(cursor)?);
        }
        if ops.len() != results.len() {
            let message = format!("{} results of {} reductions", results.len(), ops.len());
            let help = "write `%a, %b = reduce (add, max) ..`, a result for each reduction";
            return Err(cursor.error(cursor.span_from(start), message, help));
        }
        // The dtype of a result is that of what is yielded to it, known at the end of the body.
        let vars: Vec<Var> = results.iter().map(|_| self.kernel.var(DType::F32)).collect();
        let axes = self.loop_axes(cursor)?;
        let block = self.open(cursor, &axes)?;
        let body = self.statements(cursor, "yield")?;
        let start = cursor.peek().start;
        cursor.expect("yield", "a reduction ends with `yield %value`")?;
        let mut yielded = vec![self.var(cursor)?];
        while cursor.eat(",") {
            yielded.push(self.var(cursor)?);
        }
        if yielded.len() != vars.len() {
            let message = format!("{} values are yielded to {} reductions", yielded.len(), vars.len());
            return Err(cursor.error(cursor.span_from(start), message, "yield one value to each"));
        }
        self.close(cursor, block, "nothing follows `yield`; close the block with `}`")?;
        let mut accumulators = SmallVec::new();
        for (index, result) in results.into_iter().enumerate() {
            let (var, value) = (vars[index], yielded[index]);
            self.kernel.vars[var.0 as usize] = self.dtype(value);
            self.define(cursor, result, Named::Var(var))?;
            accumulators.push(Accumulator { result: var, op: ops[index], value });
        }
        Ok(Stmt::Reduce { axes, accumulators, body })
    }

    /// `i in 64, j in 128`, or nothing.
    fn loop_axes(&mut self, cursor: &mut Cursor<'_>) -> Parsed<SmallVec<[AxisId; 4]>> {
        let mut axes = SmallVec::new();
        if cursor.is("{") {
            return Ok(axes);
        }
        loop {
            let token = cursor.expect_kind(TokenKind::Word, "an axis", "an axis is written `i in 64`")?;
            if RESERVED_AXIS_NAMES.contains(&token.text) {
                return Err(cursor.error(
                    token.span(),
                    format!("`{}` is no name of an axis", token.text),
                    "use another",
                ));
            }
            cursor.expect("in", "an axis is written `i in 64`")?;
            let extent = parse_extent(cursor)?;
            let axis = self.kernel.axis(token.text, extent);
            if self.axes.insert(token.text.to_owned(), axis).is_some() {
                let message = format!("there is an axis `{}` already", token.text);
                return Err(cursor.error(
                    token.span(),
                    message,
                    "give each axis of a kernel a name of its own",
                ));
            }
            axes.push(axis);
            if !cursor.eat(",") {
                return Ok(axes);
            }
        }
    }

    /// `{`: what is defined from here on ends with the block.
    fn open(&mut self, cursor: &mut Cursor<'_>, axes: &[AxisId]) -> Parsed<Block> {
        if self.depth >= MAX_DEPTH {
            return Err(cursor.unexpected("no block", &format!("blocks can be nested {MAX_DEPTH} deep")));
        }
        cursor.expect("{", "the statements of a loop stand in braces")?;
        self.depth += 1;
        let block = Block { visible: self.visible.len(), open_axes: self.open_axes.len() };
        self.open_axes.extend_from_slice(axes);
        Ok(block)
    }

    /// `}`
    fn close(&mut self, cursor: &mut Cursor<'_>, block: Block, help: &str) -> Parsed<()> {
        cursor.expect("}", help)?;
        self.depth -= 1;
        self.open_axes.truncate(block.open_axes);
        for label in self.visible.drain(block.visible..) {
            self.names.insert(label, Named::Gone);
        }
        Ok(())
    }

    /// `store %6, %out[i, j]` or `store add %6, %out[i, j]`, after `store`.
    fn store(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Stmt> {
        let mode = if cursor.eat("add") { StoreMode::Add } else { StoreMode::Set };
        let value = self.var(cursor)?;
        cursor.expect(",", "a store is `store %value, %buffer[i, j]`")?;
        let (buffer, indices) = self.place(cursor)?;
        Ok(Stmt::Store { value, buffer, indices, mode })
    }

    /// What follows the `=` of a definition, and its dtype.
    fn inst(&mut self, cursor: &mut Cursor<'_>) -> Parsed<(Inst, DType)> {
        let token = cursor.peek();
        let is_number =
            token.kind == TokenKind::Number || matches!(token.text, "-" | "inf" | "nan" | "true" | "false");
        if is_number {
            let number = parse_number(cursor)?;
            let dtype = parse_declared_dtype(cursor)?;
            return Ok((Inst::Constant(number.element(cursor, dtype)?), dtype));
        }
        if cursor.eat("load") {
            return self.load(cursor);
        }
        if cursor.eat("axis") {
            let axis = self.axis(cursor)?;
            return Ok((Inst::Axis(axis), parse_declared_dtype(cursor)?));
        }
        self.apply(cursor)
    }

    /// `%x[i, j]` or `%x[i, j] fill 0.0`, after `load`.
    fn load(&mut self, cursor: &mut Cursor<'_>) -> Parsed<(Inst, DType)> {
        let (buffer, indices) = self.place(cursor)?;
        let dtype = self.kernel.buffers[buffer.0 as usize].ty.dtype;
        let fill = match cursor.eat("fill") {
            true => Some(parse_number(cursor)?.element(cursor, dtype)?),
            false => None,
        };
        Ok((Inst::Load { buffer, indices, fill }, dtype))
    }

    /// `function %a, %b`
    fn apply(&mut self, cursor: &mut Cursor<'_>) -> Parsed<(Inst, DType)> {
        let help = "a value is `load ..`, `axis ..`, a constant as in `0.5 : f32`, or a function of values";
        let token = cursor.expect_kind(TokenKind::Word, "a function", help)?;
        let function: ScalarFn = token.text.parse().map_err(|()| {
            let known =
                ScalarFn::ALL.iter().map(|function| function.name()).chain(["load", "axis", "reduce"]);
            let help = did_you_mean(token.text, known, help);
            cursor.error(token.span(), format!("there is no function `{}`", token.text), help)
        })?;
        let mut operands = SmallVec::from_elem(self.var(cursor)?, 1);
        while cursor.eat(",") {
            operands.push(self.var(cursor)?);
        }
        let dtypes: Vec<DType> = operands.iter().map(|&var| self.dtype(var)).collect();
        let dtype = function.result_dtype(&dtypes).ok_or_else(|| {
            let list: Vec<&str> = dtypes.iter().map(|dtype| dtype.name()).collect();
            let message = format!("`{function}` does not take ({})", list.join(", "));
            let help = format!("it takes {} operands: {}", function.row().arity, function.row().doc);
            cursor.error(cursor.span_from(token.start), message, help)
        })?;
        Ok((Inst::Apply { function, operands }, dtype))
    }

    /// `%name`, a buffer.
    fn known_buffer(&self, cursor: &mut Cursor<'_>) -> Parsed<(Reference, BufferId)> {
        let name = cursor.local("a buffer")?;
        match self.names.get(&name.label) {
            Some(&Named::Buffer(buffer)) => Ok((name, buffer)),
            Some(_) => {
                let message = format!("`%{}` is no buffer", name.label);
                Err(cursor.error(name.span, message, "name a buffer"))
            }
            None => Err(self.unknown(cursor, &name, "buffer")),
        }
    }

    /// `%x[i, j]`
    fn place(&mut self, cursor: &mut Cursor<'_>) -> Parsed<(BufferId, Indices)> {
        let (name, buffer) = self.known_buffer(cursor)?;
        let indices = parse_indices(cursor, self)?;
        let ty = &self.kernel.buffers[buffer.0 as usize].ty;
        if indices.len() != ty.shape.rank() {
            let message = format!("{} indices for `%{}`, which is {ty}", indices.len(), name.label);
            return Err(cursor.error(cursor.span_from(name.span.start), message, "give one index per axis"));
        }
        Ok((buffer, indices))
    }

    /// `%name`, a variable of an open block.
    pub fn var(&self, cursor: &mut Cursor<'_>) -> Parsed<Var> {
        let name = cursor.local("a value")?;
        let (message, help) = match self.names.get(&name.label) {
            Some(&Named::Var(var)) => return Ok(var),
            Some(Named::Buffer(_)) => {
                (format!("`%{}` is a buffer, not a value", name.label), "load an element of it first")
            }
            Some(Named::Gone) => (
                format!("`%{}` ended with its block", name.label),
                "a reduction hands values out of its block",
            ),
            None => return Err(self.unknown(cursor, &name, "value")),
        };
        Err(cursor.error(name.span, message, help))
    }

    /// `i`, an axis of an open loop.
    pub fn axis(&self, cursor: &mut Cursor<'_>) -> Parsed<AxisId> {
        let token =
            cursor.expect_kind(TokenKind::Word, "an axis", "name an axis of a loop around this statement")?;
        let axis = self.axes.get(token.text).copied().filter(|axis| self.open_axes.contains(axis));
        axis.ok_or_else(|| {
            let known = self.open_axes.iter().map(|axis| &self.kernel.axes[axis.0 as usize].name);
            let help = did_you_mean(token.text, known, "name an axis of a loop around this statement");
            cursor.error(token.span(), format!("there is no axis `{}` here", token.text), help)
        })
    }

    /// The dtype of a variable.
    pub fn dtype(&self, var: Var) -> DType {
        self.kernel.vars[var.0 as usize]
    }

    fn define(&mut self, cursor: &Cursor<'_>, name: Reference, named: Named) -> Parsed<()> {
        match self.names.entry(name.label) {
            Entry::Vacant(entry) => {
                if let Named::Var(_) = named {
                    self.visible.push(entry.key().clone());
                }
                entry.insert(named);
                Ok(())
            }
            Entry::Occupied(entry) => {
                let message = format!("there is a `%{}` already", entry.key());
                Err(cursor.error(name.span, message, "use each name of a kernel once"))
            }
        }
    }

    fn unknown(&self, cursor: &Cursor<'_>, name: &Reference, what: &str) -> ParseError {
        let is_alike = |named: &Named| matches!(named, Named::Buffer(_)) == (what == "buffer");
        let known =
            self.names.iter().filter(|(_, named)| is_alike(named)).map(|(label, _)| format!("%{label}"));
        let shown = format!("%{}", name.label);
        let help = did_you_mean(&shown, known, "define it above");
        cursor.error(name.span.clone(), format!("there is no {what} `{shown}` here"), help)
    }
}

/// `: f32`, as constants and axes need it.
fn parse_declared_dtype(cursor: &mut Cursor<'_>) -> Parsed<DType> {
    cursor.expect(":", "end with the dtype as in `: f32`")?;
    parse_dtype(cursor)
}

fn parse_reduce_op(cursor: &mut Cursor<'_>) -> Parsed<ReduceOp> {
    let names: Vec<&str> = ReduceOp::ALL.iter().map(|op| op.name()).collect();
    let help = format!("the reductions are {}", names.join(", "));
    let token = cursor.expect_kind(TokenKind::Word, "a reduction", &help)?;
    let unknown = |()| cursor.error(token.span(), format!("there is no reduction `{}`", token.text), help);
    token.text.parse().map_err(unknown)
}
