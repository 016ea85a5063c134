//! Inputs with entries taken away: always from the image itself and for the values of one baseline, whatever was taken away
//! before, so that nothing adds up from one question to the next.

use voxplain_attribution::Generator;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The explained value of one example.
pub type Evaluate<'a, S> = &'a mut dyn FnMut(&[Tensor<S>]) -> Result<f64>;

/// An image, what takes the place of its entries, and a map over them: the entries of all inputs in one row.
#[derive(Clone, Copy, Debug)]
pub struct Removal<'a, S> {
    /// The inputs of one example.
    pub inputs: &'a [Tensor<S>],
    /// Values of the same shapes.
    pub baseline: &'a [Tensor<S>],
}

impl<S: Scalar> Removal<'_, S> {
    /// How many entries there are.
    pub(crate) fn entries(&self) -> usize {
        self.inputs.iter().map(|x| x.data().len()).sum()
    }

    /// Whether image, baseline and map belong together.
    ///
    /// # Errors
    /// They have different shapes or lengths.
    pub(crate) fn check(&self, map: &[f64]) -> Result<()> {
        let shapes = |list: &[Tensor<S>]| list.iter().map(Tensor::shape).collect::<Vec<_>>();
        if shapes(self.inputs) != shapes(self.baseline) {
            return Err(Error::invalid(
                "the baseline has other shapes than the inputs; one of the same shapes expected",
            ));
        }
        check_length(map, self.entries())
    }

    /// The image with these entries as in the baseline.
    pub(crate) fn without(&self, entries: &[usize]) -> Vec<Tensor<S>> {
        let mut out = self.inputs.to_vec();
        let mut first = 0;
        for (x, b) in out.iter_mut().zip(self.baseline) {
            let own = first..first + b.data().len();
            entries
                .iter()
                .filter(|e| own.contains(e))
                .for_each(|e| x.data_mut()[e - first] = b.data()[e - first]);
            first = own.end;
        }
        out
    }
}

/// Whether a map has a value for every entry.
pub(crate) fn check_length(map: &[f64], entries: usize) -> Result<()> {
    if map.len() == entries {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "a map of {} values for inputs of {entries} entries; one value per entry expected",
        map.len()
    )))
}

/// `size` of `n` entries, all sets equally likely; the same for a seed and draw everywhere.
pub(crate) fn subset(n: usize, size: usize, (seed, draw): (u64, usize)) -> Vec<usize> {
    let generator = Generator::new(seed, 0x5355_4253);
    let mut order: Vec<usize> = (0..n).collect();
    for i in 0..size.min(n) {
        let other = i + generator.below(n - i, draw as u32, i as u64);
        order.swap(i, other);
    }
    order.truncate(size);
    order
}
