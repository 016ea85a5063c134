//! A network with what it is asked: input, reference, target.

use voxplain_attribution::{Seeds, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// A network and what is explained about it.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The network.
    pub graph: Graph,
    /// One example per input.
    pub x: Vec<Tensor<f64>>,
    /// The reference: baseline of methods that have one.
    pub r: Vec<Tensor<f64>>,
    /// What is explained.
    pub target: Target,
}

impl Problem {
    /// The first output of `graph` at the same input and reference as here.
    #[must_use]
    pub fn on(&self, graph: Graph) -> Self {
        Self { graph, ..self.clone() }
    }

    /// With another input.
    #[must_use]
    pub fn at(&self, x: Vec<Tensor<f64>>) -> Self {
        Self { x, ..self.clone() }
    }

    /// With another reference.
    #[must_use]
    pub fn from(&self, r: Vec<Tensor<f64>>) -> Self {
        Self { r, ..self.clone() }
    }

    /// With another target.
    #[must_use]
    pub fn about(&self, target: Target) -> Self {
        Self { target, ..self.clone() }
    }

    /// The weights of the explained value.
    ///
    /// # Errors
    /// The target does not exist.
    pub fn seeds<S: Scalar>(&self) -> Result<Seeds<S>> {
        self.target.resolve(&self.graph, 1)
    }

    /// `x - r` of every entry.
    pub fn delta(&self) -> Vec<Vec<f64>> {
        let one = |(x, r): (&Tensor<f64>, &Tensor<f64>)| {
            x.data().iter().zip(r.data()).map(|(x, r)| x - r).collect()
        };
        self.x.iter().zip(&self.r).map(one).collect()
    }
}

/// Tensors in another precision.
pub fn converted<S: Scalar>(tensors: &[Tensor<f64>]) -> Vec<Tensor<S>> {
    tensors.iter().map(Tensor::convert).collect()
}

type Rows = Vec<Vec<f64>>;

impl Problem {
    /// With values of the input changed by `change`, one row per graph input.
    ///
    /// # Errors
    /// None if the rows keep their lengths.
    pub fn map_input(&self, change: impl Fn(&mut Rows)) -> Result<Self> {
        Ok(self.at(changed(&self.x, &change)?))
    }

    /// With values of the input and of the reference changed by `change`.
    ///
    /// # Errors
    /// None if the rows keep their lengths.
    pub fn map_values(&self, change: impl Fn(&mut Rows)) -> Result<Self> {
        Ok(self.map_input(&change)?.from(changed(&self.r, &change)?))
    }
}

fn changed(tensors: &[Tensor<f64>], change: &impl Fn(&mut Rows)) -> Result<Vec<Tensor<f64>>> {
    let mut rows: Rows = tensors.iter().map(|t| t.data().to_vec()).collect();
    change(&mut rows);
    rows.into_iter().zip(tensors).map(|(row, t)| Tensor::new(&t.shape(), row)).collect()
}
