//! Parameters and inputs of workloads: read from the file that the peers were given, or drawn.

use ir::{DType, Graph, Init, Node, Tensor, Type};

use super::Model;
use crate::Error;

/// What the names of parameters start with; a number follows.
const PARAMETER: &str = "p";
/// The seed of data that are drawn.
const SEED: u64 = 1;

/// Arrays with their names.
pub type Named = Vec<(String, Tensor)>;

/// Parameters and inputs by the names of the peers' archives.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Those parameters that are given; the others start from their init.
    pub parameters: Named,
    /// The inputs.
    pub inputs: Named,
}

impl Data {
    /// Reads an archive of `p0`, `p1`, .. (parameters), `x` (the input) and `y0`, .. (what else the workload takes: inputs, or
    /// parameters of these names).
    #[cfg(feature = "data-npy")]
    pub fn read(path: &std::path::Path) -> Result<Data, Error> {
        let is_parameter = |name: &str| {
            name.strip_prefix(PARAMETER)
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        };
        let (parameters, inputs) =
            crate::npy::npz::read(path)?.into_iter().partition(|(name, _)| is_parameter(name));
        Ok(Data { parameters, inputs })
    }

    /// Seeded inputs for a graph: floats are normal, class indices are below 10.
    pub fn draw(graph: &Graph) -> Data {
        let inputs = graph
            .inputs()
            .enumerate()
            .map(|(stream, (_, node))| (name_of(node), draw(&node.results[0], stream as u32)));
        Data { parameters: Vec::new(), inputs: inputs.collect() }
    }

    /// Checks that there is an array of the right type for each input of a model, and that each parameter is one of the
    /// model's; returns the parameters under the names of their states, and the inputs. An array that has the name of a
    /// parameter in the model is that parameter.
    pub fn bind(mut self, model: &Model) -> Result<(Named, Named), Error> {
        let (mut states, inputs): (Named, Named) =
            self.inputs.into_iter().partition(|(name, _)| model.parameters.contains(name));
        self.inputs = inputs;
        for (_, node) in model.graph.inputs() {
            let (name, ty) = (name_of(node), &node.results[0]);
            let Some((_, tensor)) = self.inputs.iter().find(|(known, _)| *known == name) else {
                let problem = format!("the archive has no array of this name, the workload wants {ty}");
                return Err(Error::invalid(name, problem, "add it with numpy.savez"));
            };
            check_type(&name, tensor, ty)?;
        }
        let check = |name: &str, state: &str, tensor: &Tensor| {
            let node = model.graph.find(state).expect("each parameter is a state");
            check_type(name, tensor, &model.graph.node(node).results[0])
        };
        states.iter().try_for_each(|(name, tensor)| check(name, name, tensor))?;
        for (name, tensor) in self.parameters {
            let index: Option<usize> = name[PARAMETER.len()..].parse().ok();
            let Some(state) = index.and_then(|index| model.parameters.get(index)) else {
                let help = format!(
                    "give an archive for this workload, which has {} parameters",
                    model.parameters.len()
                );
                return Err(Error::invalid(name, "the workload has no parameter of this name", help));
            };
            check(&name, state, &tensor)?;
            states.push((state.clone(), tensor));
        }
        let inputs = self.inputs.into_iter();
        let inputs = inputs.map(|(name, tensor)| Ok((name, in_large_pages(tensor)?)));
        Ok((states, inputs.collect::<Result<Named, Error>>()?))
    }
}

/// A tensor of `f32` in large pages where it is large, as NumPy has arrays of several megabytes.
fn in_large_pages(tensor: Tensor) -> Result<Tensor, Error> {
    let Some(elements) = tensor.as_slice::<f32>() else { return Ok(tensor) };
    let mut copy = runtime::buffer::zeroed_tensor(&tensor.ty())?;
    copy.as_mut_slice().expect("it is of f32").copy_from_slice(elements);
    Ok(copy)
}

fn check_type(name: &str, tensor: &Tensor, ty: &Type) -> Result<(), Error> {
    if tensor.ty() == *ty {
        return Ok(());
    }
    let problem = format!("the array is {}, the workload wants {ty}", tensor.ty());
    Err(Error::invalid(name, problem, "give an array of that type"))
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
            let model = Workload::find(name).unwrap().model().unwrap();
            Data::draw(&model.graph).bind(&model).unwrap();
        }
    }

    #[test]
    fn arrays_that_are_missing_misshapen_or_strange_are_errors() {
        let model = Workload::find("sgemm_64").unwrap().model().unwrap();
        let mut data = Data::draw(&model.graph);
        let problem = |data: &Data| data.clone().bind(&model).unwrap_err().to_string();
        data.parameters.push(("p0".into(), tensor(3)));
        let help = "give an archive for this workload, which has 0 parameters";
        assert_eq!(problem(&data), format!("p0: the workload has no parameter of this name; {help}"));
        data.inputs[1].1 = tensor(3);
        let expected = "y0: the array is f32[3], the workload wants f32[64, 64]; give an array of that type";
        assert_eq!(problem(&data), expected);
        data.inputs.remove(1);
        let expected = "y0: the archive has no array of this name, the workload wants f32[64, 64]; add it with numpy.savez";
        assert_eq!(problem(&data), expected);
    }

    #[test]
    fn an_array_with_the_name_of_a_parameter_is_bound_to_it() {
        let model = Workload::find("conv3x3_n1_c64_56_k64").unwrap().model().unwrap();
        let mut data = Data::draw(&model.graph);
        let filter = Tensor::zeros(&Type::new(DType::F32, [64, 64, 3, 3]));
        data.inputs.push(("y0".into(), filter.clone()));
        let (states, inputs) = data.clone().bind(&model).unwrap();
        assert_eq!(states, [("y0".to_owned(), filter)]);
        assert_eq!(inputs.len(), 1);
        data.inputs[1].1 = tensor(3);
        let expected =
            "y0: the array is f32[3], the workload wants f32[64, 64, 3, 3]; give an array of that type";
        assert_eq!(data.bind(&model).unwrap_err().to_string(), expected);
    }

    #[test]
    fn parameters_are_bound_in_the_order_of_layers() {
        let model = Workload::find("mlp_small_train_b32").unwrap().model().unwrap();
        let mut data = Data::draw(&model.graph);
        data.parameters.push(("p3".into(), tensor(32)));
        let (states, _) = data.clone().bind(&model).unwrap();
        assert_eq!(states, [("fc2.bias".to_owned(), tensor(32))]);
        data.parameters[0].0 = "p2".into();
        let expected = "p2: the array is f32[32], the workload wants f32[32, 64]; give an array of that type";
        assert_eq!(data.bind(&model).unwrap_err().to_string(), expected);
    }
}
