//! Shapes without heap allocation: up to [`MAX_RANK`] sizes held inline, so that a plan step is plain data.

use crate::{Error, Result};
use alloc::format;
use core::fmt;
use core::ops::Deref;

/// The largest number of axes: batch, group, channel and three spatial axes, and two to spare.
pub const MAX_RANK: usize = 8;

/// The sizes of a contiguous row-major array, outermost first. Dereferences to a slice of sizes.
///
/// Invariant: the element count fits in `isize`, so that index arithmetic cannot overflow.
///
/// ```
/// use voxplain_tensor::Shape;
/// let shape = Shape::new(&[1, 4, 8, 8, 6])?;
/// assert_eq!(shape.elements(), 1536);
/// assert_eq!(shape.strides()[..5], [1536, 384, 48, 6, 1]);
/// # Ok::<(), voxplain_tensor::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    sizes: [usize; MAX_RANK],
    rank: usize,
}

impl Shape {
    /// A shape from sizes, outermost axis first. A rank of 0 is a single number.
    ///
    /// # Errors
    /// More than [`MAX_RANK`] axes, or more elements than fit in `isize`.
    pub fn new(sizes: &[usize]) -> Result<Self> {
        if sizes.len() > MAX_RANK {
            return Err(Error::unsupported(format!(
                "a tensor of {} axes, {sizes:?}; at most {MAX_RANK} are supported",
                sizes.len()
            )));
        }
        let mut elements = 1usize;
        for &size in sizes {
            elements =
                elements.checked_mul(size).filter(|&n| n <= isize::MAX as usize / 8).ok_or_else(|| {
                    Error::invalid(format!("a tensor of sizes {sizes:?} is too large to address"))
                })?;
        }
        let mut shape = Self { sizes: [1; MAX_RANK], rank: sizes.len() };
        shape.sizes[..sizes.len()].copy_from_slice(sizes);
        Ok(shape)
    }

    /// The number of elements, 1 for rank 0.
    pub fn elements(&self) -> usize {
        self.iter().product()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Row-major strides in elements; entries beyond the rank are 0.
    pub fn strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [0; MAX_RANK];
        let mut step = 1;
        for axis in (0..self.rank).rev() {
            strides[axis] = step;
            step *= self.sizes[axis];
        }
        strides
    }

    /// The product of the sizes before `axis`.
    pub fn outer(&self, axis: usize) -> usize {
        self[..axis].iter().product()
    }

    /// The product of the sizes after `axis`.
    pub fn inner(&self, axis: usize) -> usize {
        self[axis + 1..].iter().product()
    }

    /// The same shape with the size of `axis` replaced.
    ///
    /// # Errors
    /// As [`Shape::new`].
    pub fn with(&self, axis: usize, size: usize) -> Result<Self> {
        let mut sizes = self.sizes;
        sizes[axis] = size;
        Self::new(&sizes[..self.rank])
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &**self)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
