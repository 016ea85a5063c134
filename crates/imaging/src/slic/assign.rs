//! The rounds: every entry to the nearest centre, every centre to the middle of its entries.

use super::Field;

/// A centre: where it is, in entries, and its color.
#[derive(Clone, Debug)]
pub(super) struct Center {
    pub at: [f64; 3],
    pub color: Vec<f64>,
}

impl Center {
    /// The middle of some entries.
    pub(super) fn mean(field: &Field, entries: &[u32]) -> Self {
        let count = entries.len() as f64;
        let mut at = [0.0; 3];
        for &e in entries {
            field.coordinates(e).iter().zip(&mut at).for_each(|(c, s)| *s += *c as f64);
        }
        let color = |c: &Vec<f32>| entries.iter().map(|&e| f64::from(c[e as usize])).sum::<f64>() / count;
        Self { at: at.map(|s| s / count), color: field.colors.iter().map(color).collect() }
    }
}

/// Label of entries that no centre has reached.
pub(super) const NONE: u32 = u32::MAX;

/// Rounds until nothing changes, `rounds` at most; intensities count where `colored`. Returns the centre of every entry.
pub(super) fn settle(
    field: &Field,
    centers: &mut [Center],
    step: f64,
    reach: [usize; 3],
    (rounds, colored): (usize, bool),
) -> Vec<u32> {
    let mut labels = vec![NONE; field.mask.len()];
    let mut distances = vec![f32::INFINITY; field.mask.len()];
    for _ in 0..rounds {
        let before = labels.clone();
        distances.fill(f32::INFINITY);
        for (number, center) in centers.iter().enumerate() {
            claim(field, center, (number as u32, step, colored), reach, (&mut labels, &mut distances));
        }
        if labels == before {
            break;
        }
        renew(field, centers, &labels);
    }
    labels
}

/// Gives a centre the entries around it that are nearer to it than to those before.
fn claim(
    field: &Field,
    center: &Center,
    (number, step, colored): (u32, f64, bool),
    reach: [usize; 3],
    (labels, distances): (&mut [u32], &mut [f32]),
) {
    let range = |a: usize| {
        let middle = center.at[a].round() as usize;
        middle.saturating_sub(reach[a])..(middle + reach[a] + 1).min(field.sizes[a])
    };
    let scale = |a: usize| field.spacing[a] / step;
    let square = |a: usize, i: usize| (((i as f64 - center.at[a]) * scale(a)).powi(2)) as f32;
    let third: Vec<f32> = range(2).map(|z| square(2, z)).collect();
    let color: Vec<f32> = center.color.iter().map(|&c| c as f32).collect();
    for x in range(0) {
        for y in range(1) {
            let plane = square(0, x) + square(1, y);
            let row = (x * field.sizes[1] + y) * field.sizes[2];
            for (z, dz) in range(2).zip(&third) {
                let at = row + z;
                // Most of a window is nearer to another centre by position alone.
                if plane + dz >= distances[at] || !field.mask[at] {
                    continue;
                }
                let mut distance = plane + dz;
                if colored {
                    distance +=
                        field.colors.iter().zip(&color).map(|(c, m)| (c[at] - m).powi(2)).sum::<f32>();
                }
                if distance < distances[at] {
                    (distances[at], labels[at]) = (distance, number);
                }
            }
        }
    }
}

/// Moves every centre to the middle of its entries; one without entries stays.
fn renew(field: &Field, centers: &mut [Center], labels: &[u32]) {
    let channels = field.colors.len();
    let mut sums = vec![vec![0.0f64; 4 + channels]; centers.len()];
    for &e in &field.inside {
        let label = labels[e as usize];
        if label == NONE {
            continue;
        }
        let sum = &mut sums[label as usize];
        sum[0] += 1.0;
        field.coordinates(e).iter().zip(&mut sum[1..4]).for_each(|(c, s)| *s += *c as f64);
        field.colors.iter().zip(&mut sum[4..]).for_each(|(c, s)| *s += f64::from(c[e as usize]));
    }
    for (center, sum) in centers.iter_mut().zip(sums).filter(|(_, sum)| sum[0] > 0.0) {
        center.at = [1, 2, 3].map(|i| sum[i] / sum[0]);
        center.color = sum[4..].iter().map(|s| s / sum[0]).collect();
    }
}
