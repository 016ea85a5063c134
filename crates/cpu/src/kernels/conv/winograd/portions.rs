//! Which tiles an item takes.

use core::ops::Range;

/// As many items for every thread are made equal; more differ too little to matter, and fill registers instead.
const EQUAL: usize = 8;

/// The tiles of a group, counted through all its rows, in portions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Portions {
    /// Every row is cut for itself, `width` tiles at `most` tiles.
    Rows { rows: usize, width: usize, most: usize },
    /// As many tiles as may be in an item, whatever the rows.
    Full { tiles: usize, most: usize },
    /// As many for every thread, in whole vectors of `lanes` tiles.
    Equal { tiles: usize, lanes: usize, count: usize },
}

impl Portions {
    /// Portions of at most `most` tiles, whole vectors of `lanes` tiles.
    pub(super) fn new(tiles: usize, most: usize, lanes: usize, threads: usize) -> Self {
        let (vectors, together) = (tiles.div_ceil(lanes), most / lanes);
        let count = vectors.div_ceil(together);
        match count < EQUAL * threads {
            true => Self::Equal { tiles, lanes, count: count.next_multiple_of(threads).min(vectors) },
            false => Self::Full { tiles, most },
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        match *self {
            Self::Rows { rows, width, most } => rows * width.div_ceil(most),
            Self::Full { tiles, most } => tiles.div_ceil(most),
            Self::Equal { count, .. } => count,
        }
    }

    /// The tiles of a portion.
    pub(super) fn tiles(&self, number: usize) -> Range<usize> {
        match *self {
            Self::Rows { width, most, .. } => {
                let parts = width.div_ceil(most);
                let (row, first) = (number / parts, number % parts * most);
                row * width + first..row * width + (first + most).min(width)
            }
            Self::Full { tiles, most } => number * most..((number + 1) * most).min(tiles),
            Self::Equal { tiles, lanes, count } => {
                let start = |number: usize| (number * tiles.div_ceil(lanes) / count * lanes).min(tiles);
                start(number)..start(number + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_portions_are_equal_and_many_are_full() {
        let sizes = |p: Portions| (0..p.count()).map(|i| p.tiles(i).len()).collect::<Vec<_>>();
        assert_eq!(sizes(Portions::new(128, 24, 8, 2)), [16, 24, 24, 16, 24, 24]);
        assert_eq!(sizes(Portions::new(392, 24, 8, 1)), [[24; 16].as_slice(), &[8]].concat());
        assert_eq!(sizes(Portions::Rows { rows: 2, width: 20, most: 16 }), [16, 4, 16, 4]);
    }

    proptest! {
        #[test]
        fn every_tile_is_in_one_portion(
            rows in 1usize..40, width in 1usize..80, most in 1usize..5, threads in 1usize..5, alone in any::<bool>(),
            lanes in prop::sample::select(vec![4usize, 8, 16]),
        ) {
            let most = 48 * most;
            let portions = match alone {
                true => Portions::Rows { rows, width, most },
                false => Portions::new(rows * width, most, lanes, threads),
            };
            let mut next = 0;
            for number in 0..portions.count() {
                let tiles = portions.tiles(number);
                prop_assert!(tiles.start == next && !tiles.is_empty() && tiles.len() <= most);
                next = tiles.end;
            }
            prop_assert_eq!(next, rows * width);
        }
    }
}
