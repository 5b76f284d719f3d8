//! `nnc list KIND`

use codegen::Target;
use comfy_table::{CellAlignment, Table, presets};
use ir::{Op, ScalarFn};
use nnc::Error;
use nnc::bench::{WORKLOADS, Workload};
use nnc::data::source::{SOURCES, SourceKind};
use nnc::models::ARCHITECTURES;
use serde_json::{Map, Value, json};

use super::Status;
use super::output::Output;

/// Arguments of `nnc list`.
#[derive(clap::Args)]
pub struct Args {
    /// What to list
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// The CPUs that code can be made for, and whether this machine is one
    Targets,
    /// The models that `nnc train` and `nnc dump` know
    Models,
    /// The passes of the compiler, in their order
    Passes,
    /// The ops of the text form
    Ops,
    /// What `nnc train` and `nnc eval` take as data
    Datasets,
    /// What `nnc bench` measures, and the least work of a step
    Workloads,
}

/// A table: the columns' names, which are the keys in JSON, too, and the rows.
struct Listing {
    key: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

/// Lists what there is of a kind.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let listing = match args.kind {
        Kind::Targets => targets()?,
        Kind::Models => models(),
        Kind::Passes => passes(),
        Kind::Ops => ops(),
        Kind::Datasets => datasets(),
        Kind::Workloads => workloads()?,
    };
    output.result(|| listing.json(), || listing.text())?;
    Ok(Status::Done)
}

fn targets() -> Result<Listing, Error> {
    let host = Target::host()?;
    let caches = |is_available: bool| {
        let sizes = [host.l1_bytes, host.l2_bytes, host.l3_bytes];
        sizes.map(|bytes| if is_available && bytes > 0 { json!(bytes) } else { Value::Null })
    };
    let levels = Target::levels().iter().map(|level| {
        let missing: Vec<&str> = level.missing_features().collect();
        let mut row = vec![
            json!(level.name),
            json!(level.short_name),
            json!(8 * level.vector_bytes),
            json!(level.vector_registers),
            json!(level.has_fma),
            json!(level.is_available()),
        ];
        row.extend(caches(level.is_available()));
        row.push(if missing.is_empty() { Value::Null } else { json!(missing.join(", ")) });
        row
    });
    let mut native = vec![
        json!("native"),
        if host.name == "native" { Value::Null } else { json!(host.name) },
        json!(8 * host.vector_bytes),
        json!(host.vector_registers),
        json!(host.has_fma),
        json!(true),
    ];
    native.extend(caches(true));
    native.push(Value::Null);
    Ok(Listing {
        key: "targets",
        columns: &[
            "target",
            "same_as",
            "vector_bits",
            "registers",
            "fma",
            "available",
            "l1_bytes",
            "l2_bytes",
            "l3_bytes",
            "missing_features",
        ],
        rows: levels.chain([native]).collect(),
    })
}

fn models() -> Listing {
    let row = |name: &str, doc: &str, options: &str, defaults: &str| {
        vec![json!(name), json!(doc), json!(options), json!(defaults)]
    };
    let rows = ARCHITECTURES.iter().map(|it| row(it.name, it.doc, &it.options.join(", "), it.defaults));
    let columns = &["model", "doc", "options", "defaults"];
    Listing { key: "models", columns, rows: rows.collect() }
}

fn passes() -> Listing {
    let row = |pass: &::passes::Pass| {
        let stages = [pass.takes, pass.stage].map(|stage| json!(stage.name()));
        [&[json!(pass.name)][..], &stages, &[json!(!pass.optional)]].concat()
    };
    let columns = &["pass", "takes", "stage", "required"];
    Listing { key: "passes", columns, rows: ::passes::PASSES.iter().map(row).collect() }
}

/// The ops; elementwise functions with their formulas.
fn ops() -> Listing {
    let rows = Op::names().into_iter().map(|name| {
        let function: Option<ScalarFn> = name.parse().ok();
        let doc = function.map(|function| function.row().doc);
        vec![json!(name), json!(doc)]
    });
    Listing { key: "ops", columns: &["op", "doc"], rows: rows.collect() }
}

fn datasets() -> Listing {
    let row =
        |source: &SourceKind| [source.name, source.syntax, source.doc, source.defaults].map(|it| json!(it));
    let rows = SOURCES.iter().map(|source| row(source).to_vec());
    Listing { key: "datasets", columns: &["dataset", "syntax", "doc", "defaults"], rows: rows.collect() }
}

fn workloads() -> Result<Listing, Error> {
    let row = |w: &Workload| Ok(vec![json!(w.name), json!(w.model()?.flops()), json!(w.bytes)]);
    let rows = WORKLOADS.iter().map(row).collect::<Result<_, Error>>()?;
    Ok(Listing { key: "workloads", columns: &["workload", "flops", "bytes"], rows })
}

impl Listing {
    fn json(&self) -> Value {
        let object = |row: &Vec<Value>| -> Value {
            let pairs = self.columns.iter().map(|&column| column.to_owned()).zip(row.iter().cloned());
            Value::Object(pairs.collect::<Map<String, Value>>())
        };
        json!({ self.key: self.rows.iter().map(object).collect::<Vec<Value>>() })
    }

    fn text(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY);
        table.set_header(self.columns.iter().map(|column| column.replace('_', " ")));
        for row in &self.rows {
            table.add_row(row.iter().map(cell));
        }
        let is_number = |column: usize| self.rows.iter().any(|row| row[column].is_number());
        for (index, column) in table.column_iter_mut().enumerate() {
            if is_number(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        format!("{table}\n")
    }
}

/// A value as people read it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
