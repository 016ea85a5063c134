//! Rules treat group normalisation as a whole, but it is exported as instance normalisation between two
//! reshapes, then scale and bias per channel.

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

/// Per-channel values `[C, 1, ...]`, and how many axes follow the channels; constants reshaped by `Unsqueeze` too.
fn vector(view: &View<'_>, name: &str) -> Option<(Vec<f32>, Option<i64>)> {
    if let Some(node) = view.maker(name, "Unsqueeze") {
        let added = match view.graph.constants.get(node.input(1)?)? {
            Constant::Int { data, .. } => data.len() as i64,
            Constant::Float { .. } => return None,
        };
        return match view.graph.constants.get(node.input(0)?)? {
            Constant::Float { shape, data } if shape.len() == 1 => Some((data.clone(), Some(added))),
            _ => None,
        };
    }
    match view.graph.constants.get(name)? {
        Constant::Float { shape, data } if shape.iter().filter(|&&s| s != 1).count() <= 1 => {
            // A single channel may be any of the axes.
            let channel = shape.iter().position(|&s| s != 1);
            Some((data.clone(), channel.map(|c| (shape.len() - 1 - c) as i64)))
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
        vector(view, norm.input(i)?)
            .filter(|(v, _)| v.iter().all(|&x| x == value) && v.len() as i64 == groups)
    };
    plain(1, 1.0)?;
    plain(2, 0.0)?;
    let ((scale, spatial), (bias, other)) = (vector(view, scale)?, vector(view, bias)?);
    (scale.len() == bias.len() && spatial == other).then_some(())?;
    let mut inner = vec![mul, second, norm, first];
    let target = second.input(1)?;
    let restored = match (view.maker(target, "Shape"), view.graph.constants.get(target)) {
        // The shape to go back to may be computed from the data.
        (Some(shape), _) => {
            let whole = shape.input(0) == first.input(0) && shape.int("start", 0) == Ok(0);
            (whole && !shape.attributes.contains_key("end")).then_some(())?;
            inner.push(shape);
            None
        }
        (None, Some(Constant::Int { data, .. })) => Some(data.clone()),
        _ => return None,
    };
    let name = |part: &str| format!("{}.{part}", mul.output());
    let inputs = vec![first.input(0)?.into(), name("group_scale"), name("group_bias")];
    let mut found = Match::new("GroupNormalization", inputs, &inner);
    let vector = |data: Vec<f32>| Constant::Float { shape: vec![data.len()], data };
    found.constants = vec![(name("group_scale"), vector(scale)), (name("group_bias"), vector(bias))];
    found.node.attributes.insert("num_groups".into(), Attribute::Int(groups));
    if let Some(restored) = restored {
        found.node.attributes.insert("restored".into(), Attribute::Ints(restored));
    }
    if let Some(spatial) = spatial {
        found.node.attributes.insert("spatial_axes".into(), Attribute::Int(spatial));
    }
    if let Some(epsilon) = norm.attributes.get("epsilon") {
        found.node.attributes.insert("epsilon".into(), epsilon.clone());
    }
    Some(found)
}
