//! Pass `pad`: convolutions of few channels read an image with its padding around it.
//!
//! In: a differentiated graph. Out: the same with every `conv` and `conv_weight` of an image of few channels that reaches
//! beyond the image on a padded copy. Such an image is small beside what is computed from it, and without bounds the taps of a
//! row of the filter, with their channels, lie side by side in memory: one long axis for the tiles of a contraction, in the
//! place of one of one to four elements.

use ir::ops::{Conv, ConvOf};
use ir::{Builder, Error, Graph, Op, Scalar, Shape, Value};
use smallvec::SmallVec;

use crate::rewrite::rebuild;

/// Images of at most so many channels are padded.
const FEW_CHANNELS: usize = 4;

/// Pads the images of few channels that convolutions read.
///
/// ```
/// let text = "graph @g { %x = input : f32[1, 1, 1, 5]\n%w = input : f32[1, 2, 1, 3]\n\
///             %y = conv %x, %w low=[1] extents=[5]\noutput y = %y }";
/// let padded = passes::pad::pad(&ir::text::parse_graph(text).unwrap()).unwrap();
/// assert!(padded.nodes().any(|(_, node)| node.op.name() == "pad"));
/// ```
///
/// # Errors
/// A padded image of more elements than a tensor can have.
pub fn pad(graph: &Graph) -> Result<Graph, Error> {
    rebuild(graph, |builder, node, operands| {
        let Op::Conv(conv) = &node.op else { return Ok(None) };
        let filter = match conv.of {
            ConvOf::Output => builder.shape(operands[1]).clone(),
            ConvOf::Weight => node.results[0].shape.clone(),
            ConvOf::Input => return Ok(None),
        };
        let windows_of =
            if conv.of == ConvOf::Output { &node.results[0].shape } else { builder.shape(operands[1]) };
        let image = builder.shape(operands[0]);
        let Some([low, high]) = missing(conv, image, &filter, windows_of) else { return Ok(None) };
        let image = padded(builder, operands[0], &low, &high)?;
        let mut conv = conv.clone();
        conv.windows.low.iter_mut().for_each(|low| *low = (*low).min(0));
        Ok(Some([builder.op(conv, &[image, operands[1]])?].into_iter().collect()))
    })
}

/// How many elements windows reach beyond an image of few channels before and after it; `None` where they do not, or that is
/// more than the image itself.
fn missing(
    conv: &Conv,
    image: &Shape,
    filter: &Shape,
    windows_of: &Shape,
) -> Option<[SmallVec<[usize; 4]>; 2]> {
    let leading = image.rank() - conv.windows.low.len();
    let (mut low, mut high) = (SmallVec::from_elem(0, leading), SmallVec::from_elem(0, leading));
    for axis in 0..conv.windows.low.len() {
        let [extent, taps, count] = [image, filter, windows_of].map(|shape| shape[leading + axis]);
        let last = conv.windows.at(axis, count.checked_sub(1)?, taps.checked_sub(1)?);
        low.push(usize::try_from(conv.windows.low[axis].max(0)).ok()?);
        high.push(usize::try_from((last + 1 - extent as i64).max(0)).ok()?);
        if low[leading + axis] + high[leading + axis] > extent {
            return None;
        }
    }
    let has_few_channels = image[1] == 1 && image[2] <= FEW_CHANNELS;
    let is_missing = low.iter().chain(&high).any(|&elements| elements > 0);
    (has_few_channels && is_missing).then_some([low, high])
}

/// An image with zeros around it.
fn padded(builder: &mut Builder, image: Value, low: &[usize], high: &[usize]) -> Result<Value, Error> {
    let zero = Scalar::from_i64(builder.ty(image).dtype, 0);
    builder.pad(image, low, high, &vec![0; low.len()], zero)
}
