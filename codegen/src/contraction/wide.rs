//! Tiles as calls of wide code.

use std::ops::Range;

use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value, types};
use ir::AxisId;
use smallvec::SmallVec;

use super::emit::{CurrentBlock, Panel, panel_columns};
use super::limits::DepthRange;
use super::recognise::Contraction;
use super::{ContractionPlan, Order, sweep};
use crate::emit::Emitter;
use crate::emit::runs::is_epilogue;
use crate::emit::strips::StripBuilder;
use crate::nest::{Nest, Place};
use crate::wide::Isa;
use crate::wide::tile::depth::{Count, Level};
use crate::wide::tile::{TileSpec, emit_tile, is_step};

/// A line of a panel.
pub struct Line<'a> {
    /// The address of the left operand at row 0 and depth 0.
    pub left: Value,
    /// The panel.
    pub panel: Panel,
    /// The address of the sums that wait between blocks of the depth.
    pub waiting: Value,
    /// The block of the depth that is being done.
    pub block: Option<CurrentBlock>,
    /// How far ahead its first tile fetches the right operand.
    pub ahead: Option<Value>,
    /// The steps of each loop over the depth that runs inside of tiles.
    pub ranges: &'a [DepthRange],
}

/// Tiles one below the other that are alike.
struct Run {
    /// The first row, counted from that of the line's part, and the number of tiles, where they are known.
    place: Option<(usize, usize)>,
    height: usize,
    /// Whether some steps of the depth are for some of the rows alone.
    is_edge: bool,
}

/// Whether a contraction can run as tiles of wide code, its epilogue on their registers.
pub fn is_tile(nest: &Nest, contraction: &Contraction<'_>) -> bool {
    has_short_steps(contraction)
        && is_epilogue(nest, contraction.column, contraction.row, contraction.sum, &contraction.epilogue)
}

/// Whether the steps between rows and depths fit into instructions. What tiles read and write has at most four bytes per
/// element.
fn has_short_steps(contraction: &Contraction<'_>) -> bool {
    let fits = |place: &Place, axis: AxisId| is_step(place.offset.coefficient(axis).saturating_mul(4));
    let operands = [contraction.left, contraction.right];
    let mut all = operands.iter().all(|place| contraction.depth.iter().all(|&axis| fits(place, axis)));
    if let Some(row) = contraction.row {
        all &= fits(contraction.left, row);
        Nest::accesses(&contraction.epilogue, &mut |place, _| all &= fits(place, row));
    }
    all
}

/// What the sums of a line of a panel with so many columns take in memory, in bytes.
pub fn waiting_bytes(plan: &ContractionPlan<'_>, columns: usize) -> usize {
    let rows = match plan.is_crosswise() {
        true => plan.rows.next_multiple_of(plan.lanes),
        false => plan.rows,
    };
    rows * waiting_row_bytes(plan, columns)
}

/// What a row of that takes.
fn waiting_row_bytes(plan: &ContractionPlan<'_>, columns: usize) -> usize {
    columns.next_multiple_of(plan.lanes) * 4
}

/// Emits the tiles of a line for rows `rows.0 .. rows.1`.
pub fn emit_tiles(
    emitter: &mut Emitter<'_, '_>,
    isa: Isa,
    plan: &ContractionPlan<'_>,
    line: &Line<'_>,
    rows: (Value, Value),
) {
    let runs = runs(plan);
    if runs.iter().all(|run| run.place.is_some()) {
        for run in &runs {
            let (row, tiles) = run.place.expect("it has just been checked");
            let [row, tiles] = [row, tiles].map(|at| emitter.b.ins().iconst(types::I64, at as i64));
            call_tiles(emitter, isa, plan, line, run, (row, tiles));
        }
        return;
    }
    let mut row = rows.0;
    for run in &runs {
        // The rows that are left after the last whole tile: their number is the same for every chunk that has any.
        let count = emitter.b.ins().isub(rows.1, row);
        let height = emitter.b.ins().iconst(types::I64, run.height as i64);
        let tiles = emitter.b.ins().udiv(count, height);
        let [then, after] = [(); 2].map(|()| emitter.b.create_block());
        emitter.b.ins().brif(tiles, then, &[], after, &[]);
        emitter.b.switch_to_block(then);
        call_tiles(emitter, isa, plan, line, run, (row, tiles));
        emitter.b.ins().jump(after, &[]);
        emitter.b.switch_to_block(after);
        let done = emitter.b.ins().imul(tiles, height);
        row = emitter.b.ins().iadd(row, done);
    }
}

/// The tiles of a line: those of full height, then that of the rows that are left. Where bounds have rows in them, places
/// are known, and tiles at an edge are told apart.
fn runs(plan: &ContractionPlan<'_>) -> Vec<Run> {
    let rest = plan.rows % plan.tile_rows;
    if plan.loops.iter().all(|depth| depth.row_limits.is_empty()) {
        let heights = [plan.tile_rows, rest].into_iter().filter(|&height| height > 0);
        return heights.map(|height| Run { place: None, height, is_edge: false }).collect();
    }
    let mut runs: Vec<Run> = Vec::new();
    for first in (0..plan.rows).step_by(plan.tile_rows) {
        let height = plan.tile_rows.min(plan.rows - first);
        let is_edge = plan
            .loops
            .iter()
            .any(|depth| taps(plan, depth, first, height).iter().any(|rows| *rows != (0..height)));
        match runs.last_mut() {
            Some(Run { place: Some((_, tiles)), height: last, is_edge: false })
                if !is_edge && *last == height =>
            {
                *tiles += 1;
            }
            _ => runs.push(Run { place: Some((first, 1)), height, is_edge }),
        }
    }
    runs
}

/// The rows of a tile that each step of a loop is for; all where there are no bounds with rows in them.
fn taps(
    plan: &ContractionPlan<'_>,
    depth: &super::bounds::DepthLoop,
    first: usize,
    height: usize,
) -> Vec<Range<usize>> {
    if depth.row_limits.is_empty() {
        return Vec::new();
    }
    (0..depth.extent).map(|step| depth.rows_of_step(plan.contraction.row, step, first, height)).collect()
}

/// The loops over the depth of some tiles, with what goes into their frame.
struct Depth {
    levels: Vec<Level>,
    /// How often loops run.
    counts: Vec<Value>,
    /// How far the first step is from depth 0, in bytes.
    left: Value,
    right: Value,
}

/// The loops over the depth of a run of tiles. Loops that step through both operands as one are one.
fn depth(emitter: &mut Emitter<'_, '_>, plan: &ContractionPlan<'_>, line: &Line<'_>, run: &Run) -> Depth {
    let zero = emitter.b.ins().iconst(types::I64, 0);
    let mut depth = Depth { levels: Vec::new(), counts: Vec::new(), left: zero, right: zero };
    let first_inner = plan.first_inner();
    for level in first_inner..plan.loops.len() {
        let bounds = &plan.loops[level];
        let step = |place: &Place| bounds.axis.map_or(0, |axis| place.offset.coefficient(axis) * 4);
        let left_step = match plan.is_crosswise() {
            true => plan.lanes as i64 * 4,
            false => step(plan.contraction.left),
        };
        let right_step = match line.panel.is_packed {
            true => {
                let inner: usize = (level + 1..plan.loops.len()).map(|level| plan.steps(level)).product();
                (inner * line.panel.padded(plan) * 4) as i64
            }
            false => step(plan.contraction.right),
        };
        let is_tapped = run.is_edge && !bounds.row_limits.is_empty();
        let count = match line.ranges[level - first_inner] {
            DepthRange::All if is_tapped => Count::Taps(row_ranges(plan, bounds, run), None),
            DepthRange::All => Count::Static(bounds.extent),
            DepthRange::Some(from, to) if is_tapped => {
                depth.counts.extend([from, to]);
                Count::Taps(row_ranges(plan, bounds, run), Some(depth.counts.len() - 2))
            }
            DepthRange::Some(from, to) => {
                let count = emitter.b.ins().isub(to, from);
                let count = emitter.b.ins().smax(count, zero);
                depth.counts.push(count);
                // A packed block begins with its own first step.
                let is_cut = plan.block.is_some_and(|block| block.level == level);
                let origin = line.block.filter(|_| is_cut && line.panel.is_packed).map(|block| block.steps.0);
                let in_panel = origin.map_or(from, |origin| emitter.b.ins().isub(from, origin));
                let ahead = emitter.b.ins().imul_imm_s(from, left_step);
                depth.left = emitter.b.ins().iadd(depth.left, ahead);
                let ahead = emitter.b.ins().imul_imm_s(in_panel, right_step);
                depth.right = emitter.b.ins().iadd(depth.right, ahead);
                Count::Word(depth.counts.len() - 1)
            }
        };
        match (depth.levels.last_mut(), &count) {
            (_, Count::Static(1)) => {}
            (Some(last), Count::Static(inner)) if is_one_loop(last, *inner as i64, left_step, right_step) => {
                let Count::Static(outer) = last.count else {
                    unreachable!("only such loops are one with others")
                };
                *last = Level { count: Count::Static(outer * inner), left_step, right_step };
            }
            _ => depth.levels.push(Level { count, left_step, right_step }),
        }
    }
    depth
}

/// The rows that each step of a loop is for in the one tile of a run.
fn row_ranges(plan: &ContractionPlan<'_>, depth: &super::bounds::DepthLoop, run: &Run) -> Vec<Range<usize>> {
    let (first, _) = run.place.expect("the places of tiles at an edge are known");
    taps(plan, depth, first, run.height)
}

/// Whether a loop and one inside of it step through both operands as one.
fn is_one_loop(outer: &Level, count: i64, left_step: i64, right_step: i64) -> bool {
    matches!(outer.count, Count::Static(_))
        && outer.left_step == count * left_step
        && outer.right_step == count * right_step
}

/// Calls the function of a run of tiles at the first row, so many times.
fn call_tiles(
    emitter: &mut Emitter<'_, '_>,
    isa: Isa,
    plan: &ContractionPlan<'_>,
    line: &Line<'_>,
    run: &Run,
    (row, tiles): (Value, Value),
) {
    let contraction = &plan.contraction;
    let depth = depth(emitter, plan, line, run);
    let builder =
        StripBuilder::of_epilogue(emitter.nest(), contraction.column, contraction.row, contraction.sum);
    let open: SmallVec<[_; 2]> = contraction
        .row
        .map(|axis| (axis, row))
        .into_iter()
        .chain([(contraction.column, line.panel.column)])
        .collect();
    let epilogue = emitter.epilogue_strip(builder, &open, &contraction.epilogue);
    let column_step = contraction.right.offset.coefficient(contraction.column) * 4;
    let spec = TileSpec {
        rows: run.height,
        columns: line.panel.columns,
        depth: &depth.levels,
        count_words: depth.counts.len(),
        is_blocked: line.block.is_some(),
        has_tree: plan.tree.is_some(),
        lines_ahead: plan.ahead.map_or(0, |ahead| ahead.share),
        left_row_step: plan.left_row_step,
        right_column_step: plan.is_crosswise().then_some(column_step),
        row_ahead: match plan.order {
            Order::Sweep(sweep) if !sweep.is_crosswise => Some(sweep::DISTANCE),
            Order::RowsFirst => Some(panel_columns(plan) as i64 * 4),
            Order::Sweep(_) | Order::Panels => None,
        },
        is_padded: line.panel.is_packed,
        epilogue: &epilogue.strip,
        row_steps: &epilogue.row_steps,
    };
    let function = emit_tile(isa, &spec);
    let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 8 * spec.frame_words() as u32, 3);
    let slot = emitter.b.create_sized_stack_slot(data);
    let offset = emitter.b.ins().imul_imm_s(row, spec.left_row_step);
    let left = emitter.b.ins().iadd(line.left, offset);
    let left = emitter.b.ins().iadd(left, depth.left);
    let right = emitter.b.ins().iadd(line.panel.right, depth.right);
    let waiting = line.block.map(|block| {
        let row_bytes = waiting_row_bytes(plan, line.panel.columns);
        let offset = emitter.b.ins().imul_imm_s(row, row_bytes as i64);
        (emitter.b.ins().iadd(line.waiting, offset), block.waiting)
    });
    let ahead = line.ahead.zip(plan.ahead).map(|(first, ahead)| {
        let tile = emitter.b.ins().udiv_imm_u(row, plan.tile_rows as i64);
        let offset = ahead.of_next_tiles(emitter, tile);
        emitter.b.ins().iadd(first, offset)
    });
    let words = [left, right, tiles]
        .into_iter()
        .chain(depth.counts)
        .chain(
            waiting.into_iter().flat_map(|(address, waiting)| [address].into_iter().chain(waiting.words())),
        )
        .chain(ahead)
        .chain(epilogue.pointers)
        .chain(epilogue.uniforms);
    for (word, value) in words.enumerate() {
        emitter.b.ins().stack_store(types::I64, value, slot, 8 * word as i32);
    }
    let frame = emitter.b.ins().stack_addr(types::I64, slot, 0);
    emitter.call_wide(function, frame);
}
