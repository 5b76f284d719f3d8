//! Parameters and inputs of workloads: read from the file that the peers were given, or drawn.

use std::path::Path;

use ir::{DType, Graph, Init, Node, Tensor, Type};

use crate::{Error, npy};

/// The seed of data that are drawn.
const SEED: u64 = 1;

/// Parameters (states) and inputs by name.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Those parameters that are given; the others start from their init.
    pub parameters: Vec<(String, Tensor)>,
    /// The inputs.
    pub inputs: Vec<(String, Tensor)>,
}

impl Data {
    /// Reads an archive of `p0`, `p1`, .. (parameters), `x` (the input) and `y0`, .. (what else the workload takes).
    pub fn read(path: &Path) -> Result<Data, Error> {
        let is_parameter = |name: &str| {
            name.strip_prefix('p').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        };
        let (parameters, inputs) = npy::npz::read(path)?.into_iter().partition(|(name, _)| is_parameter(name));
        Ok(Data { parameters, inputs })
    }

    /// Seeded inputs for a graph: floats are normal, class indices are below 10.
    pub fn draw(graph: &Graph) -> Data {
        let inputs = graph.inputs().enumerate().map(|(stream, (_, node))| {
            (name_of(node), draw(&node.results[0], stream as u32))
        });
        Data { parameters: Vec::new(), inputs: inputs.collect() }
    }

    /// Checks that there is an array of the right type for each input, and that each parameter is one of the graph's.
    pub fn check(&self, graph: &Graph) -> Result<(), Error> {
        let wanted = graph.inputs().map(|(_, node)| (node, &self.inputs, true));
        let states = graph.states().map(|(_, node)| (node, &self.parameters, false));
        for (node, given, is_required) in wanted.chain(states) {
            let (name, ty) = (name_of(node), &node.results[0]);
            match given.iter().find(|(known, _)| *known == name) {
                Some((_, tensor)) if tensor.ty() != *ty => {
                    let problem = format!("the array is {}, the workload wants {ty}", tensor.ty());
                    return Err(Error::invalid(name, problem, "give an array of that type"));
                }
                None if is_required => {
                    let problem = format!("the archive has no array of this name, the workload wants {ty}");
                    return Err(Error::invalid(name, problem, "add it with numpy.savez"));
                }
                _ => {}
            }
        }
        let stranger = self.parameters.iter().find(|(name, _)| graph.find(name).is_none());
        stranger.map_or(Ok(()), |(name, _)| {
            Err(Error::invalid(name, "the workload has no parameter of this name", "give an archive for this workload"))
        })
    }
}

fn name_of(node: &Node) -> String {
    node.name.clone().expect("inputs and states have names")
}

/// Data for an input of type `ty`.
fn draw(ty: &Type, stream: u32) -> Tensor {
    match ty.dtype {
        DType::F32 | DType::F64 => Init::Normal { mean: 0.0, deviation: 1.0, stream }.materialize(ty, SEED),
        DType::I32 | DType::I64 | DType::Bool => {
            let floats = Type::new(DType::F32, ty.shape.clone());
            let drawn = Init::Uniform { low: 0.0, high: 10.0, stream }.materialize(&floats, SEED);
            Tensor::from_fn(ty, |i| ir::Scalar::from_i64(ty.dtype, drawn.get(i).as_f64() as i64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Workload;

    fn tensor(n: usize) -> Tensor {
        Tensor::zeros(&Type::new(DType::F32, [n]))
    }

    #[test]
    fn drawn_data_fit_every_workload() {
        for name in ["mlp_small_train_b32", "sgemm_64"] {
            let graph = Workload::find(name).unwrap().graph().unwrap();
            Data::draw(&graph).check(&graph).unwrap();
        }
    }

    #[test]
    fn arrays_that_are_missing_misshapen_or_strange_are_errors() {
        let graph = Workload::find("sgemm_64").unwrap().graph().unwrap();
        let mut data = Data::draw(&graph);
        data.parameters.push(("p0".into(), tensor(3)));
        let error = data.check(&graph).unwrap_err().to_string();
        assert_eq!(error, "p0: the workload has no parameter of this name; give an archive for this workload");
        data.inputs[1].1 = tensor(3);
        let error = data.check(&graph).unwrap_err().to_string();
        assert_eq!(error, "y0: the array is f32[3], the workload wants f32[64, 64]; give an array of that type");
        data.inputs.remove(1);
        let error = data.check(&graph).unwrap_err().to_string();
        let expected = "y0: the archive has no array of this name, the workload wants f32[64, 64]; add it with numpy.savez";
        assert_eq!(error, expected);
    }
}
