//! Group normalisation, exported as instance normalisation between two reshapes, then scale and bias per channel.

use super::{Match, View};
use crate::raw::{Attribute, Constant, RawNode};

/// `Add(Mul(Reshape(InstanceNormalization(Reshape(x))), scale), bias)`.
pub(super) fn group_normalization(view: &View<'_>, node: &RawNode) -> Option<Match> {
    (node.op == "Add").then_some(())?;
    let add = *view.makers.get(node.output())?;
    View::pairs(add).into_iter().find_map(|(product, bias)| {
        let mul = view.maker(product, "Mul")?;
        View::pairs(mul).into_iter().find_map(|(back, scale)| {
            let second = view.maker(back, "Reshape")?;
            let norm = view.maker(second.input(0)?, "InstanceNormalization")?;
            let first = view.maker(norm.input(0)?, "Reshape")?;
            fused(view, [mul, second, norm, first], scale, bias)
        })
    })
}

/// Per-channel values `[C, 1, ...]` or `[C]` as a vector.
fn vector(view: &View<'_>, name: &str) -> Option<Vec<f32>> {
    match view.graph.constants.get(name)? {
        Constant::Float { shape, data } if shape.iter().filter(|&&s| s != 1).count() <= 1 => {
            Some(data.clone())
        }
        _ => None,
    }
}

fn fused(view: &View<'_>, nodes: [&RawNode; 4], scale: &str, bias: &str) -> Option<Match> {
    let [mul, second, norm, first] = nodes;
    let groups = match view.graph.constants.get(first.input(1)?)? {
        Constant::Int { data, .. } if data.len() == 3 => *data.get(1)?,
        _ => return None,
    };
    let plain = |i: usize, value: f32| {
        vector(view, norm.input(i)?).filter(|v| v.iter().all(|&x| x == value) && v.len() as i64 == groups)
    };
    plain(1, 1.0)?;
    plain(2, 0.0)?;
    let (scale, bias) = (vector(view, scale)?, vector(view, bias)?);
    (scale.len() == bias.len()).then_some(())?;
    let mut inner = vec![mul, second, norm, first];
    // The shape to go back to may be computed from the data.
    inner.extend(second.input(1).and_then(|s| view.maker(s, "Shape")));
    let name = |part: &str| format!("{}.{part}", mul.output());
    let inputs = vec![first.input(0)?.into(), name("group_scale"), name("group_bias")];
    let mut found = Match::new("GroupNormalization", inputs, &inner);
    let vector = |data: Vec<f32>| Constant::Float { shape: vec![data.len()], data };
    found.constants = vec![(name("group_scale"), vector(scale)), (name("group_bias"), vector(bias))];
    found.node.attributes.insert("num_groups".into(), Attribute::Int(groups));
    if let Some(epsilon) = norm.attributes.get("epsilon") {
        found.node.attributes.insert("epsilon".into(), epsilon.clone());
    }
    Some(found)
}
