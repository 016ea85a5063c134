//! GELU at older opsets is a dozen nodes in an order that depends on the exporter; it is one function again here.

use super::{Match, View};
use crate::raw::{Attribute, RawNode};
use std::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2};

/// The three factors of a product of two `Mul` nodes, and the inner one.
fn three_factors<'a>(view: &View<'a>, node: &'a RawNode) -> Vec<([&'a str; 3], &'a RawNode)> {
    let mut out = Vec::new();
    for (a, inner) in View::pairs(node) {
        if let Some(product) = view.maker(inner, "Mul") {
            out.extend(View::pairs(product).into_iter().map(|(b, c)| ([a, b, c], product)));
        }
    }
    out
}

/// `x`, a node `1 + f(..)` and 1/2 among three factors in any order: the data, the sum and the nodes.
fn halves<'a>(
    view: &View<'a>,
    node: &'a RawNode,
    function: &str,
) -> Option<(&'a str, Vec<&'a RawNode>, &'a RawNode)> {
    if node.op != "Mul" {
        return None;
    }
    for (factors, product) in three_factors(view, node) {
        for order in [[0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 2, 1], [1, 2, 0], [2, 1, 0]] {
            let [x, sum, half] = order.map(|i| factors[i]);
            let found = view.is_number(half, 0.5).then(|| view.maker(sum, "Add")).flatten().and_then(|add| {
                View::pairs(add).into_iter().find_map(|(one, f)| {
                    let inner = view.maker(f, function)?;
                    view.is_number(one, 1.0).then_some((x, vec![product, add, inner], inner))
                })
            });
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

/// `x / 2 (1 + erf(x / sqrt 2))`.
pub(super) fn exact(view: &View<'_>, node: &RawNode) -> Option<Match> {
    let view_node = view.makers.get(node.output())?;
    let (x, mut nodes, erf) = halves(view, view_node, "Erf")?;
    let scaled = erf.input(0)?;
    let by_division = view
        .maker(scaled, "Div")
        .filter(|d| d.input(0) == Some(x) && d.input(1).is_some_and(|c| view.is_number(c, SQRT_2)));
    let by_product = view
        .maker(scaled, "Mul")
        .filter(|m| View::pairs(m).iter().any(|(a, c)| *a == x && view.is_number(c, FRAC_1_SQRT_2)));
    nodes.push(by_division.or(by_product)?);
    Some(Match::new("Gelu", vec![x.into()], &nodes))
}

/// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
pub(super) fn tanh(view: &View<'_>, node: &RawNode) -> Option<Match> {
    let view_node = view.makers.get(node.output())?;
    let (x, mut nodes, tanh) = halves(view, view_node, "Tanh")?;
    let scaled = view.maker(tanh.input(0)?, "Mul")?;
    let (sum, _) = View::pairs(scaled).into_iter().find(|(_, c)| view.is_number(c, (2.0 / PI).sqrt()))?;
    let sum = view.maker(sum, "Add")?;
    let (_, cubic) = View::pairs(sum).into_iter().find(|(a, _)| *a == x)?;
    let cubic = view.maker(cubic, "Mul")?;
    let (cube, _) = View::pairs(cubic).into_iter().find(|(_, c)| view.is_number(c, 0.044_715))?;
    nodes.extend([scaled, sum, cubic]);
    nodes.extend(cubed(view, cube, x)?);
    let mut found = Match::new("Gelu", vec![x.into()], &nodes);
    found.node.attributes.insert("approximate".into(), Attribute::Text("tanh".into()));
    Some(found)
}

/// The nodes that compute `x^3`: a power, or two products.
fn cubed<'a>(view: &View<'a>, cube: &str, x: &str) -> Option<Vec<&'a RawNode>> {
    if let Some(power) = view.maker(cube, "Pow") {
        let fits = power.input(0) == Some(x) && power.input(1).is_some_and(|e| view.is_number(e, 3.0));
        return fits.then(|| vec![power]);
    }
    let outer = view.maker(cube, "Mul")?;
    let square =
        View::pairs(outer).into_iter().find(|(a, _)| *a == x).and_then(|(_, s)| view.maker(s, "Mul"))?;
    (square.input(0) == Some(x) && square.input(1) == Some(x)).then(|| vec![outer, square])
}
