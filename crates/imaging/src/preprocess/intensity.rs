//! Steps that change what voxels say and leave them where they are: they need no way back.

use crate::volume::Volume;
use voxplain_tensor::{Error, Result};

type Channels = [Volume];

/// All channels by their common range to 0..1.
pub(super) fn minmax(channels: &mut Channels) {
    let range = range(channels.iter().flat_map(|c| &c.data));
    channels.iter_mut().for_each(|c| rescale(&mut c.data, range, (0.0, 1.0)));
}

/// Each channel by its own range to `to`.
pub(super) fn scale(channels: &mut Channels, to: (f64, f64)) {
    for c in channels {
        let range = range(&c.data);
        rescale(&mut c.data, range, to);
    }
}

fn range<'v>(values: impl IntoIterator<Item = &'v f32>) -> (f32, f32) {
    values.into_iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)))
}

/// A constant image becomes the lower bound.
fn rescale(data: &mut [f32], (low, high): (f32, f32), (to_low, to_high): (f64, f64)) {
    let span = f64::from(high) - f64::from(low);
    for v in data {
        let part = if span > 0.0 { (f64::from(*v) - f64::from(low)) / span } else { 0.0 };
        *v = (to_low + part * (to_high - to_low)) as f32;
    }
}

/// Mean 0 and population deviation 1, each channel alone or all together; with `nonzero` zeros count for nothing and
/// stay 0. A constant becomes 0.
pub(super) fn zscore(channels: &mut Channels, nonzero: bool, per_channel: bool) {
    if per_channel {
        channels.iter_mut().for_each(|c| normalise(std::slice::from_mut(c), nonzero));
    } else {
        normalise(channels, nonzero);
    }
}

fn normalise(channels: &mut Channels, nonzero: bool) {
    let inside = |v: f32| !nonzero || v != 0.0;
    let values = || channels.iter().flat_map(|c| &c.data).filter(|v| inside(**v)).map(|&v| f64::from(v));
    let count = values().count() as f64;
    if count == 0.0 {
        return;
    }
    let mean = values().sum::<f64>() / count;
    let deviation = (values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count).sqrt();
    let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
    let all = channels.iter_mut().flat_map(|c| &mut c.data);
    all.filter(|v| inside(**v)).for_each(|v| *v = ((f64::from(*v) - mean) * scale) as f32);
}

/// Fixed statistics, one for all channels or one per channel.
pub(super) fn standardize(channels: &mut Channels, mean: &[f64], deviation: &[f64]) -> Result<()> {
    if mean.len() != 1 && mean.len() != channels.len() {
        return Err(Error::invalid(format!(
            "{} means for {} channels; one, or one per channel expected",
            mean.len(),
            channels.len()
        )));
    }
    for (i, channel) in channels.iter_mut().enumerate() {
        let i = if mean.len() == 1 { 0 } else { i };
        let change = |v: &mut f32| *v = ((f64::from(*v) - mean[i]) / deviation[i]) as f32;
        channel.data.iter_mut().for_each(change);
    }
    Ok(())
}

/// Intensities outside become the nearer bound.
pub(super) fn clip(channels: &mut Channels, (low, high): (f64, f64)) {
    let all = channels.iter_mut().flat_map(|c| &mut c.data);
    all.for_each(|v| *v = v.clamp(low as f32, high as f32));
}

/// As [`clip`], each channel between two of its own percentiles.
pub(super) fn clip_percentiles(channels: &mut Channels, bounds: (f64, f64), nonzero: bool) {
    for c in channels {
        let mut values: Vec<f32> = c.data.iter().copied().filter(|v| !nonzero || *v != 0.0).collect();
        if values.is_empty() {
            continue;
        }
        let bounds = (percentile(&mut values, bounds.0), percentile(&mut values, bounds.1));
        clip(std::slice::from_mut(c), bounds);
    }
}

/// Linear between the two nearest ranks, as NumPy's default.
fn percentile(values: &mut [f32], percent: f64) -> f64 {
    let rank = percent / 100.0 * (values.len() - 1) as f64;
    let (below, fraction) = (rank.floor() as usize, rank.fract());
    let (_, low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let low = f64::from(*low);
    let high = above.iter().copied().min_by(f32::total_cmp).map_or(low, f64::from);
    low + fraction * (high - low)
}
