//! Cases of rows between two examples.

use super::draw::Draw;
use super::{Kernel, KernelCase};
use voxplain_autodiff::{GridGeometry, GridSumsGeometry, MixGeometry, MixShares, split};

/// Doubles as three numbers each, that single precision holds.
fn threes(numbers: impl IntoIterator<Item = f64>) -> Vec<f64> {
    numbers.into_iter().flat_map(|v| split::<f32>(v).map(f64::from)).collect()
}

/// Shares with digits beyond single precision; none and all abound.
fn shares(draw: &mut Draw, n: usize) -> Vec<f64> {
    let one = |draw: &mut Draw| match draw.below(4) {
        0 => 0.0,
        1 => 1.0,
        _ => (draw.below(1 << 30) as f64 + 0.5) / f64::from(1 << 30),
    };
    (0..n).map(|_| one(draw)).collect()
}

pub(super) fn labelled(draw: &mut Draw) -> KernelCase {
    let (rows, length, count) = (draw.up_to(5), draw.up_to(300), draw.up_to(12));
    // Some entries belong to no feature.
    let labels = (0..length).map(|_| draw.below(count + 1) as f64).collect();
    let numbers = threes(shares(draw, rows * count));
    let operands = vec![draw.numbers(length), draw.numbers(length), labels, numbers];
    let g = MixGeometry { rows, length, shares: MixShares::Labelled { count } };
    KernelCase::plain(Kernel::Mix(g), operands, rows * length)
}

/// Grids, and the numbers of so many rows.
fn grid(draw: &mut Draw, rows: usize) -> (GridGeometry, Vec<f64>) {
    let axes = draw.below(4);
    let sizes = [0, 1, 2].map(|a| if a + axes < 3 { 1 } else { draw.up_to(11) });
    let channels = draw.up_to(4);
    let (cells, grids) = (draw.up_to(5), draw.pick(&[1, channels]));
    let g = GridGeometry { sizes, axes, cells, channels, grids };
    let numbers = threes(shares(draw, rows * g.numbers()));
    (g, numbers)
}

pub(super) fn gridded(draw: &mut Draw) -> KernelCase {
    let rows = draw.up_to(4);
    let (grid, numbers) = grid(draw, rows);
    let length = grid.length();
    let operands = vec![draw.numbers(length), draw.numbers(length), numbers];
    let g = MixGeometry { rows, length, shares: MixShares::Gridded(grid) };
    KernelCase::plain(Kernel::Mix(g), operands, rows * length)
}

pub(super) fn sums(draw: &mut Draw) -> KernelCase {
    let rows = draw.up_to(6);
    let (grid, numbers) = grid(draw, rows);
    let weights = draw.numbers(rows).into_iter().map(|w| w / 3.0).collect::<Vec<_>>();
    let g = GridSumsGeometry { rows, grid, level: draw.pick(&[0.0, 0.5, 0.3]) };
    KernelCase::plain(Kernel::GridSums(g), vec![threes(weights), numbers], 6 * grid.length())
}

pub(super) fn accumulate(draw: &mut Draw) -> KernelCase {
    let (rows, length) = (draw.up_to(9), draw.up_to(400));
    let operands = vec![draw.numbers(rows), draw.numbers(rows * length), draw.numbers(length)];
    KernelCase::plain(Kernel::Accumulate { rows, length }, operands, length)
}
