//! Orthogonal regularisation.

use ir::{Error, Value};

use crate::Context;

/// `sum of |W^T W * (1 - I)|^2` over the parameters called `weight` in a scope that has been built, each as a matrix `W` of
/// `[first extent, product of the others]`, or its transpose where that has fewer columns: `f32[]`. It is 0 where these are orthogonal,
/// whatever their norms (A. Brock, J. Donahue and K. Simonyan, "Large scale GAN training for high fidelity natural image
/// synthesis", 2019, equation 3).
///
/// # Errors
/// Where there is no such parameter.
pub fn orthogonality(cx: &mut Context, scope: &str) -> Result<Value, Error> {
    let prefix = format!("{}.", cx.scoped(scope));
    let is_its = |name: &str| name.starts_with(&prefix) && name.ends_with(".weight");
    let weights: Vec<Value> = (cx.parameters().iter())
        .filter(|parameter| is_its(&parameter.name) && cx.shape(parameter.value).rank() >= 2)
        .map(|parameter| parameter.value)
        .collect();
    let mut total: Option<Value> = None;
    for weight in weights {
        let shape = cx.shape(weight).clone();
        let (rows, columns) = (shape[0], shape.elements() / shape[0].max(1));
        let matrix = cx.reshape(weight, [rows, columns])?;
        let has_fewer_columns = columns < rows;
        let products = cx.matmul_transposed(matrix, matrix, has_fewer_columns, !has_fewer_columns)?;
        let own = cx.eval(matrix.square().sum(&[usize::from(!has_fewer_columns)]))?;
        // The squares of all products without those of rows with themselves.
        let of_weight = cx.eval(products.square().sum_all() - own.square().sum_all())?;
        total = Some(match total {
            Some(total) => cx.add(total, of_weight)?,
            None => of_weight,
        });
    }
    total.ok_or_else(|| {
        let problem = "it has no weights of two axes or more";
        Error::new(cx.scoped(scope), problem, "give the scope of layers that have been built")
    })
}
