//! Pass `lower`: each group becomes a kernel, and the graph a plan whose memory has no places yet.
//!
//! In: a fused graph. Out: a [`Plan`] of stage `kernels`: a slot per value that is in memory, a call per group, a copy
//! per output, and the updates of states, which `plan_memory` turns into updates in place or copies.

mod body;
mod rows;

use std::collections::BTreeMap;

use ir::ops::FusedKind;
use ir::{
    AxisOrder, Error, Graph, Kernel, KernelId, Lowering, Node, NodeId, Op, Place, Plan, Row, Slot, SlotId,
    Step, Tensor, Type, Value,
};
use smallvec::SmallVec;

use crate::access::lowering;
use body::KernelWriter;

/// Lowers a fused graph.
pub fn lower(graph: &Graph) -> Result<Plan, Error> {
    let plan = Plan {
        name: graph.name.clone(),
        kernels: Vec::new(),
        slots: Vec::new(),
        prepare: Vec::new(),
        steps: Vec::new(),
        arena_bytes: 0,
        updates: Vec::new(),
    };
    let block = Block { graph, slots: BTreeMap::new(), steps: Vec::new(), depth: 0 };
    let mut lowerer = Lowerer { plan, block };
    lowerer.nodes();
    for output in &graph.outputs {
        let from = lowerer.block.slots[&output.value];
        let to = lowerer.slot(output.name.clone(), graph.ty(output.value).clone(), Place::Output);
        lowerer.push(Step::Copy { from, to });
    }
    for update in &graph.updates {
        let state = lowerer.block.slots[&Value::new(update.state, 0)];
        let value = lowerer.block.slots[&update.value];
        lowerer.plan.updates.push((state, value));
    }
    lowerer.plan.steps = lowerer.block.steps;
    Ok(lowerer.plan)
}

struct Lowerer<'a> {
    plan: Plan,
    /// What is being lowered: the graph, or a loop's body.
    block: Block<'a>,
}

/// A graph that becomes a list of steps.
struct Block<'a> {
    graph: &'a Graph,
    /// Where its values are, those of a body's inputs from the start.
    slots: BTreeMap<Value, SlotId>,
    steps: Vec<Step>,
    /// The number of loops around.
    depth: u32,
}

impl<'a> Lowerer<'a> {
    /// Lowers all nodes of the block.
    fn nodes(&mut self) {
        let graph = self.block.graph;
        for (id, node) in graph.nodes() {
            self.node(id, node);
        }
    }

    fn node(&mut self, id: NodeId, node: &'a Node) {
        match lowering(self.block.graph, node) {
            Lowering::Leaf => self.leaf(id, node),
            Lowering::Alias => {
                let slot = self.block.slots[&node.operands[0]];
                self.block.slots.insert(Value::new(id, 0), slot);
            }
            Lowering::Kernel(mut kernel) => {
                kernel.name = format!("k{}_{}", self.plan.kernels.len(), node.op.name());
                self.call(id, node, *kernel);
            }
            Lowering::Fused => {
                let kernel = fused_kernel(node, self.plan.kernels.len());
                self.call(id, node, kernel);
            }
            Lowering::Scan => self.scan(id, node),
            _ => panic!("pass lower: `{}` is outside of a group:\n{}", node.op.name(), self.block.graph),
        }
    }

    fn leaf(&mut self, id: NodeId, node: &Node) {
        if self.block.slots.contains_key(&Value::new(id, 0)) {
            return; // an input of a body
        }
        let place = match &node.op {
            Op::State(state) => {
                Place::State { init: state.init, order: AxisOrder::default(), is_private: state.is_private }
            }
            Op::Constant(constant) => Place::Constant(constant.tensor.clone()),
            _ => Place::Input,
        };
        let name = node.name.clone().unwrap_or_else(|| format!("c{}", self.plan.slots.len()));
        let slot = self.slot(name, node.results[0].clone(), place);
        self.block.slots.insert(Value::new(id, 0), slot);
    }

    fn slot(&mut self, name: String, ty: Type, place: Place) -> SlotId {
        self.plan.slots.push(Slot { name, ty, place });
        SlotId(self.plan.slots.len() as u32 - 1)
    }

    /// A slot in the arena with a number for a name.
    fn value(&mut self, ty: &Type) -> SlotId {
        self.slot(format!("v{}", self.plan.slots.len()), ty.clone(), Place::Unplaced)
    }

    fn push(&mut self, step: Step) {
        self.block.steps.push(step);
    }

    fn call(&mut self, id: NodeId, node: &Node, kernel: Kernel) {
        let mut slots: SmallVec<[SlotId; 6]> =
            node.operands.iter().map(|operand| self.block.slots[operand]).collect();
        for (value, ty) in self.block.graph.results(id).zip(&node.results) {
            let slot = self.value(ty);
            self.block.slots.insert(value, slot);
            slots.push(slot);
        }
        let kernel_id = KernelId(self.plan.kernels.len() as u32);
        self.plan.kernels.push(kernel.numbered());
        self.push(Step::Call { kernel: kernel_id, slots });
    }

    /// A loop over its body's steps. Carries have a slot of their own, which holds the initial value before it and is copied to at
    /// the end of each iteration; what `plan_memory` makes of these copies is its choice.
    fn scan(&mut self, id: NodeId, node: &'a Node) {
        let (Op::Scan(scan), Some(body)) = (&node.op, &node.body) else {
            panic!("pass lower: `{}` has no body", node.op.name());
        };
        let operands: Vec<SlotId> = node.operands.iter().map(|operand| self.block.slots[operand]).collect();
        let results: Vec<Value> = self.block.graph.results(id).collect();
        if scan.length == 0 {
            for (index, (&result, ty)) in results.iter().zip(&node.results).enumerate() {
                let slot = match operands[..scan.carries].get(index) {
                    Some(&carry) => carry,
                    None => {
                        let empty = Tensor::from_fn(ty, |_| unreachable!("there are no elements"));
                        self.slot(format!("c{}", self.plan.slots.len()), ty.clone(), Place::Constant(empty))
                    }
                };
                self.block.slots.insert(result, slot);
            }
            return;
        }
        let inputs: Vec<Value> = body.inputs().map(|(id, _)| Value::new(id, 0)).collect();
        let mut slots = BTreeMap::new();
        let mut homes = Vec::new();
        for (index, (&input, &operand)) in inputs.iter().zip(&operands).enumerate() {
            let ty = body.ty(input);
            let slot = if index < scan.carries {
                let home = self.value(ty);
                self.push(Step::Copy { from: operand, to: home });
                homes.push(home);
                home
            } else if index < scan.carries + scan.stacked {
                self.row(operand, &scan.stack_of(ty), ty)
            } else {
                operand
            };
            slots.insert(input, slot);
        }
        let mut rows = Vec::new();
        for (&result, output) in results[scan.carries..].iter().zip(&body.outputs[scan.carries..]) {
            let ty = body.ty(output.value);
            let stack_ty = scan.stack_of(ty);
            let stack = self.value(&stack_ty);
            self.block.slots.insert(result, stack);
            rows.push(self.row(stack, &stack_ty, ty));
        }
        self.block.slots.extend(results.iter().copied().zip(homes.iter().copied()));
        let inner = Block { graph: body, slots, steps: Vec::new(), depth: self.block.depth + 1 };
        let outer = std::mem::replace(&mut self.block, inner);
        self.nodes();
        self.end_iteration(&homes, &rows);
        let body = std::mem::replace(&mut self.block, outer).steps;
        self.push(Step::Loop { count: scan.length, reversed: scan.reversed, body });
    }

    /// Copies what an iteration gives to where it belongs: first what is stacked, then the carries, of which some may be what others
    /// become.
    fn end_iteration(&mut self, homes: &[SlotId], rows: &[SlotId]) {
        let (next, stacked) = self.block.graph.outputs.split_at(homes.len());
        let slot_of = |block: &Block<'_>, value: Value| block.slots[&value];
        for (output, &to) in stacked.iter().zip(rows) {
            let from = slot_of(&self.block, output.value);
            self.push(Step::Copy { from, to });
        }
        let mut last = Vec::new();
        for (output, &to) in next.iter().zip(homes) {
            let mut from = slot_of(&self.block, output.value);
            if from == to {
                continue;
            }
            if homes.contains(&from) {
                let kept = self.value(&self.block.graph.ty(output.value).clone());
                self.push(Step::Copy { from, to: kept });
                from = kept;
            }
            last.push(Step::Copy { from, to });
        }
        self.block.steps.extend(last);
    }

    /// The slot of this iteration's row of a stack, whose slot may have another shape.
    fn row(&mut self, stack: SlotId, stack_ty: &Type, ty: &Type) -> SlotId {
        let mut of = stack;
        if ty.shape.elements() == 0 || self.plan.slot(stack).ty.shape.rank() == 0 {
            return stack; // there is nothing to be told apart, or one row alone
        }
        if self.plan.slot(stack).ty != *stack_ty {
            let name = format!("{}.stack", self.plan.slot(stack).name);
            of = self.slot(name, stack_ty.clone(), Place::Part { of: stack, row: Row::At(0) });
        }
        let name = format!("{}.t", self.plan.slot(of).name);
        let row = Row::Step { depth: self.block.depth, shift: 0 };
        self.slot(name, ty.clone(), Place::Part { of, row })
    }
}

/// The kernel of a `fused` node.
fn fused_kernel(node: &Node, number: usize) -> Kernel {
    let (Op::Fused(fused), Some(body)) = (&node.op, &node.body) else {
        panic!("pass lower: `{}` has no body", node.op.name());
    };
    let mut writer = KernelWriter::new(kernel_name(body, number), body, fused);
    match fused.kind {
        FusedKind::Map => writer.write_map(),
        FusedKind::Contraction => writer.write_contraction(),
        FusedKind::Rows => rows::write_rows(&mut writer),
    }
    writer.finish()
}

/// `k3_matmul_add_relu`: the number of the kernel and the first ops that compute something.
fn kernel_name(body: &Graph, number: usize) -> String {
    const SHOWN: usize = 4;
    let computes = |node: &&Node| {
        !node.operands.is_empty() && !matches!(lowering(body, node), Lowering::View(_) | Lowering::Alias)
    };
    let nodes: Vec<&Node> = body.nodes().map(|(_, node)| node).collect();
    let names: Vec<&str> =
        nodes.iter().copied().filter(|node| computes(node)).map(|node| node.op.name()).collect();
    let shown = match names.len() {
        0 => vec!["copy"],
        n => names[..n.min(SHOWN)].to_vec(),
    };
    let more = if names.len() > SHOWN { "_etc" } else { "" };
    format!("k{number}_{}{more}", shown.join("_"))
}
