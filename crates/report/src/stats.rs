//! Exact quantiles without copying a volume: four modalities of 240 x 240 x 155 voxels must not cost a sort.
//!
//! The order of `f32` is the order of an integer key, so two counting passes of 16 bits each find the exact value.

/// The integer whose order is the order of finite `value`s.
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The value that belongs to a key.
fn value(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// The nearest-rank quantile `p` (0 to 1) of what `pick` makes of all `values`: the smallest picked value that at least
/// the share `p` of them does not exceed. `pick` leaves out a value with `None`. `None` when nothing is left.
pub(crate) fn quantile(values: &[&[f32]], p: f64, pick: impl Fn(f32) -> Option<f32>) -> Option<f32> {
    let keys = || values.iter().flat_map(|part| part.iter()).filter_map(|&v| pick(v)).map(key);
    let mut counts = vec![0u64; 1 << 16];
    keys().for_each(|k| counts[(k >> 16) as usize] += 1);
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = ((p * total as f64).ceil() as u64).clamp(1, total);
    let (high, before) = bucket(&counts, rank);
    counts.fill(0);
    keys().filter(|k| k >> 16 == high).for_each(|k| counts[(k & 0xffff) as usize] += 1);
    let (low, _) = bucket(&counts, rank - before);
    Some(value(high << 16 | low))
}

/// The first bucket at which the running count reaches `rank`, and the count before it.
fn bucket(counts: &[u64], rank: u64) -> (u32, u64) {
    let mut before = 0;
    for (index, &count) in counts.iter().enumerate() {
        if before + count >= rank {
            return (index as u32, before);
        }
        before += count;
    }
    (counts.len() as u32 - 1, before)
}

/// The display window of an image: 1 % and 99 % of its finite non-zero voxels; (0, 1) for an empty image.
pub(crate) fn window(values: &[f32]) -> (f32, f32) {
    let pick = |v: f32| (v.is_finite() && v != 0.0).then_some(v);
    let low = quantile(&[values], 0.01, pick);
    let high = quantile(&[values], 0.99, pick);
    match (low, high) {
        (Some(low), Some(high)) if high > low => (low, high),
        (Some(low), _) => (low.min(0.0), low.max(0.0)),
        _ => (0.0, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_the_sorted_one() {
        let values: Vec<f32> =
            (0..1000u32).map(|i| (i.wrapping_mul(2_654_435_761) as f32 / 1e9) - 2.0).collect();
        let mut sorted = values.clone();
        sorted.sort_by(f32::total_cmp);
        for p in [0.0, 0.001, 0.01, 0.5, 0.995, 1.0] {
            let rank = ((p * 1000.0f64).ceil() as usize).clamp(1, 1000) - 1;
            assert_eq!(quantile(&[&values[..300], &values[300..]], p, Some), Some(sorted[rank]));
        }
        assert_eq!(quantile(&[&values], 0.5, |_| None), None);
    }

    #[test]
    fn the_window_leaves_out_zeros_and_missing_voxels() {
        let mut values = vec![0.0; 900];
        values.extend((1..=100).map(|i| i as f32));
        values.push(f32::NAN);
        assert_eq!(window(&values), (1.0, 99.0));
        assert_eq!(window(&[0.0, f32::NAN]), (0.0, 1.0));
        assert_eq!(window(&[5.0, 5.0]), (0.0, 5.0));
    }
}
