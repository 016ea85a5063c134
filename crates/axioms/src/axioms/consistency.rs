//! Consistency (Lundberg & Lee, "A unified approach to interpreting model predictions", NeurIPS 2017, property 3; strong
//! monotonicity of Young, "Monotonic solutions of cooperative games", 1985): where an entry adds at least as much to every
//! set of the others in f as in g, its part for f is no smaller than that for g.

use super::Finding;
use crate::bench::Bench;
use crate::coalitions::{by_entry, values};
use crate::compose::{combined, with_magnitudes};
use crate::hand_wired::{minimum, threshold};
use crate::problem::Problem;
use crate::program::Program;
use crate::subject::Arithmetic;
use voxplain_autodiff::Device;
use voxplain_tensor::Result;

/// `g + h` against g, h growing with the first entry; two drawn networks; `min(x1, x2)` against `relu(x1 + x2 - 3/2)`, a little off the
/// kink of the minimum.
pub const VARIANTS: &[&str] =
    &["g and g plus what grows", "two drawn networks", "min(x1, x2) and a threshold"];

/// Where the tape of g begins.
const OTHER: usize = 31;

/// Every entry whose contributions to f are at least those to g, set by set. Of maps that are parts of the output, not of
/// slopes.
pub fn check<D: Device>(bench: &Bench<'_, D>, program: &Program, variant: usize) -> Finding {
    if matches!(bench.subject.arithmetic, Arithmetic::Signal | Arithmetic::ValuesTimesSignal) {
        return Ok(None);
    }
    let (f, g) = pair(program, variant)?;
    let entries = larger(&contributions(bench, &f)?, &contributions(bench, &g)?);
    if entries.is_empty() {
        return Ok(None);
    }
    let (more, less) = (bench.maps(&f)?.concat(), bench.maps(&g)?.concat());
    let fall = |i: usize| less[i] - more[i];
    let worst =
        entries.iter().copied().fold(entries[0], |best, i| if fall(i) > fall(best) { i } else { best });
    let detail =
        format!("entry {worst} adds no less to f, and has {} of f, {} of g", more[worst], less[worst]);
    bench.judge(fall(worst).max(0.0), bench.rounding(&f)? + bench.rounding(&g)?, detail)
}

/// Two problems at the same input and reference.
fn pair(program: &Program, variant: usize) -> Result<(Problem, Problem)> {
    if variant == 2 {
        let x = [1.0 + 1.0 / 1024.0, 1.0];
        return Ok((minimum(x)?, threshold(x)?));
    }
    let own = program.problem()?;
    let g = own.on(program.graph(OTHER)?);
    if variant == 1 {
        return Ok((own, g));
    }
    let order: Vec<usize> = (0..own.x.len()).collect();
    let up = if own.x[0].data()[0] >= own.r[0].data()[0] { 1.0 } else { -1.0 };
    let growing = with_magnitudes(&own.graph)?;
    let f = own.on(combined(&[(&g.graph, 1.0, &order), (&growing, up, &order)])?);
    Ok((f, g))
}

/// What every entry adds to every set of the others, entry by entry.
fn contributions<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Result<Vec<Vec<f64>>> {
    let parts = by_entry(problem);
    let values = values(bench, problem, &parts)?;
    let added = |i: usize| {
        let without = (0..values.len()).filter(move |set| set >> i & 1 == 0);
        without.map(|set| values[set | 1 << i] - values[set]).collect()
    };
    Ok((0..parts.len()).map(added).collect())
}

/// The entries that add at least as much to every set, and more to one.
fn larger(more: &[Vec<f64>], less: &[Vec<f64>]) -> Vec<usize> {
    let pairs = |i: usize| more[i].iter().zip(&less[i]);
    (0..more.len()).filter(|&i| pairs(i).all(|(a, b)| a >= b) && pairs(i).any(|(a, b)| a > b)).collect()
}
