//! The other hemisphere.

use super::Plane;
use voxplain_tensor::{Error, Result};

/// The channel mirrored along a spatial axis. Where the mirrored entry is outside, the mean of what is inside.
pub(super) fn fill(plane: &Plane<'_>, axis: usize) -> Result<Vec<f64>> {
    let Some(&n) = plane.sizes.get(axis) else {
        return Err(Error::invalid(format!(
            "an image of {:?} entries has no spatial axis {axis} to mirror",
            plane.sizes
        )));
    };
    let inner: usize = plane.sizes[axis + 1..].iter().product();
    let mean = plane.statistics().0;
    let value = |at: usize| {
        let (line, i) = (at / (inner * n), at / inner % n);
        let from = (line * n + n - 1 - i) * inner + at % inner;
        if plane.inside[from] { plane.values[from] } else { mean }
    };
    Ok((0..plane.values.len()).map(value).collect())
}
