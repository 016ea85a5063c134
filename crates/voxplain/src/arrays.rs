//! Views of `ndarray` at the edge of the library: strided in, copied once; the engine itself is contiguous.

use ndarray::{ArrayD, ArrayViewD};
use voxplain_tensor::{Error, Result, Tensor};

/// A tensor from a view of any strides.
///
/// ```
/// let image = ndarray::Array3::<f32>::from_shape_fn((2, 3, 4), |(x, y, z)| (x + 10 * y + 100 * z) as f32);
/// let turned = image.view().permuted_axes([2, 0, 1]).into_dyn();
/// let tensor = voxplain::arrays::tensor(turned)?;
/// assert_eq!(tensor.shape()[..], [4, 2, 3]);
/// assert_eq!(tensor.data()[..3], [0.0, 10.0, 20.0]);
/// # Ok::<(), voxplain::Error>(())
/// ```
///
/// # Errors
/// More axes than a tensor can have.
pub fn tensor(view: ArrayViewD<'_, f32>) -> Result<Tensor<f32>> {
    Tensor::new(view.shape(), view.iter().copied().collect())
}

/// An array that owns the values of a tensor.
///
/// # Errors
/// None for tensors of this library.
pub fn array(tensor: Tensor<f32>) -> Result<ArrayD<f32>> {
    let sizes = tensor.shape().to_vec();
    ArrayD::from_shape_vec(sizes, tensor.into_data()).map_err(|e| Error::internal(e.to_string()))
}
