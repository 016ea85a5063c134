//! Entries picked by index, tensors split in parts and copies become slices and joins, which every rule knows to leave
//! alone.

use super::attributes::unsupported;
use super::{Lowering, Value, axis, sizes};
use crate::raw::{Constant, RawNode};
use voxplain_graph::Op;
use voxplain_graph::ops::SliceAxis;
use voxplain_tensor::{Error, Result, Shape};

/// Picks cost nodes.
const MOST_SLICES: usize = 1024;

impl Lowering {
    /// Entries of one axis at positions that are known at import.
    pub(super) fn gather(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let x = self.shape(node, 0)?;
        let a = axis(node.int("axis", 0)?, x.rank())?;
        let Some(Constant::Int { shape, data }) = self.known(node, 1).cloned() else {
            return Err(unsupported("entries can be picked only at positions that are known at import"));
        };
        let picks = data.iter().map(|&i| axis(i, x[a])).collect::<Result<Vec<usize>>>()?;
        let runs = runs(&picks);
        if picks.is_empty() || runs.len() > MOST_SLICES {
            return Err(unsupported(&format!(
                "{} picked entries in {} runs; at least one entry and at most {MOST_SLICES} runs of even steps are \
                 supported",
                picks.len(),
                runs.len()
            )));
        }
        self.spend_nodes(runs.len())?;
        let sizes = [&x[..a], shape.as_slice(), &x[a + 1..]].concat();
        let plain = shape.len() == 1;
        let taken = if plain { String::from(name) } else { format!("{name}.entries") };
        let mut value = self.operand(node, 0)?;
        if let &[run] = runs.as_slice() {
            value = self.builder.node(&taken, slice(x, a, run), &[value])?;
        } else {
            let each = runs
                .iter()
                .enumerate()
                .map(|(i, &run)| self.builder.node(&format!("{name}.part{i}"), slice(x, a, run), &[value]));
            let parts = each.collect::<Result<Vec<_>>>()?;
            value = self.builder.node(&taken, Op::Concat { axis: a }, &parts)?;
        }
        if plain { Ok(Value::Graph(value)) } else { self.add(name, Op::Reshape { sizes }, &[value]) }
    }

    /// Copies behind each other along any axis but the first.
    pub(super) fn tile(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let x = self.shape(node, 0)?;
        let repeats = self.known_ints(node, 1)?.ok_or_else(|| Error::invalid("the repeats are missing"))?;
        let repeats = sizes(&repeats, "repeats")?;
        if repeats.len() != x.rank() || repeats.first() != Some(&1) || repeats.contains(&0) {
            return Err(unsupported(&format!(
                "repeats {repeats:?} of data of shape {x}; one positive number per axis and 1 for the batch are supported"
            )));
        }
        let copied: Vec<usize> = (0..x.rank()).filter(|&a| repeats[a] > 1 && x[a] > 1).collect();
        let spread: Vec<usize> = (0..x.rank()).map(|a| if x[a] == 1 { repeats[a] } else { x[a] }).collect();
        let mut value = self.operand(node, 0)?;
        if copied.is_empty() {
            return self.add(name, Op::Expand { sizes: spread }, &[value]);
        }
        if spread[..] != x[..] {
            value = self.builder.node(&format!("{name}.spread"), Op::Expand { sizes: spread }, &[value])?;
        }
        for &a in &copied {
            if repeats[a] > MOST_SLICES {
                return Err(unsupported(&format!(
                    "{} copies; at most {MOST_SLICES} are supported",
                    repeats[a]
                )));
            }
            let label = if Some(&a) == copied.last() { name.into() } else { format!("{name}.axis{a}") };
            value = self.builder.node(&label, Op::Concat { axis: a }, &vec![value; repeats[a]])?;
        }
        Ok(Value::Graph(value))
    }

    /// Consecutive parts of one axis, each under its own name.
    pub(super) fn split(&mut self, name: &str, node: &RawNode) -> Result<()> {
        super::attributes::check(node)?;
        let x = self.shape(node, 0)?;
        let a = axis(node.int("axis", 0)?, x.rank())?;
        let listed = node.ints("split")?.map_or_else(|| self.known_ints(node, 1), |s| Ok(Some(s)))?;
        let parts = match listed {
            Some(list) => sizes(&list, "split")?,
            // Without sizes all parts but the last are alike.
            None => {
                let most = x[a].div_ceil(node.outputs.len().max(1));
                (0..node.outputs.len()).map(|i| most.min(x[a].saturating_sub(i * most))).collect()
            }
        };
        let total = parts.iter().try_fold(0usize, |sum, &p| sum.checked_add(p));
        if parts.len() != node.outputs.len() || total != Some(x[a]) || parts.contains(&0) {
            return Err(Error::invalid(format!(
                "{} parts of sizes {parts:?} of an axis of {} entries",
                node.outputs.len(),
                x[a]
            )));
        }
        self.spend_nodes(parts.len())?;
        let value = self.operand(node, 0)?;
        let mut begin = 0;
        for (i, (output, &count)) in node.outputs.iter().zip(&parts).enumerate() {
            let label = if i + 1 == parts.len() { String::from(name) } else { format!("{name}.part{i}") };
            let part = self.add(&label, slice(x, a, SliceAxis { begin, step: 1, count }), &[value])?;
            begin += count;
            if !output.is_empty() && self.values.insert(output.clone(), part).is_some() {
                return Err(Error::invalid(format!("two parts are named {output:?}; names must be unique")));
            }
        }
        Ok(())
    }
}

fn slice(x: Shape, axis: usize, run: SliceAxis) -> Op {
    let mut axes: Vec<SliceAxis> = x.iter().map(|&count| SliceAxis { begin: 0, step: 1, count }).collect();
    axes[axis] = run;
    Op::Slice { axes }
}

/// Positions as runs of even steps, each as long as it can be.
fn runs(picks: &[usize]) -> Vec<SliceAxis> {
    let mut out: Vec<SliceAxis> = Vec::new();
    for &pick in picks {
        match out.last_mut() {
            Some(run) if run.count == 1 && pick != run.begin => {
                (run.step, run.count) = (pick as isize - run.begin as isize, 2);
            }
            Some(run)
                if run.count > 1 && run.begin as isize + run.count as isize * run.step == pick as isize =>
            {
                run.count += 1;
            }
            _ => out.push(SliceAxis { begin: pick, step: 1, count: 1 }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_become_runs_of_even_steps() {
        let run = |begin, step, count| SliceAxis { begin, step, count };
        assert_eq!(runs(&[3]), [run(3, 1, 1)]);
        assert_eq!(runs(&[0, 2, 4, 1]), [run(0, 2, 3), run(1, 1, 1)]);
        assert_eq!(runs(&[5, 4, 3, 3]), [run(5, -1, 3), run(3, 1, 1)]);
        assert_eq!(runs(&[1, 1, 1]), [run(1, 1, 1); 3]);
    }
}
