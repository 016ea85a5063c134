//! First centres, and how far apart they are.

use super::Field;
use super::assign::Center;

/// Rounds of spreading the first centres evenly before intensities count.
pub(super) const ROUNDS: usize = 5;

/// Divides `entries` into `parts` of equal size by halving along the longest side, and adds their middles.
fn halve(field: &Field, entries: &mut [u32], parts: usize, out: &mut Vec<Center>) {
    if parts == 1 || entries.len() < 2 {
        if !entries.is_empty() {
            out.push(Center::mean(field, entries));
        }
        return;
    }
    let side = |axis: usize| {
        let along = || entries.iter().map(|&e| field.coordinates(e)[axis]);
        let extent = along().max().unwrap_or(0) - along().min().unwrap_or(0);
        extent as f64 * field.spacing[axis]
    };
    let sides = [side(0), side(1), side(2)];
    let axis = (0..3).fold(0, |best, a| if sides[a] > sides[best] { a } else { best });
    let left = parts / 2;
    let middle = (entries.len() * left / parts).max(1);
    // The position breaks ties, so the halves do not depend on the order before.
    entries.select_nth_unstable_by_key(middle, |&e| (field.coordinates(e)[axis], e));
    let (first, second) = entries.split_at_mut(middle);
    first.sort_unstable();
    second.sort_unstable();
    halve(field, first, left, out);
    halve(field, second, parts - left, out);
}

/// The first centres, and the side of a cube of the mean region's volume (of a square, in a picture).
pub(super) fn centers(field: &Field, segments: usize, masked: bool) -> (Vec<Center>, f64) {
    let mut entries = field.inside.clone();
    let mut out = Vec::new();
    let parts = segments.min(entries.len());
    halve(field, &mut entries, parts, &mut out);
    let entry: f64 = (0..3).filter(|&a| field.sizes[a] > 1).map(|a| field.spacing[a]).product();
    let axes = (0..3).filter(|&a| field.sizes[a] > 1).count().max(1);
    let side = (entry * field.inside.len() as f64 / parts as f64).powf(1.0 / axes as f64);
    let step = if masked { step(field, &out) } else { side };
    (out, step)
}

/// The distance that counts as one step: as in scikit-image for masks, the largest over the axes of the mean distance to
/// the nearest other centre.
pub(super) fn step(field: &Field, centers: &[Center]) -> f64 {
    let gap = |a: &Center, b: &Center, axis: usize| (a.at[axis] - b.at[axis]).abs() * field.spacing[axis];
    let square = |a: &Center, b: &Center| (0..3).map(|axis| gap(a, b, axis).powi(2)).sum::<f64>();
    let mut sums = [0.0; 3];
    for (i, a) in centers.iter().enumerate() {
        let others = centers.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, b)| b);
        let nearest = others.min_by(|b, c| square(a, b).total_cmp(&square(a, c)));
        let Some(nearest) = nearest else { continue };
        (0..3).for_each(|axis| sums[axis] += gap(a, nearest, axis));
    }
    let step = sums.iter().fold(0.0f64, |m, s| m.max(s / centers.len() as f64));
    if step > 0.0 { step } else { 1.0 }
}

/// How many entries along each axis a centre looks at: two sides of a mean cell of the whole grid, as in scikit-image.
pub(super) fn reach(field: &Field, segments: usize) -> [usize; 3] {
    let sides: Vec<f64> = (0..3).map(|a| field.sizes[a] as f64 * field.spacing[a]).collect();
    let axes = (0..3).filter(|&a| field.sizes[a] > 1).count().max(1);
    let volume: f64 = (0..3).filter(|&a| field.sizes[a] > 1).map(|a| sides[a]).product();
    let side = (volume / segments as f64).powf(1.0 / axes as f64);
    [0, 1, 2].map(|a| (2.0 * side / field.spacing[a]).ceil().max(1.0) as usize)
}
