//! Masks are idempotent: taking away what was taken away changes nothing, `P_S(P_S(x)) = P_S(x)`, and the order in which
//! sets are taken away does not matter, `P_S(P_T(x)) = P_T(P_S(x))`. Of methods that ask about inputs of which parts are taken
//! away. A fill that is made anew from an image in which something is missing already breaks it (means drift, blurs blur
//! what was blurred), which is how curves of deletion come to depend on their steps.

use super::Finding;
use crate::bench::Bench;
use crate::problem::{Problem, converted};
use crate::spy::Spy;
use voxplain_attribution::Engine;
use voxplain_autodiff::Device;
use voxplain_tensor::{Result, Tensor};

/// Within one run, or with what a run asks about explained again.
pub const VARIANTS: &[&str] = &["within a run", "explained again"];

/// How many inputs are explained again.
const AGAIN: usize = 5;

/// Every asked input is, entry for entry, the problem's or one image that takes its place (variant 0); the k-th input asked about
/// while the k-th input itself is explained is that input, and two of them in either order are one (variant 1).
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem, variant: usize) -> Finding {
    let Some(asked) = asked(bench, problem)? else { return Ok(None) };
    let x: Vec<f64> = problem.x.iter().flat_map(|x| x.data().to_vec()).collect();
    if variant == 0 {
        let (gap, at) = (0..x.len())
            .map(|i| (strays(&asked, i, x[i]), i))
            .fold((0.0, 0), |a, b| if b.0 > a.0 { b } else { a });
        return bench.judge(gap, 0.0, format!("entry {at} has a third value, off by {gap}"));
    }
    let mut changed: Vec<usize> = (0..asked.len()).filter(|&k| asked[k] != x).collect();
    changed.truncate(AGAIN);
    let mut again = Vec::new();
    for &k in &changed {
        let Some(rows) = self::asked(bench, &problem.at(split(&problem.x, &asked[k])?))? else {
            return Ok(None);
        };
        again.push(rows);
    }
    let mut worst = (0.0, String::from("equal"));
    for (i, &k) in changed.iter().enumerate() {
        for (j, &l) in changed.iter().enumerate().take(i + 1) {
            // The set of row k taken away from row l, against the other way round; of one row, against itself.
            let other = if i == j { asked.get(k) } else { again[i].get(l) };
            let gap = apart(again[j].get(k), other);
            if gap > worst.0 {
                worst = (gap, format!("inputs {k} and {l} of {} that were asked about", asked.len()));
            }
        }
    }
    let said = !changed.is_empty();
    if said { bench.judge(worst.0, 0.0, worst.1) } else { Ok(None) }
}

type Rows = Vec<Vec<f64>>;

/// The inputs that the method asks about, if it asks for values alone.
fn asked<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Result<Option<Rows>> {
    let method = bench.subject.method(problem)?;
    let mut engine = Engine::new(&problem.graph, bench.device, None);
    let mut spy = Spy::on(&mut engine);
    method.attribute(&mut spy, &converted(&problem.x), &problem.target)?;
    Ok((!spy.reversed).then_some(spy.rows))
}

/// How far entry `i` of some row is from both the input's value and the first other value.
fn strays(asked: &[Vec<f64>], i: usize, x: f64) -> f64 {
    let others = || asked.iter().map(|row| row[i]).filter(|v| *v != x);
    let fill = others().next().unwrap_or(x);
    others().map(|v| (v - fill).abs()).fold(0.0, f64::max)
}

/// One example with these values.
fn split(x: &[Tensor<f64>], row: &[f64]) -> Result<Vec<Tensor<f64>>> {
    let mut rest = row;
    let one = |x: &Tensor<f64>| {
        let (own, behind) = rest.split_at(x.data().len());
        rest = behind;
        Tensor::new(&x.shape(), own.to_vec())
    };
    x.iter().map(one).collect()
}

fn apart(a: Option<&Vec<f64>>, b: Option<&Vec<f64>>) -> f64 {
    let (Some(a), Some(b)) = (a, b) else { return f64::INFINITY };
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
