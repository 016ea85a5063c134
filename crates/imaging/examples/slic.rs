//! Supervoxels of an image in a file, with the settings of the study; `bench/slic.py` sets them beside scikit-image's.
//!
//! ```text
//! cargo run --release -p voxplain-imaging --example slic -- IMAGE.npy MASK.npy LABELS.npy
//! ```
//!
//! IMAGE is `[channels, spatial]`, MASK has the spatial shape.

use std::error::Error;
use std::path::Path;
use voxplain_imaging::{SlicImage, SlicOptions, read_npy, slic, write_npy};
use voxplain_tensor::Tensor;

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let [image, mask, labels] = &files[..] else {
        return Err("usage: slic IMAGE.npy MASK.npy LABELS.npy".into());
    };
    let (image, mask) = (read_npy(&std::fs::read(image)?)?, read_npy(&std::fs::read(mask)?)?);
    let shape = image.shape();
    let space = &shape[1..];
    let mut sizes = [1; 3];
    let first =
        sizes.len().checked_sub(space.len()).ok_or("an image of at most three spatial axes expected")?;
    sizes[first..].copy_from_slice(space);
    let inside: Vec<bool> = mask.data().iter().map(|v| *v != 0.0).collect();
    let channels: Vec<&[f32]> = image.data().chunks(space.iter().product()).collect();
    let options = SlicOptions { segments: 50, compactness: 0.1, sigma: 2.0, ..SlicOptions::default() };
    let image = SlicImage { channels: &channels, sizes, spacing: [1.0; 3], mask: Some(&inside) };
    let found: Vec<f32> = slic(&image, &options)?.into_iter().map(|label| label as f32).collect();
    Ok(write_npy(Path::new(labels), &Tensor::new(space, found)?)?)
}
