//! scratch
use ir::*;
#[test]
fn show() {
    let mut b = Builder::new("mlp");
    let n = 32;
    let x = b.input("x", DType::F32, [n, 64]).unwrap();
    let y = b.input("y", DType::I64, [n]).unwrap();
    let mut params = vec![];
    let mut h = x;
    let sizes = [64usize, 128, 10];
    for l in 0..2 {
        let w = b
            .state(
                &format!("w{l}"),
                DType::F32,
                [sizes[l + 1], sizes[l]],
                Init::Uniform { low: -0.1, high: 0.1, stream: l as u32 },
            )
            .unwrap();
        let c = b.state(&format!("b{l}"), DType::F32, [sizes[l + 1]], Init::Constant(0.0)).unwrap();
        params.push(w);
        params.push(c);
        h = b.matmul_transposed(h, w, false, true).unwrap();
        h = b.add(h, c).unwrap();
        if l == 0 {
            h = b.relu(h).unwrap();
        }
    }
    let top = b.reduce_max(h, &[1], true).unwrap();
    let sh = b.sub(h, top).unwrap();
    let e = b.exp(sh).unwrap();
    let s = b.reduce_sum(e, &[1], true).unwrap();
    let ls = b.log(s).unwrap();
    let logp = b.sub(sh, ls).unwrap();
    let yi = b.cast(y, DType::I32).unwrap();
    let yi = b.reshape(yi, [n, 1]).unwrap();
    let io = b.iota(DType::I32, [n, 10], 1).unwrap();
    let m = b.eq(io, yi).unwrap();
    let zero = b.float(DType::F32, 0.0);
    let picked = b.select(m, logp, zero).unwrap();
    let per = b.reduce_sum(picked, &[1], false).unwrap();
    let loss = b.reduce_mean(per, &[0], false).unwrap();
    let loss = b.neg(loss).unwrap();
    b.output("loss", loss).unwrap();
    let g = b.grad(loss, &params).unwrap();
    let t = b.state("t", DType::F32, [], Init::Constant(0.0)).unwrap();
    let one = b.float(DType::F32, 1.0);
    let t1 = b.add(t, one).unwrap();
    b.update(t, t1).unwrap();
    let b1 = b.float(DType::F32, 0.9);
    let p1 = b.pow(b1, t1).unwrap();
    let c1 = b.sub(one, p1).unwrap();
    for (i, (p, g)) in params.iter().zip(g).enumerate() {
        let shape = b.shape(*p).clone();
        let m = b.state(&format!("m{i}"), DType::F32, shape, Init::Constant(0.0)).unwrap();
        let k = b.float(DType::F32, 0.1);
        let m9 = b.mul(m, b1).unwrap();
        let g1 = b.mul(g, k).unwrap();
        let m2 = b.add(m9, g1).unwrap();
        b.update(m, m2).unwrap();
        let st = b.div(m2, c1).unwrap();
        let lr = b.float(DType::F32, 0.001);
        let st = b.mul(st, lr).unwrap();
        let p2 = b.sub(*p, st).unwrap();
        b.update(*p, p2).unwrap();
    }
    let g = b.finish();
    let o = passes::Options::default();
    for name in ["dce", "fuse", "lower", "plan_memory"] {
        let p = passes::run_until(g.clone(), &o, passes::Pass::find(name).unwrap()).unwrap();
        println!("=== {name}\n{p}");
    }
}
