//! Products of factors with a panel of filters at one of the 36 points, on register tiles of the engine.

use cranelift_codegen::ir::{InstBuilder, Value};
use smallvec::SmallVec;

use super::WinogradPlan;
use super::emit::{Scratch, Sizes};
use super::steps::{at, call, number, store_of_sum, tile_spec};
use crate::emit::Emitter;
use crate::emit::loops::each;
use crate::wide::WideFunction;
use crate::wide::tile::depth::{Count, Level};
use crate::wide::tile::{TileSpec, emit_tile};

/// The sum of a product.
pub struct Depth {
    /// How many channels are summed over.
    pub channels: usize,
    /// How many lines are fetched ahead in each round.
    pub lines_ahead: usize,
    /// Whether these are a block of all channels, and sums wait in memory in between.
    pub is_blocked: bool,
}

/// Products with a panel of filters.
pub struct Products<'a> {
    plan: &'a WinogradPlan<'a>,
    /// The columns of a register tile.
    columns: usize,
    function: WideFunction,
    /// How many register tiles there are.
    register_tiles: Value,
}

impl<'a> Products<'a> {
    /// Those of so many tiles.
    pub fn new(
        emitter: &mut Emitter<'_, '_>,
        plan: &'a WinogradPlan<'a>,
        sizes: &Sizes,
        depth: &Depth,
        tiles: Value,
    ) -> Products<'a> {
        let &Depth { channels, lines_ahead, is_blocked } = depth;
        let (rows, columns) = sizes.tile;
        let strip = store_of_sum();
        let right_step = 4 * plan.panel as i64;
        let levels = [Level { count: Count::Static(channels), left_step: 4, right_step }];
        let row_steps = [sizes.sums];
        let spec = tile_spec((rows, columns), &levels, sizes.place, &strip, &row_steps);
        let function = emit_tile(plan.isa, &TileSpec { lines_ahead, is_blocked, ..spec });
        // The rows of the last register tile that are no tiles hold what was there before; nothing reads their sums.
        let up = emitter.b.ins().iadd_imm_s(tiles, rows as i64 - 1);
        let register_tiles = emitter.b.ins().udiv_imm_u(up, rows as i64);
        Products { plan, columns, function, register_tiles }
    }

    /// Those of factors with filters, to `sums`. `words` are what register tiles of a part of the panel want to know besides.
    pub fn of_panel(
        &self,
        emitter: &mut Emitter<'_, '_>,
        (factors, filters): (Value, Value),
        words: &dyn Fn(&mut Emitter<'_, '_>, Value) -> SmallVec<[Value; 2]>,
        sums: Value,
    ) {
        let [none, parts] = [0, self.plan.panel / self.columns].map(|at| number(emitter, at));
        let part_bytes = 4 * self.columns as i64;
        each(emitter, none, parts, &mut |emitter, part| {
            let filters = at(emitter, filters, part, part_bytes);
            let sums = at(emitter, sums, part, part_bytes);
            let words: SmallVec<[Value; 6]> = [factors, filters, self.register_tiles]
                .into_iter()
                .chain(words(emitter, part))
                .chain([sums])
                .collect();
            call(emitter, self.function.clone(), &words);
        });
    }
}

/// Where the sums of a panel at a point are.
pub fn sums_at(
    emitter: &mut Emitter<'_, '_>,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
    scratch: &Scratch,
    (point, panel): (Value, Value),
) -> Value {
    let sums = at(emitter, scratch.products, point, sizes.products);
    at(emitter, sums, panel, 4 * plan.panel as i64)
}
