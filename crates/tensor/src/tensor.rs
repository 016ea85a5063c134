//! A tensor on the host: what goes into a session and comes out of it.

use crate::{Error, Result, Scalar, Shape};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// A contiguous row-major array on the host.
///
/// ```
/// use voxplain_tensor::Tensor;
/// let x = Tensor::new(&[1, 2, 2], vec![1.0f32, 2.0, 3.0, 4.0])?;
/// assert_eq!(x.row(0), &[1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), voxplain_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<S = f32> {
    shape: Shape,
    data: Vec<S>,
}

impl<S: Scalar> Tensor<S> {
    /// A tensor of `sizes` holding `data` in row-major order.
    ///
    /// # Errors
    /// The number of values is not the product of the sizes, or the sizes are not a [`Shape`].
    pub fn new(sizes: &[usize], data: Vec<S>) -> Result<Self> {
        let shape = Shape::new(sizes)?;
        if shape.elements() != data.len() {
            return Err(Error::invalid(format!(
                "{} values for a tensor of shape {shape}, which holds {}",
                data.len(),
                shape.elements()
            )));
        }
        Ok(Self { shape, data })
    }

    /// A tensor of `shape` filled with `value`.
    pub fn full(shape: Shape, value: S) -> Self {
        Self { shape, data: vec![value; shape.elements()] }
    }

    /// A tensor of `shape` filled with zeros.
    pub fn zeros(shape: Shape) -> Self {
        Self::full(shape, S::ZERO)
    }

    /// The shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The values in row-major order.
    pub fn data(&self) -> &[S] {
        &self.data
    }

    /// The values in row-major order, to change.
    pub fn data_mut(&mut self) -> &mut [S] {
        &mut self.data
    }

    /// The values, taken out.
    pub fn into_data(self) -> Vec<S> {
        self.data
    }

    /// The number of rows: the size of the first axis, 1 for rank 0.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The number of elements in one row.
    pub fn row_len(&self) -> usize {
        self.shape.get(1..).map_or(1, |rest| rest.iter().product())
    }

    /// Row `index` along the first axis.
    pub fn row(&self, index: usize) -> &[S] {
        let n = self.row_len();
        &self.data[index * n..(index + 1) * n]
    }

    /// Row `index` along the first axis, to change.
    pub fn row_mut(&mut self, index: usize) -> &mut [S] {
        let n = self.row_len();
        &mut self.data[index * n..(index + 1) * n]
    }

    /// The same values under another shape.
    ///
    /// # Errors
    /// The element counts differ.
    pub fn reshaped(self, sizes: &[usize]) -> Result<Self> {
        Self::new(sizes, self.data)
    }

    /// Every value converted to another scalar type (rounded to nearest).
    pub fn convert<T: Scalar>(&self) -> Tensor<T> {
        Tensor { shape: self.shape, data: self.data.iter().map(|v| T::from_f64(v.to_f64())).collect() }
    }

    /// A new tensor with `f` applied to every value.
    pub fn map(&self, f: impl Fn(S) -> S) -> Self {
        Self { shape: self.shape, data: self.data.iter().map(|&v| f(v)).collect() }
    }

    /// A new tensor with `f` applied to pairs of values of two tensors of one shape.
    ///
    /// # Errors
    /// The shapes differ.
    pub fn zip(&self, other: &Self, f: impl Fn(S, S) -> S) -> Result<Self> {
        if self.shape != other.shape {
            return Err(Error::invalid(format!("shapes {} and {} differ", self.shape, other.shape)));
        }
        let data = self.data.iter().zip(&other.data).map(|(&a, &b)| f(a, b)).collect();
        Ok(Self { shape: self.shape, data })
    }
}
