//! Supervoxels of an array `[channels, x, y, z]` inside a mask, with the settings of Jin et al.; for `bench/slic.py`.
//!
//!     slic IMAGE.npy MASK.npy LABELS.npy

use voxplain_imaging::{SlicImage, SlicOptions, read_npy, slic, write_npy};
use voxplain_tensor::{Error, Result, Tensor};

fn main() -> Result<()> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [image, mask, out] = paths.as_slice() else {
        return Err(Error::invalid("slic IMAGE.npy MASK.npy LABELS.npy"));
    };
    let read =
        |path: &String| read_npy(&std::fs::read(path).map_err(|e| Error::invalid(format!("{path}: {e}")))?);
    let (image, mask) = (read(image)?, read(mask)?);
    let shape = image.shape();
    let sizes = shape.get(1..).and_then(|s| s.try_into().ok());
    let sizes = sizes.ok_or_else(|| Error::invalid("an image [channels, x, y, z] expected"))?;
    let channels: Vec<&[f32]> = (0..shape[0]).map(|c| image.row(c)).collect();
    let inside: Vec<bool> = mask.data().iter().map(|v| *v != 0.0).collect();
    let image = SlicImage { channels: &channels, sizes, spacing: [1.0; 3], mask: Some(&inside) };
    let labels = slic(&image, &SlicOptions::default())?;
    let labels = labels.into_iter().map(|l| l as f32).collect();
    write_npy(out.as_ref(), &Tensor::new(&sizes[..], labels)?)
}
