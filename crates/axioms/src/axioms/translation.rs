//! Equivariance under translation: an image that is moved, all modalities together, has the moved map. What windows, drawn
//! masks and drawn noise do to it is the method's doing, not the network's.

use super::Finding;
use crate::bench::Bench;
use crate::problem::Problem;
use crate::program::{Program, Step};
use voxplain_autodiff::Device;

/// Entries along the axis.
const WIDTH: u8 = 6;
/// The entries that are not 0: two from here on, so that neither they nor their neighbours meet a border before or after.
const FROM: usize = 2;

/// The image moved by one entry, on the program's first layer and a rectifier over a wider image, from a reference of 0. Padding
/// and what is next to a border make networks see a moved image differently, so entries there are not compared.
pub fn check<D: Device>(bench: &Bench<'_, D>, program: &Program) -> Finding {
    if program.width == 1 {
        return Ok(None);
    }
    let (here, moved) = (placed(program, FROM)?, placed(program, FROM + 1)?);
    let (own, other) = (bench.maps(&here)?, bench.maps(&moved)?);
    let mut worst = (0.0, String::from("equal"));
    for (input, (a, b)) in own.iter().zip(&other).enumerate() {
        for k in (0..a.len()).filter(|k| (1..usize::from(WIDTH) - 2).contains(&(k % usize::from(WIDTH)))) {
            let gap = (a[k] - b[k + 1]).abs();
            if gap > worst.0 || gap.is_nan() {
                worst = (gap, format!("input {input} entry {k}: {} and, moved, {}", a[k], b[k + 1]));
            }
        }
    }
    bench.judge(worst.0, bench.rounding(&here)? + bench.rounding(&moved)?, worst.1)
}

/// The first two entries of every channel at `at`, zeros around them.
fn placed(program: &Program, at: usize) -> voxplain_tensor::Result<Problem> {
    let first = program.steps.first().filter(|s| matches!(s, Step::Layer(_)));
    let steps = first.copied().into_iter().chain([Step::Relu]).collect();
    let channels = usize::from(program.channels.clamp(2, 3));
    let entry = |c: usize, k: usize| program.x.get(c * usize::from(program.width) + k).copied().unwrap_or(1);
    let row = |c: usize| {
        let mut row = vec![0; usize::from(WIDTH)];
        (0..2).for_each(|k| row[at + k] = entry(c, k));
        row
    };
    let x = (0..channels).flat_map(row).collect();
    Program { steps, width: WIDTH, x, r: Vec::new(), ..program.clone() }.problem()
}
