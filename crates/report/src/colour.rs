//! From attribution values to colours that do not lie: hue is the sign, opacity is the size, zero is the bare image.
//!
//! Signed maps get a diverging table, symmetric about zero; maps without negative values get one sequential table of
//! rising lightness. No rainbow: its bands look like edges that are not in the data (Borland & Taylor, IEEE CG&A 2007).
//! Blue and red stay apart with the common colour-vision deficiencies.

use crate::canvas::Rgb;
use crate::stats::quantile;

/// Against the target, from weak to strong.
const NEGATIVE: [Rgb; 5] = [[170, 200, 255], [120, 165, 255], [75, 130, 250], [40, 95, 240], [15, 60, 215]];
/// For the target, from weak to strong.
const POSITIVE: [Rgb; 5] = [[255, 190, 175], [255, 140, 120], [248, 90, 75], [235, 45, 40], [205, 10, 25]];
/// Anchors of the sequential table `inferno` (van der Walt & Smith, matplotlib, CC0).
const SEQUENTIAL: [Rgb; 9] = [
    [0, 0, 4],
    [31, 12, 72],
    [85, 15, 109],
    [136, 34, 106],
    [186, 54, 85],
    [227, 89, 51],
    [249, 140, 10],
    [249, 201, 50],
    [252, 255, 164],
];

/// One colour scale for all maps of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    /// Whether any value is negative.
    pub signed: bool,
    /// |value| that gets full colour; 0 when all maps are zero.
    pub limit: f32,
    /// The share of the non-zero |values| that `limit` is the quantile of, 0 to 1.
    pub percentile: f64,
    /// Finite voxels with |value| above `limit`.
    pub clipped: u64,
    /// Finite voxels that are not zero.
    pub coloured: u64,
    /// Voxels that are NaN or infinite: drawn transparent.
    pub missing: u64,
}

impl Scale {
    /// The scale of all `maps` together; `percentile` is clamped to 0 to 1.
    pub(crate) fn of(maps: &[&[f32]], percentile: f64) -> Self {
        let percentile = if percentile.is_finite() { percentile.clamp(0.0, 1.0) } else { 1.0 };
        let size = |v: f32| (v.is_finite() && v != 0.0).then_some(v.abs());
        let limit = quantile(maps, percentile, size).unwrap_or(0.0);
        let mut scale = Self { signed: false, limit, percentile, clipped: 0, coloured: 0, missing: 0 };
        for &value in maps.iter().flat_map(|map| map.iter()) {
            scale.missing += u64::from(!value.is_finite());
            let Some(size) = size(value) else { continue };
            scale.coloured += 1;
            scale.clipped += u64::from(size > limit);
            scale.signed |= value < 0.0;
        }
        scale
    }

    /// Colour and opacity (0 to 1) of a value; opacity is |value| / limit up to 1.
    pub(crate) fn paint(&self, value: f32) -> (Rgb, f32) {
        if !value.is_finite() || value == 0.0 || self.limit <= 0.0 || (!self.signed && value < 0.0) {
            return ([0; 3], 0.0);
        }
        let strength = (value.abs() / self.limit).min(1.0);
        let table: &[Rgb] = match (self.signed, value > 0.0) {
            (false, _) => &SEQUENTIAL,
            (true, true) => &POSITIVE,
            (true, false) => &NEGATIVE,
        };
        (look_up(table, strength), strength)
    }
}

/// The colour at `position` (0 to 1) of a table, linear between its entries.
fn look_up(table: &[Rgb], position: f32) -> Rgb {
    let place = position * (table.len() - 1) as f32;
    let below = (place as usize).min(table.len() - 2);
    crate::canvas::mix(table[below], table[below + 1], place - below as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_scale_is_symmetric_and_zero_is_transparent() {
        let scale = Scale::of(&[&[-1.0, 0.25, 0.0], &[4.0]], 1.0);
        assert!(scale.signed);
        assert_eq!(scale.limit, 4.0);
        for value in [0.1, 1.0, 4.0, 9.0] {
            let (red, up) = scale.paint(value);
            let (blue, down) = scale.paint(-value);
            assert_eq!(up, down);
            assert!(red[0] > red[2] && blue[2] > blue[0]);
        }
        assert_eq!(scale.paint(0.0).1, 0.0);
        assert_eq!(scale.paint(-0.0).1, 0.0);
        assert_eq!(scale.paint(f32::NAN).1, 0.0);
        assert_eq!(scale.paint(2.0).1, 0.5);
    }

    #[test]
    fn clipped_and_missing_voxels_are_counted() {
        let mut map: Vec<f32> = (1..=1000).map(|i| i as f32).collect();
        map.extend([0.0; 500]);
        map.push(f32::NAN);
        let scale = Scale::of(&[&map], 0.995);
        assert_eq!((scale.limit, scale.clipped, scale.missing, scale.coloured), (995.0, 5, 1, 1000));
        assert!(!scale.signed);
    }

    #[test]
    fn sequential_lightness_rises() {
        let light = |c: Rgb| 0.2126 * f32::from(c[0]) + 0.7152 * f32::from(c[1]) + 0.0722 * f32::from(c[2]);
        let steps: Vec<f32> = (0..=32).map(|i| light(look_up(&SEQUENTIAL, i as f32 / 32.0))).collect();
        assert!(steps.windows(2).all(|pair| pair[1] > pair[0]));
    }

    #[test]
    fn an_empty_or_zero_map_has_no_colour() {
        let scale = Scale::of(&[&[0.0; 4]], 0.995);
        assert_eq!((scale.limit, scale.coloured, scale.paint(1.0).1), (0.0, 0, 0.0));
    }
}
