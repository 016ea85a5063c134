//! DeepLift's rescale rule, exact on every operator.

use voxplain_autodiff::{BinaryFn, Cotangent, Rule, Site};
use voxplain_tensor::Result;

/// The rescale rule of DeepLift (Shrikumar, Greenside & Kundaje, "Learning important features through propagating
/// activation differences", ICML 2017, section 3.5.2) as multipliers `m` with `sum(m (x - x')) = F(x) - F(x')` to
/// rounding, for every operator:
///
/// * activations: the divided difference `(f(x) - f(x')) / (x - x')` in closed form, the derivative where both are
///   equal; no threshold;
/// * maximum: with winners `i` at x and `j` at x' and `M = max(y, y')`, entry `i` gets `m (M - y') / (x_i - x'_i)` and
///   entry `j` gets `m (y - M) / (x_j - x'_j)`; contributions of overlapping windows add up. Where `x_i = x'_i` the
///   gradient is used;
/// * products: the mean of the other factor at x and x', which is the Shapley value of two players;
/// * softmax, normalisation with statistics of the data, quotients: decomposed into the above, each part in closed form.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeepLiftRescale;

impl Rule for DeepLiftRescale {
    type Signal = Cotangent;

    fn name(&self) -> String {
        String::from("deeplift_rescale")
    }

    fn needs_reference(&self) -> bool {
        true
    }

    fn pointwise(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        let slope = Cotangent(site.slope(upper.0)?);
        Ok(site.to_first(slope))
    }

    fn select(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        let [winner, reference_winner] = site.winners()?;
        let (x, r) = (site.input(0), site.reference_input(0)?);
        let (y, s) = (site.output(), site.reference_output()?);
        let r_at_winner = site.gather(r, winner)?;
        let x_at_reference_winner = site.gather(x, reference_winner)?;
        let e = site.emitter();
        let most = e.binary(BinaryFn::Maximum, y, s);
        let (gain, own) = (e.sub(most, s), e.sub(y, r_at_winner));
        let here = e.binary(BinaryFn::DivOrOne, gain, own);
        let (loss, other) = (e.sub(y, most), e.sub(x_at_reference_winner, s));
        let there = e.binary(BinaryFn::DivOrZero, loss, other);
        let (here, there) = (e.mul(upper.0, here), e.mul(upper.0, there));
        let here = site.scatter(here, winner)?;
        let there = site.scatter(there, reference_winner)?;
        let both = Cotangent(site.emitter().add(here, there));
        Ok(site.to_first(both))
    }

    fn bilinear(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        let mut means = Vec::new();
        for i in 0..site.node().inputs.len() {
            let (x, r) = (site.input(i), site.reference_input(i)?);
            means.push(if x == r { x } else { site.emitter().binary(BinaryFn::Lerp(0.5), r, x) });
        }
        Ok(site.vjp_at(&means, upper.0)?.into_iter().map(|g| g.map(Cotangent)).collect())
    }

    fn normalise(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        Ok(site.decomposed_slope(upper.0)?.into_iter().map(|g| g.map(Cotangent)).collect())
    }

    fn opaque(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        self.normalise(site, upper)
    }
}
