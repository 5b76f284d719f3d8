//! Graphs, plans and machine code for eyes and for other programs: dot, JSON, assembly.

use std::fmt::Write;

use codegen::listing::MachineFunction;
use ir::{Graph, Node, Place, Plan, Value};
use serde_json::json;

use crate::Error;

/// A graph in the language of Graphviz: a box per node, an edge per operand.
pub fn graph_dot(graph: &Graph) -> String {
    let mut dot = format!("digraph {:?} {{\n  node [shape=box, fontname=monospace]\n", graph.name);
    for (id, node) in graph.nodes() {
        let types: Vec<String> = node.results.iter().map(ToString::to_string).collect();
        let label = format!("{}\n{}", title(node), types.join(", "));
        line(&mut dot, format_args!("  n{} [label={label:?}]", id.0));
        for operand in &node.operands {
            line(&mut dot, format_args!("  n{} -> n{}", operand.node.0, id.0));
        }
    }
    for (index, output) in graph.outputs.iter().enumerate() {
        let label = format!("output {}", output.name);
        line(&mut dot, format_args!("  out{index} [label={label:?}, shape=oval]"));
        line(&mut dot, format_args!("  n{} -> out{index}", output.value.node.0));
    }
    for update in &graph.updates {
        line(
            &mut dot,
            format_args!("  n{} -> n{} [style=dashed, label=update]", update.value.node.0, update.state.0),
        );
    }
    dot + "}\n"
}

fn line(to: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(to, "{text}").expect("writing to a string succeeds");
}

/// The op of a node, and its name; of a group, the ops in it.
fn title(node: &Node) -> String {
    let name = node.name.as_ref().map_or(String::new(), |name| format!(" {name}"));
    let body = node.body.as_ref().map_or(String::new(), |body| {
        let ops = body.nodes().filter(|(_, node)| !node.operands.is_empty()).map(|(_, node)| node.op.name());
        format!("\n{}", ops.collect::<Vec<&str>>().join(" "))
    });
    format!("{}{name}{body}", node.op.name())
}

/// A graph as a JSON object: its nodes with operands as `[node, result]`, its outputs and updates, and its text.
pub fn graph_json(graph: &Graph) -> serde_json::Value {
    let place = |value: &Value| json!([value.node.0, value.result]);
    let nodes = graph.nodes().map(|(id, node)| {
        json!({
            "id": id.0,
            "op": node.op.name(),
            "name": node.name,
            "operands": node.operands.iter().map(place).collect::<Vec<_>>(),
            "types": node.results.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "body": node.body.as_ref().map(|body| graph_json(body)),
        })
    });
    json!({
        "kind": "graph",
        "name": graph.name,
        "nodes": nodes.collect::<Vec<_>>(),
        "outputs": graph.outputs.iter().map(|out| json!({ "name": out.name, "value": place(&out.value) })).collect::<Vec<_>>(),
        "updates": graph.updates.iter().map(|up| json!({ "state": up.state.0, "value": place(&up.value) })).collect::<Vec<_>>(),
        "text": graph.to_string(),
    })
}

/// A plan as a JSON object: its sizes, its slots, its kernels as texts, and its text.
pub fn plan_json(plan: &Plan) -> serde_json::Value {
    let slots = plan.slots.iter().map(|slot| {
        let (place, offset) = match &slot.place {
            Place::Unplaced => ("unplaced", None),
            Place::Arena { offset } => ("arena", Some(*offset)),
            Place::Input => ("input", None),
            Place::Output => ("output", None),
            Place::State { .. } => ("state", None),
            Place::Constant(_) => ("constant", None),
            Place::Part { .. } => ("part", None),
        };
        json!({ "name": slot.name, "type": slot.ty.to_string(), "place": place, "offset": offset })
    });
    json!({
        "kind": "plan",
        "name": plan.name,
        "arena_bytes": plan.arena_bytes,
        "value_bytes": value_bytes(plan),
        "prepare": plan.prepare.len(),
        "steps": plan.steps.len(),
        "slots": slots.collect::<Vec<_>>(),
        "kernels": plan.kernels.iter().map(|k| json!({ "name": k.name, "text": k.to_string() })).collect::<Vec<_>>(),
        "text": plan.to_string(),
    })
}

/// The bytes of all values in the arena, placed or not: the size that it would have without reuse.
pub fn value_bytes(plan: &Plan) -> usize {
    let in_arena = plan.slots_where(|place| matches!(place, Place::Unplaced | Place::Arena { .. }));
    in_arena.map(|(_, slot)| slot.ty.size_bytes()).sum()
}

/// Machine code as assembly: an instruction per line with its offset, then the constants behind it as words. Functions
/// after the first have a line with their name; so has a place where an address is filled in.
///
/// # Errors
/// On processors other than x86-64.
pub fn disassemble(functions: &[MachineFunction<'_>]) -> Result<String, Error> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Error::invalid("asm", "only x86-64 code can be shown", "print the stage clif instead"));
    }
    let mut text = String::new();
    for (number, function) in functions.iter().enumerate() {
        if number > 0 {
            line(&mut text, format_args!("; {}", function.name));
        }
        instructions(&mut text, function);
        words(&mut text, function);
    }
    Ok(text)
}

fn instructions(text: &mut String, function: &MachineFunction<'_>) {
    use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_branch_leading_zeros(false);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_space_after_operand_separator(true);
    options.set_rip_relative_addresses(true);
    for instruction in &mut Decoder::with_ip(64, function.code, 0, DecoderOptions::NONE) {
        write!(text, "{:6x}  ", instruction.ip()).expect("writing to a string succeeds");
        formatter.format(&instruction, text);
        let bytes = instruction.ip() as usize..instruction.next_ip() as usize;
        for (_, name) in function.addresses.iter().filter(|(offset, _)| bytes.contains(offset)) {
            write!(text, "  ; {name}").expect("writing to a string succeeds");
        }
        text.push('\n');
    }
}

/// Constants, four words per line, from the first that is not part of the gap before them.
fn words(text: &mut String, function: &MachineFunction<'_>) {
    /// Constants begin at a multiple of this.
    const ALIGNMENT: usize = 16;
    let end = function.code.len();
    let gap = (end.next_multiple_of(ALIGNMENT) - end).min(function.constants.len());
    for (index, row) in function.constants[gap..].chunks(ALIGNMENT).enumerate() {
        let word = |bytes: &[u8]| {
            let value = bytes.iter().rev().fold(0u32, |value, &byte| value << 8 | u32::from(byte));
            format!("{value:#010x}")
        };
        let words: Vec<String> = row.chunks(4).map(word).collect();
        line(text, format_args!("{:6x}  dd {}", end + gap + index * ALIGNMENT, words.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAPH: &str =
        "graph @g { %x = input : f32[2]  %s = state init=constant(0) : f32[2]  %y = add %x, %s
        output y = %y  update %s = %y }";

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn machine_code_is_shown_in_intel_syntax_with_names_and_constants() {
        let kernel = MachineFunction {
            name: "kernel".to_owned(),
            code: &[0x48, 0x89, 0xf8, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xeb, 0xf1],
            constants: &[],
            addresses: vec![(5, "strip 0".to_owned())],
        };
        let strip = MachineFunction {
            name: "strip 0".to_owned(),
            code: &[0xc3],
            constants: &[[0xcc; 15].as_slice(), &[1, 0, 0, 0, 0xff, 0xff, 0, 0]].concat(),
            addresses: Vec::new(),
        };
        assert_eq!(
            disassemble(&[kernel, strip]).unwrap(),
            "     0  mov rax, rdi\n     3  mov rax, 0  ; strip 0\n     d  jmp short 0\n; strip 0\n     0  ret\n    \
             10  dd 0x00000001, 0x0000ffff\n"
        );
    }

    #[test]
    fn dot_has_a_node_and_an_edge_for_each() {
        let dot = graph_dot(&ir::text::parse_graph(GRAPH).unwrap());
        assert!(dot.starts_with("digraph \"g\" {\n"), "{dot}");
        for part in
            ["n2 [label=\"add y\\nf32[2]\"]", "  n0 -> n2\n", "  n2 -> out0\n", "n2 -> n1 [style=dashed"]
        {
            assert!(dot.contains(part), "{part} in {dot}");
        }
    }

    #[test]
    fn json_has_the_nodes_and_a_text_that_parses_back() {
        let graph = ir::text::parse_graph(GRAPH).unwrap();
        let json = graph_json(&graph);
        assert_eq!(json["nodes"][2]["operands"], json!([[0, 0], [1, 0]]));
        assert_eq!(ir::text::parse_graph(json["text"].as_str().unwrap()).unwrap(), graph);
    }
}
