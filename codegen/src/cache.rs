//! Kernels that are alike are compiled once: within a program, and by later programs of the process not again.
//!
//! Kernels are alike where they differ in names and in the numbering of variables and axes at most. What they are looked
//! up by is all that code depends on: the kernel without names and in the numbering of its text, the target, the options.
//! What is compiled is that kernel, so the code does not depend on which of the alike came first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ir::Kernel;

use crate::kernel::{Part, compile_side_by_side};
use crate::{CompileOptions, CompileTimes, Error, Target};

/// The code that is kept at most; what came first goes first.
const LIMIT_BYTES: usize = 32 << 20;

/// What code depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    kernel: Kernel,
    target: Arc<str>,
    options: CompileOptions,
}

/// The kernels of a program, compiled.
pub struct Parts {
    /// Those that are not alike, in the order of the first of each.
    pub unique: Vec<Arc<Part>>,
    /// For each kernel, its place among them.
    pub of_kernel: Vec<usize>,
    /// How many of them were not known before.
    pub compiled: usize,
    /// How long these took, added up over threads.
    pub times: CompileTimes,
}

/// Compiles the kernels that are not in the cache, side by side.
pub fn compile_all(kernels: &[Kernel], target: &Target, options: CompileOptions) -> Result<Parts, Error> {
    let target_key: Arc<str> = target.key().into();
    let mut places: HashMap<Arc<Key>, usize> = HashMap::with_capacity(kernels.len());
    let mut of_kernel = Vec::with_capacity(kernels.len());
    let mut keys: Vec<(Arc<Key>, &str)> = Vec::new();
    for kernel in kernels {
        let key = Arc::new(Key { kernel: nameless(kernel), target: target_key.clone(), options });
        let place = *places.entry(key.clone()).or_insert(keys.len());
        if place == keys.len() {
            keys.push((key, &kernel.name));
        }
        of_kernel.push(place);
    }
    let known: Vec<Option<Arc<Part>>> = {
        let cache = cache();
        keys.iter().map(|(key, _)| cache.parts.get(key).cloned()).collect()
    };
    let missing: Vec<(&str, &Kernel)> = (keys.iter().zip(&known))
        .filter(|(_, part)| part.is_none())
        .map(|((key, name), _)| (*name, &key.kernel))
        .collect();
    let compiled = missing.len();
    let new = compile_side_by_side(&missing, target, options)?;
    let sum = |time: fn(&Part) -> Duration| new.iter().map(time).sum();
    let times = CompileTimes {
        emit: sum(|part| part.emit_time),
        cranelift: sum(|part| part.cranelift_time),
        ..CompileTimes::default()
    };
    let mut new = new.into_iter().map(Arc::new);
    let mut unique = Vec::with_capacity(keys.len());
    for ((key, _), part) in keys.into_iter().zip(known) {
        unique.push(part.unwrap_or_else(|| {
            let part = new.next().expect("what was missing has been compiled");
            cache().insert(key, part.clone());
            part
        }));
    }
    Ok(Parts { unique, of_kernel, compiled, times })
}

/// Forgets what the process has compiled; programs keep their code.
pub fn forget_compiled() {
    let mut cache = cache();
    *cache = Cache::new(cache.limit_bytes);
}

/// A kernel without names, in the numbering of its text.
fn nameless(kernel: &Kernel) -> Kernel {
    let mut kernel = kernel.clone().numbered();
    kernel.name.clear();
    kernel.buffers.iter_mut().for_each(|buffer| buffer.name.clear());
    kernel.axes.iter_mut().for_each(|axis| axis.name.clear());
    kernel
}

/// The kernels of this process.
fn cache() -> MutexGuard<'static, Cache> {
    static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(|| Mutex::new(Cache::new(LIMIT_BYTES)));
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Cache {
    parts: HashMap<Arc<Key>, Arc<Part>>,
    /// The keys, oldest first.
    order: VecDeque<Arc<Key>>,
    size_bytes: usize,
    limit_bytes: usize,
}

impl Cache {
    fn new(limit_bytes: usize) -> Cache {
        Cache { parts: HashMap::new(), order: VecDeque::new(), size_bytes: 0, limit_bytes }
    }

    /// Keeps a part; another thread may have put an equal one there meanwhile.
    fn insert(&mut self, key: Arc<Key>, part: Arc<Part>) {
        if self.parts.contains_key(&key) {
            return;
        }
        self.size_bytes += part.size_bytes();
        self.parts.insert(key.clone(), part);
        self.order.push_back(key);
        while self.size_bytes > self.limit_bytes {
            let Some(oldest) = self.order.pop_front() else { return };
            self.size_bytes -= self.parts.remove(&oldest).map_or(0, |part| part.size_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `out[i] = x[i] + value`, of some extent and with names.
    fn kernel(name: &str, axis: &str, extent: usize, value: &str) -> Kernel {
        let text = format!(
            "kernel @{name}(%{name}_x: f32[{extent}]) -> (%out: f32[{extent}]) {{
               for {axis} in {extent} {{
                 %0 = load %{name}_x[{axis}]  %1 = {value} : f32  %2 = add %0, %1  store %2, %out[{axis}]
               }}
             }}"
        );
        ir::text::parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn compile(kernels: &[Kernel]) -> Parts {
        let target = Target::host().expect("tests run where code can be made");
        compile_all(kernels, &target, CompileOptions::default()).expect("the kernels compile")
    }

    #[test]
    fn alike_kernels_of_a_program_are_compiled_once() {
        let parts = compile(&[
            kernel("a", "i", 1301, "1.5"),
            kernel("b", "j", 1301, "2.5"),
            kernel("c", "k", 1301, "1.5"),
        ]);
        assert_eq!((parts.of_kernel, parts.unique.len(), parts.compiled), (vec![0, 1, 0], 2, 2));
    }

    #[test]
    fn a_later_program_compiles_what_is_new_to_the_process() {
        let first = compile(&[kernel("a", "i", 1303, "1.5")]);
        let second = compile(&[kernel("d", "j", 1303, "1.5"), kernel("e", "j", 1303, "2.5")]);
        assert_eq!((first.compiled, second.compiled), (1, 1));
        assert!(Arc::ptr_eq(&first.unique[0], &second.unique[0]));
    }

    #[test]
    fn kernels_of_other_extents_constants_and_targets_are_not_alike() {
        let kernels = [
            kernel("a", "i", 1307, "0.0"),
            kernel("a", "i", 1319, "0.0"),
            kernel("a", "i", 1307, "-0.0"),
            kernel("a", "i", 1307, "nan"),
        ];
        assert_eq!(compile(&kernels).compiled, 4);
        for target in Target::available() {
            let new = usize::from(target.name != Target::host().expect("it is available").name);
            let parts = compile_all(&kernels, &target, CompileOptions::default());
            assert_eq!(parts.expect("the kernels compile").compiled, 4 * new, "{}", target.name);
        }
    }

    #[test]
    fn options_tell_kernels_apart() {
        let (kernels, target) = ([kernel("a", "i", 1321, "1.5")], Target::host().expect("it is available"));
        for keep_clif in [false, true] {
            let parts = compile_all(&kernels, &target, CompileOptions { keep_clif });
            let parts = parts.expect("the kernel compiles");
            assert_eq!((parts.compiled, parts.unique[0].clif.is_empty()), (1, !keep_clif));
        }
    }

    #[test]
    fn the_oldest_code_goes_where_there_is_too_much() {
        let part = compile(&[kernel("a", "i", 1327, "1.5")]).unique.remove(0);
        let mut cache = Cache::new(2 * part.size_bytes());
        let key = |extent| {
            let kernel = nameless(&kernel("a", "i", extent, "1.5"));
            Arc::new(Key { kernel, target: "".into(), options: CompileOptions::default() })
        };
        for extent in [2, 3, 2, 4] {
            cache.insert(key(extent), part.clone());
        }
        let is_known = [2, 3, 4].map(|extent| cache.parts.contains_key(&key(extent)));
        assert_eq!((is_known, cache.size_bytes), ([false, true, true], 2 * part.size_bytes()));
    }
}
