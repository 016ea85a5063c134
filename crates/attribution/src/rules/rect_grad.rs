//! RectGrad.

use voxplain_autodiff::{BinaryFn, Cotangent, HostCall, Rule, Signal, Site, Slot};
use voxplain_graph::ops::Pointwise;
use voxplain_graph::{Class, Op};
use voxplain_tensor::{Result, Shape};

/// What a cotangent has to exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// The quantile, from 0 to 1, of all scores of a layer of one example; between two scores, on the line between them.
    Quantile(f64),
    /// A number.
    Fixed(f64),
}

/// RectGrad (Kim et al., "Why are saliency maps noisy? Cause of and solution to noisy saliency maps", ICCV workshop 2019,
/// equation 1): a rectifier passes a cotangent where it matters enough, `g_in = g [y g > tau]`, whatever the sign of its
/// input. With `tau = 0` that is Guided BackProp. The paper takes the quantile 0.98 and multiplies the result by the
/// input. Everything else keeps its gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RectGrad(pub Threshold);

impl Rule for RectGrad {
    type Signal = Cotangent;

    fn name(&self) -> String {
        match self.0 {
            Threshold::Quantile(q) => format!("rect_grad(quantile {q})"),
            Threshold::Fixed(tau) => format!("rect_grad({tau})"),
        }
    }

    fn pointwise(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        if !matches!(site.node().op, Op::Pointwise(f) if f.is_rectifier()) {
            return Cotangent::default_rule(Class::Pointwise, site, upper);
        }
        let y = site.output();
        let score = site.emitter().mul(y, upper.0);
        let excess = match self.0 {
            Threshold::Fixed(tau) => site.map(Pointwise::Affine { scale: 1.0, shift: -tau }, score),
            Threshold::Quantile(q) => above_quantile(site, score, q)?,
        };
        let passed = Cotangent(site.emitter().binary(BinaryFn::Gate, upper.0, excess));
        Ok(site.to_first(passed))
    }
}

/// `score` minus the quantile of its example. The host sorts: no device has a kernel for it.
fn above_quantile(site: &mut Site<'_>, score: Slot, q: f64) -> Result<Slot> {
    let examples = site.examples();
    let call = HostCall::new("quantile", move |operands| {
        let rows = operands[0].chunks(operands[0].len() / examples);
        Ok(vec![rows.map(|row| quantile(row, q)).collect()])
    });
    let shape = site.shape(score);
    let tau = site.on_host(call, &[score], &[Shape::new(&[examples])?])[0];
    let span = voxplain_autodiff::Span { outer: 1, n: examples, inner: shape.elements() / examples };
    Ok(site.emitter().along(BinaryFn::Sub, score, span, tau))
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let next = sorted[(low + 1).min(sorted.len() - 1)];
    sorted[low] + part * (next - sorted[low])
}
