//! A network of two results: an autoencoder whose code also feeds a classifier. One loss is the sum of both, the metrics are
//! its parts, and the saved model returns the classes, the images and the code by name.

mod support;

use std::path::Path;
use std::process::ExitCode;

use nnc::data::digits;
use nnc::prelude::*;

fn network(cx: &mut Context, rows: usize) -> Result<Outputs, ir::Error> {
    let encoder = Sequential::new().add(Linear::new(64, 64)).add(Relu).add(Linear::new(64, 12));
    let decoder = Sequential::new().add(Linear::new(12, 64)).add(Relu).add(Linear::new(64, 64));
    let x = cx.input("x", DType::F32, [rows, 64])?;
    let y = cx.input("y", DType::I64, [rows])?;
    let code = cx.layer("encoder", &encoder, x)?;
    let image = cx.layer("decoder", &decoder, code)?;
    let scores = cx.layer("head", &Sequential::new().add(Relu).add(Linear::new(12, 10)), code)?;
    let error = Loss::SquaredError.mean(cx, image, x)?;
    let entropy = Loss::cross_entropy().mean(cx, scores, y)?;
    let accuracy = nn::metric::accuracy(cx, scores, y)?;
    let loss = cx.eval(error * 20.0 + entropy)?;
    let outputs = Outputs::new().result("prediction", scores).result("image", image).result("code", code);
    let outputs = outputs.loss(loss).metric("accuracy", accuracy);
    Ok(outputs.metric("reconstruction", error).metric("entropy", entropy))
}

fn two_heads(out: &Path) -> Result<(), Error> {
    let (train, test) = digits();
    let mut trainer = Trainer::new("two_heads", network, Adam::new(3e-3), TrainerOptions::default())?;
    trainer.fit(&train, Some(&test), &FitOptions::epochs(30), &mut silent)?;
    let evaluation = trainer.evaluate(&test)?;
    let error = evaluation.metrics["reconstruction"];
    println!("{:.1} % right, squared error {error:.4}", 100.0 * evaluation.accuracy.unwrap_or_default());
    trainer.save(out.join("two_heads.safetensors"))?;

    let model = load(out.join("two_heads.safetensors"))?;
    let x = Tensor::new([1, 64], test.row(0).to_vec()).expect("a row of 64");
    for (name, result) in model.predict_named(&[("x", &x)])? {
        println!("{name}: {}", result.ty());
    }
    Ok(())
}

fn main() -> ExitCode {
    support::run("two_heads", two_heads)
}
