//! Images in and maps out, in the images' own space.
//!
//! A heatmap that does not overlay is worthless, so every volume carries where its voxels lie in the patient, every
//! preprocessing step that moves voxels can be taken back exactly, and files are written whole or not at all.
#![forbid(unsafe_code)]

mod atomic;
mod case;
mod geometry;
mod nifti;
mod npy;
mod phantom;
mod picture;
mod preprocess;
mod quaternion;
mod random;
mod resample;
mod slic;
mod tumour;
mod volume;

pub use atomic::atomic_write;
pub use case::{Channel, find_case};
pub use geometry::{Form, Geometry};
pub use nifti::{WriteOptions, read_nifti, read_nifti_bytes, write_nifti};
pub use npy::{read_npy, write_npy};
pub use phantom::{Lesion, MODALITIES, Phantom, PhantomOptions, Shown};
pub use picture::{read_png, write_png};
pub use preprocess::{Pipeline, Prepared, Step};
pub use resample::{Mode, resize_array, resize_axis, resize_volume};
pub use slic::{SlicImage, SlicOptions, slic};
pub use volume::Volume;
