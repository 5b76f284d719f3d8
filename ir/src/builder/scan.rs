//! Building loops: `scan`, whose body is built by the same builder, with the values around it at hand.

use std::collections::BTreeMap;

use super::{Builder, check_sizes};
use crate::ops::{Op, Scan};
use crate::text::BODY_NAME;
use crate::{Error, Graph, Node, NodeId, Operands, Type, Value};

/// How many steps a loop has, and in which order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    length: usize,
    reversed: bool,
}

impl Steps {
    /// So many steps, from the first to the last.
    pub fn new(length: usize) -> Steps {
        Steps { length, reversed: false }
    }

    /// The same steps from the last to the first.
    #[must_use]
    pub fn reversed(self) -> Steps {
        Steps { reversed: !self.reversed, ..self }
    }
}

impl From<usize> for Steps {
    fn from(length: usize) -> Steps {
        Steps::new(length)
    }
}

/// The results of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// What the carries are after the last step.
    pub carries: Vec<Value>,
    /// What the steps have returned beside, `[length, ..]`, each at its step.
    pub stacked: Vec<Value>,
}

/// What is around the body that is being built.
pub(super) struct Around {
    builder: Builder,
    steps: Steps,
    /// The initial carries, then the stacked operands.
    operands: Operands,
    carries: usize,
    /// The values around that the body uses, in the order of their inputs.
    used: Vec<Value>,
    /// The value of the body that stands for each of them.
    inputs: BTreeMap<Value, Value>,
}

impl Builder {
    /// A loop: `step(builder, carries, items)` builds one step, from the carries so far and element `t` of each stacked
    /// operand (`[length, ..]`), and gives the next carries, of the same types, and what is stacked. What it uses of the
    /// values around is the same in each step. See [`Scan`].
    ///
    /// ```
    /// use ir::{Builder, DType};
    /// let mut b = Builder::new("decaying_sum");
    /// let xs = b.input("xs", DType::F32, [100, 3])?;
    /// let decay = b.input("decay", DType::F32, [])?;
    /// let zero = b.float(DType::F32, 0.0);
    /// let start = b.broadcast(zero, [3])?;
    /// let sums = b.scan(100, &[start], &[xs], |b, carries, items| {
    ///     let next = b.eval(decay * carries[0] + items[0])?;
    ///     Ok((vec![next], vec![next]))
    /// })?;
    /// assert_eq!(b.shape(sums.carries[0])[..], [3]);
    /// assert_eq!(b.shape(sums.stacked[0])[..], [100, 3]);
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the step; operands without `length` as first extent; carries that change their type.
    pub fn scan(
        &mut self,
        steps: impl Into<Steps>,
        carries: &[Value],
        stacked: &[Value],
        step: impl FnOnce(&mut Builder, &[Value], &[Value]) -> Result<(Vec<Value>, Vec<Value>), Error>,
    ) -> Result<Scanned, Error> {
        let inputs = self.open_scan(steps, carries, stacked)?;
        let (carries, items) = inputs.split_at(carries.len());
        let built = step(self, carries, items);
        self.close_scan(built)
    }

    /// Begins the body of a loop, which this builder builds until [`Builder::close_scan`]: gives the carries and then the items
    /// of a step. For those who build with a type of their own around a builder; others take [`Builder::scan`].
    ///
    /// # Errors
    /// As [`Builder::scan`]; then no body has been begun.
    pub fn open_scan(
        &mut self,
        steps: impl Into<Steps>,
        carries: &[Value],
        stacked: &[Value],
    ) -> Result<Vec<Value>, Error> {
        let steps = steps.into();
        let operands: Operands = carries.iter().chain(stacked).copied().collect();
        self.check("scan", &operands)?;
        let mut body = Builder::new(BODY_NAME);
        let mut inputs = Vec::new();
        for (index, &operand) in operands.iter().enumerate() {
            let ty = self.ty(operand);
            let (name, ty) = match index.checked_sub(carries.len()) {
                None => (format!("carry{index}"), ty.clone()),
                Some(number) => (format!("item{number}"), item_of(ty, number, steps.length)?),
            };
            inputs.push(body.input(&name, ty.dtype, ty.shape)?);
        }
        let builder = std::mem::replace(self, body);
        let (used, inputs_of) = (Vec::new(), BTreeMap::new());
        let around = Around { builder, steps, operands, carries: carries.len(), used, inputs: inputs_of };
        self.around = Some(Box::new(around));
        Ok(inputs)
    }

    /// Ends the body of a loop with the next carries and what is stacked, or with the error that its building ended with.
    ///
    /// # Errors
    /// That error, and as [`Builder::scan`]. The builder is again that of the graph around in any case.
    ///
    /// # Panics
    /// Where no body is being built.
    pub fn close_scan(&mut self, step: Result<(Vec<Value>, Vec<Value>), Error>) -> Result<Scanned, Error> {
        let ended = step.and_then(|(next, stacked)| self.return_from_body(&next, &stacked));
        let around = self.around.take().expect("`close_scan` ends a body that `open_scan` has begun");
        let Around { builder, steps: Steps { length, reversed }, operands, carries, used, .. } = *around;
        let body = std::mem::replace(self, builder).finish();
        ended?;
        let stacked = operands.len() - carries;
        let scan = Scan { carries, stacked, length, reversed, recompute: false };
        let operands: Operands = operands.into_iter().chain(used).collect();
        let node = self.push_scan(scan, &operands, body)?;
        let results: Vec<Value> = self.graph.results(node).collect();
        let (carries, stacked) = results.split_at(carries);
        Ok(Scanned { carries: carries.to_vec(), stacked: stacked.to_vec() })
    }

    fn return_from_body(&mut self, next: &[Value], stacked: &[Value]) -> Result<(), Error> {
        let carries = self.around.as_ref().map_or(0, |around| around.carries);
        if next.len() != carries {
            let problem = format!("a step returns {} carries of {carries}", next.len());
            return Err(Error::new("scan", problem, "return the next value of each carry, in their order"));
        }
        for (index, &value) in next.iter().enumerate() {
            self.push_output(&format!("next{index}"), value)?;
        }
        for (index, &value) in stacked.iter().enumerate() {
            self.push_output(&format!("y{index}"), value)?;
        }
        Ok(())
    }

    /// Appends a loop of which the body has been built.
    pub(crate) fn push_scan(&mut self, scan: Scan, operands: &[Value], body: Graph) -> Result<NodeId, Error> {
        let op = Op::from(scan);
        let results = self.infer(&op, operands, Some(&body))?;
        check_sizes(&op, &results)?;
        let operands = self.own_values(operands)?;
        Ok(self.graph.push(Node { op, operands, results, name: None, body: Some(Box::new(body)) }))
    }

    /// Whether the body of a loop is being built.
    pub fn is_in_body(&self) -> bool {
        self.around.is_some()
    }

    /// The builder of the graph around all bodies that are being built: what it appends is computed before the loops.
    pub fn root_mut(&mut self) -> &mut Builder {
        match self.around.is_some() {
            true => self.around.as_mut().map(|around| around.builder.root_mut()).expect("it has been asked"),
            false => self,
        }
    }

    /// The graph around all bodies that are being built, which has the inputs and states.
    pub fn root(&self) -> &Graph {
        self.around.as_ref().map_or(&self.graph, |around| around.builder.root())
    }

    /// The type of a value of this graph or of one around it.
    pub(super) fn known(&self, value: Value) -> Option<&Type> {
        self.graph.get(value).or_else(|| self.around.as_ref()?.builder.known(value))
    }

    /// Values of this graph for operands of which some are of a graph around.
    pub(super) fn own_values(&mut self, values: &[Value]) -> Result<Operands, Error> {
        values.iter().map(|&value| self.own_value(value)).collect()
    }

    /// A value of this graph: an input of the body that stands for it, where it is of a graph around. Constants of one
    /// element are written into the body.
    pub(super) fn own_value(&mut self, value: Value) -> Result<Value, Error> {
        if self.graph.get(value).is_some() {
            return Ok(value);
        }
        let Some(mut around) = self.around.take() else { return Ok(value) };
        let own = around.builder.own_value(value).and_then(|outer| {
            if let Some(&input) = around.inputs.get(&outer) {
                return Ok(input);
            }
            let node = around.builder.graph.node(outer.node);
            let input = match &node.op {
                Op::Constant(constant) if node.results[0].shape.rank() == 0 => {
                    self.constant(constant.tensor.clone())
                }
                _ => {
                    let ty = around.builder.ty(outer).clone();
                    let name = format!("around{}", around.used.len());
                    around.used.push(outer);
                    self.input(&name, ty.dtype, ty.shape)?
                }
            };
            around.inputs.insert(outer, input);
            Ok(input)
        });
        self.around = Some(around);
        own
    }
}

/// The type of an item of a stacked operand.
fn item_of(stack: &Type, number: usize, length: usize) -> Result<Type, Error> {
    match stack.shape.split_first() {
        Some((&first, rest)) if first == length => {
            Ok(Type { dtype: stack.dtype, shape: rest.iter().copied().collect() })
        }
        _ => {
            let problem = format!("stacked operand {number} is {stack}, and there are {length} steps");
            Err(Error::new(
                "scan",
                problem,
                "give operands with an element for each step along the first axis",
            ))
        }
    }
}
