//! What is explained: a linear functional of an output (or of any intermediate value), one per example.

use voxplain_graph::{Graph, ValueId};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The explained value F of each example. Indices have one entry for all examples or one per example.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Channel `class` of the first output; of an output with spatial axes, the sum over all of them.
    Class(Vec<usize>),
    /// The class with the largest output, found by a forward pass.
    Predicted,
    /// Output `a` minus output `b`: why a rather than b.
    Difference(usize, usize),
    /// Class `class` of an output map (minus class `against` if there is one), weighted by a region that broadcasts over
    /// it and summed: `sum(output[class] * region)`.
    Region {
        /// The class, one or one per example.
        class: Vec<usize>,
        /// Why `class` rather than this class.
        against: Option<usize>,
        /// Weights of shape `[1 or N, 1, spatial]`.
        region: Tensor<f64>,
    },
    /// One unit of the value of a layer, by its position in the row-major values of one example.
    Unit {
        /// The layer's name.
        layer: String,
        /// The position.
        index: usize,
    },
}

/// A target resolved for a network and a number of examples: where the reverse pass starts and with which weights.
#[derive(Clone, Debug)]
pub struct Seeds<S> {
    /// The value that F is a linear functional of.
    pub from: ValueId,
    /// `dF/dvalue` per example.
    pub rows: Vec<Vec<S>>,
}

impl<S: Scalar> Seeds<S> {
    /// `F = <seed, value>` of example `n`, given its value.
    pub fn value(&self, n: usize, output: &[S]) -> f64 {
        self.rows[n].iter().zip(output).map(|(w, v)| w.to_f64() * v.to_f64()).filter(|p| *p != 0.0).sum()
    }
}

impl Target {
    /// The class of the largest output of each row, the first of equals: what [`Target::Predicted`] means.
    pub fn predicted<S: Scalar>(rows: &[Vec<S>]) -> Self {
        let largest =
            |row: &Vec<S>| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
        Self::Class(rows.iter().map(largest).collect())
    }

    /// The seeds for `examples` examples. [`Target::Predicted`] must have been replaced by a class before.
    ///
    /// # Errors
    /// A class, unit or layer does not exist; the message says which do.
    pub fn resolve<S: Scalar>(&self, graph: &Graph, examples: usize) -> Result<Seeds<S>> {
        let output = graph.outputs()[0];
        let one = |index: &[usize], n: usize| index[if index.len() == 1 { 0 } else { n }];
        let check = |index: &[usize]| {
            if index.len() == 1 || index.len() == examples {
                return Ok(());
            }
            Err(Error::invalid(format!(
                "{} targets for {examples} examples; 1 or {examples} expected",
                index.len()
            )))
        };
        match self {
            Self::Class(index) => {
                check(index)?;
                let rows = (0..examples).map(|n| class_seed(graph, output, one(index, n), None));
                Ok(Seeds { from: output, rows: rows.collect::<Result<_>>()? })
            }
            Self::Difference(a, b) => {
                let plus: Vec<S> = class_seed(graph, output, *a, None)?;
                let minus: Vec<S> = class_seed(graph, output, *b, None)?;
                let row: Vec<S> = plus.iter().zip(&minus).map(|(&p, &m)| p - m).collect();
                Ok(Seeds { from: output, rows: vec![row; examples] })
            }
            Self::Region { class, against, region } => {
                check(class)?;
                let row = |n: usize| -> Result<Vec<S>> {
                    let region = Some(region_row(region, n, examples)?);
                    let mut row = class_seed(graph, output, one(class, n), region)?;
                    if let Some(against) = against {
                        let other: Vec<S> = class_seed(graph, output, *against, region)?;
                        row.iter_mut().zip(other).for_each(|(a, b)| *a = *a - b);
                    }
                    Ok(row)
                };
                Ok(Seeds { from: output, rows: (0..examples).map(row).collect::<Result<_>>()? })
            }
            Self::Unit { layer, index } => {
                let from = graph.find(layer)?;
                let shape = graph.shape(from);
                let mut row = vec![S::ZERO; shape.elements()];
                *row.get_mut(*index).ok_or_else(|| {
                    Error::invalid(format!("no unit {index} in layer {layer:?} of shape {shape}"))
                })? = S::ONE;
                Ok(Seeds { from, rows: vec![row; examples] })
            }
            Self::Predicted => {
                Err(Error::internal("the predicted class must be resolved by a forward pass first"))
            }
        }
    }
}

/// The number of classes of the first output: its channels, or 1 where it has none.
fn classes(graph: &Graph, output: ValueId) -> usize {
    graph.shape(output).get(1).copied().unwrap_or(1)
}

fn region_row(region: &Tensor<f64>, n: usize, examples: usize) -> Result<&[f64]> {
    match region.rows() {
        1 => Ok(region.row(0)),
        rows if rows == examples => Ok(region.row(n)),
        rows => Err(Error::invalid(format!("a region with {rows} rows for {examples} examples"))),
    }
}

fn class_seed<S: Scalar>(
    graph: &Graph,
    output: ValueId,
    class: usize,
    region: Option<&[f64]>,
) -> Result<Vec<S>> {
    let shape = graph.shape(output);
    let count = classes(graph, output);
    if class >= count {
        return Err(Error::invalid(format!("no class {class}: the network has {count}, numbered from 0")));
    }
    let inner = shape.elements() / shape[0] / count;
    if region.is_some_and(|r| r.len() != inner) {
        return Err(Error::invalid(format!("the region does not fit the output of shape {shape}")));
    }
    let mut row = vec![S::ZERO; shape.elements()];
    for leading in 0..shape[0] {
        for i in 0..inner {
            row[(leading * count + class) * inner + i] = region.map_or(S::ONE, |r| S::from_f64(r[i]));
        }
    }
    Ok(row)
}
