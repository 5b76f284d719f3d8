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

#[cfg(test)]
mod tests {
    use ir::{DType, Tensor, eval};

    use super::*;
    use crate::{Layer, Linear};

    fn of_weight(rows: usize, columns: usize, values: Vec<f32>) -> f32 {
        let mut cx = Context::training("g");
        let x = cx.input("x", DType::F32, [1, columns]).unwrap();
        cx.scope("made", |cx| Linear::new(columns, rows).forward(cx, x)).unwrap();
        let penalty = orthogonality(&mut cx, "made").unwrap();
        cx.output("penalty", penalty).unwrap();
        let weight = Tensor::new([rows, columns], values).unwrap();
        let zeros = |shape: [usize; 1]| Tensor::new(shape, vec![0.0f32; shape[0]]).unwrap();
        let states = [("made.weight".to_owned(), weight), ("made.bias".to_owned(), zeros([rows]))];
        let x = Tensor::new([1, columns], vec![0.0f32; columns]).unwrap();
        let inputs = [("x".to_owned(), x)];
        let bindings = eval::Bindings { inputs: inputs.into(), states: states.into(), ..Default::default() };
        eval::evaluate(&cx.finish(), &bindings).unwrap().outputs["penalty"].as_slice::<f32>().unwrap()[0]
    }

    #[test]
    fn products_of_different_rows_count_twice_and_norms_do_not() {
        assert_eq!(of_weight(2, 3, vec![2.0, 0.0, 0.0, 0.0, 3.0, 0.0]), 0.0);
        // The product is 4: its square is there above and below the diagonal.
        assert_eq!(of_weight(2, 3, vec![2.0, 1.0, 0.0, 1.0, 2.0, 5.0]), 32.0);
        // Of three rows in two dimensions, the columns.
        assert_eq!(of_weight(3, 2, vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0]), 2.0);
    }

    #[test]
    fn a_scope_without_weights_is_an_error() {
        let error = orthogonality(&mut Context::training("g"), "made").unwrap_err().to_string();
        assert!(error.starts_with("made: it has no weights of two axes or more"), "{error}");
    }
}
