//! A network of two inputs: both images of a pair go through one tower, with the same weights, and the distance of what comes
//! out says whether they are the same digit (J. Bromley et al., "Signature verification using a siamese time delay neural
//! network", 1993, with the contrastive loss of R. Hadsell, S. Chopra and Y. LeCun, 2006).

use nnc::data::{Arrays, digits};
use nnc::prelude::*;

fn siamese(cx: &mut Context, rows: usize) -> Result<Outputs, ir::Error> {
    let tower = Sequential::new().add(Linear::new(64, 64)).add(Relu).add(Linear::new(64, 16));
    let [a, b] = [cx.input("a", DType::F32, [rows, 64])?, cx.input("b", DType::F32, [rows, 64])?];
    let same = cx.input("same", DType::F32, [rows])?;
    let [a, b] = [cx.layer("tower", &tower, a)?, cx.shared("tower", &tower, b)?];
    let square = cx.eval((a - b).square().sum(&[1]))?;
    let too_near = (1.0 - (square + 1e-6).sqrt()).relu();
    let loss = cx.eval((same * square + (1.0 - same) * too_near.square()).mean_all())?;
    let accuracy = cx.eval(square.lt(0.25).eq(same.gt(0.5)).cast(DType::F32).mean_all())?;
    Ok(Outputs::new().result("square_distance", square).loss(loss).metric("accuracy", accuracy))
}

/// Each image twice: with one of its own class, and with one of another.
fn pairs(data: &Dataset) -> Result<Arrays, Error> {
    let labels = data.labels().expect("digits are classes");
    let is_same = |a: u32, b: u32| labels[a as usize] == labels[b as usize];
    let first: Vec<u32> = (0..data.len() as u32).flat_map(|row| [row; 2]).collect();
    let second = |(pair, &row): (usize, &u32)| {
        let others = (1..).map(|step| (row + 7 * step) % data.len() as u32);
        others.into_iter().find(|&other| is_same(row, other) == (pair % 2 == 0)).unwrap_or(row)
    };
    let second: Vec<u32> = first.iter().enumerate().map(second).collect();
    let same = first.iter().zip(&second).map(|(&a, &b)| f32::from(is_same(a, b))).collect();
    let same = Tensor::new([first.len()], same).expect("one for each pair");
    let [a, b] = [&first, &second].map(|rows| data.subset(rows).tensor());
    Arrays::new("pairs", [("a", a), ("b", b), ("same", same)])
}

fn main() -> Result<(), Error> {
    let (train, test) = digits();
    let mut trainer = Trainer::new("siamese", siamese, Adam::new(2e-3), TrainerOptions::default())?;
    trainer.fit(&pairs(&train)?, None, &FitOptions::epochs(20), &mut silent)?;
    let accuracy = trainer.evaluate(&pairs(&test)?)?.metrics["accuracy"];
    println!("{:.1} % of unseen pairs right", 100.0 * accuracy);
    Ok(())
}
