//! Models that take positions of boards, `[planes, height, width]`.

use std::sync::Arc;

use nn::models::AlphaGoZero;

use super::{Architecture, Body, Learns, images};

/// AlphaGo Zero's network with 19 residual blocks.
pub const AGZ19: Architecture =
    tower("agz19", "AlphaGo Zero's tower of 19 residual blocks, a policy and a value on it", |row, _, _| {
        agz(19, row)
    });

/// AlphaGo Zero's network with 39 residual blocks.
pub const AGZ39: Architecture =
    tower("agz39", "AlphaGo Zero's tower of 39 residual blocks, a policy and a value on it", |row, _, _| {
        agz(39, row)
    });

const fn tower(name: &'static str, doc: &'static str, build: super::Build) -> Architecture {
    Architecture {
        name,
        doc,
        options: &[],
        defaults: "",
        learns: Learns::Several,
        row: images::image,
        build,
        generative: None,
        sampler: None,
        game: None,
        sequences: None,
    }
}

/// The tower of the paper: 256 channels.
fn agz(blocks: usize, row: &ir::Shape) -> Body {
    let row = [row[0], row[1], row[2]];
    Body::Network(Arc::new(AlphaGoZero { blocks, channels: 256 }.network(row)))
}
