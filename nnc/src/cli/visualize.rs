//! `nnc visualize CHECKPOINT --layer L`

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use nnc::data::Source;
use nnc::models::network_of;
use nnc::visualize::{Wanted, visualize};
use nnc::{Error, files};
use serde_json::json;

use super::Status;
use super::output::Output;
use super::target::TargetArg;

/// Arguments of `nnc visualize`.
#[derive(clap::Args)]
pub struct Args {
    /// A model of images or a checkpoint that `nnc train` has written
    checkpoint: PathBuf,
    /// The layer to look at: relu2, features.3, ..; one that there is not lists those that there are
    #[arg(long, value_name = "NAME")]
    layer: String,
    /// The images to look at it with, as for `nnc train`; of these, those for testing
    #[arg(long, value_name = "SOURCE", default_value = "digits")]
    data: String,
    /// The greatest number of feature maps to show
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    maps: u16,
    /// The number of images to show the feature maps of, and of those that excite a feature map most
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=64))]
    images: u16,
    /// The folder for the pictures
    #[arg(long, value_name = "DIR", default_value = "runs/visualize")]
    out: PathBuf,
    #[command(flatten)]
    target: TargetArg,
}

/// Draws what a layer of a trained model sees.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let options = args.target.options();
    let model = nnc::load_with(&args.checkpoint, &options)?;
    let network = network_of(model.name(), model.description())?;
    let (_, data) = args.data.parse::<Source>()?.load()?;
    let (maps, images) = (args.maps.into(), args.images.into());
    let pictures = visualize(&model, &network, &data, &Wanted { layer: args.layer.clone(), maps, images })?;
    fs::create_dir_all(&args.out).map_err(|source| Error::io(&args.out, "write to", source))?;
    let named = [
        ("features", Some(&pictures.features), "images and their feature maps"),
        (
            "patterns",
            Some(&pictures.patterns),
            "the images that excite each feature map, and what in them does",
        ),
        ("filters", pictures.filters.as_ref(), "the filters of the convolution"),
    ];
    let mut written = Vec::new();
    for (name, png, doc) in named {
        let Some(png) = png else { continue };
        let path = args.out.join(format!("{}-{name}.png", args.layer));
        files::write_atomically(&path, |file| file.write_all(png))?;
        written.push((name, path.display().to_string(), doc));
    }
    let json = || {
        let files = written.iter().map(|(name, path, _)| ((*name).to_owned(), json!(path)));
        json!({ "model": super::model_json(&model), "layer": args.layer, "files": files.collect::<serde_json::Map<_, _>>() })
    };
    let text = || {
        let lines = written.iter().map(|(_, path, doc)| format!("{path}: {doc}"));
        lines.collect::<Vec<String>>().join("\n")
    };
    output.result(json, text)?;
    Ok(Status::Done)
}
