//! What most programs name, for `use nnc::prelude::*`. It brings [`Error`], which hides the trait of this name in
//! [`std::error`].
//!
//! A model that is trained, and used:
//!
//! ```
//! use nnc::data::synthetic;
//! use nnc::prelude::*;
//!
//! let (train, test) = synthetic::blobs(3, 4, 300, 0)?.split_off_every_fifth();
//! let layers = Sequential::new().add(Linear::new(4, 16)).add(Relu).add(Linear::new(16, 3));
//! let network = Supervised::new([4], layers, Loss::cross_entropy());
//! let mut trainer = Trainer::new("blobs", network, Adam::new(0.01), TrainerOptions::default())?;
//! trainer.fit(&train, None, &FitOptions::epochs(10), &mut silent)?;
//! assert!(trainer.evaluate(&test)?.accuracy > Some(0.9));
//! # Ok::<(), Error>(())
//! ```
//!
//! A graph that is compiled, and run:
//!
//! ```
//! use nnc::prelude::*;
//!
//! let mut b = Builder::new("double");
//! let x = b.input("x", DType::F32, [3])?;
//! let y = b.eval(x + x)?;
//! b.output("y", y)?;
//! let mut program = compile(&b.finish(), &Options::default())?;
//! let mut state = State::new(program.plan(), 0)?;
//! let x = Tensor::new([3], vec![1.0f32, 2.0, 3.0]).expect("three elements");
//! program.run(&mut state, &[&x])?;
//! assert_eq!(program.output("y"), Tensor::new([3], vec![2.0f32, 4.0, 6.0]).as_ref());
//! # Ok::<(), Error>(())
//! ```

pub use ir::{Builder, DType, Expr, Graph, Init, Scalar, Shape, Tensor, Type, Value};
pub use nn::{
    Activation, AdaMax, Adagrad, Adam, AdamW, AdaptiveAvgPool2d, AvgPool2d, BatchNorm, Clip, Context, Conv,
    Conv1d, Conv2d, ConvTranspose, ConvTranspose2d, Dropout, Dropout2d, Elman, Embedding, Flatten, Group,
    Gru, Jordan, Lamb, Layer, LayerNorm, Linear, Lion, Loss, Lstm, MaxPool2d, Mgu, Mode, Network, Optimizer,
    Outputs, PRelu, Peephole, RRelu, Recurrent, RecurrentInputs, RecurrentOutputs, Relu, Residual, RmsProp,
    Schedule, Sequential, Sgd, Sigmoid, Supervised, Tanh, TrainStep, Upsample, functional,
};

pub use crate::data::{Arrays, Dataset, Examples, Normalisation, Targets};
pub use crate::trainer::{CheckpointOptions, Event, FitOptions, Predictor, silent};
pub use crate::{Error, Executable, Model, Options, Pool, State, Trainer, TrainerOptions, compile, load};
