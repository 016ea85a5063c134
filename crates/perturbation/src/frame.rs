//! What the axes of an input mean. Most networks take `[1, channels, space]`. Those that see a stack of slices, one after the
//! other, take `[slices, channels, space]`, or `[1, slices, channels, space]` and make the slices their batch: there the
//! slices are an axis of space, and the channels come behind it.

use voxplain_graph::{Graph, Op, ValueId};
use voxplain_tensor::Shape;

/// The axes of one example of an input, whose entries lie slice by slice, in each channel by channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Slices; 1 where there is no axis of slices.
    pub slices: usize,
    /// Channels.
    pub channels: usize,
    /// The spatial sizes of a slice, or of all where there are none.
    pub space: Vec<usize>,
}

impl Frame {
    /// The axes of an input of `graph`.
    pub fn of(graph: &Graph, input: ValueId) -> Self {
        let shape = graph.shape(input);
        let sizes = &shape[usize::from(is_unstacked(graph, input, shape))..];
        let size = |axis: usize| sizes.get(axis).copied().unwrap_or(1).max(1);
        Self { slices: size(0), channels: size(1), space: sizes.get(2..).unwrap_or(&[]).to_vec() }
    }

    /// The sizes of a channel's image: the slices, where there are several, and space.
    pub fn image(&self) -> Vec<usize> {
        let slices = (self.slices > 1).then_some(self.slices);
        slices.into_iter().chain(self.space.iter().copied()).collect()
    }

    /// Entries of a slice of a channel.
    pub fn inner(&self) -> usize {
        self.space.iter().product()
    }

    /// Entries of an example.
    pub fn entries(&self) -> usize {
        self.slices * self.channels * self.inner()
    }

    /// The channel of an entry, and its place in the channel's image.
    pub fn place(&self, entry: usize) -> (usize, usize) {
        let (inner, line) = (self.inner().max(1), entry / self.inner().max(1));
        (line % self.channels, line / self.channels * inner + entry % inner)
    }
}

/// Whether all that a network does with an input `[1, slices, ...]` is to make the slices a batch.
fn is_unstacked(graph: &Graph, input: ValueId, shape: Shape) -> bool {
    let mut readers = graph.nodes().iter().filter(|node| node.inputs.contains(&input)).peekable();
    let unstacks = |op: &Op, to: Shape| matches!(op, Op::Reshape { .. }) && to[..] == shape[1..];
    shape.rank() > 4
        && shape[0] == 1
        && readers.peek().is_some()
        && readers.all(|node| unstacks(&node.op, graph.shape(node.output)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use voxplain_graph::GraphBuilder;

    fn frame(sizes: &[usize], to: Option<&[usize]>) -> Frame {
        let mut b = GraphBuilder::new();
        let x = b.input("x", sizes).unwrap();
        let y = match to {
            Some(to) => b.node("y", Op::Reshape { sizes: to.to_vec() }, &[x]).unwrap(),
            None => b.relu("y", x).unwrap(),
        };
        Frame::of(&b.finish(&[y]).unwrap(), x)
    }

    #[test]
    fn slices_are_the_leading_axis_or_become_it() {
        let plain = |slices, channels, space: &[usize]| Frame { slices, channels, space: space.to_vec() };
        assert_eq!(frame(&[1, 2, 4, 5, 6], None), plain(1, 2, &[4, 5, 6]));
        assert_eq!(frame(&[4, 3, 5, 6], None), plain(4, 3, &[5, 6]));
        assert_eq!(frame(&[1, 4, 3, 5, 6], Some(&[4, 3, 5, 6])), plain(4, 3, &[5, 6]));
        assert_eq!(frame(&[1, 4, 3, 5, 6], Some(&[1, 12, 5, 6])), plain(1, 4, &[3, 5, 6]));
        assert_eq!(frame(&[1, 7], None), plain(1, 7, &[]));
    }

    #[test]
    fn entries_have_their_place_in_the_image_of_their_channel() {
        let frame = frame(&[2, 3, 2, 2], None);
        assert_eq!((frame.image(), frame.entries()), (vec![2, 2, 2], 24));
        let places: Vec<(usize, usize)> = [0, 3, 4, 11, 12, 23].map(|at| frame.place(at)).to_vec();
        assert_eq!(places, [(0, 0), (0, 3), (1, 0), (2, 3), (0, 4), (2, 7)]);
    }
}
