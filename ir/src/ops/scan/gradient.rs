//! The gradient of a scan: another scan, which runs the other way.
//!
//! The body is differentiated with a seed for each output. What its cotangents read of the forward values is the *cut*.
//! Operands of the step are passed again; little work is done again in the reverse body; what is left is a residual,
//! an extra stacked result of the forward scan, which is written anew with it (pass `autodiff` merges it with the one
//! that was there). The reverse scan has as carries the gradients of the carries and a sum for each invariant; it is an
//! ordinary scan, so it has a gradient in its turn.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::smallvec;

use super::{Scan, is_float};
use crate::ops::{Differentiated, Gradients};
use crate::text::BODY_NAME;
use crate::{Builder, Error, Graph, Lowering, Node, NodeId, Op, Operands, Output, Type, Value, vjp};

/// The gradients of the operands of a scan.
pub fn gradient(scan: &Scan, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
    let body = node.body.expect("`infer` has checked that there is a body");
    let step = Step::differentiate(scan, body, node.gradients)?;
    let cut = Cut::of(&step);
    let (forward, outputs) = step.forward(&cut);
    let results = match outputs.len() == body.outputs.len() {
        true => Operands::from_slice(node.results),
        false => {
            let id = builder.push_scan(scan.clone(), node.operands, forward)?;
            builder.graph().results(id).collect()
        }
    };
    step.reverse(builder, node, &cut, |value| {
        let at = scan.carries + outputs[scan.carries..].iter().position(|&output| output == value)?;
        Some(results[at])
    })
}

/// The body of a scan with its cotangents.
struct Step<'a> {
    scan: &'a Scan,
    body: &'a Graph,
    /// The nodes of the body, then seeds and what follows from them.
    graph: Graph,
    inputs: Vec<Value>,
    /// The seed of each output of the body; `None` where its gradient is zero.
    seeds: Vec<Option<Value>>,
    /// The cotangent of each input of the body.
    cotangents: Vec<Option<Value>>,
    /// Whether each node depends on a seed.
    is_reverse: Vec<bool>,
}

impl<'a> Step<'a> {
    fn differentiate(
        scan: &'a Scan,
        body: &'a Graph,
        gradients: &[Option<Value>],
    ) -> Result<Step<'a>, Error> {
        let inputs: Vec<Value> = body.inputs().map(|(id, _)| Value::new(id, 0)).collect();
        let outputs: Vec<Value> = body.outputs.iter().map(|output| output.value).collect();
        let is_active = active_outputs(scan, body, gradients);
        let mut builder = Builder::resume(body.clone());
        let mut names =
            (0usize..).map(|number| format!("seed{number}")).filter(|name| body.find(name).is_none());
        let mut seed = |(&output, is_active): (&Value, bool)| {
            let Type { dtype, shape } = builder.ty(output).clone();
            let name = names.next().expect("there are infinitely many names");
            is_active.then(|| builder.input(&name, dtype, shape)).transpose()
        };
        let seeds = outputs.iter().zip(is_active).map(&mut seed).collect::<Result<Vec<_>, Error>>()?;
        let floats: Vec<Value> = inputs.iter().copied().filter(|&input| is_float(body.ty(input))).collect();
        let found = vjp(&mut builder, &outputs, &seeds, &floats)?;
        let found: BTreeMap<Value, Value> =
            floats.into_iter().zip(found).filter_map(|(input, found)| Some((input, found?))).collect();
        let cotangents = inputs.iter().map(|input| found.get(input).copied()).collect();
        let graph = builder.finish();
        let mut is_reverse = vec![false; graph.len()];
        for (id, node) in graph.nodes() {
            let is_seed = seeds.iter().flatten().any(|seed| seed.node == id);
            is_reverse[id.0 as usize] =
                is_seed || node.operands.iter().any(|operand| is_reverse[operand.node.0 as usize]);
        }
        Ok(Step { scan, body, graph, inputs, seeds, cotangents, is_reverse })
    }

    /// Whether a value is of the body as it was.
    fn is_of_body(&self, value: Value) -> bool {
        (value.node.0 as usize) < self.body.len()
    }

    /// The body of the forward scan with the residuals as further outputs, and what these and the others are in the
    /// differentiated body.
    fn forward(&self, cut: &Cut) -> (Graph, Vec<Value>) {
        let mut is_marked = vec![false; self.graph.len()];
        is_marked[..self.body.len()].fill(true);
        cut.residuals.iter().for_each(|value| is_marked[value.node.0 as usize] = true);
        for (id, node) in self.graph.nodes().rev() {
            if is_marked[id.0 as usize] {
                node.operands.iter().for_each(|operand| is_marked[operand.node.0 as usize] = true);
            }
        }
        let mut whole = self.graph.clone();
        let mut names = (0usize..).map(|number| format!("residual{number}"));
        let taken: BTreeSet<&str> = self.body.outputs.iter().map(|output| output.name.as_str()).collect();
        for &value in &cut.residuals {
            if self.body.outputs[self.scan.carries..].iter().any(|output| output.value == value) {
                continue;
            }
            let name =
                names.find(|name| !taken.contains(name.as_str())).expect("there are infinitely many names");
            whole.outputs.push(Output { name, value });
        }
        (whole.part(&is_marked), whole.outputs.iter().map(|output| output.value).collect())
    }

    /// Appends the reverse scan; `stack_of` is the stacked result of the forward scan for a residual.
    fn reverse(
        &self,
        builder: &mut Builder,
        node: &Differentiated<'_>,
        cut: &Cut,
        stack_of: impl Fn(Value) -> Option<Value>,
    ) -> Result<Gradients, Error> {
        let Scan { carries, stacked, .. } = *self.scan;
        let mut body = ReverseBody::new(self);
        // Carries: gradients of carries, then sums for invariants.
        let mut operands = Operands::new();
        for index in (0..carries).filter(|&index| self.seeds[index].is_some()) {
            body.input("dc", self.seeds[index]);
            operands.push(match node.gradients[index] {
                Some(gradient) => gradient,
                None => builder.zeros_like(node.results[index])?,
            });
        }
        let summed: Vec<usize> = (carries + stacked..self.inputs.len())
            .filter(|&index| self.cotangents[index].is_some())
            .collect();
        let mut sums = Vec::new();
        for &index in &summed {
            sums.push(body.input_of("dw", self.body.ty(self.inputs[index])));
            operands.push(builder.zeros_like(node.operands[index])?);
        }
        let reverse_carries = operands.len();
        // What is stacked: seeds, operands that are passed again, residuals.
        for index in carries..self.seeds.len() {
            let (Some(seed), Some(gradient)) = (self.seeds[index], node.gradients[index]) else { continue };
            body.input("dy", Some(seed));
            operands.push(gradient);
        }
        let passed =
            |range: std::ops::Range<usize>| range.filter(|&index| cut.passed.contains(&self.inputs[index]));
        for index in passed(carries..carries + stacked) {
            body.input("x", Some(self.inputs[index]));
            operands.push(node.operands[index]);
        }
        for &residual in &cut.residuals {
            body.input("r", Some(residual));
            operands.push(stack_of(residual).expect("the forward scan stacks all residuals"));
        }
        let reverse_stacked = operands.len() - reverse_carries;
        for index in passed(carries + stacked..self.inputs.len()) {
            body.input("w", Some(self.inputs[index]));
            operands.push(node.operands[index]);
        }
        body.copy(cut)?;
        let mut gradients: Gradients = smallvec![None; self.inputs.len()];
        let mut order = Vec::new();
        for index in (0..carries).filter(|&index| self.seeds[index].is_some()) {
            body.output(self.cotangents[index], self.body.ty(self.inputs[index]))?;
            order.push(index);
        }
        for (&index, &sum) in summed.iter().zip(&sums) {
            body.output_sum(sum, self.cotangents[index])?;
            order.push(index);
        }
        for index in (carries..carries + stacked).filter(|&index| self.cotangents[index].is_some()) {
            body.output(self.cotangents[index], self.body.ty(self.inputs[index]))?;
            order.push(index);
        }
        if order.is_empty() {
            return Ok(gradients);
        }
        let scan = Scan {
            carries: reverse_carries,
            stacked: reverse_stacked,
            length: self.scan.length,
            reversed: !self.scan.reversed,
            recompute: self.scan.recompute,
        };
        let id = builder.push_scan(scan, &operands, body.builder.finish())?;
        order
            .into_iter()
            .zip(builder.graph().results(id))
            .for_each(|(index, result)| gradients[index] = Some(result));
        Ok(gradients)
    }
}

/// Which outputs of the body have a gradient that is not zero: those of results that have one, and of carries that such
/// outputs depend on.
fn active_outputs(scan: &Scan, body: &Graph, gradients: &[Option<Value>]) -> Vec<bool> {
    let carry_of: BTreeMap<NodeId, usize> =
        body.inputs().take(scan.carries).enumerate().map(|(index, (id, _))| (id, index)).collect();
    let is_float = |index: usize| is_float(body.ty(body.outputs[index].value));
    let mut is_active = vec![false; body.outputs.len()];
    let mut is_seen = vec![false; body.len()];
    let mut open: Vec<NodeId> = Vec::new();
    for (index, gradient) in gradients.iter().enumerate() {
        if gradient.is_some() && is_float(index) {
            is_active[index] = true;
            open.push(body.outputs[index].value.node);
        }
    }
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut is_seen[id.0 as usize], true) {
            continue;
        }
        open.extend(body.node(id).operands.iter().map(|operand| operand.node));
        if let Some(&carry) = carry_of.get(&id)
            && is_float(carry)
            && !std::mem::replace(&mut is_active[carry], true)
        {
            open.push(body.outputs[carry].value.node);
        }
    }
    is_active
}

/// What the reverse body reads of the forward values, and where it comes from.
struct Cut {
    /// Stacked operands and invariants, which are passed again.
    passed: BTreeSet<Value>,
    /// What the forward scan stacks.
    residuals: BTreeSet<Value>,
    /// The nodes of the reverse body: those that depend on a seed, and those that are computed again.
    is_in_reverse: Vec<bool>,
}

impl Cut {
    fn of(step: &Step<'_>) -> Cut {
        let graph = &step.graph;
        let mut cut = Cut {
            passed: BTreeSet::new(),
            residuals: BTreeSet::new(),
            is_in_reverse: vec![false; graph.len()],
        };
        let mut open: Vec<Value> = step.cotangents.iter().copied().flatten().collect();
        while let Some(value) = open.pop() {
            let at = value.node.0 as usize;
            let node = graph.node(value.node);
            if cut.is_in_reverse[at] {
                continue;
            }
            if !step.is_reverse[at] && !is_computed_again(step, node, value) {
                cut.keep(step, value);
                continue;
            }
            cut.is_in_reverse[at] = true;
            open.extend(node.operands.iter().copied());
        }
        cut
    }

    fn keep(&mut self, step: &Step<'_>, value: Value) {
        let is_carry = step.inputs[..step.scan.carries].contains(&value);
        let is_input = matches!(step.graph.node(value.node).op, Op::Input(_));
        if is_input && !is_carry {
            self.passed.insert(value)
        } else {
            self.residuals.insert(value)
        };
    }
}

/// Whether a forward value is computed again rather than stacked: constants, what is another form of a value that is no
/// larger, and what the gradient rules have added of elementwise functions; everything where memory matters more.
fn is_computed_again(step: &Step<'_>, node: &Node, value: Value) -> bool {
    if matches!(node.op, Op::Input(_)) {
        return false;
    }
    if step.scan.recompute || node.operands.is_empty() {
        return true;
    }
    let types: Vec<&Type> = node.operands.iter().map(|&operand| step.graph.ty(operand)).collect();
    let elements = step.graph.ty(value).shape.elements();
    match node.op.lower(&types, &node.results) {
        Lowering::Alias | Lowering::View(_) | Lowering::Iota { .. } => {
            types.iter().all(|ty| ty.shape.elements() <= elements)
        }
        Lowering::Apply(_) => !step.is_of_body(value),
        _ => false,
    }
}

/// The body of the reverse scan while it is built.
struct ReverseBody<'a> {
    step: &'a Step<'a>,
    builder: Builder,
    /// Where each value of the differentiated step is in this body.
    values: BTreeMap<Value, Value>,
}

impl<'a> ReverseBody<'a> {
    fn new(step: &'a Step<'a>) -> ReverseBody<'a> {
        ReverseBody { step, builder: Builder::new(BODY_NAME), values: BTreeMap::new() }
    }

    /// An input that stands for a value of the step.
    fn input(&mut self, prefix: &str, of: Option<Value>) {
        let of = of.expect("an input stands for a value");
        let input = self.input_of(prefix, &self.step.graph.ty(of).clone());
        self.values.insert(of, input);
    }

    fn input_of(&mut self, prefix: &str, ty: &Type) -> Value {
        let name = format!("{prefix}{}", self.builder.graph().len());
        self.builder.input(&name, ty.dtype, ty.shape.clone()).expect("each input has a number of its own")
    }

    /// Copies the nodes of the reverse body, in their order.
    fn copy(&mut self, cut: &Cut) -> Result<(), Error> {
        for (id, node) in self.step.graph.nodes() {
            if !cut.is_in_reverse[id.0 as usize] || matches!(node.op, Op::Input(_)) {
                continue;
            }
            let operands: Operands = node.operands.iter().map(|operand| self.values[operand]).collect();
            let copy = self.builder.push_with_body(node.op.clone(), &operands, None, node.body.clone())?;
            let results: Operands = self.builder.graph().results(copy).collect();
            self.values.extend(self.step.graph.results(id).zip(results));
        }
        Ok(())
    }

    /// Returns a cotangent, or zeros of this type.
    fn output(&mut self, cotangent: Option<Value>, ty: &Type) -> Result<(), Error> {
        let value = match cotangent {
            Some(cotangent) => self.values[&cotangent],
            None => {
                let zero = self.builder.float(ty.dtype, 0.0);
                self.builder.broadcast(zero, ty.shape.clone())?
            }
        };
        self.push_output(value)
    }

    /// Returns a sum with this step's cotangent added.
    fn output_sum(&mut self, sum: Value, cotangent: Option<Value>) -> Result<(), Error> {
        let cotangent = cotangent.map(|cotangent| self.values[&cotangent]);
        let next = cotangent.map_or(Ok(sum), |cotangent| self.builder.add(sum, cotangent))?;
        self.push_output(next)
    }

    fn push_output(&mut self, value: Value) -> Result<(), Error> {
        let name = format!("out{}", self.builder.graph().outputs.len());
        self.builder.output(&name, value)
    }
}
