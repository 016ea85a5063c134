//! What a network says, before anything is explained.

use crate::explain::Explainer;
use crate::region::predicted;
use crate::windows::Windows;
use std::borrow::Cow;
use voxplain_attribution::{Network, Target};
use voxplain_imaging::{Mode, Volume};
use voxplain_models::Card;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// What the network says about a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The shape of the first output of one example; of the whole image where windows were blended.
    pub shape: Vec<usize>,
    /// The first output of each example.
    pub logits: Vec<Vec<f32>>,
    /// Class probabilities of each example by the card's output kind; empty where the output is no class vector.
    pub probabilities: Vec<Vec<f64>>,
}

impl Prediction {
    /// How many voxels of a segmentation's output have a class.
    ///
    /// # Errors
    /// There is no such class, or several examples.
    pub fn voxels(&self, class: usize, card: &Card) -> Result<usize> {
        Ok(predicted(class, self, card)?.into_iter().filter(|w| *w != 0.0).count())
    }
}

/// Windows that are cut out at a time: enough for a batch, few enough for memory.
const AT_ONCE: usize = 8;

impl Explainer<'_> {
    /// What the network says about the case; computed once.
    ///
    /// # Errors
    /// The inputs do not fit the network.
    pub fn predict(&self) -> Result<&Prediction> {
        if let Some(known) = self.prediction.get() {
            return Ok(known);
        }
        let output = self.model.graph.outputs()[0];
        let shape = self.model.graph.shape(output);
        let prediction = match &self.case.windows {
            Some(windows) => self.blended(windows)?,
            None => Prediction {
                shape: shape.to_vec(),
                logits: self.engine().values(&self.case.inputs, output)?,
                probabilities: Vec::new(),
            },
        };
        let kind = self.model.card.output.as_deref().unwrap_or("logits");
        let vector = shape.rank() == 2 && shape[0] == 1;
        let rows = prediction.logits.iter().filter(|_| vector);
        let probabilities = rows.map(|row| probabilities(row, kind)).collect();
        Ok(self.prediction.get_or_init(|| Prediction { probabilities, ..prediction }))
    }

    /// The target with "the predicted class" replaced by what [`Explainer::predict`] found, so that it costs no pass.
    pub(crate) fn settled(&self, target: Target) -> Result<Target> {
        let prediction = self.predict()?;
        let vector = prediction.shape.len() == 2 && prediction.shape[0] == 1 && self.case.windows.is_none();
        if target != Target::Predicted || !vector {
            return Ok(target);
        }
        Ok(Target::predicted(&prediction.logits))
    }

    /// The output over the whole image.
    fn blended(&self, windows: &Windows) -> Result<Prediction> {
        let output = self.model.graph.outputs()[0];
        let (shape, input) =
            (self.model.graph.shape(output), self.model.graph.shape(self.model.graph.inputs()[0]));
        if shape.rank() != 5 || shape[2..] != input[2..] {
            return Err(Error::unsupported(format!(
                "sliding windows need an output as large as the input, and it has shape {shape}; resize the images instead"
            )));
        }
        let whole: usize = windows.whole().iter().product();
        let mut blended = vec![0.0; shape[1] * whole];
        let all: Vec<usize> = (0..windows.count()).collect();
        let mut engine = self.engine();
        for part in all.chunks(AT_ONCE) {
            let values = engine.values(&self.rows(part)?, output)?;
            part.iter().zip(&values).for_each(|(&w, row)| windows.blend(w, row, &mut blended));
        }
        let sizes = [&shape[..2], &windows.whole()].concat();
        let logits = vec![blended.into_iter().map(|v| v as f32).collect()];
        Ok(Prediction { shape: sizes, logits, probabilities: Vec::new() })
    }

    /// The network's inputs: some windows of the case, or all of its examples.
    pub(crate) fn rows(&self, windows: &[usize]) -> Result<Cow<'_, [Tensor<f32>]>> {
        match (&self.case.windows, self.case.inputs.as_slice()) {
            (Some(all), [image]) => Ok(Cow::Owned(vec![all.cut(image, windows)?])),
            (Some(_), _) => Err(Error::internal("windows of several inputs")),
            (None, inputs) => Ok(Cow::Borrowed(inputs)),
        }
    }

    /// The predicted labels of a segmentation network in the images' own grid: class numbers, or for classes of their
    /// own (`sigmoid-logit`) the number of the last class that a voxel has, plus one.
    ///
    /// # Errors
    /// The network segments nothing, the inputs were arrays, or as [`Explainer::predict`].
    pub fn labels(&self) -> Result<Volume> {
        let prediction = self.predict()?;
        let images = self.case.images.iter().flatten().next();
        let images =
            images.ok_or_else(|| Error::invalid("labels in the images' space need images, not arrays"))?;
        let card = &self.model.card;
        let own = card.output.as_deref() == Some("sigmoid-logit");
        let grid = images.prepared.tensor.shape();
        if prediction.shape.get(2..) != Some(&grid[2..]) {
            return Err(Error::unsupported("labels need one output per voxel of the input"));
        }
        let mut labels = vec![0.0f32; grid[2..].iter().product()];
        for class in 0..prediction.shape[1] {
            let name = (class + usize::from(own)) as f32;
            let inside = predicted(class, prediction, card)?;
            labels.iter_mut().zip(inside).filter(|(_, w)| *w != 0.0).for_each(|(l, _)| *l = name);
        }
        let map = Tensor::new(&grid.with(1, 1)?, labels)?;
        let back = images.prepared.map_back_by(&map, Mode::NearestExact)?;
        back.into_iter().next().ok_or_else(|| Error::internal("no label map"))
    }
}

pub(crate) fn probabilities(row: &[f32], kind: &str) -> Vec<f64> {
    let values: Vec<f64> = row.iter().map(|v| v.to_f64()).collect();
    match kind {
        "probabilities" => values,
        _ if values.len() == 1 || kind == "sigmoid-logit" => {
            values.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect()
        }
        _ => {
            let most = values.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v));
            let sum: f64 = values.iter().map(|v| (v - most).exp()).sum();
            values.iter().map(|v| (v - most).exp() / sum).collect()
        }
    }
}
