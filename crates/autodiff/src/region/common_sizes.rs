//! Boxes of common sizes. Near the borders of an image, and where boxes are rounded, rows that change parts of one size have
//! boxes of many; made as large as the largest of them, they are of one class and run together.

use super::Regions;
use super::place::Class;
use super::reach::Range;
use alloc::vec::Vec;
use voxplain_graph::{Graph, Node, Op};

/// Operations that stand for reading, moving and writing an entry.
const MOVING: f64 = 8.0;

/// Entries of an input along an axis.
type Entries = core::ops::Range<usize>;

/// What the boxes of rows are at least as large as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommonSizes {
    inputs: Vec<Option<Vec<usize>>>,
    /// By node.
    nodes: Vec<Option<Vec<usize>>>,
}

fn join(into: &mut Option<Vec<usize>>, sizes: Option<&[usize]>) {
    match (into, sizes) {
        (Some(into), Some(sizes)) => into.iter_mut().zip(sizes).for_each(|(a, b)| *a = (*a).max(*b)),
        (into @ None, Some(sizes)) => *into = Some(sizes.to_vec()),
        (_, None) => {}
    }
}

impl CommonSizes {
    /// Makes room for the boxes of another class.
    pub fn include(&mut self, class: &Class) {
        self.inputs.resize(class.inputs.len(), None);
        self.nodes.resize(class.nodes.len(), None);
        let inputs = class.inputs.iter().map(Option::as_deref);
        self.inputs.iter_mut().zip(inputs).for_each(|(own, sizes)| join(own, sizes));
        let nodes = class.nodes.iter().map(|part| part.as_ref().map(|p| &p.sizes[..]));
        self.nodes.iter_mut().zip(nodes).for_each(|(own, sizes)| join(own, sizes));
    }

    /// How long the box of the result of node `i` is at least.
    pub(super) fn least(&self, i: usize, axis: usize) -> isize {
        self.nodes.get(i).and_then(Option::as_ref).map_or(0, |sizes| sizes[axis] as isize)
    }

    /// The changed part of input `i`, made as large as is asked for within the input.
    pub(super) fn input(&self, i: usize, part: &[Entries], shape: &[usize]) -> Vec<Entries> {
        let least = |a: usize| self.inputs.get(i).and_then(Option::as_ref).map_or(0, |sizes| sizes[a]);
        let along = |(a, r): (usize, &Entries)| {
            let length = r.len().max(least(a).min(shape[a]));
            let start = r.start.min(shape[a] - length);
            start..start + length
        };
        part.iter().enumerate().map(along).collect()
    }
}

/// The range around what changed, from a multiple of `n` on and a multiple of it long, of at least `least` entries; moved
/// towards the beginning where it would stick out of the `size` entries that there are.
pub(super) fn span(dirty: Range, (n, size, least): (isize, isize, isize)) -> Range {
    let up = |count: isize| (count + n - 1) / n * n;
    let first = dirty.0 / n * n;
    let length = up((dirty.1 - first).max(least));
    let first = first.min((up(size) - length).max(0));
    (first, first + length)
}

/// Operations for an entry of a node's result.
fn per_entry(graph: &Graph, node: &Node) -> f64 {
    let shape = |i: usize| graph.shape(node.inputs[i]);
    let products = match &node.op {
        Op::Conv(_) => 2 * shape(1).elements() / shape(1)[0].max(1),
        Op::ConvTranspose(t) => {
            let steps: usize = t.conv.strides.iter().product();
            2 * shape(1).elements() / (shape(1)[1] * steps).max(1)
        }
        Op::Gemm(_) | Op::MatMul => 2 * shape(0).last().copied().unwrap_or(1),
        _ => 0,
    };
    products as f64 + MOVING
}

impl Regions<'_> {
    /// An estimate of the operations of a row whose boxes are as large as the common.
    pub fn work(&self, common: &CommonSizes) -> f64 {
        let nodes = self.graph.nodes().iter().zip(&common.nodes);
        let one = |(node, sizes): (&Node, &Option<Vec<usize>>)| {
            let entries = |sizes: &Vec<usize>| sizes.iter().map(|&n| n as f64).product::<f64>();
            sizes.as_ref().map_or(0.0, |sizes| entries(sizes) * per_entry(self.graph, node))
        };
        nodes.map(one).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_box_holds_what_changed_and_is_as_long_as_is_asked() {
        for (size, n, least) in (1..14).flat_map(|s| (1..4).flat_map(move |n| (0..9).map(move |l| (s, n, l))))
        {
            for (lo, hi) in (0..size).flat_map(|lo| (lo + 1..=size).map(move |hi| (lo, hi))) {
                let (first, end) = span((lo, hi), (n, size, least));
                let all = format_args!("{lo}..{hi} of {size}, {n}, {least}: {first}..{end}").to_string();
                assert!(0 <= first && first <= lo && hi <= end, "{all}");
                assert!(first % n == 0 && (end - first) % n == 0 && end - first >= least, "{all}");
                // It sticks out no more than rounding makes it, unless more is asked for than there is.
                assert!(end < size + n || least > size, "{all}");
            }
        }
    }

    #[test]
    fn a_changed_part_of_an_input_grows_within_it() {
        let mut common = CommonSizes { inputs: [Some([4, 1].into())].into(), nodes: Vec::new() };
        assert_eq!(common.input(0, &[0..2, 3..5], &[6, 6]), [0..4, 3..5]);
        assert_eq!(common.input(0, &[5..6, 0..1], &[6, 6]), [2..6, 0..1]);
        // No larger than the input.
        assert_eq!(common.input(0, &[1..2, 0..1], &[3, 6]), [0..3, 0..1]);
        common.inputs = Vec::new();
        assert_eq!(common.input(0, &[5..6, 0..1], &[6, 6]), [5..6, 0..1]);
    }
}
