//! Gaussian noise that looks like a channel's entries drawn in any order.

use super::Plane;
use voxplain_attribution::Generator;

/// Independent normal numbers with the mean and deviation of the entries inside; entry `first + i` of the input has the
/// same draw whatever else is made.
pub(super) fn fill(plane: &Plane<'_>, (seed, input): (u64, usize), first: u64) -> Vec<f64> {
    let generator = Generator::new(seed, 0x4e00 + input as u32);
    let (mean, deviation) = plane.statistics();
    (0..plane.values.len() as u64).map(|i| mean + deviation * generator.normal(0, first + i)).collect()
}
