//! A procedural multi-modal brain with a lesion, with dials for which modality carries the class.
//!
//! It stands in for the synthetic experiment of Jin et al. (AAAI 2022), without a generative network: class 0 lesions
//! are round, class 1 lesions are lobed, and each modality shows either the class's own shape or the other one with a
//! given probability, so that the true importance of every modality is known by construction.

use crate::atomic::atomic_write;
use crate::geometry::Geometry;
use crate::nifti::{WriteOptions, write_nifti};
use crate::random::Random;
use crate::tumour::{Tumour, tumour};
use crate::volume::{Volume, parse_codes};
use std::fmt;
use std::path::Path;
use voxplain_tensor::{Error, Result};

/// The modalities, in the order of a phantom's volumes.
pub const MODALITIES: [&str; 4] = ["t1", "t1ce", "t2", "flair"];

/// A lesion shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesion {
    /// A ball: class 0.
    Round,
    /// A body with lobes: class 1.
    Lobed,
}

impl fmt::Display for Lesion {
    /// The word that the program's `--class` takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Round => "round",
            Self::Lobed => "lobed",
        })
    }
}

/// What a modality shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown {
    /// Always the lobed shape: no information.
    Uninformative,
    /// The class's own shape with this probability, the other one otherwise: 1 aligned, 0 opposite, 0.5 no information.
    Aligned(f64),
}

/// The dials.
#[derive(Clone, Debug, PartialEq)]
pub struct PhantomOptions {
    /// Voxels along right-left, back-front, bottom-top before the axes are arranged.
    pub dims: [usize; 3],
    /// Millimetres per voxel.
    pub spacing: [f64; 3],
    /// The seed; every phantom of a seed is the same, bit for bit.
    pub seed: u64,
    /// The class; `None` draws it.
    pub class: Option<Lesion>,
    /// What t1, t1ce, t2 and flair show.
    pub shown: [Shown; 4],
    /// Standard deviation of the noise, as a part of the tissue's intensity.
    pub noise: f64,
    /// The array's axis codes in the files, as `LPS`. With ` oblique` behind (or `oblique` alone, for RAS) the head lies
    /// tilted in the scanner: the voxels are the same, and no array axis runs along a world axis.
    pub orientation: String,
}

impl Default for PhantomOptions {
    fn default() -> Self {
        Self {
            dims: [64, 64, 64],
            spacing: [2.5, 2.5, 2.5],
            seed: 0,
            class: None,
            shown: [Shown::Uninformative, Shown::Aligned(1.0), Shown::Uninformative, Shown::Aligned(0.7)],
            noise: 0.03,
            orientation: String::from("RAS"),
        }
    }
}

/// A made patient.
#[derive(Clone, Debug)]
pub struct Phantom {
    /// t1, t1ce, t2, flair; background exactly 0.
    pub volumes: [Volume; 4],
    /// 0 background and healthy, 1 core, 2 oedema, 4 enhancing rim, as in BraTS.
    pub segmentation: Volume,
    /// The class.
    pub class: Lesion,
    /// The shape that each modality shows.
    pub shapes: [Lesion; 4],
    /// The centre of the lesion, in voxels of the volumes.
    pub centre: [usize; 3],
}

/// Tissue intensities per modality: white matter, grey matter, fluid, core, rim, oedema.
const CONTRAST: [[f64; 6]; 4] = [
    [1.00, 0.75, 0.25, 0.45, 0.60, 0.60],
    [1.00, 0.75, 0.25, 0.40, 1.60, 0.62],
    [0.55, 0.75, 1.40, 1.10, 1.20, 1.30],
    [0.70, 0.85, 0.20, 0.90, 1.30, 1.55],
];

impl Phantom {
    /// Makes a phantom, in memory alone.
    ///
    /// # Errors
    /// Sizes below 16 voxels, spacings that are not positive, negative noise, probabilities outside 0 to 1, unknown
    /// axis codes.
    ///
    /// ```
    /// use voxplain_imaging::{Lesion, Phantom, PhantomOptions};
    /// let options = PhantomOptions { dims: [32; 3], seed: 7, class: Some(Lesion::Round), ..Default::default() };
    /// let patient = Phantom::generate(&options)?;
    /// // t1ce shows the class for certain, t1 never tells it apart.
    /// assert_eq!((patient.shapes[1], patient.shapes[0]), (Lesion::Round, Lesion::Lobed));
    /// # Ok::<(), voxplain_tensor::Error>(())
    /// ```
    pub fn generate(options: &PhantomOptions) -> Result<Self> {
        check(options)?;
        let choice = Random::new(options.seed, 0);
        let class =
            options.class.unwrap_or(if choice.uniform(0) < 0.5 { Lesion::Round } else { Lesion::Lobed });
        let other = if class == Lesion::Round { Lesion::Lobed } else { Lesion::Round };
        let shapes = [0, 1, 2, 3].map(|m| match options.shown[m] {
            Shown::Uninformative => Lesion::Lobed,
            Shown::Aligned(p) if choice.uniform(1 + m as u64) < p => class,
            Shown::Aligned(_) => other,
        });
        let tumour = tumour(options.seed);
        let [nx, ny, nz] = options.dims;
        let count = nx * ny * nz;
        let mut volumes = [0, 1, 2, 3].map(|_| Vec::with_capacity(count));
        let mut labels = Vec::with_capacity(count);
        let noise = [0, 1, 2, 3].map(|m| Random::new(options.seed, 10 + m));
        let texture = Texture::new(options.seed);
        for i in 0..count {
            let p = position(options.dims, [i % nx, i / nx % ny, i / nx / ny]);
            let Some(tissue) = tissue(p, &texture) else {
                volumes.iter_mut().for_each(|v| v.push(0.0));
                labels.push(0.0);
                continue;
            };
            let own = [tumour.zone(p, Lesion::Round), tumour.zone(p, Lesion::Lobed)];
            let zone = |shape: Lesion| own[usize::from(shape == Lesion::Lobed)];
            for m in 0..4 {
                let clean =
                    CONTRAST[m][zone(shapes[m]).unwrap_or(tissue)] * (1.0 + 0.06 * texture.at(p, 7 + m));
                let value = clean + options.noise * noise[m].normal(i as u64);
                volumes[m].push((100.0 * value.max(0.01)) as f32);
            }
            labels.push(zone(class).map_or(0.0, |z| [1.0, 4.0, 2.0][z - 3]));
        }
        assemble(options, class, shapes, &tumour, volumes, labels)
    }

    /// Writes `folder/id/id_t1.nii.gz` and so on, the segmentation and `label.txt`, as BraTS lays cases out.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn write(&self, folder: &Path, id: &str) -> Result<()> {
        let case = folder.join(id);
        std::fs::create_dir_all(&case).map_err(|e| Error::from(e).within(case.display()))?;
        let write = |name: &str, volume: &Volume| {
            let most = volume.data.iter().fold(0.0f32, |m, &v| m.max(v));
            let options = WriteOptions {
                display: (0.0, most),
                description: String::from("phantom"),
                estimate_of: None,
            };
            write_nifti(&case.join(format!("{id}_{name}.nii.gz")), volume, &options)
        };
        for (name, volume) in MODALITIES.iter().zip(&self.volumes) {
            write(name, volume)?;
        }
        write("seg", &self.segmentation)?;
        let label = format!("{}\n", usize::from(self.class == Lesion::Lobed));
        atomic_write(&case.join("label.txt"), |out| Ok(out.write_all(label.as_bytes())?))
    }
}

/// Whether a phantom can be made of these options.
fn check(options: &PhantomOptions) -> Result<()> {
    if options.dims.iter().any(|&d| !(16..=1024).contains(&d))
        || options.spacing.iter().any(|s| !s.is_finite() || *s <= 0.0)
    {
        return Err(Error::invalid(format!(
            "a phantom of {:?} voxels of {:?} mm; 16 to 1024 voxels and positive sizes expected",
            options.dims, options.spacing
        )));
    }
    let odds = |s: &Shown| matches!(s, Shown::Aligned(p) if !(0.0..=1.0).contains(p));
    if !options.noise.is_finite() || options.noise < 0.0 || options.shown.iter().any(odds) {
        return Err(Error::invalid(format!(
            "a phantom with noise {} that shows {:?}; noise of 0 or more and probabilities from 0 to 1 expected",
            options.noise, options.shown
        )));
    }
    parse_codes(lie(&options.orientation).0).map(|_| ())
}

/// The axis codes of an orientation, and whether the head lies tilted.
fn lie(orientation: &str) -> (&str, bool) {
    match orientation.strip_suffix("oblique").map(str::trim_end) {
        Some("") => ("RAS", true),
        Some(codes) => (codes, true),
        None => (orientation, false),
    }
}

/// The affine of the voxels before their axes are arranged, its world centre in the middle. A tilted head is turned by
/// 15 degrees around the top axis and then by 10 around the right one, so that every axis is oblique and yet each
/// stays closest to its own world axis.
fn affine(options: &PhantomOptions) -> [[f64; 4]; 3] {
    let turned = |degrees: f64| degrees.to_radians().sin_cos();
    let ((s, c), (v, u)) =
        if lie(&options.orientation).1 { (turned(15.0), turned(10.0)) } else { ((0.0, 1.0), (0.0, 1.0)) };
    let rotation = [[c, -s, 0.0], [u * s, u * c, -v], [v * s, v * c, u]];
    let mut affine = [[0.0; 4]; 3];
    for (row, turn) in affine.iter_mut().zip(rotation) {
        for a in 0..3 {
            row[a] = turn[a] * options.spacing[a];
            row[3] -= 0.5 * row[a] * (options.dims[a] - 1) as f64;
        }
    }
    affine
}

/// Coordinates in -1..1 along right, front and top.
pub(crate) fn position(dims: [usize; 3], index: [usize; 3]) -> [f64; 3] {
    [0, 1, 2].map(|a| 2.0 * (index[a] as f64 + 0.5) / dims[a] as f64 - 1.0)
}

/// The brain's half axes in those coordinates.
pub(crate) const BRAIN: [f64; 3] = [0.66, 0.82, 0.68];

/// The length of `p` where `axes` are the half axes of the unit ball.
pub(crate) fn norm(p: [f64; 3], axes: [f64; 3]) -> f64 {
    (0..3).map(|a| (p[a] / axes[a]).powi(2)).sum::<f64>().sqrt()
}

/// 0 white, 1 grey, 2 fluid; `None` outside the brain.
fn tissue(p: [f64; 3], texture: &Texture) -> Option<usize> {
    let r = norm(p, BRAIN);
    if r > 1.0 {
        return None;
    }
    let ventricle =
        |side: f64| norm([p[0] - side * 0.11, p[1] + 0.02, p[2] - 0.06], [0.07, 0.26, 0.13]) < 1.0;
    if ventricle(1.0) || ventricle(-1.0) || (p[0].abs() < 0.015 && r > 0.75) {
        return Some(2);
    }
    Some(usize::from(r + 0.09 * texture.at(p, 0) > 0.83))
}

/// A smooth field: a few waves of random direction.
struct Texture {
    waves: Vec<[f64; 4]>,
}

impl Texture {
    fn new(seed: u64) -> Self {
        let r = Random::new(seed, 5);
        let wave = |i: u64| {
            let d = |k: u64| r.between(8 * i + k, -9.0, 9.0);
            [d(0), d(1), d(2), r.between(8 * i + 3, 0.0, core::f64::consts::TAU)]
        };
        Self { waves: (0..24).map(wave).collect() }
    }

    /// Three of the waves added, about -1.5 to 1.5.
    fn at(&self, p: [f64; 3], which: usize) -> f64 {
        let wave = |w: &[f64; 4]| (w[0] * p[0] + w[1] * p[1] + w[2] * p[2] + w[3]).sin();
        (0..3).map(|k| wave(&self.waves[(which * 3 + k) % self.waves.len()])).sum::<f64>() * 0.5
    }
}

fn assemble(
    options: &PhantomOptions,
    class: Lesion,
    shapes: [Lesion; 4],
    tumour: &Tumour,
    volumes: [Vec<f32>; 4],
    labels: Vec<f32>,
) -> Result<Phantom> {
    let geometry = Geometry::from_affine(affine(options));
    let codes = lie(&options.orientation).0;
    let arrange = |data: Vec<f32>| Volume::new(options.dims, data, geometry)?.oriented(codes);
    let volumes: Vec<Volume> = volumes.into_iter().map(arrange).collect::<Result<_>>()?;
    let segmentation = arrange(labels)?;
    let centre = [0, 1, 2].map(|a| (tumour.centre[a] + 1.0) * 0.5 * options.dims[a] as f64 - 0.5);
    let there = segmentation.geometry.voxel(geometry.world(centre)).unwrap_or(centre);
    let centre = [0, 1, 2].map(|a| (there[a].round().max(0.0) as usize).min(segmentation.dims[a] - 1));
    let volumes = volumes.try_into().map_err(|_| Error::internal("four modalities were made"))?;
    Ok(Phantom { volumes, segmentation, class, shapes, centre })
}
