//! DeepLift's RevealCancel rule.

use super::DeepLiftRescale;
use super::lrp::{Weighted, parts};
use voxplain_autodiff::{BinaryFn, Cotangent, PosNeg, Rule, Site, Slot};
use voxplain_graph::ops::{Binary, Pointwise, Reduction};
use voxplain_graph::{Class, Op};
use voxplain_tensor::Result;

/// The RevealCancel rule of DeepLift (Shrikumar, Greenside & Kundaje, ICML 2017, sections 3.5.1 and 3.5.3): every
/// difference `y - y'` is a part P above 0 and a part N below, and each has a multiplier of its own, so that contributions
/// that cancel each other are seen. Multipliers end as one per input with `sum(m (x - x')) = F(x) - F(x')`.
///
/// * weighted layers: `P = w+ D+ + w- D-` and `N = w- D+ + w+ D-` with `D = x - x'`; an input with `D > 0` gets
///   `w+ m+ + w- m-`, one with `D < 0` gets `w- m+ + w+ m-`, one with `D = 0` their mean;
/// * activations: the effect of P is the mean of adding it before and after N, `m+ = (s(x'+P, x') + s(x, x'+N)) / 2` with
///   the divided difference s in closed form, and the same for N;
/// * sums and averages are weighted layers with weights of one sign. What copies, and what the paper does not define
///   (maxima, products, normalisation), takes the difference as a whole, by its sign, with the rescale rule.
#[derive(Clone, Copy, Debug, Default)]
pub struct RevealCancel;

/// What the rule prepares at every node: P, N and, at activations, the two slopes.
const SLOPES: usize = 2;

/// How an affine node puts its operands together.
enum Mixing {
    /// By weights.
    Weights(Weighted),
    /// Several entries, or operands, with one sign each: the sign of every operand.
    Sums(Vec<f64>),
    /// Every entry comes from one other.
    Copies,
}

fn mixing(site: &Site<'_>) -> Mixing {
    let weighted = matches!(site.node().op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::MatMul);
    if let (true, Ok(layer)) = (weighted, Weighted::of(site)) {
        return Mixing::Weights(layer);
    }
    let both = site.node().inputs.len() == 2 && site.varies(0) && site.varies(1);
    match &site.node().op {
        Op::Binary(Binary::Add) if both => Mixing::Sums(vec![1.0, 1.0]),
        Op::Binary(Binary::Sub) if both => Mixing::Sums(vec![1.0, -1.0]),
        Op::AveragePool(_) | Op::Resize { .. } => Mixing::Sums(vec![1.0]),
        Op::Reduce { reduction, .. } if *reduction != Reduction::Max => Mixing::Sums(vec![1.0]),
        _ => Mixing::Copies,
    }
}

/// `x - x'` of operand `i`.
fn delta(site: &mut Site<'_>, i: usize) -> Result<Slot> {
    let (x, r) = (site.input(i), site.reference_input(i)?);
    Ok(site.emitter().sub(x, r))
}

fn output_delta(site: &mut Site<'_>) -> Result<Slot> {
    let (y, s) = (site.output(), site.reference_output()?);
    Ok(site.emitter().sub(y, s))
}

/// The multiplier that a difference of one sign has: `positive` where it is above 0, `negative` where it is below, the
/// mean where it is 0.
fn pick(site: &mut Site<'_>, delta: Slot, positive: Slot, negative: Slot) -> Slot {
    if positive == negative {
        return positive;
    }
    let (size, minus) = (site.map(Pointwise::Abs, delta), site.emitter().scale(delta, -1.0));
    let e = site.emitter();
    let (above, below) =
        (e.binary(BinaryFn::Gate, positive, delta), e.binary(BinaryFn::Gate, negative, minus));
    let mean = e.binary(BinaryFn::Lerp(0.5), positive, negative);
    let elsewhere = e.binary(BinaryFn::Gate, mean, size);
    let nowhere = e.sub(mean, elsewhere);
    let moved = e.add(above, below);
    e.add(moved, nowhere)
}

/// P and N of operand `i`: what was prepared where it was made, or its difference by sign.
fn operand_parts(site: &mut Site<'_>, i: usize) -> Result<(Slot, Slot)> {
    if let [positive, negative, ..] = site.state(i)[..] {
        return Ok((positive, negative));
    }
    let delta = delta(site, i)?;
    Ok(parts(site, delta))
}

/// P and N of a weighted layer.
fn mixed(site: &mut Site<'_>, layer: &Weighted) -> Result<Vec<Slot>> {
    let delta = delta(site, layer.data)?;
    let (x, w) = (parts(site, delta), parts(site, layer.w));
    let mut sum = |first: Slot, second: Slot| -> Result<Slot> {
        let a = layer.forward(site, x.0, first, None)?;
        let b = layer.forward(site, x.1, second, None)?;
        Ok(site.emitter().add(a, b))
    };
    Ok(vec![sum(w.0, w.1)?, sum(w.1, w.0)?])
}

/// P and N of a sum: every operand's difference by sign, those with a minus exchanged.
fn summed(site: &mut Site<'_>, signs: &[f64]) -> Result<Vec<Slot>> {
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for (i, sign) in signs.iter().enumerate() {
        let delta = delta(site, i)?;
        let (positive, negative) = parts(site, delta);
        let (first, second) = if *sign > 0.0 { (positive, negative) } else { (negative, positive) };
        above.push(first);
        below.push(second);
    }
    Ok(vec![site.forward_at(&above)?, site.forward_at(&below)?])
}

/// P, N and both slopes of an activation.
fn activated(site: &mut Site<'_>) -> Result<Vec<Slot>> {
    let (p, n) = operand_parts(site, 0)?;
    let (x, z) = (site.input(0), site.reference_input(0)?);
    let e = site.emitter();
    let (with_p, with_n, shape) = (e.add(z, p), e.add(z, n), e.shape(x));
    let half = e.fill(0.5, shape);
    let mut slope = |first: [Slot; 2], second: [Slot; 2]| -> Result<Slot> {
        let a = site.slope_between(half, first)?;
        let b = site.slope_between(half, second)?;
        Ok(site.emitter().add(a, b))
    };
    let up = slope([with_p, z], [x, with_n])?;
    let down = slope([with_n, z], [x, with_p])?;
    let e = site.emitter();
    Ok(vec![e.mul(up, p), e.mul(down, n), up, down])
}

/// One multiplier per operand for both parts.
fn both(multipliers: Vec<Option<Slot>>) -> Vec<Option<PosNeg>> {
    multipliers.into_iter().map(|m| m.map(PosNeg::both)).collect()
}

impl RevealCancel {
    /// The difference of the node as a whole, by a rule for single multipliers.
    fn whole(
        site: &mut Site<'_>,
        upper: &PosNeg,
        rule: impl FnOnce(&mut Site<'_>, &Cotangent) -> Result<Vec<Option<Cotangent>>>,
    ) -> Result<Vec<Option<PosNeg>>> {
        let delta = output_delta(site)?;
        let multiplier = Cotangent(pick(site, delta, upper.positive, upper.negative));
        Ok(both(rule(site, &multiplier)?.into_iter().map(|m| m.map(|m| m.0)).collect()))
    }

    fn weights(site: &mut Site<'_>, layer: &Weighted, upper: &PosNeg) -> Result<Vec<Option<PosNeg>>> {
        let w = parts(site, layer.w);
        let mut sum = |first: Slot, second: Slot| -> Result<Slot> {
            let a = layer.back(site, first, upper.positive)?;
            let b = layer.back(site, second, upper.negative)?;
            Ok(site.emitter().add(a, b))
        };
        let (above, below) = (sum(w.0, w.1)?, sum(w.1, w.0)?);
        let delta = delta(site, layer.data)?;
        let m = pick(site, delta, above, below);
        let mut out = vec![None; site.node().inputs.len()];
        out[layer.data] = Some(PosNeg::both(m));
        Ok(out)
    }

    fn sums(site: &mut Site<'_>, signs: &[f64], upper: &PosNeg) -> Result<Vec<Option<PosNeg>>> {
        let (above, below) = (site.vjp(upper.positive)?, site.vjp(upper.negative)?);
        let mut out = Vec::new();
        for (i, (above, below)) in above.into_iter().zip(below).enumerate() {
            let (Some(above), Some(below)) = (above, below) else {
                out.push(None);
                continue;
            };
            let delta = delta(site, i)?;
            let signed = site.emitter().scale(delta, signs[i]);
            out.push(Some(PosNeg::both(pick(site, signed, above, below))));
        }
        Ok(out)
    }
}

impl Rule for RevealCancel {
    type Signal = PosNeg;

    fn name(&self) -> String {
        String::from("deeplift_reveal_cancel")
    }

    fn needs_reference(&self) -> bool {
        true
    }

    fn prepare(&self, site: &mut Site<'_>) -> Result<Vec<Slot>> {
        match site.class() {
            Class::Pointwise => return activated(site),
            Class::Affine => match mixing(site) {
                Mixing::Weights(layer) => return mixed(site, &layer),
                Mixing::Sums(signs) => return summed(site, &signs),
                Mixing::Copies => {}
            },
            _ => {}
        }
        let delta = output_delta(site)?;
        let (positive, negative) = parts(site, delta);
        Ok(vec![positive, negative])
    }

    fn affine(&self, site: &mut Site<'_>, upper: &PosNeg) -> Result<Vec<Option<PosNeg>>> {
        match mixing(site) {
            Mixing::Weights(layer) => Self::weights(site, &layer, upper),
            Mixing::Sums(signs) => Self::sums(site, &signs, upper),
            Mixing::Copies => Self::whole(site, upper, |site, m| {
                Ok(site.vjp(m.0)?.into_iter().map(|g| g.map(Cotangent)).collect())
            }),
        }
    }

    fn pointwise(&self, site: &mut Site<'_>, upper: &PosNeg) -> Result<Vec<Option<PosNeg>>> {
        let state = site.own_state();
        let e = site.emitter();
        let positive = e.mul(upper.positive, state[SLOPES]);
        let negative = e.mul(upper.negative, state[SLOPES + 1]);
        let pair = if site.state(0).is_empty() {
            let delta = delta(site, 0)?;
            PosNeg::both(pick(site, delta, positive, negative))
        } else {
            PosNeg { positive, negative }
        };
        Ok(site.to_first(pair))
    }

    fn select(&self, site: &mut Site<'_>, upper: &PosNeg) -> Result<Vec<Option<PosNeg>>> {
        Self::whole(site, upper, |site, m| DeepLiftRescale.select(site, m))
    }

    fn bilinear(&self, site: &mut Site<'_>, upper: &PosNeg) -> Result<Vec<Option<PosNeg>>> {
        Self::whole(site, upper, |site, m| DeepLiftRescale.bilinear(site, m))
    }

    fn normalise(&self, site: &mut Site<'_>, upper: &PosNeg) -> Result<Vec<Option<PosNeg>>> {
        Self::whole(site, upper, |site, m| DeepLiftRescale.normalise(site, m))
    }

    fn opaque(&self, site: &mut Site<'_>, upper: &PosNeg) -> Result<Vec<Option<PosNeg>>> {
        Self::whole(site, upper, |site, m| DeepLiftRescale.opaque(site, m))
    }
}
