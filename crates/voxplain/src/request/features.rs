//! The features that a request names.

use super::Request;
use super::context::Context;
use super::parameters::Parameters;
use crate::case::Images;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use voxplain_imaging::{Mode, SlicImage, SlicOptions, slic};
use voxplain_perturbation::{Features, Frame, Sharing, Spread};
use voxplain_tensor::{Error, Result, Tensor};

/// Supervoxels that requests have asked for, by their words: making them takes seconds, and several methods of one run share
/// them.
#[derive(Debug, Default)]
pub struct Supervoxels(RefCell<BTreeMap<String, Features>>);

/// What `slic` words may set, as `slic joint segments=30 compactness=0.2 sigma=1`.
fn slic_words(words: &str) -> Result<(Sharing, SlicOptions)> {
    let (mut sharing, mut options) = (Sharing::Own, SlicOptions::default());
    for word in words.split_whitespace() {
        let bad = || {
            Error::invalid(format!(
                "slic does not know {word:?}; joint, segments=N, compactness=C, sigma=S or iterations=N expected"
            ))
        };
        let number = |v: &str| v.parse::<f64>().map_err(|_| bad());
        let count = |v: &str| v.parse::<usize>().map_err(|_| bad());
        match word.split_once('=') {
            None if word == "joint" => sharing = Sharing::Joint,
            Some(("segments", v)) => options.segments = count(v)?,
            Some(("compactness", v)) => options.compactness = number(v)?,
            Some(("sigma", v)) => options.sigma = number(v)?,
            Some(("iterations", v)) => options.iterations = count(v)?,
            _ => return Err(bad()),
        }
    }
    Ok((sharing, options))
}

impl Context<'_> {
    /// The features that `mask` names: a tensor per input, `each` entry, every `modality` or `input`, `grid N` blocks, `slic`
    /// supervoxels, or the case's `labels`; `spread` says how scores become maps.
    pub(super) fn features(&self, p: &Parameters<'_>, default: &str) -> Result<Features> {
        let spread = [Spread::Copy, Spread::Divide][p.choice("spread", &["copy", "divide"])?];
        Ok(self.named_features(p, default)?.spread(spread))
    }

    /// The features of a request.
    ///
    /// # Errors
    /// As [`Context::method`].
    pub(crate) fn features_of(&self, request: &Request) -> Result<Features> {
        self.features(&Parameters { map: &request.params }, "modality")
    }

    fn named_features(&self, p: &Parameters<'_>, default: &str) -> Result<Features> {
        let words = match p.map.get("mask") {
            None | Some(Value::Null) => default,
            Some(Value::String(words)) => words,
            Some(map) => {
                let masks: Vec<Tensor<f64>> = self.per_input(map, "mask")?;
                return Features::from_masks(self.graph, &masks);
            }
        };
        let (name, rest) = words.split_once(' ').unwrap_or((words, ""));
        match (name, rest) {
            ("each", "") => Ok(Features::each(self.graph)),
            ("modality", "") => Ok(Features::modalities(self.graph)),
            ("input", "") => Ok(Features::inputs(self.graph)),
            ("grid", side) if side.parse::<usize>().is_ok_and(|s| s > 0) => {
                Ok(Features::grid(self.graph, side.parse().unwrap_or(1)))
            }
            ("slic", rest) => {
                if let Some(known) = self.supervoxels.0.borrow().get(rest) {
                    return Ok(known.clone());
                }
                let made = self.made_supervoxels(rest)?;
                self.supervoxels.0.borrow_mut().insert(String::from(rest), made.clone());
                Ok(made)
            }
            ("labels", "") => self.labelled(Sharing::Own),
            ("labels", "joint") => self.labelled(Sharing::Joint),
            _ => Err(Error::invalid(format!(
                "no mask {words:?}; a tensor per input, each, modality, input, grid SIDE, slic, labels or labels joint expected \
                 (an image of labels is named by --mask FILE)"
            ))),
        }
    }

    /// Supervoxels of every modality by itself, or of all channels of an input at once, where values are not 0.
    fn made_supervoxels(&self, words: &str) -> Result<Features> {
        let (sharing, options) = slic_words(words)?;
        let one = |(i, x): (usize, &Tensor<f32>)| {
            let frame = Frame::of(self.graph, self.graph.inputs()[i]);
            regions((x, &frame), self.spacing_of(i), sharing, &options)
        };
        let maps: Vec<Tensor<f64>> =
            self.network_inputs.iter().enumerate().map(one).collect::<Result<_>>()?;
        Features::of_regions(self.graph, &maps, sharing)
    }

    /// The labels of the case's image of labels, such as a segmentation or an atlas, by the nearest voxel: of every modality by
    /// itself, or of all channels of an input at once. What is labelled 0 stays as it is.
    fn labelled(&self, sharing: Sharing) -> Result<Features> {
        let labels = self.case.and_then(|case| case.mask.as_ref());
        let labels = labels.ok_or_else(|| {
            Error::invalid("features by labels need an image of labels on the images' grid; pass --mask FILE")
        })?;
        let one = |(input, name): (usize, &String)| {
            let images = self.images_of(input).ok_or_else(|| {
                Error::invalid(format!(
                    "labels lie on the images' grid, and input {name:?} was given as an array; give a tensor of labels per input"
                ))
            })?;
            let carried = images.prepared.carry(labels, Mode::NearestExact)?.to_array()?;
            let values = carried.data().iter().map(|&v| f64::from(v)).collect();
            Tensor::new(&[&[1, 1], &carried.shape()[..]].concat(), values)
        };
        let maps: Vec<Tensor<f64>> = self.inputs.iter().enumerate().map(one).collect::<Result<_>>()?;
        Features::of_regions(self.graph, &maps, sharing)
    }

    fn images_of(&self, input: usize) -> Option<&Images> {
        self.case?.images.get(input)?.as_ref()
    }

    /// Distance of neighbours along the network's spatial axes; 1 where it is not known.
    fn spacing_of(&self, input: usize) -> [f64; 3] {
        self.images_of(input).map_or([1.0; 3], |images| images.prepared.geometry.spacing())
    }
}

/// The regions of every example of one input: `[examples, channels or 1, spatial]`.
fn regions(
    (x, frame): (&Tensor<f32>, &Frame),
    spacing: [f64; 3],
    sharing: Sharing,
    options: &SlicOptions,
) -> Result<Tensor<f64>> {
    let image = frame.image();
    let sizes: [usize; 3] = match image[..] {
        [a, b] => [1, a, b],
        [a, b, c] => [a, b, c],
        _ => {
            return Err(Error::unsupported(format!(
                "supervoxels of an input of shape {}; two or three spatial axes expected",
                x.shape()
            )));
        }
    };
    let space: usize = sizes.iter().product();
    let mut out = Vec::new();
    for example in x.data().chunks(frame.entries()) {
        let images = images(example, frame);
        let channels: Vec<&[f32]> = images.chunks(space).collect();
        let groups =
            if sharing == Sharing::Joint { vec![&channels[..]] } else { channels.chunks(1).collect() };
        for group in groups {
            let mask: Vec<bool> = (0..space).map(|i| group.iter().any(|c| c[i] != 0.0)).collect();
            let image = SlicImage { channels: group, sizes, spacing, mask: Some(&mask) };
            out.extend(slic(&image, options)?.into_iter().map(f64::from));
        }
    }
    let channels = if sharing == Sharing::Joint { 1 } else { frame.channels };
    let shape = [&[out.len() / channels / space, channels], &image[..]].concat();
    Tensor::new(&shape, out)
}

/// The images of all channels, one after the other.
fn images(example: &[f32], frame: &Frame) -> Vec<f32> {
    let space = frame.entries() / frame.channels;
    let mut images = vec![0.0; example.len()];
    for (at, &v) in example.iter().enumerate() {
        let (channel, place) = frame.place(at);
        images[channel * space + place] = v;
    }
    images
}
