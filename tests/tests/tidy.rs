//! House rules that a compiler does not check: the arrows between crates, one definition per op, the paths that
//! documents name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace").to_path_buf()
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for path in entries.map(|entry| entry.expect("the folder is readable").path()) {
        let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn crates_depend_on_each_other_as_the_map_says() {
    let arrows: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("ir", [].as_slice()),
        ("passes", &["ir"]),
        ("codegen", &["ir"]),
        ("runtime", &["ir", "codegen"]),
        ("nn", &["ir"]),
        ("nnc", &["ir", "passes", "codegen", "runtime", "nn"]),
    ]);
    for (name, allowed) in &arrows {
        let manifest = read(&root().join(name).join("Cargo.toml"));
        let dependencies = manifest.split("[dependencies]").nth(1).expect("each crate has dependencies");
        let dependencies = dependencies.split("\n[").next().expect("a split has a first part");
        for line in dependencies.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let is_ours = arrows.contains_key(dependency);
            assert!(!is_ours || allowed.contains(&dependency), "{name} -> {dependency} is not on the map");
        }
    }
}

/// A `match` with arms for several ops outside of their definitions is a second place that lists ops.
#[test]
fn no_place_outside_of_ops_matches_on_the_list_of_ops() {
    const MOST_ARMS: usize = 3;
    for dir in ["ir", "passes", "codegen", "runtime", "nn", "nnc"] {
        for path in files(&root().join(dir).join("src"), ".rs") {
            if path.starts_with(root().join("ir/src/ops")) {
                continue;
            }
            let text = read(&path);
            let mut run = 0;
            for (number, line) in text.lines().enumerate() {
                let line = line.trim_start();
                let is_arm = line.starts_with("Op::") && line.contains("=>");
                run = if is_arm {
                    run + 1
                } else if line.starts_with("match ") {
                    0
                } else {
                    run
                };
                assert!(run <= MOST_ARMS, "{}:{}: a match over ops", path.display(), number + 1);
                if line == "}" {
                    run = 0;
                }
            }
        }
    }
}

#[test]
fn only_the_graph_names_petgraph() {
    for dir in ["ir", "passes", "codegen", "runtime", "nn", "nnc"] {
        for path in files(&root().join(dir).join("src"), ".rs") {
            let names_it = read(&path).lines().any(|line| line.trim_start().starts_with("use petgraph"));
            assert!(!names_it || path.ends_with("ir/src/graph.rs"), "{} names petgraph", path.display());
        }
    }
}

/// What a crate embeds is in its package.
#[test]
fn no_crate_embeds_a_file_of_another() {
    let mut embedded = 0;
    for dir in ["ir", "passes", "codegen", "runtime", "nn", "nnc"] {
        let crate_root = root().join(dir).canonicalize().expect("the crate is there");
        for path in files(&crate_root, ".rs") {
            let text = read(&path);
            for include in ["include_str!(\"", "include_bytes!(\""] {
                for rest in text.split(include).skip(1) {
                    let name = rest.split('"').next().expect("a split has a first part");
                    let folder = path.parent().expect("files are in folders");
                    let file = folder.join(name).canonicalize();
                    let file = file.unwrap_or_else(|error| panic!("{}, {name}: {error}", path.display()));
                    assert!(file.starts_with(&crate_root), "{} embeds {name}", path.display());
                    embedded += 1;
                }
            }
        }
    }
    assert!(embedded > 0, "the digits are embedded");
}

/// Each package has the licences and says what it is; the crates that are not published say so.
#[test]
fn every_package_has_its_licences_and_a_readme() {
    for dir in ["ir", "passes", "codegen", "runtime", "nn", "nnc"] {
        let folder = root().join(dir);
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            assert_eq!(read(&folder.join(licence)), read(&root().join(licence)), "{dir}/{licence}");
        }
        let manifest = read(&folder.join("Cargo.toml"));
        for key in ["description = ", "license.workspace", "keywords.workspace", "categories.workspace"] {
            assert!(manifest.contains(key), "{dir}: {key}");
        }
        assert!(folder.join("README.md").exists() || manifest.contains("readme = \"../README.md\""), "{dir}");
    }
    for dir in ["tests", "tests/outside"] {
        assert!(read(&root().join(dir).join("Cargo.toml")).contains("publish = false"), "{dir}");
    }
}

/// Paths in back quotes that look like ours (`passes/src/fuse/mod.rs`, `docs/IR.md`) exist.
#[test]
fn documents_name_paths_that_exist() {
    let tops = ["ir/", "passes/", "codegen/", "runtime/", "nn/", "nnc/", "tests/", "docs/", ".ci/"];
    for document in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/IR.md"] {
        let text = read(&root().join(document));
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = tops.iter().any(|top| quoted.starts_with(top)) && !quoted.contains([' ', '*', '{']);
            assert!(
                !is_path || root().join(quoted).exists(),
                "{document} names {quoted}, which is not there"
            );
        }
    }
}

#[test]
fn every_file_has_a_module_comment() {
    for dir in ["ir", "passes", "codegen", "runtime", "nn", "nnc", "tests"] {
        for path in files(&root().join(dir), ".rs") {
            assert!(read(&path).starts_with("//!"), "{} does not begin with what it is for", path.display());
        }
    }
}
