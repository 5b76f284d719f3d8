//! Layers that depend on the class of each row, which the context has ([`Context::with_labels`]). A label outside of the classes has
//! zeros for its row of each table.

use ir::{Error, Init, Value};

use crate::{BatchNorm, Context, Embedding, Layer};

/// A layer on rows beside which stands an embedding of their class (M. Mirza and S. Osindero, "Conditional generative adversarial
/// nets", 2014): `x` of `[rows, n]`, the layer's own input of `[rows, n + features]`. The table is the parameter `labels.weight`,
/// `[classes, features]`.
///
/// ```
/// use ir::DType;
/// use nn::{Conditioned, Context, Relu, models::Mlp};
/// let layer = Conditioned::new(Mlp::new(&[16 + 4, 32, 2], Relu), 10, 4);
/// let mut cx = Context::training("generator");
/// let z = cx.input("z", DType::F32, [8, 16])?;
/// let labels = cx.input("y", DType::I64, [8])?;
/// let x = cx.with_labels(labels, |cx| cx.layer("generator", &layer, z))?;
/// assert_eq!(cx.ty(x).to_string(), "f32[8, 2]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditioned<L> {
    /// What takes rows with embeddings beside them.
    pub layer: L,
    /// The number of classes.
    pub classes: usize,
    /// The number of values of an embedding.
    pub features: usize,
}

impl<L: Layer> Conditioned<L> {
    /// A layer of which each row has one of so many classes, embedded in so many values.
    pub fn new(layer: L, classes: usize, features: usize) -> Conditioned<L> {
        Conditioned { layer, classes, features }
    }
}

impl<L: Layer> Layer for Conditioned<L> {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let labels = labels_of(cx, x, "labels")?;
        let embedded = cx.layer("labels", &Embedding::new(self.classes, self.features), labels)?;
        if cx.shape(x).rank() != 2 {
            let problem = format!("x is {}", cx.ty(x));
            let help = "give rows of values, [rows, n]: flatten them before";
            return Err(Error::new(format!("conditioned {}", cx.scoped("labels")), problem, help));
        }
        let both = cx.concat(&[x, embedded], 1)?;
        self.layer.forward(cx, both)
    }

    fn description(&self) -> String {
        format!("Conditioned {} x {}: {}", self.classes, self.features, self.layer.description())
    }
}

/// Batch normalisation with a weight and a bias for each class of row and channel (V. Dumoulin et al., "A learned representation for
/// artistic style", 2017, equation 5): `(x - mean) / sqrt(variance + eps) * class_weight[label] + class_bias[label]` for `x` of
/// `[rows, channels, ..]`, with the statistics and buffers of [`BatchNorm`]. The tables are `[classes, channels]`, and start at
/// 1 and 0.
///
/// ```
/// use ir::DType;
/// use nn::{ConditionalBatchNorm, Context};
/// let mut cx = Context::training("generator");
/// let x = cx.input("x", DType::F32, [8, 3, 7, 7])?;
/// let labels = cx.input("y", DType::I64, [8])?;
/// let y = cx.with_labels(labels, |cx| cx.layer("bn", &ConditionalBatchNorm::new(3, 10), x))?;
/// assert_eq!(cx.shape(y), cx.shape(x));
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConditionalBatchNorm {
    /// The channels, and how statistics are taken.
    pub norm: BatchNorm,
    /// The number of classes.
    pub classes: usize,
}

impl ConditionalBatchNorm {
    /// Of so many channels and classes, with the settings of [`BatchNorm::new`].
    pub fn new(channels: usize, classes: usize) -> ConditionalBatchNorm {
        ConditionalBatchNorm { norm: BatchNorm::new(channels), classes }
    }
}

impl Layer for ConditionalBatchNorm {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        self.norm.check(cx, x)?;
        let labels = labels_of(cx, x, "class_weight")?;
        let shape = [self.classes, self.norm.channels];
        let weight = cx.parameter("class_weight", shape, Init::Constant(1.0))?;
        let bias = cx.parameter("class_bias", shape, Init::Constant(0.0))?;
        let [mean, variance] = self.norm.statistics(cx, x)?;
        let of_rows: ir::Shape = (cx.shape(x).iter().enumerate())
            .map(|(axis, &extent)| if axis < 2 { extent } else { 1 })
            .collect();
        let mut of_labels = |table| {
            let rows = cx.gather(table, labels, 0)?;
            cx.reshape(rows, of_rows.clone())
        };
        let [weight, bias] = [of_labels(weight)?, of_labels(bias)?];
        cx.eval((x - mean) * (variance + self.norm.eps).rsqrt() * weight + bias)
    }

    fn description(&self) -> String {
        format!("ConditionalBatchNorm {} x {}", self.classes, self.norm.channels)
    }
}

/// The classes of the rows of `x`.
fn labels_of(cx: &Context, x: Value, name: &str) -> Result<Value, Error> {
    let subject = || format!("conditional layer {}", cx.scoped(name));
    let Some(labels) = cx.labels() else {
        let help = "build it within `cx.with_labels(labels, ..)`";
        return Err(Error::new(subject(), "there are no classes of rows", help));
    };
    if cx.shape(labels).rank() != 1 || cx.shape(labels).first() != cx.shape(x).first() {
        let problem = format!("the classes are {}, x is {}", cx.ty(labels), cx.ty(x));
        return Err(Error::new(subject(), problem, "give one class for each row"));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::{DType, Tensor};

    #[test]
    fn rows_of_a_class_have_its_weight_and_bias() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [3, 2]).unwrap();
        let labels = cx.input("y", DType::I64, [3]).unwrap();
        let norm = ConditionalBatchNorm { norm: BatchNorm { eps: 0.0, ..BatchNorm::new(2) }, classes: 2 };
        let y = cx.with_labels(labels, |cx| cx.layer("bn", &norm, x)).unwrap();
        cx.output("y", y).unwrap();
        let f32s = |shape: [usize; 2], values: Vec<f32>| Tensor::new(shape, values).unwrap();
        let inputs = [
            ("x".to_owned(), f32s([3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
            ("y".to_owned(), Tensor::new([3], vec![1i64, 0, 1]).unwrap()),
        ];
        let states = [
            ("bn.class_weight".to_owned(), f32s([2, 2], vec![1.0, 10.0, 100.0, 1000.0])),
            ("bn.class_bias".to_owned(), f32s([2, 2], vec![0.0, 0.5, 0.25, 0.75])),
        ];
        let bindings =
            ir::eval::Bindings { inputs: inputs.into(), states: states.into(), ..Default::default() };
        let outputs = ir::eval::evaluate(&cx.finish(), &bindings).unwrap().outputs;
        let expected = [100.25, 2000.75, 3.0, 40.5, 500.25, 6000.75];
        assert_eq!(outputs["y"].as_slice::<f32>().unwrap(), expected);
    }

    #[test]
    fn layers_without_classes_say_how_to_give_them() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [3, 2]).unwrap();
        let error = cx.layer("bn", &ConditionalBatchNorm::new(2, 4), x).unwrap_err().to_string();
        let help = "build it within `cx.with_labels(labels, ..)`";
        assert_eq!(error, format!("conditional layer bn.class_weight: there are no classes of rows; {help}"));
        let labels = cx.input("y", DType::I64, [2]).unwrap();
        let layer = Conditioned::new(crate::Linear::new(3, 1), 4, 1);
        let error = cx.with_labels(labels, |cx| cx.layer("fc", &layer, x)).unwrap_err().to_string();
        assert!(error.contains("the classes are i64[2], x is f32[3, 2]; give one class"), "{error}");
        let image = cx.input("image", DType::F32, [2, 2, 2]).unwrap();
        let error = cx.with_labels(labels, |cx| cx.layer("a", &layer, image)).unwrap_err().to_string();
        assert_eq!(
            error,
            "conditioned a.labels: x is f32[2, 2, 2]; give rows of values, [rows, n]: flatten them before"
        );
    }
}
