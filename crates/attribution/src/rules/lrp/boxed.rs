//! LRP-zB.

use super::named::{Entry, STABILIZER};
use super::number::Number;
use super::weighted::{Weighted, parts, quotient};
use voxplain_autodiff::{BinaryFn, Relevance, Rule, Site, Slot, Span};
use voxplain_graph::Parameter;
use voxplain_tensor::{Error, Result, Shape};

pub(super) const ENTRY: Entry = Entry {
    name: "z_box",
    parameters: &[("low", None), ("high", None), ("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(ZBox::new(p.number(0), p.number(1), p.not_negative(2)?)?)),
};

/// `R_i = sum_j q_ij R_j / st(sum_i q_ij)` with `q = w x - w+ low - w- high`, for first layers whose inputs lie in
/// `[low, high]` (Montavon et al., Pattern Recognition 65, 2017, section 4.2). The bias takes no share. Bounds may differ
/// by channel (axis 1 of the layer's input), as modalities that were normalised each by itself do; those are kept in
/// single precision, as weights are.
#[derive(Clone, Debug, PartialEq)]
pub struct ZBox {
    low: Number,
    high: Number,
    stabilizer: f64,
}

impl ZBox {
    /// The rule for inputs from `low` to `high`, each one number or one per channel, in the units of the input.
    ///
    /// # Errors
    /// `low` is not below `high` somewhere, or both are per channel and of different numbers of channels.
    pub fn new(low: impl Into<Number>, high: impl Into<Number>, stabilizer: f64) -> Result<Self> {
        let (low, high) = (low.into(), high.into());
        let (l, h) = (low.all(), high.all());
        let channels = l.len().max(h.len());
        if [&low, &high].iter().any(|n| matches!(n, Number::PerChannel(v) if v.len() != channels)) {
            return Err(Error::invalid(format!(
                "low has {} numbers and high has {}; as many of both expected, one per channel",
                l.len(),
                h.len()
            )));
        }
        match (0..channels)
            .map(|c| (l[c % l.len()], h[c % h.len()]))
            .find(|(l, h)| l.is_nan() || h.is_nan() || l >= h)
        {
            Some((l, h)) => Err(Error::invalid(format!("low {l} must be below high {h}"))),
            None => Ok(Self { low, high, stabilizer }),
        }
    }
}

/// A bound in the shape of the input.
fn spread(site: &mut Site<'_>, key: &str, bound: &Number, shape: Shape) -> Result<Slot> {
    let values = match bound {
        Number::One(value) => return Ok(site.emitter().fill(*value, shape)),
        Number::PerChannel(values) => values,
    };
    let channels = shape.get(1).copied().unwrap_or(1);
    if values.len() != channels {
        return Err(Error::invalid(format!(
            "{key} has {} numbers, and the input of this layer has {channels} channels (axis 1 of {shape})",
            values.len()
        )));
    }
    let data = values.iter().map(|&v| v as f32).collect();
    let parameter = Parameter { name: format!("z_box.{key}"), shape: Shape::new(&[channels])?, data };
    let each = site.constant(&parameter);
    let zeros = site.emitter().fill(0.0, shape);
    let span = Span { outer: shape.outer(1), n: channels, inner: shape.inner(1) };
    Ok(site.emitter().along(BinaryFn::Add, zeros, span, each))
}

impl Rule for ZBox {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_z_box({}, {}, {})", self.low, self.high, self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let (positive, negative) = parts(site, layer.w);
        let shape = site.shape(layer.x);
        let low = spread(site, "low", &self.low, shape)?;
        let high = spread(site, "high", &self.high, shape)?;
        let terms = [(layer.x, layer.w), (low, positive), (high, negative)];
        let mut sums = Vec::new();
        for (x, w) in terms {
            sums.push(layer.forward(site, x, w, None)?);
        }
        let e = site.emitter();
        let z = e.sub(sums[0], sums[1]);
        let z = e.sub(z, sums[2]);
        let s = quotient(site, upper.0, z, self.stabilizer);
        let mut shares = Vec::new();
        for (x, w) in terms {
            shares.push(layer.contribution(site, x, w, s)?);
        }
        let e = site.emitter();
        let lower = e.sub(shares[0], shares[1]);
        let lower = e.sub(lower, shares[2]);
        Ok(layer.to_data_alone(site, lower))
    }
}
