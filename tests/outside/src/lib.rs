//! The examples of the README as tests of the documentation: each compiles in a crate that depends on `nnc` alone, and runs.

#![doc = include_str!("../../../README.md")]
