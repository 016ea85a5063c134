//! Supervoxels against scikit-image's on the same volumes (`bench/slic.py` wrote them), and what must hold of any.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use voxplain_imaging::{SlicImage, SlicOptions, read_npy, slic};
use voxplain_tensor::Tensor;

struct Case {
    image: Tensor<f32>,
    sizes: [usize; 3],
    mask: Vec<bool>,
    parts: Vec<u32>,
    peer: Vec<u32>,
}

fn load(name: &str) -> Case {
    let read = |what: &str| {
        let path = format!("{}/tests/data/slic/{name}_{what}.npy", env!("CARGO_MANIFEST_DIR"));
        read_npy(&std::fs::read(path).unwrap()).unwrap()
    };
    let (image, labels) = (read("image"), read("labels"));
    let mut sizes = [1; 3];
    let rank = image.shape().rank() - 1;
    sizes[3 - rank..].copy_from_slice(&image.shape()[1..]);
    let row = |i: usize| labels.row(i).iter().map(|&v| v as u32).collect::<Vec<u32>>();
    Case { image, sizes, mask: row(0).iter().map(|v| *v != 0).collect(), parts: row(1), peer: row(2) }
}

impl Case {
    fn labels(&self, spacing: [f64; 3], masked: bool, options: SlicOptions) -> Vec<u32> {
        let channels: Vec<&[f32]> = (0..self.image.rows()).map(|c| self.image.row(c)).collect();
        let mask = masked.then_some(self.mask.as_slice());
        slic(&SlicImage { channels: &channels, sizes: self.sizes, spacing, mask }, &options).unwrap()
    }

    /// Pairs of neighbours along an axis.
    fn faces(&self) -> Vec<(usize, usize)> {
        faces(self.sizes)
    }

    /// The share of true borders between parts, inside the mask, that regions respect.
    fn recall(&self, labels: &[u32]) -> f64 {
        let both = |&(a, b): &(usize, usize)| self.mask[a] && self.mask[b] && self.parts[a] != self.parts[b];
        let borders: Vec<(usize, usize)> = self.faces().into_iter().filter(both).collect();
        borders.iter().filter(|(a, b)| labels[*a] != labels[*b]).count() as f64 / borders.len() as f64
    }
}

fn faces([nx, ny, nz]: [usize; 3]) -> Vec<(usize, usize)> {
    let mut faces = Vec::new();
    for at in 0..nx * ny * nz {
        let (x, y, z) = (at / (ny * nz), at / nz % ny, at % nz);
        let ahead = [(x + 1 < nx, ny * nz), (y + 1 < ny, nz), (z + 1 < nz, 1)];
        faces.extend(ahead.iter().filter(|a| a.0).map(|a| (at, at + a.1)));
    }
    faces
}

fn sizes_of(labels: &[u32]) -> Vec<usize> {
    let mut counts = BTreeMap::new();
    labels.iter().filter(|l| **l != 0).for_each(|l| *counts.entry(*l).or_insert(0) += 1);
    counts.into_values().collect()
}

/// Deviation of the regions' sizes over their mean.
fn spread(labels: &[u32]) -> f64 {
    let sizes = sizes_of(labels);
    let mean = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
    (sizes.iter().map(|&s| (s as f64 - mean).powi(2)).sum::<f64>() / sizes.len() as f64).sqrt() / mean
}

#[test]
fn as_good_as_scikit_image() {
    let rows = [
        ("head", [1.0; 3], true, SlicOptions { segments: 20, compactness: 0.1, sigma: 1.0, iterations: 10 }),
        (
            "anisotropic",
            [1.0, 1.0, 2.5],
            true,
            SlicOptions { segments: 16, compactness: 0.1, sigma: 1.0, iterations: 10 },
        ),
        ("joint", [1.0; 3], true, SlicOptions { segments: 16, compactness: 0.2, sigma: 1.0, iterations: 10 }),
        (
            "whole",
            [1.0; 3],
            false,
            SlicOptions { segments: 27, compactness: 0.1, sigma: 0.5, iterations: 10 },
        ),
        (
            "picture",
            [1.0; 3],
            true,
            SlicOptions { segments: 24, compactness: 0.1, sigma: 1.0, iterations: 10 },
        ),
    ];
    for (name, spacing, masked, options) in rows {
        let case = load(name);
        let labels = case.labels(spacing, masked, options);
        let (own, peer) = (sizes_of(&labels).len(), sizes_of(&case.peer).len());
        let (recall, other) = (case.recall(&labels), case.recall(&case.peer));
        println!(
            "{name}: {own} and {peer} regions, recall {recall:.3} and {other:.3}, spread {:.2} and {:.2}",
            spread(&labels),
            spread(&case.peer)
        );
        assert!(own.abs_diff(peer) * 4 <= peer, "{name}: {own} regions, scikit-image {peer}");
        assert!(recall >= other - 0.05, "{name}: {recall} of the borders, scikit-image {other}");
        assert!(
            spread(&labels) <= spread(&case.peer) + 0.25,
            "{name}: {} {}",
            spread(&labels),
            spread(&case.peer)
        );
    }
}

#[test]
fn a_region_in_one_modality_is_a_region_of_all() {
    // Two channels that each show one half of a cross: jointly, the four quarters come apart.
    let (a, b): (Vec<f32>, Vec<f32>) =
        (0..256).map(|i| (f32::from(i / 16 > 7), 100.0 * f32::from(i % 16 > 7))).unzip();
    let image = SlicImage { channels: &[&a, &b], sizes: [1, 16, 16], spacing: [1.0; 3], mask: None };
    let labels = slic(&image, &SlicOptions { segments: 4, sigma: 0.0, ..SlicOptions::default() }).unwrap();
    let quarters: BTreeSet<(u32, bool, bool)> =
        labels.iter().enumerate().map(|(i, l)| (*l, i / 16 > 7, i % 16 > 7)).collect();
    assert_eq!(quarters.len(), 4, "{quarters:?}");
}

fn grid() -> impl Strategy<Value = ([usize; 3], Vec<f32>, Vec<bool>, SlicOptions)> {
    (1usize..5, 2usize..9, 2usize..9).prop_flat_map(|(x, y, z)| {
        let count = x * y * z;
        let options = (1usize..12, 0.01f64..20.0, 0.0f64..2.0, 1usize..6).prop_map(
            |(segments, compactness, sigma, iterations)| SlicOptions {
                segments,
                compactness,
                sigma,
                iterations,
            },
        );
        let values = proptest::collection::vec(-3.0f32..3.0, count);
        let mask = proptest::collection::vec(proptest::bool::weighted(0.8), count);
        (Just([x, y, z]), values, mask, options)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Every entry of the mask has a region and no other has, numbers have no gaps, every region is connected.
    #[test]
    fn regions_are_whole((sizes, values, mask, options) in grid(), spacing in 0.3f64..4.0) {
        let image = SlicImage { channels: &[&values], sizes, spacing: [1.0, spacing, 1.0], mask: Some(&mask) };
        let Ok(labels) = slic(&image, &options) else {
            prop_assert!(mask.iter().all(|m| !m));
            return Ok(());
        };
        prop_assert_eq!(&labels, &slic(&image, &options).unwrap());
        prop_assert!(labels.iter().zip(&mask).all(|(l, m)| (*l != 0) == *m));
        let count = sizes_of(&labels).len();
        prop_assert_eq!(labels.iter().max().copied().unwrap_or(0) as usize, count);
        // Joining entries of equal label over faces leaves one piece per region.
        let mut piece: Vec<usize> = (0..labels.len()).collect();
        fn root(piece: &mut [usize], mut i: usize) -> usize {
            while piece[i] != i {
                piece[i] = piece[piece[i]];
                i = piece[i];
            }
            i
        }
        for (a, b) in faces(sizes) {
            if labels[a] == labels[b] && labels[a] != 0 {
                let (a, b) = (root(&mut piece, a), root(&mut piece, b));
                piece[a] = b;
            }
        }
        let pieces: BTreeSet<usize> = (0..labels.len()).filter(|&i| labels[i] != 0).map(|i| root(&mut piece, i)).collect();
        prop_assert_eq!(pieces.len(), count);
    }
}

#[test]
fn bad_settings_are_one_sentence() {
    let values = [0.0f32; 8];
    let good = SlicImage { channels: &[&values], sizes: [2; 3], spacing: [1.0; 3], mask: None };
    let fail = |image: &SlicImage<'_>, options: SlicOptions, part: &str| {
        let error = slic(image, &options).unwrap_err();
        assert!(error.message().contains(part), "{error}");
    };
    let options = SlicOptions::default();
    fail(&SlicImage { sizes: [2, 2, 3], ..good }, options, "must have 12 entries");
    fail(&SlicImage { spacing: [1.0, 0.0, 1.0], ..good }, options, "numbers above 0");
    fail(&SlicImage { mask: Some(&[false; 8]), ..good }, options, "the foreground is empty");
    fail(&good, SlicOptions { segments: 0, ..options }, "at least 1 segment");
    fail(&good, SlicOptions { sigma: f64::NAN, ..options }, "a sigma of NaN");
    fail(&SlicImage { channels: &[&[f32::NAN; 8]], ..good }, options, "not finite");
}
