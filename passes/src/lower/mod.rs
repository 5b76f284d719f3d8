//! Pass `lower`: each group becomes a kernel, and the graph a plan whose memory has no places yet.
//!
//! In: a fused graph. Out: a [`Plan`] of stage `kernels`: a slot per value that is in memory, a call per group, a copy
//! per output, and the updates of states, which `plan_memory` turns into updates in place or copies.

mod body;
mod rows;

use std::collections::BTreeMap;

use ir::ops::FusedKind;
use ir::{
    AxisOrder, Error, Graph, Kernel, KernelId, Lowering, Node, NodeId, Op, Place, Plan, Slot, SlotId, Step,
    Value,
};

use crate::access::lowering;
use body::KernelWriter;

/// Lowers a fused graph.
pub fn lower(graph: &Graph) -> Result<Plan, Error> {
    let mut lowerer = Lowerer {
        graph,
        plan: Plan {
            name: graph.name.clone(),
            kernels: Vec::new(),
            slots: Vec::new(),
            prepare: Vec::new(),
            steps: Vec::new(),
            arena_bytes: 0,
            updates: Vec::new(),
        },
        slots: BTreeMap::new(),
    };
    for (id, node) in graph.nodes() {
        lowerer.node(id, node);
    }
    for output in &graph.outputs {
        let from = lowerer.slots[&output.value];
        let to = lowerer.slot(output.name.clone(), graph.ty(output.value).clone(), Place::Output);
        lowerer.plan.steps.push(Step::Copy { from, to });
    }
    for update in &graph.updates {
        let state = lowerer.slots[&Value::new(update.state, 0)];
        let value = lowerer.slots[&update.value];
        lowerer.plan.updates.push((state, value));
    }
    Ok(lowerer.plan)
}

struct Lowerer<'a> {
    graph: &'a Graph,
    plan: Plan,
    slots: BTreeMap<Value, SlotId>,
}

impl Lowerer<'_> {
    fn node(&mut self, id: NodeId, node: &Node) {
        match lowering(self.graph, node) {
            Lowering::Leaf => self.leaf(id, node),
            Lowering::Alias => {
                let slot = self.slots[&node.operands[0]];
                self.slots.insert(Value::new(id, 0), slot);
            }
            Lowering::Kernel(mut kernel) => {
                kernel.name = format!("k{}_{}", self.plan.kernels.len(), node.op.name());
                self.call(id, node, *kernel);
            }
            Lowering::Fused => {
                let kernel = fused_kernel(node, self.plan.kernels.len());
                self.call(id, node, kernel);
            }
            _ => panic!("pass lower: `{}` is outside of a group:\n{}", node.op.name(), self.graph),
        }
    }

    fn leaf(&mut self, id: NodeId, node: &Node) {
        let place = match &node.op {
            Op::State(state) => {
                Place::State { init: state.init, order: AxisOrder::default(), is_private: state.is_private }
            }
            Op::Constant(constant) => Place::Constant(constant.tensor.clone()),
            _ => Place::Input,
        };
        let name = node.name.clone().unwrap_or_else(|| format!("c{}", self.plan.slots.len()));
        let slot = self.slot(name, node.results[0].clone(), place);
        self.slots.insert(Value::new(id, 0), slot);
    }

    fn slot(&mut self, name: String, ty: ir::Type, place: Place) -> SlotId {
        self.plan.slots.push(Slot { name, ty, place });
        SlotId(self.plan.slots.len() as u32 - 1)
    }

    fn call(&mut self, id: NodeId, node: &Node, kernel: Kernel) {
        let mut slots: smallvec::SmallVec<[SlotId; 6]> =
            node.operands.iter().map(|operand| self.slots[operand]).collect();
        for (value, ty) in self.graph.results(id).zip(&node.results) {
            let slot = self.slot(format!("v{}", self.plan.slots.len()), ty.clone(), Place::Unplaced);
            self.slots.insert(value, slot);
            slots.push(slot);
        }
        let kernel_id = KernelId(self.plan.kernels.len() as u32);
        self.plan.kernels.push(kernel.numbered());
        self.plan.steps.push(Step::Call { kernel: kernel_id, slots });
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
