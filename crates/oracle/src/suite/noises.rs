//! Cases of rows with noise, and of moments over rows.

use super::draw::Draw;
use super::{Kernel, KernelCase};
use voxplain_autodiff::{NoiseGeometry, NoiseKind, Philox, words};

/// Rows of any draws and examples; noise abounds, and there is none at times.
fn case(draw: &mut Draw, kind: NoiseKind) -> KernelCase {
    let (rows, length) = (draw.up_to(5), draw.up_to(300));
    let seed = (draw.below(1 << 32) as u64) << 32 | draw.below(1 << 32) as u64;
    let source = Philox { seed, stream: draw.below(1 << 32) as u32 };
    let sigma = draw.pick(&[0.0, 0.1, 1.0 / 3.0, 3.0]);
    let mut numbers = Vec::new();
    for _ in 0..rows {
        let most = draw.pick(&[3, 1 << 24]);
        numbers.extend([draw.below(most) as f64, draw.below(most) as f64]);
        if let Some(count) = kind.baselines() {
            let share = draw.below(1 << 10) as f64 / 1024.0;
            numbers.extend([draw.below(count) as f64, share, 1.0 - share]);
        }
    }
    let baselines = kind.baselines().map(|count| draw.numbers(count * length));
    let operands = [Some(draw.numbers(length)), baselines, Some(numbers)].into_iter().flatten().collect();
    let g = NoiseGeometry { rows, length, source, sigma, kind };
    KernelCase::plain(Kernel::Noise(g), operands, rows * length)
}

pub(super) fn noisy(draw: &mut Draw) -> KernelCase {
    case(draw, NoiseKind::Noisy)
}

pub(super) fn between(draw: &mut Draw) -> KernelCase {
    let count = draw.up_to(4);
    case(draw, NoiseKind::Between(count))
}

pub(super) fn gap(draw: &mut Draw) -> KernelCase {
    let count = draw.up_to(4);
    case(draw, NoiseKind::Gap(count))
}

/// Some rows behind others; means and sums need all bits of doubles, and may be far from those of single precision.
pub(super) fn moments(draw: &mut Draw) -> KernelCase {
    let (rows, length) = (draw.up_to(9), draw.up_to(300));
    let first = draw.below(2) * draw.below(1000);
    let counts = (0..rows).map(|row| (first + row + 1) as f64).collect();
    let mut before = vec![0.0; 6 * length];
    for entry in 0..if first > 0 { length } else { 0 } {
        let mean = draw.number() / 3.0;
        let deviation = draw.number().abs() / 7.0 * draw.pick(&[1.0, 1e-60, 1e60]);
        let all = words::<f64>(mean).into_iter().chain(words(deviation));
        all.enumerate().for_each(|(k, word)| before[k * length + entry] = word);
    }
    let operands = vec![counts, draw.numbers(rows * length), before];
    KernelCase::plain(Kernel::Moments { rows, length }, operands, 6 * length)
}
