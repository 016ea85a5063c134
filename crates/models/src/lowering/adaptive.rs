//! Adaptive pooling, where PyTorch's windows are regular, is an ordinary pooling; where they are not, each window is cut
//! out, which is exact because a window is a product of intervals.

use super::attributes::unsupported;
use super::{Lowering, Value, sizes};
use crate::adaptive::{regular, window};
use crate::raw::RawNode;
use voxplain_graph::ops::{PoolAttributes, Reduction, SliceAxis};
use voxplain_graph::{Op, ValueId};
use voxplain_tensor::{Error, Result};

/// Irregular windows cost nodes.
const MOST_WINDOWS: usize = 64;

/// Windows larger than this are no pooling of a network.
const MOST_ENTRIES: usize = 1 << 31;

impl Lowering {
    /// `output_size` entries on each spatial axis; `input_size`, where it is stated, is what the exporter saw.
    pub(super) fn adaptive_pool(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let x = self.shape(node, 0)?;
        let to = sizes(&node.ints("output_size")?.unwrap_or_default(), "output_size")?;
        let spatial = x.get(2..).unwrap_or(&[]).to_vec();
        if spatial.len() != to.len() || to.is_empty() || to.contains(&0) {
            return Err(Error::invalid(format!(
                "data of shape {x} pooled to {to:?}; export with a batch axis"
            )));
        }
        let stated = node.ints("input_size")?.map(|s| sizes(&s, "input_size")).transpose()?;
        if stated.is_some_and(|stated| stated != spatial) {
            return Err(Error::invalid(format!(
                "windows for another size than that of the data, {spatial:?}"
            )));
        }
        let max = node.op == "AdaptiveMaxPool";
        let mut value = self.operand(node, 0)?;
        if to.iter().all(|&t| t == 1) {
            let reduction = if max { Reduction::Max } else { Reduction::Mean };
            let axes: Vec<usize> = (2..x.rank()).collect();
            return self.add(name, Op::Reduce { reduction, axes, keep_axes: true }, &[value]);
        }
        let windows: Vec<Option<(i64, i64)>> =
            spatial.iter().zip(&to).map(|(&n, &t)| regular(n as i64, t as i64)).collect();
        let irregular: Vec<usize> = (0..to.len()).filter(|&i| windows[i].is_none()).collect();
        let pooling = pooling(&windows, max);
        if irregular.is_empty() {
            return self.add(name, pooling, &[value]);
        }
        if irregular.len() < to.len() {
            value = self.builder.node(&format!("{name}.regular"), pooling, &[value])?;
        }
        for &i in &irregular {
            let parts = self.cut(name, value, i, to[i], max)?;
            let label = if Some(&i) == irregular.last() { name.into() } else { format!("{name}.axis{i}") };
            value = self.builder.node(&label, Op::Concat { axis: i + 2 }, &parts)?;
        }
        Ok(Value::Graph(value))
    }

    /// Every window of spatial axis `i`, pooled to one entry.
    fn cut(&mut self, name: &str, x: ValueId, i: usize, to: usize, max: bool) -> Result<Vec<ValueId>> {
        let (shape, axis) = (self.builder.shape(x), i + 2);
        let from = shape[axis];
        if to > MOST_WINDOWS || from > MOST_ENTRIES {
            return Err(unsupported(&format!(
                "adaptive pooling of {from} entries to {to} has irregular windows, of which at most {MOST_WINDOWS} are \
                 supported; choose a size that divides {from}"
            )));
        }
        self.spend_nodes(2 * to)?;
        let reduction = if max { Reduction::Max } else { Reduction::Mean };
        let mut parts = Vec::new();
        for k in 0..to {
            let (start, end) = window(k as i64, from as i64, to as i64);
            let mut axes: Vec<SliceAxis> =
                shape.iter().map(|&count| SliceAxis { begin: 0, step: 1, count }).collect();
            axes[axis] = SliceAxis { begin: start as usize, step: 1, count: (end - start) as usize };
            let part = self.builder.node(&format!("{name}.axis{i}.window{k}"), Op::Slice { axes }, &[x])?;
            let pool = Op::Reduce { reduction, axes: vec![axis], keep_axes: true };
            parts.push(self.builder.node(&format!("{name}.axis{i}.pooled{k}"), pool, &[part])?);
        }
        Ok(parts)
    }
}

/// The ordinary pooling over the axes with regular windows, which leaves the others as they are.
fn pooling(windows: &[Option<(i64, i64)>], max: bool) -> Op {
    let n = windows.len();
    let attributes = PoolAttributes {
        kernel: windows.iter().map(|w| w.map_or(1, |w| w.0 as usize)).collect(),
        strides: windows.iter().map(|w| w.map_or(1, |w| w.1 as usize)).collect(),
        pads_begin: vec![0; n],
        pads_end: vec![0; n],
        dilations: vec![1; n],
        ceil_mode: false,
        count_include_pad: false,
    };
    if max { Op::MaxPool(attributes) } else { Op::AveragePool(attributes) }
}
