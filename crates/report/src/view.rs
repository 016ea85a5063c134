//! Anatomy first: every panel is cut from a view whose axes are right, front and top, whatever the order of the file.
//!
//! The view is the file's own grid with axes exchanged and turned round (the closest RAS grid), so no voxel is
//! interpolated on the way, and volumes that differ only in storage order give the same picture bit for bit.

use crate::image::Image;

/// Which side of the patient is on the left of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Display {
    /// Patient right on the left of the picture, as if seen from the feet; in sagittal planes the front is on the left.
    #[default]
    Radiological,
    /// Patient left on the left of the picture; in sagittal planes the front is on the right.
    Neurological,
}

/// One of the three orthogonal planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    Axial,
    Coronal,
    Sagittal,
}

impl Plane {
    /// The view axes that run to the right of the picture and upwards, and the one that is cut.
    pub(crate) fn axes(self) -> [usize; 3] {
        match self {
            Plane::Axial => [0, 1, 2],
            Plane::Coronal => [0, 2, 1],
            Plane::Sagittal => [1, 2, 0],
        }
    }

    /// The plane's name, or the file axis it cuts when the anatomy is unknown.
    pub(crate) fn name(self, oriented: bool) -> &'static str {
        match (self, oriented) {
            (Plane::Axial, true) => "axial",
            (Plane::Coronal, true) => "coronal",
            (Plane::Sagittal, true) => "sagittal",
            (Plane::Axial, false) => "across axis 3",
            (Plane::Coronal, false) => "across axis 2",
            (Plane::Sagittal, false) => "across axis 1",
        }
    }
}

/// An image seen along the anatomical axes: index 0 grows to the right, 1 to the front, 2 to the top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub image: Image<'a>,
    /// Extents along right, front, top.
    pub dims: [usize; 3],
    /// Voxel distances along right, front, top, in mm.
    pub spacing: [f64; 3],
    source: [usize; 3],
    turned: [bool; 3],
    /// Largest angle between a file axis and the anatomical axis it is shown as, in degrees.
    pub tilt: f64,
}

impl<'a> View<'a> {
    /// The closest-RAS view; an image without orientation is shown in its own axes.
    pub(crate) fn new(image: Image<'a>) -> Self {
        let (source, turned, tilt) = if image.oriented() {
            closest(&image)
        } else {
            // A flat picture without anatomy (PNG, npy) counts its rows downwards.
            ([0, 1, 2], [false, image.dims()[2] == 1, false], 0.0)
        };
        let dims = source.map(|axis| image.dims()[axis]);
        let spacing = source.map(|axis| image.spacing(axis));
        Self { image, dims, spacing, source, turned, tilt }
    }

    /// Another image on the same grid, seen the same way whatever its own header says.
    pub(crate) fn of(&self, image: Image<'a>) -> Self {
        Self { image, ..*self }
    }

    /// The value at a view index.
    pub(crate) fn at(&self, index: [usize; 3]) -> f32 {
        self.image.at(self.map(index))
    }

    /// The same image position: from view index to file index.
    fn map(&self, index: [usize; 3]) -> [usize; 3] {
        let mut voxel = [0; 3];
        for axis in 0..3 {
            let turned = self.dims[axis] - 1 - index[axis].min(self.dims[axis] - 1);
            voxel[self.source[axis]] = if self.turned[axis] { turned } else { self.dims[axis] - 1 - turned };
        }
        voxel
    }

    /// From file index to view index.
    pub(crate) fn find(&self, voxel: [usize; 3]) -> [usize; 3] {
        [0, 1, 2].map(|axis| {
            let index = voxel[self.source[axis]].min(self.dims[axis] - 1);
            if self.turned[axis] { self.dims[axis] - 1 - index } else { index }
        })
    }

    /// The planes that have an area: three for a volume, one for a flat picture.
    pub(crate) fn planes(&self) -> Vec<Plane> {
        let all = [Plane::Axial, Plane::Coronal, Plane::Sagittal];
        let flat = self.dims.iter().filter(|&&n| n == 1).count();
        let has_area = |plane: &Plane| plane.axes()[..2].iter().all(|&axis| self.dims[axis] > 1);
        match flat {
            0 => all.to_vec(),
            1 => all.into_iter().filter(has_area).collect(),
            _ => vec![Plane::Axial],
        }
    }
}

/// For each anatomical axis the file axis closest to it, whether it runs the other way, and the largest angle in degrees.
fn closest(image: &Image<'_>) -> ([usize; 3], [bool; 3], f64) {
    let cosine = |world: usize, axis: usize| image.column(axis)[world] / image.spacing(axis);
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let score = |order: &[usize; 3]| (0..3).map(|world| cosine(world, order[world]).abs()).sum::<f64>();
    let best = orders
        .into_iter()
        .fold(orders[0], |best, order| if score(&order) > score(&best) { order } else { best });
    let turned = [0, 1, 2].map(|world| cosine(world, best[world]) < 0.0);
    let worst = (0..3).map(|world| cosine(world, best[world]).abs()).fold(1.0, f64::min);
    (best, turned, worst.min(1.0).acos().to_degrees())
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxplain_tensor::Result;

    #[test]
    fn file_and_view_indices_are_inverse_in_every_order() -> Result<()> {
        let values: Vec<f32> = (0..24).map(|v| v as f32).collect();
        // Axes stored as left, inferior, anterior.
        let affine = [[-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, -2.0, 0.0, 0.0]];
        let view = View::new(Image::new(&values, [2, 3, 4], [1, 2, 6], affine, true)?);
        assert_eq!((view.dims, view.spacing), ([2, 4, 3], [1.0, 3.0, 2.0]));
        for n in 0..24 {
            let voxel = [n % 2, n / 2 % 3, n / 6];
            assert_eq!(view.at(view.find(voxel)), n as f32);
        }
        assert_eq!(view.find([0, 0, 0]), [1, 0, 2]);
        Ok(())
    }

    #[test]
    fn a_flat_picture_has_one_plane() -> Result<()> {
        let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let view = View::new(Image::new(&[0.0; 6], [2, 3, 1], [1, 2, 6], affine, false)?);
        assert_eq!(view.planes(), [Plane::Axial]);
        Ok(())
    }
}
