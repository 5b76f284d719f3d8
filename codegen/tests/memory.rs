//! Executable memory is never writable, and goes with its owner.

use ir::{Access, Affine, Index, Inst, Kernel, Plan, Stmt, StoreMode, Type, VerifiedPlan};
use smallvec::smallvec;

/// `out[i] = x[i]`.
fn copy_kernel() -> Kernel {
    let mut kernel = Kernel::new("copy");
    let ty = Type::new(ir::DType::F32, [64]);
    let x = kernel.buffer("x", ty.clone(), Access::Read);
    let out = kernel.buffer("out", ty, Access::Write);
    let i = kernel.axis("i", 64);
    let var = kernel.var(ir::DType::F32);
    let at = || smallvec![Index { affine: Affine::axis(i), var: None }];
    let body = vec![
        Stmt::Let { var, inst: Inst::Load { buffer: x, indices: at(), fill: None } },
        Stmt::Store { value: var, buffer: out, indices: at(), mode: StoreMode::Set },
    ];
    kernel.body.push(Stmt::For { axes: smallvec![i], sequential: false, body });
    kernel
}

/// The permissions of the mapping that holds an address, such as `r-xp`; `None` where there is none.
fn permissions(address: usize) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (from, to) = fields.next()?.split_once('-')?;
        let range = usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?;
        range.contains(&address).then(|| fields.next().map(str::to_owned))?
    })
}

#[test]
fn code_is_executable_not_writable_and_gone_with_its_owner() {
    if std::fs::read_to_string("/proc/self/maps").is_err() {
        println!("skipped: this system has no /proc/self/maps");
        return;
    }
    for target in codegen::Target::available() {
        check(&target);
    }
}

fn check(target: &codegen::Target) {
    let plan = VerifiedPlan::new(Plan::of_kernel(copy_kernel())).expect("the kernel holds");
    let code = codegen::compile(&plan, target).expect("it compiles");
    let address = code.entries()[0].function as usize;
    assert_eq!(permissions(address).as_deref(), Some("r-xp"));
    let maps = std::fs::read_to_string("/proc/self/maps").expect("it was readable before");
    assert!(!maps.contains("rwxp"), "memory is writable and executable at once:\n{maps}");
    drop(code);
    let after = permissions(address);
    assert!(after.as_deref() != Some("r-xp"), "the code is still there");
}
