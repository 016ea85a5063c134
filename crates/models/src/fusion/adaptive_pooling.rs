//! Adaptive pooling is one linear layer to a rule, but PyTorch's dynamo exporter takes it apart wherever the sizes do not
//! divide: windows gathered by index, entries beyond a window masked, the rest added one by one and divided by its
//! number. Every index, mask and divisor is compared with PyTorch's windows before the parts become one node again.

use super::{Match, View};
use crate::adaptive::window;
use crate::raw::{Attribute, Constant, RawNode};

/// Grids above this size are no pooling of a network, and comparing them takes time.
const MOST_ENTRIES: usize = 1 << 18;

/// Windows with more entries are no pooling of a network.
const MOST_ADDED: usize = 1 << 12;

/// The mean over windows of one size, or the sum over masked windows divided by their sizes.
pub(super) fn average(view: &View<'_>, node: &RawNode) -> Option<Match> {
    let node = *view.makers.get(node.output())?;
    match node.op.as_str() {
        "ReduceMean" => mean(view, node),
        "Div" => quotient(view, node),
        _ => None,
    }
}

fn mean(view: &View<'_>, node: &RawNode) -> Option<Match> {
    let axes =
        node.ints("axes").ok()?.or_else(|| whole(view, node.input(1)?).map(|(_, data)| data.to_vec()))?;
    let over_windows = [[-3, -1], [3, 5]].iter().any(|a| axes == a);
    (over_windows && node.int("keepdims", 1) == Ok(0)).then_some(())?;
    let windows = Windows::gathered(view, node.input(0)?)?;
    (windows.axes.iter().all(Axis::is_full)).then(|| windows.fused(&[]))
}

fn quotient(view: &View<'_>, node: &RawNode) -> Option<Match> {
    let Constant::Float { shape, data } = view.graph.constants.get(node.input(1)?)? else { return None };
    let mut inner = Vec::new();
    let (picked, mut masked) = all_added(view, node.input(0)?, &mut inner)?;
    let mut masks = Vec::new();
    while let Some(fill) = view.maker(masked, "Where") {
        masks.push(whole(view, fill.input(0)?)?);
        view.is_number(fill.input(1)?, 0.0).then_some(())?;
        inner.push(fill);
        masked = fill.input(2)?;
    }
    let windows = Windows::gathered(view, masked)?;
    let [high, wide] = &windows.axes;
    (picked == grid(high.longest, wide.longest)).then_some(())?;
    let counts = broadcast(shape, [high.to, wide.to])?;
    let lengths = grid(high.to, wide.to).into_iter().map(|(i, j)| high.length(i) * wide.length(j));
    counts.iter().zip(lengths).all(|(&at, length)| data.get(at) == Some(&(length as f32))).then_some(())?;
    windows.masked_by(&masks)?.then(|| windows.fused(&inner))
}

/// Every pair of coordinates.
fn grid(rows: usize, columns: usize) -> Vec<(usize, usize)> {
    (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).collect()
}

/// The leaves of a sum, which must be entries `[.., i, :, j]` of one value: the entries in order, and that value.
fn all_added<'a>(
    view: &View<'a>,
    sum: &'a str,
    inner: &mut Vec<&'a RawNode>,
) -> Option<(Vec<(usize, usize)>, &'a str)> {
    let (mut open, mut picked, mut from) = (vec![sum], Vec::new(), None);
    while let Some(value) = open.pop() {
        if let Some(add) = view.maker(value, "Add") {
            inner.push(add);
            open.extend([add.input(0)?, add.input(1)?]);
            (inner.len() < 4 * MOST_ADDED).then_some(())?;
            continue;
        }
        let (j, row, column) = entry(view, value, 4)?;
        let (i, source, outer) = entry(view, row, 3)?;
        inner.extend([column, outer]);
        picked.push((i, j));
        (*from.get_or_insert(source) == source && picked.len() <= MOST_ADDED).then_some(())?;
    }
    picked.sort_unstable();
    Some((picked, from?))
}

/// One entry of an axis: its index, of what, and the node that takes it.
fn entry<'a>(view: &View<'a>, value: &str, axis: i64) -> Option<(usize, &'a str, &'a RawNode)> {
    let node = view.maker(value, "Gather").filter(|g| g.int("axis", 0) == Ok(axis))?;
    match whole(view, node.input(1)?)? {
        ([], [at]) => Some((usize::try_from(*at).ok()?, node.input(0)?, node)),
        _ => None,
    }
}

/// Sizes and values of a constant of whole numbers.
fn whole<'a>(view: &View<'a>, name: &str) -> Option<(&'a [usize], &'a [i64])> {
    match view.graph.constants.get(name)? {
        Constant::Int { shape, data } => Some((shape, data)),
        Constant::Float { .. } => None,
    }
}

/// Where each element of the broadcast result comes from.
fn broadcast<const N: usize>(from: &[usize], to: [usize; N]) -> Option<Vec<usize>> {
    let lead = N.checked_sub(from.len())?;
    let mut at = vec![0];
    for (i, &size) in to.iter().enumerate() {
        let own = i.checked_sub(lead).map_or(1, |k| from[k]);
        (own == 1 || own == size).then_some(())?;
        let step = |j: usize| if own == 1 { 0 } else { j };
        at = at.iter().flat_map(|&base| (0..size).map(move |j| base * own + step(j))).collect();
    }
    Some(at)
}

/// The windows of one axis.
struct Axis {
    from: usize,
    to: usize,
    /// How many entries are gathered for each window.
    longest: usize,
}

impl Axis {
    fn bounds(&self, i: usize) -> (usize, usize) {
        let (start, end) = window(i as i64, self.from as i64, self.to as i64);
        (start as usize, end as usize)
    }

    fn length(&self, i: usize) -> usize {
        let (start, end) = self.bounds(i);
        end - start
    }

    /// No window is shorter than what is gathered.
    fn is_full(&self) -> bool {
        (0..self.to).all(|i| self.length(i) == self.longest)
    }
}

/// Windows gathered from data `[N, C, H, W]` as `[N, C, windows, entries, windows, entries]`.
struct Windows<'a> {
    data: &'a str,
    axes: [Axis; 2],
    nodes: [&'a RawNode; 2],
}

impl<'a> Windows<'a> {
    /// The windows that `value` holds, if each is one of PyTorch's.
    fn gathered(view: &View<'a>, value: &str) -> Option<Self> {
        let back = view.maker(value, "Transpose").filter(|t| permutes(t, &[4, 5, 0, 1, 2, 3]))?;
        let gather = view.maker(back.input(0)?, "GatherND").filter(|g| g.int("batch_dims", 0) == Ok(0))?;
        let first = view.maker(gather.input(0)?, "Transpose").filter(|t| permutes(t, &[2, 3, 0, 1]))?;
        let (&[rows, high, columns, wide, 2], index) = whole(view, gather.input(1)?)? else { return None };
        (index.len() <= MOST_ENTRIES && !index.is_empty()).then_some(())?;
        // The last window ends where the data does.
        let size = |part: usize| {
            let most = index.iter().skip(part).step_by(2).max()?;
            usize::try_from(*most).ok()?.checked_add(1).filter(|&n| n <= MOST_ENTRIES)
        };
        let axes = [
            Axis { from: size(0)?, to: rows, longest: high },
            Axis { from: size(1)?, to: columns, longest: wide },
        ];
        let expected = grid(rows, high).into_iter().flat_map(|(i, k)| {
            let row = (axes[0].bounds(i).0 + k).min(axes[0].from - 1);
            let axis = &axes[1];
            let column = move |(j, l): (usize, usize)| (axis.bounds(j).0 + l).min(axis.from - 1);
            grid(columns, wide).into_iter().flat_map(move |at| [row as i64, column(at) as i64])
        });
        let whole_windows = axes.iter().all(|a| (0..a.to).all(|i| a.length(i) <= a.longest));
        (whole_windows && expected.eq(index.iter().copied())).then(|| Self {
            data: first.input(0).unwrap_or(""),
            axes,
            nodes: [back, gather],
        })
    }

    /// Whether the masks together hide exactly what was gathered beyond each window.
    fn masked_by(&self, masks: &[(&[usize], &[i64])]) -> Option<bool> {
        let [high, wide] = &self.axes;
        let to = [high.to, high.longest, wide.to, wide.longest];
        let at: Vec<Vec<usize>> =
            masks.iter().map(|(shape, _)| broadcast(shape, to)).collect::<Option<_>>()?;
        let rows = grid(high.to, high.longest).into_iter();
        let beyond = rows.flat_map(|(i, k)| {
            let columns = grid(wide.to, wide.longest).into_iter();
            columns.map(move |(j, l)| k >= high.length(i) || l >= wide.length(j))
        });
        let hidden = |p: usize| masks.iter().zip(&at).any(|((_, data), at)| data.get(at[p]) != Some(&0));
        Some(beyond.enumerate().all(|(p, outside)| hidden(p) == outside))
    }

    /// The one node for all of it.
    fn fused(&self, inner: &[&RawNode]) -> Match {
        let all: Vec<&RawNode> = self.nodes.iter().chain(inner).copied().collect();
        let mut found = Match::new("AdaptiveAveragePool", vec![self.data.into()], &all);
        let sizes = |f: fn(&Axis) -> usize| Attribute::Ints(self.axes.iter().map(|a| f(a) as i64).collect());
        found.node.attributes.insert("output_size".into(), sizes(|a| a.to));
        found.node.attributes.insert("input_size".into(), sizes(|a| a.from));
        found
    }
}

fn permutes(node: &RawNode, order: &[i64]) -> bool {
    node.ints("perm").is_ok_and(|p| p.as_deref() == Some(order))
}
