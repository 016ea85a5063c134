//! Bounds, sizes and axes come in every dialect of ONNX; the graph gets them resolved: operators that move elements.

use super::attributes::unsupported;
use super::{Lowering, Value, axes, axis};
use crate::raw::RawNode;
use voxplain_graph::Op;
use voxplain_graph::ops::{PadMode, SliceAxis};
use voxplain_tensor::{Error, Result, Shape};

impl Lowering {
    pub(super) fn movement(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let x = self.shape(node, 0)?;
        let op = match node.op.as_str() {
            "Concat" => {
                let axis = axis(node.int("axis", i64::MAX)?, x.rank())?;
                let inputs = self.operands(node)?;
                return self.add(name, Op::Concat { axis }, &inputs);
            }
            "Flatten" => {
                let at = node.int("axis", 1)?;
                let axis = if at == x.rank() as i64 { x.rank() } else { axis(at, x.rank())? };
                let outer: usize = x[..axis].iter().product();
                Op::Reshape { sizes: vec![outer, x.elements() / outer.max(1)] }
            }
            "Reshape" => Op::Reshape { sizes: self.reshape_sizes(node, x)? },
            "Squeeze" | "Unsqueeze" => Op::Reshape { sizes: self.squeezed(node, x)? },
            "Transpose" => Op::Transpose { permutation: permutation(node, x.rank())? },
            "Slice" => Op::Slice { axes: self.slice_axes(node, x)? },
            "Pad" => self.pad(node, x)?,
            _ => Op::Expand { sizes: self.expanded(node)? },
        };
        let input = self.operand(node, 0)?;
        self.add(name, op, &[input])
    }

    /// A size of -1, as PyTorch writes it, keeps the operand's, as 1 does.
    fn expanded(&self, node: &RawNode) -> Result<Vec<usize>> {
        let wanted = self.known_ints(node, 1)?.ok_or_else(|| Error::invalid("the shape is missing"))?;
        let size = |&s: &i64| match s {
            -1 => Ok(1),
            s if s > 0 => Ok(s as usize),
            s => Err(Error::invalid(format!("size {s} in shape {wanted:?}; positive sizes are expected"))),
        };
        wanted.iter().map(size).collect()
    }

    pub(super) fn reshape_sizes(&self, node: &RawNode, x: Shape) -> Result<Vec<usize>> {
        let wanted =
            self.known_ints(node, 1)?.or(node.ints("shape")?).ok_or_else(|| Error::invalid("no shape"))?;
        let allow_zero = node.int("allowzero", 0)? != 0;
        let mut sizes = Vec::with_capacity(wanted.len());
        let mut free = None;
        for (i, &w) in wanted.iter().enumerate() {
            sizes.push(match w {
                -1 if free.is_none() => {
                    free = Some(i);
                    1
                }
                0 if !allow_zero => {
                    *x.get(i).ok_or_else(|| Error::invalid(format!("size 0 at axis {i} of {x}")))?
                }
                w if w > 0 => w as usize,
                w => return Err(Error::invalid(format!("size {w} in shape {wanted:?}"))),
            });
        }
        if let Some(i) = free {
            let rest = sizes
                .iter()
                .try_fold(1usize, |p, &s| p.checked_mul(s))
                .filter(|&r| r > 0 && x.elements() % r == 0);
            let rest = rest.ok_or_else(|| Error::invalid(format!("{x} does not fit shape {wanted:?}")))?;
            sizes[i] = x.elements() / rest;
        }
        Ok(sizes)
    }

    pub(super) fn squeezed(&self, node: &RawNode, x: Shape) -> Result<Vec<usize>> {
        let listed = node.ints("axes")?.map_or_else(|| self.known_ints(node, 1), |a| Ok(Some(a)))?;
        if node.op == "Unsqueeze" {
            let listed = listed.ok_or_else(|| Error::invalid("axes are missing"))?;
            let all = axes(&listed, x.rank() + listed.len())?;
            let mut sizes = x.to_vec();
            all.iter().for_each(|&a| sizes.insert(a.min(sizes.len()), 1));
            return Ok(sizes);
        }
        let gone = match listed {
            Some(list) => axes(&list, x.rank())?,
            // The batch axis is kept even where it has size 1.
            None => (1..x.rank()).filter(|&a| x[a] == 1).collect(),
        };
        if gone.iter().any(|&a| x[a] != 1) {
            return Err(Error::invalid(format!("axes {gone:?} of {x} are not all of size 1")));
        }
        Ok((0..x.rank()).filter(|a| !gone.contains(a)).map(|a| x[a]).collect())
    }

    pub(super) fn slice_axes(&self, node: &RawNode, x: Shape) -> Result<Vec<SliceAxis>> {
        let part =
            |key: &str, i: usize| node.ints(key)?.map_or_else(|| self.known_ints(node, i), |v| Ok(Some(v)));
        let missing = || Error::invalid("starts or ends are missing");
        let (starts, ends) = (part("starts", 1)?.ok_or_else(missing)?, part("ends", 2)?.ok_or_else(missing)?);
        let all: Vec<i64> = (0..starts.len() as i64).collect();
        let (which, steps) =
            (part("axes", 3)?.unwrap_or(all), part("steps", 4)?.unwrap_or(vec![1; starts.len()]));
        if ends.len() != starts.len() || which.len() != starts.len() || steps.len() != starts.len() {
            return Err(Error::invalid("starts, ends, axes and steps differ in length"));
        }
        let mut out: Vec<SliceAxis> = x.iter().map(|&count| SliceAxis { begin: 0, step: 1, count }).collect();
        for i in 0..starts.len() {
            let a = axis(which[i], x.rank())?;
            out[a] = slice_axis(starts[i], ends[i], steps[i], x[a] as i64)?;
        }
        Ok(out)
    }

    fn pad(&self, node: &RawNode, x: Shape) -> Result<Op> {
        let pads = node.ints("pads")?.map_or_else(|| self.known_ints(node, 1), |p| Ok(Some(p)))?;
        let pads = pads.ok_or_else(|| Error::invalid("pads are missing"))?;
        let value = node.float("value", self.known_number(node, 2)?.unwrap_or(0.0))?;
        let all: Vec<i64> = (0..x.rank() as i64).collect();
        let which = self.known_ints(node, 3)?.unwrap_or(all);
        if !value.is_finite() {
            return Err(Error::unsupported("the fill value is not finite; a finite number is expected"));
        }
        if pads.len() != 2 * which.len() {
            return Err(Error::invalid(format!("{} pads for {} axes", pads.len(), which.len())));
        }
        let mode = match node.text("mode", "constant")?.as_str() {
            "constant" => PadMode::Constant,
            "edge" => PadMode::Edge,
            "reflect" => PadMode::Reflect,
            other => {
                return Err(unsupported(&format!(
                    "pad mode {other:?} is not supported, constant, edge and reflect are"
                )));
            }
        };
        let (mut before, mut after) = (vec![0; x.rank()], vec![0; x.rank()]);
        for (i, &w) in which.iter().enumerate() {
            let a = axis(w, x.rank())?;
            (before[a], after[a]) = (pads[i] as isize, pads[i + which.len()] as isize);
        }
        if before.first() != Some(&0) || after.first() != Some(&0) {
            return Err(Error::unsupported("padding of the batch axis is not supported"));
        }
        Ok(Op::Pad { mode, before, after, value })
    }
}

/// The order of axes; all reversed where the node names none.
pub(super) fn permutation(node: &RawNode, rank: usize) -> Result<Vec<usize>> {
    let order = node.ints("perm")?.unwrap_or_else(|| (0..rank as i64).rev().collect());
    let order = order.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<usize>>>()?;
    if order.len() != rank || (0..rank).any(|a| !order.contains(&a)) {
        return Err(Error::invalid(format!("{order:?} does not permute {rank} axes")));
    }
    Ok(order)
}

/// One sliced axis in ONNX semantics: bounds may be negative or beyond the ends.
fn slice_axis(start: i64, end: i64, step: i64, size: i64) -> Result<SliceAxis> {
    if step == 0 || step == i64::MIN {
        return Err(Error::invalid(format!("a slice step of {step}; another whole number is expected")));
    }
    if size == 0 {
        return Ok(SliceAxis { begin: 0, step: 1, count: 0 });
    }
    let absolute = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let begin = absolute(start).clamp(low.max(0), high);
    let end = if step < 0 && end < -size { -1 } else { absolute(end).clamp(low, high) };
    let span = if step > 0 { end - begin } else { begin - end };
    let count = if span > 0 { (span - 1) / step.abs() + 1 } else { 0 };
    Ok(SliceAxis { begin: begin.max(0) as usize, step: step as isize, count: count as usize })
}
