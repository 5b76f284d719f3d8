//! Parsing graphs.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::cursor::{Cursor, Label, Parsed, Reference};
use super::did_you_mean;
use super::lexer::TokenKind;
use super::literal::{Literal, parse_literal, parse_type};
use crate::text::{BODY_NAME, MAX_DEPTH, MAX_ELEMENTS, MAX_RANK};
use crate::{Attr, AttrReader, Builder, Graph, NodeId, Op, Output, Stage, Type, Update, Value};

/// `graph @name stage fused { .. }`; without a stage, it is `source`.
pub fn parse_graph(cursor: &mut Cursor<'_>) -> Parsed<Graph> {
    cursor.expect("graph", "a graph starts with `graph @name {`")?;
    let name = cursor.global()?.label.name;
    let stage = if cursor.eat("stage") { parse_stage(cursor)? } else { Stage::Source };
    let mut graph = parse_block(cursor, name, 0)?;
    graph.stage = stage;
    Ok(graph)
}

/// The name of a stage of graphs.
fn parse_stage(cursor: &mut Cursor<'_>) -> Parsed<Stage> {
    let names = Stage::OF_GRAPHS.map(Stage::name);
    let help = format!("the stages of graphs are {}", names.join(", "));
    let token = cursor.expect_kind(TokenKind::Word, "a stage", &help)?;
    let stage = Stage::OF_GRAPHS.into_iter().find(|stage| stage.name() == token.text);
    stage.ok_or_else(|| {
        cursor.error(token.span(), format!("there is no stage `{}` of graphs", token.text), help)
    })
}

/// A graph that is being read.
struct GraphParser {
    builder: Builder,
    values: HashMap<Label, Value>,
    node_names: HashSet<String>,
    outputs: Vec<Output>,
    output_names: HashSet<String>,
    updates: Vec<Update>,
    updated: HashSet<NodeId>,
    depth: usize,
}

/// `{ statements }`
fn parse_block(cursor: &mut Cursor<'_>, name: String, depth: usize) -> Parsed<Graph> {
    let mut parser = GraphParser {
        builder: Builder::new(name),
        values: HashMap::new(),
        node_names: HashSet::new(),
        outputs: Vec::new(),
        output_names: HashSet::new(),
        updates: Vec::new(),
        updated: HashSet::new(),
        depth,
    };
    cursor.expect("{", "the statements of a graph stand in braces")?;
    let closing = loop {
        let token = cursor.peek();
        if cursor.eat("}") {
            break token.span();
        }
        if token.kind == TokenKind::End {
            return Err(cursor.unexpected("a statement or `}`", "close the graph with `}`"));
        }
        parser.statement(cursor)?;
    };
    if parser.outputs.is_empty() && parser.updates.is_empty() {
        return Err(cursor.error(
            closing,
            "this graph returns nothing",
            "add `output name = %value` before the brace",
        ));
    }
    let mut graph = parser.builder.finish();
    graph.outputs = parser.outputs;
    graph.updates = parser.updates;
    Ok(graph)
}

impl GraphParser {
    fn statement(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        if cursor.eat("output") {
            return self.output(cursor);
        }
        if cursor.eat("update") {
            return self.update(cursor);
        }
        self.node(cursor)
    }

    /// `output name = %value`
    fn output(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let (name, span) = cursor.bare_name("the name of the output")?;
        if !self.output_names.insert(name.clone()) {
            let help = "give each output a name of its own";
            return Err(cursor.error(span, format!("there is an output `{name}` already"), help));
        }
        cursor.expect("=", "write `output name = %value`")?;
        let value = self.value(cursor)?.0;
        self.outputs.push(Output { name, value });
        Ok(())
    }

    /// `update %state = %value`
    fn update(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let (state, state_span) = self.value(cursor)?;
        cursor.expect("=", "write `update %state = %value`")?;
        let (value, value_span) = self.value(cursor)?;
        if !matches!(self.builder.graph().node(state.node).op, Op::State(_)) {
            return Err(cursor.error(state_span, "only a state can be updated", "make it a state"));
        }
        if !self.updated.insert(state.node) {
            return Err(cursor.error(state_span, "the state is updated twice", "update each state once"));
        }
        let (state_type, value_type) = (self.builder.ty(state), self.builder.ty(value));
        if state_type != value_type {
            let message = format!("the state is {state_type}, its update {value_type}");
            return Err(cursor.error(value_span, message, "give an update of the state's own type"));
        }
        self.updates.push(Update { state: state.node, value });
        Ok(())
    }

    /// `%result, .. = op %operand, .. attribute=literal .. : type, .. { body }`
    fn node(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let results = parse_results(cursor)?;
        let op_token =
            cursor.expect_kind(TokenKind::Word, "the name of an op", "a statement is `%name = op ..`")?;
        let operands = self.operands(cursor)?;
        let attrs = parse_attrs(cursor)?;
        let type_start = cursor.peek().start;
        let declared = parse_types(cursor)?;
        let type_span = cursor.span_from(type_start);
        let body = if cursor.is("{") || cursor.peek().kind == TokenKind::Global {
            Some(Box::new(self.body(cursor)?))
        } else {
            None
        };

        let reader = attrs_reader(cursor, op_token.text, &attrs, &declared, operands.is_empty())?;
        let at_fault = |error: &crate::Error| {
            let named = attrs.iter().find(|attr| error.problem.contains(&format!("`{}`", attr.name)));
            named.map_or_else(|| op_token.span(), |attr| attr.span.clone())
        };
        let op = Op::from_attrs(op_token.text, reader)
            .map_err(|error| cursor.ir_error(at_fault(&error), error))?;
        let name = self.node_name(cursor, &results)?;
        let node = (self.builder.push_with_body(op, &operands, name, body))
            .map_err(|error| cursor.ir_error(at_fault(&error), error))?;
        let inferred = &self.builder.graph().node(node).results;
        check_types(cursor, op_token.text, &declared, inferred, type_span)?;
        if let Some(ty) = inferred.iter().find(|ty| !ty.is_within_limit()) {
            let help = format!("use at most {MAX_ELEMENTS}");
            return Err(cursor.error(op_token.span(), format!("a result of too many elements, {ty}"), help));
        }
        if let Some(ty) = inferred.iter().find(|ty| ty.shape.rank() > MAX_RANK) {
            let message = format!("a result of {} axes", ty.shape.rank());
            return Err(cursor.error(op_token.span(), message, format!("use at most {MAX_RANK}")));
        }
        if results.len() != inferred.len() {
            let message = format!(
                "`{}` has {} results, of which {} are named",
                op_token.text,
                inferred.len(),
                results.len()
            );
            return Err(cursor.error(op_token.span(), message, "name each result before the `=`"));
        }
        for (index, result) in results.into_iter().enumerate() {
            if self.values.contains_key(&result.label) {
                return Err(redefined(cursor, &result));
            }
            self.values.insert(result.label, Value::new(node, index as u32));
        }
        Ok(())
    }

    /// The name of the node with these results.
    fn node_name(&mut self, cursor: &Cursor<'_>, results: &[Reference]) -> Parsed<Option<String>> {
        let Some(first) = results.first() else { return Ok(None) };
        for (index, result) in results.iter().enumerate() {
            let Label { name, is_number, part } = &result.label;
            let part_expected = (results.len() > 1 && !is_number).then_some(index as u32);
            let is_alike = *is_number == first.label.is_number && (*is_number || *name == first.label.name);
            if *part != part_expected || !is_alike {
                let help = "write `%name` for one result; `%name:0, %name:1` or numbers for several";
                return Err(cursor.error(
                    result.span.clone(),
                    format!("`%{}` does not name this result", result.label),
                    help,
                ));
            }
        }
        if first.label.is_number {
            return Ok(None);
        }
        if !self.node_names.insert(first.label.name.clone()) {
            return Err(redefined(cursor, first));
        }
        Ok(Some(first.label.name.clone()))
    }

    fn operands(&self, cursor: &mut Cursor<'_>) -> Parsed<Vec<Value>> {
        let mut operands = Vec::new();
        if cursor.peek().kind != TokenKind::Local || starts_statement(cursor) {
            return Ok(operands);
        }
        loop {
            operands.push(self.value(cursor)?.0);
            if cursor.eat(",") {
                continue;
            }
            let is_result = matches!(cursor.peek_second().text, "=" | "," | ":");
            if cursor.peek().kind == TokenKind::Local && !is_result {
                return Err(cursor.unexpected("`,`", "operands are separated by commas"));
            }
            return Ok(operands);
        }
    }

    /// `%name`, which is defined.
    fn value(&self, cursor: &mut Cursor<'_>) -> Parsed<(Value, Range<usize>)> {
        let reference = cursor.local("a value")?;
        match self.values.get(&reference.label) {
            Some(&value) => Ok((value, reference.span)),
            None => {
                let known = self.values.keys().map(|label| format!("%{label}"));
                let name = format!("%{}", reference.label);
                let help = did_you_mean(&name, known, "define it above");
                Err(cursor.error(reference.span, format!("there is no value `{name}` here"), help))
            }
        }
    }

    fn body(&self, cursor: &mut Cursor<'_>) -> Parsed<Graph> {
        if self.depth >= MAX_DEPTH {
            return Err(cursor.unexpected("no body", &format!("bodies can be nested {MAX_DEPTH} deep")));
        }
        let name = match cursor.peek().kind {
            TokenKind::Global => cursor.global()?.label.name,
            _ => BODY_NAME.to_owned(),
        };
        parse_block(cursor, name, self.depth + 1)
    }
}

/// An attribute with its place.
struct ParsedAttr<'s> {
    name: &'s str,
    literal: Literal<'s>,
    span: Range<usize>,
}

/// Whether the next value begins the statement `%a = ..` rather than a list of operands. (`%a, %b = ..` is told from
/// operands by what stands before it: an op without operands ends with attributes or a type.)
fn starts_statement(cursor: &Cursor<'_>) -> bool {
    cursor.peek_second().text == "="
}

/// `%a, %b =`, or nothing.
fn parse_results(cursor: &mut Cursor<'_>) -> Parsed<Vec<Reference>> {
    let mut results = Vec::new();
    if cursor.peek().kind != TokenKind::Local {
        return Ok(results);
    }
    loop {
        results.push(cursor.local("a result")?);
        if cursor.eat("=") {
            return Ok(results);
        }
        cursor.expect(",", "a statement is `%name = op ..`; operands and results are separated by commas")?;
    }
}

/// `name=literal ..`
fn parse_attrs<'s>(cursor: &mut Cursor<'s>) -> Parsed<Vec<ParsedAttr<'s>>> {
    let mut attrs: Vec<ParsedAttr<'s>> = Vec::new();
    while cursor.peek().kind == TokenKind::Word && cursor.peek_second().text == "=" {
        let token = cursor.next();
        cursor.expect("=", "an attribute is `name=value`")?;
        let literal = parse_literal(cursor)?;
        let span = cursor.span_from(token.start);
        if attrs.iter().any(|attr| attr.name == token.text) {
            return Err(cursor.error(
                span,
                format!("attribute `{}` is given twice", token.text),
                "give it once",
            ));
        }
        attrs.push(ParsedAttr { name: token.text, literal, span });
    }
    Ok(attrs)
}

/// `: type, ..`, or nothing.
fn parse_types(cursor: &mut Cursor<'_>) -> Parsed<Vec<Type>> {
    let mut types = Vec::new();
    if !cursor.eat(":") {
        return Ok(types);
    }
    loop {
        types.push(parse_type(cursor)?);
        if !cursor.eat(",") {
            return Ok(types);
        }
    }
}

/// The attributes as the op reads them. An attribute `value` holds elements of the declared dtype, so that they are
/// read to the bit: of an op without operands, those of a tensor of the declared type, else one.
fn attrs_reader<'a>(
    cursor: &mut Cursor<'_>,
    op: &'a str,
    attrs: &[ParsedAttr<'_>],
    declared: &'a [Type],
    is_leaf: bool,
) -> Parsed<AttrReader<'a>> {
    let mut read = Vec::with_capacity(attrs.len());
    for attr in attrs {
        let value = match declared {
            [ty] if attr.name == "value" => {
                let ty = if is_leaf { ty.clone() } else { Type::new(ty.dtype, []) };
                Attr::Tensor(attr.literal.tensor(cursor, &ty, attr.span.clone())?)
            }
            _ if attr.name == "value" => {
                let help = "write it at the end, as in `: f32[2, 3]`";
                return Err(cursor.error(attr.span.clone(), "the type of this value is missing", help));
            }
            _ => attr.literal.attr(cursor)?,
        };
        read.push((attr.name.to_owned(), value));
    }
    Ok(AttrReader::new(op, read, declared))
}

/// Compares declared types, where there are some, with the inferred ones.
fn check_types(
    cursor: &Cursor<'_>,
    op: &str,
    declared: &[Type],
    inferred: &[Type],
    span: Range<usize>,
) -> Parsed<()> {
    if declared.is_empty() || declared == inferred {
        return Ok(());
    }
    let list = |types: &[Type]| types.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
    let message = format!("`{op}` is declared {}, but it is {}", list(declared), list(inferred));
    Err(cursor.error(span, message, "correct the type, or leave it out"))
}

fn redefined(cursor: &Cursor<'_>, result: &Reference) -> crate::text::ParseError {
    let message = format!("there is a value `%{}` already", result.label);
    cursor.error(result.span.clone(), message, "give each value a name of its own")
}
