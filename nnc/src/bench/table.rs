//! The table of workloads.

use std::time::Duration;

use ir::Error;
use nn::Activation::{Relu, Sigmoid, Tanh};
use nn::models::{AlphaGoZero, LeNet, Likelihood, Mlp, ResNet, Vae};
use nn::rnn::{ElmanCell, GruCell, LstmCell};
use nn::{Adam, Context, Sgd};

use super::Workload;
use super::adversaries::Adversaries;
use super::micro::{conv3x3, elementwise_chain, layer_norm, product, softmax, sum};
use super::networks::{
    HIDDEN, alexnet, classify, encode_and_decode, infer, infer_go, learn_go, reconstruct, recurrent,
    sequences, vgg16,
};

/// Learning rates are so small that thousands of steps on the same data change little.
const ADAM: Adam = Adam { learning_rate: 1e-6, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
const MOMENTUM: Sgd =
    Sgd { learning_rate: 1e-6, momentum: 0.9, dampening: 0.0, is_nesterov: false, weight_decay: 0.0 };

/// The tower of the peers' benchmark: as deep as the paper's, and narrower.
const GO: AlphaGoZero = AlphaGoZero { blocks: 19, channels: 64 };

/// All workloads, in the order of `nnc list workloads`.
pub const WORKLOADS: &[Workload] = &[
    network("mlp_train_b128", |name| classify(name, &mlp(), &[128, 784], &ADAM)),
    network("mlp_infer_b1", |name| infer(name, &mlp(), &[1, 784])),
    network("mlp_infer_b128", |name| infer(name, &mlp(), &[128, 784])),
    network("mlp_small_train_b32", |name| {
        classify(name, &Mlp::new(&[64, 64, 32, 10], Tanh), &[32, 64], &MOMENTUM)
    }),
    network("lenet_train_b128", |name| classify(name, &LeNet::new(10), &[128, 1, 28, 28], &ADAM)),
    network("lenet_infer_b1", |name| infer(name, &LeNet::new(10), &[1, 1, 28, 28])),
    network("alexnet_infer_b1", |name| infer(name, &alexnet(), &photographs(1))),
    network("alexnet_infer_b16", |name| infer(name, &alexnet(), &photographs(16))),
    network("alexnet_train_b16", |name| classify(name, &alexnet(), &photographs(16), &MOMENTUM)),
    network("vgg16_infer_b1", |name| infer(name, &vgg16(), &photographs(1))),
    network("vgg16_infer_b8", |name| infer(name, &vgg16(), &photographs(8))),
    network("vgg16_train_b4", |name| classify(name, &vgg16(), &photographs(4), &MOMENTUM)),
    network("resnet18_infer_b1", |name| infer(name, &ResNet::resnet18(1000), &photographs(1))),
    network("resnet18_train_b8", |name| classify(name, &ResNet::resnet18(1000), &photographs(8), &MOMENTUM)),
    network("agz_infer_b1", |name| infer_go(name, &GO, 1)),
    network("agz_infer_b16", |name| infer_go(name, &GO, 16)),
    network("agz_train_b16", |name| learn_go(name, &GO, 16, &MOMENTUM)),
    network("elman_train_b32", |name| {
        classify(name, &recurrent(ElmanCell::new(HIDDEN)), &sequences(32), &ADAM)
    }),
    network("gru_train_b32", |name| classify(name, &recurrent(GruCell::new(HIDDEN)), &sequences(32), &ADAM)),
    network("lstm_train_b32", |name| {
        classify(name, &recurrent(LstmCell::new(HIDDEN)), &sequences(32), &ADAM)
    }),
    network("lstm_infer_b1", |name| infer(name, &recurrent(LstmCell::new(HIDDEN)), &sequences(1))),
    network("autoencoder_train_b128", |name| reconstruct(name, &autoencoder(), &[128, 784], &ADAM)),
    network("vae_train_b128", |name| encode_and_decode(name, &vae(), 128, &ADAM)),
    Workload {
        flops: Some(|| Adversaries::new(128).flops()),
        ..network("gan_train_b128", |name| Adversaries::new(128).step(name, ADAM, ADAM))
    },
    memory("ew_chain_1m", 8 << 20, |name| elementwise_chain(name, 1 << 20)),
    memory("ew_chain_16m", 8 << 24, |name| elementwise_chain(name, 1 << 24)),
    memory("softmax_4096x1024", 8 * 4096 * 1024, |name| softmax(name, [4096, 1024])),
    memory("layernorm_4096x1024", 8 * 4096 * 1024, |name| layer_norm(name, [4096, 1024])),
    memory("sum_axis0_4096x4096", 4 * 4096 * 4096, |name| sum(name, [4096, 4096], 0)),
    memory("sum_axis1_4096x4096", 4 * 4096 * 4096, |name| sum(name, [4096, 4096], 1)),
    arithmetic("sgemm_64", |name| product(name, 64, 64, 64)),
    arithmetic("sgemm_128", |name| product(name, 128, 128, 128)),
    arithmetic("sgemm_256", |name| product(name, 256, 256, 256)),
    arithmetic("sgemm_512", |name| product(name, 512, 512, 512)),
    arithmetic("sgemm_1024", |name| product(name, 1024, 1024, 1024)),
    arithmetic("sgemm_2048", |name| product(name, 2048, 2048, 2048)),
    memory("sgemm_m1_n4096_k4096", 4 * 4096 * 4096, |name| product(name, 1, 4096, 4096)),
    arithmetic("sgemm_m32_n1024_k1024", |name| product(name, 32, 1024, 1024)),
    arithmetic("conv3x3_n1_c64_56_k64", |name| conv3x3(name, [1, 64, 56, 56], 64)),
    arithmetic("conv3x3_n1_c256_14_k256", |name| conv3x3(name, [1, 256, 14, 14], 256)),
    arithmetic("conv3x3_n8_c64_56_k64", |name| conv3x3(name, [8, 64, 56, 56], 64)),
];

type Build = fn(&str) -> Result<Context, Error>;

/// A network, in use or in training.
const fn network(name: &'static str, build: Build) -> Workload {
    Workload { name, budget: Duration::from_millis(3000), bytes: None, build, flops: None }
}

/// An operation that takes as long as its arithmetic does.
const fn arithmetic(name: &'static str, build: Build) -> Workload {
    Workload { name, budget: Duration::from_millis(1200), bytes: None, build, flops: None }
}

/// An operation that takes as long as these bytes do to come from memory or to go there.
const fn memory(name: &'static str, bytes: usize, build: Build) -> Workload {
    Workload { name, budget: Duration::from_millis(1200), bytes: Some(bytes), build, flops: None }
}

fn mlp() -> Mlp {
    Mlp::new(&[784, 512, 256, 10], Relu)
}

fn vae() -> Vae {
    Vae::new(784, &[400], 20, Relu, Likelihood::Bernoulli)
}

fn autoencoder() -> Mlp {
    Mlp::new(&[784, 256, 64, 256, 784], Sigmoid).output_activation(Sigmoid)
}

/// The shape of a batch of images as ImageNet's are cropped.
fn photographs(batch: usize) -> [usize; 4] {
    [batch, 3, 224, 224]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `flops` of `bench_peers.py`, for every workload that has some.
    #[test]
    fn flops_are_counted_as_the_peers_count_them() {
        let known = [
            ("mlp_train_b128", 308_150_272.0),
            ("mlp_infer_b1", 1_070_080.0),
            ("mlp_infer_b128", 136_970_240.0),
            ("mlp_small_train_b32", 978_944.0),
            ("lenet_train_b128", 289_781_760.0),
            ("lenet_infer_b1", 833_040.0),
            ("alexnet_infer_b1", 1_428_376_960.0),
            ("alexnet_infer_b16", 22_854_031_360.0),
            ("alexnet_train_b16", 66_313_236_480.0),
            ("vgg16_infer_b1", 30_940_528_640.0),
            ("vgg16_infer_b8", 247_524_229_120.0),
            ("vgg16_train_b4", 370_592_710_656.0),
            ("resnet18_infer_b1", 3_628_146_688.0),
            ("resnet18_train_b8", 85_187_297_280.0),
            ("agz_infer_b1", 1_019_317_224.0),
            ("agz_infer_b16", 16_309_075_584.0),
            ("agz_train_b16", 48_814_109_568.0),
            ("elman_train_b32", 940_015_616.0),
            ("gru_train_b32", 2_819_063_808.0),
            ("lstm_train_b32", 3_758_587_904.0),
            ("lstm_infer_b1", 41_948_160.0),
            ("autoencoder_train_b128", 282_066_944.0),
            ("vae_train_b128", 419_840_000.0),
            ("gan_train_b128", 1_450_442_752.0),
            ("sgemm_64", 524_288.0),
            ("sgemm_128", 4_194_304.0),
            ("sgemm_256", 33_554_432.0),
            ("sgemm_512", 268_435_456.0),
            ("sgemm_1024", 2_147_483_648.0),
            ("sgemm_2048", 17_179_869_184.0),
            ("sgemm_m1_n4096_k4096", 33_554_432.0),
            ("sgemm_m32_n1024_k1024", 67_108_864.0),
            ("conv3x3_n1_c64_56_k64", 231_211_008.0),
            ("conv3x3_n1_c256_14_k256", 231_211_008.0),
            ("conv3x3_n8_c64_56_k64", 1_849_688_064.0),
        ];
        for workload in WORKLOADS {
            let expected = known.iter().find(|(name, _)| *name == workload.name).map(|(_, flops)| *flops);
            assert_eq!(workload.model().unwrap().flops(), expected, "{}", workload.name);
        }
    }
}
