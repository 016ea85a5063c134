//! PyTorch's dynamo exporter picks entries of one axis with that axis moved to the front and back again. Moving takes the
//! batch from its place; a pick along an axis leaves it there.

use super::{Match, View};
use crate::raw::{Attribute, Constant, RawNode};

/// `Transpose(GatherND(Transpose(x), positions))` with the second order undoing the first.
pub(super) fn picked(view: &View<'_>, node: &RawNode) -> Option<Match> {
    (node.op == "Transpose").then_some(())?;
    let gather = view.maker(node.input(0)?, "GatherND").filter(|g| g.int("batch_dims", 0) == Ok(0))?;
    let first = view.maker(gather.input(0)?, "Transpose")?;
    let Constant::Int { shape, data } = view.graph.constants.get(gather.input(1)?)? else { return None };
    let (&[count, 1], before, after) =
        (shape.as_slice(), first.ints("perm").ok()??, node.ints("perm").ok()??)
    else {
        return None;
    };
    let back = |(axis, &at): (usize, &i64)| {
        usize::try_from(at).ok().and_then(|at| before.get(at)).is_some_and(|&from| from == axis as i64)
    };
    (before.len() == after.len() && after.iter().enumerate().all(back)).then_some(())?;
    let name = format!("{}.positions", node.output());
    let mut found = Match::new("Gather", vec![first.input(0)?.into(), name.clone()], &[gather]);
    found.constants = vec![(name, Constant::Int { shape: vec![count], data: data.clone() })];
    found.node.attributes.insert("axis".into(), Attribute::Int(*before.first()?));
    Some(found)
}
