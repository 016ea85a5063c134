//! Files of images, where their voxels lie, and what is done with them on the way to a network and back.

mod case;
mod files;
mod nifti;
mod npy;
mod phantom;
mod preprocess;
mod slic;
mod steps;
