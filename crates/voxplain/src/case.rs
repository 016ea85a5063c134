//! A patient: the network's inputs, and the images they came from.

use crate::manifest::sha256;
use crate::windows::Windows;
use std::path::{Path, PathBuf};
use voxplain_graph::ValueId;
use voxplain_imaging::{
    Channel, Pipeline, Prepared, Step, Volume, find_case, read_nifti, read_npy, read_png,
};
use voxplain_models::{Card, CardInput, Constant, Model, read_tensors};
use voxplain_tensor::{Error, Result, Shape, Tensor};

/// The images of one network input.
#[derive(Clone, Debug)]
pub struct Images {
    /// The modality of each channel.
    pub names: Vec<String>,
    /// The images, in their own space.
    pub volumes: Vec<Volume>,
    /// The input made of them, and the way back.
    pub prepared: Prepared,
}

/// The inputs of a network for one patient.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// A name for files: the folder's, or `case`.
    pub id: String,
    /// One tensor per graph input, with one example (arrays may hold more). With [`Case::windows`] the only input is
    /// larger than the network's.
    pub inputs: Vec<Tensor<f32>>,
    /// How a network for patches sees the input.
    pub windows: Option<Windows>,
    /// Per graph input, the images it was made of; `None` for inputs given as arrays.
    pub images: Vec<Option<Images>>,
    /// A segmentation on the images' grid: figures go through it and outline it. Never seen by the network.
    pub mask: Option<Volume>,
    /// Base name and SHA-256 of every file that was read.
    pub files: Vec<(String, String)>,
}

/// The words of the command line: a folder, or `name=FILE` per input or modality.
struct Words {
    folder: Option<PathBuf>,
    named: Vec<(String, String)>,
}

impl Words {
    fn parse(words: &[String]) -> Result<Self> {
        let mut parsed = Self { folder: None, named: Vec::new() };
        for word in words {
            match word.split_once('=') {
                Some((name, file)) if !Path::new(word).exists() => {
                    parsed.named.push((name.into(), file.into()))
                }
                _ if parsed.folder.is_none() && Path::new(word).is_dir() => parsed.folder = Some(word.into()),
                _ => {
                    return Err(Error::invalid(format!(
                        "{word:?} is neither a folder nor of the form name=FILE; give the case's folder, or one file per \
                         modality or input"
                    )));
                }
            }
        }
        if parsed.folder.is_none() && parsed.named.is_empty() {
            return Err(Error::invalid(
                "no case was given; give a folder, or one name=FILE per modality or input",
            ));
        }
        Ok(parsed)
    }

    /// The file given for `name`; it counts as used.
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.named.iter().position(|(n, _)| n == name)?;
        Some(self.named.remove(at).1)
    }
}

impl Case {
    /// Loads a case as the command line names it: a folder that is searched by the card's modality names, and/or
    /// `name=FILE` for modalities (NIfTI) or whole inputs (`.npy`, `.png`, `.safetensors#KEY`).
    ///
    /// # Errors
    /// A file or modality is missing or cannot be read, or does not fit the network; one sentence says which.
    pub fn open(model: &Model, words: &[String]) -> Result<Self> {
        let mut words = Words::parse(words)?;
        let id = words
            .folder
            .as_ref()
            .and_then(|f| f.file_name())
            .map_or_else(|| "case".into(), |n| n.to_string_lossy().into());
        let mut case = Self { id, ..Self::default() };
        for &value in model.graph.inputs() {
            let info = model.graph.value(value);
            let card = model.card.inputs.iter().find(|c| c.name == info.name);
            if let Some(file) = words.take(&info.name) {
                case.inputs.push(array(&file, &info.shape, &mut case.files)?);
                case.images.push(None);
            } else {
                let (images, windows) = images((model, value), card, &mut words, &mut case.files)?;
                case.windows = windows;
                case.inputs.push(images.prepared.tensor.clone());
                case.images.push(Some(images));
            }
        }
        if let Some((name, _)) = words.named.first() {
            return Err(Error::invalid(format!("{name}: the network has no input or modality of that name")));
        }
        Ok(case)
    }

    /// Adds a segmentation, which must lie on the images' grid.
    ///
    /// # Errors
    /// The case has no images, or another grid; the message gives both.
    pub fn with_mask(mut self, mask: Volume) -> Result<Self> {
        let image = self.images.iter().flatten().flat_map(|i| &i.volumes).next();
        let image = image
            .ok_or_else(|| Error::invalid("a mask needs images, and the inputs were given as arrays"))?;
        if mask.dims != image.dims {
            return Err(Error::invalid(format!(
                "the mask has {:?} voxels and the images have {:?}; resample it to the images' grid",
                mask.dims, image.dims
            )));
        }
        self.mask = Some(mask);
        Ok(self)
    }

    /// A case from arrays, one per graph input, as requests bring them.
    pub fn from_arrays(inputs: Vec<Tensor<f32>>) -> Self {
        let images = inputs.iter().map(|_| None).collect();
        Self { id: String::from("case"), inputs, images, ..Self::default() }
    }
}

fn read(path: &Path, files: &mut Vec<(String, String)>) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    files.push((name, sha256(&bytes)));
    Ok(bytes)
}

/// An input given as an array; a missing batch axis is added.
fn array(file: &str, example: &[usize], files: &mut Vec<(String, String)>) -> Result<Tensor<f32>> {
    let (path, key) = file.split_once('#').map_or((file, None), |(p, k)| (p, Some(k)));
    let bytes = read(Path::new(path), files)?;
    let place = |e: Error| e.within(path);
    let tensor = if path.ends_with(".safetensors") {
        let (tensors, _) = read_tensors(&bytes).map_err(place)?;
        let key = key.or(tensors.keys().next().map(String::as_str).filter(|_| tensors.len() == 1));
        let key = key
            .ok_or_else(|| Error::invalid(format!("{path} holds several tensors; name one as {path}#KEY")))?;
        match tensors.get(key) {
            Some(Constant::Float { shape, data }) => Tensor::new(shape, data.clone())?,
            _ => return Err(Error::invalid(format!("{path} has no tensor of numbers {key:?}"))),
        }
    } else if path.ends_with(".png") {
        read_png(&bytes).map_err(place)?
    } else if path.ends_with(".npy") {
        read_npy(&bytes).map_err(place)?
    } else {
        return Err(Error::unsupported(format!(
            "{path}: a whole input must be .npy, .png or .safetensors#KEY; NIfTI files are named by modality, which needs \
             a model card with channels"
        )));
    };
    let shape = tensor.shape();
    if shape.rank() + 1 == example.len() {
        let sizes: Vec<usize> = std::iter::once(1).chain(shape.iter().copied()).collect();
        return tensor.reshaped(&sizes);
    }
    Ok(tensor)
}

/// The preprocessing of an input: the card's steps, behind its orientation where they do not say one themselves.
///
/// # Errors
/// A step or the orientation is unknown; the message lists what there is.
pub fn preparation(card: &Card, input: &CardInput) -> Result<Pipeline> {
    let mut chain = Pipeline::parse(&input.steps)?;
    let stated = chain.steps.iter().any(|s| matches!(s, Step::Orient(_)));
    match card.orientation.as_deref() {
        Some(codes) if codes != "as-stored" && !stated => {
            chain.steps.insert(0, Step::parse(&format!("orient {codes}"))?);
        }
        _ => {}
    }
    Ok(chain)
}

/// `FILE#2` is volume 2 of a 4D file.
fn numbered(path: PathBuf) -> Result<(PathBuf, Option<usize>)> {
    let text = path.to_string_lossy();
    let Some((file, number)) = text.rsplit_once('#').filter(|_| !path.exists()) else {
        return Ok((path, None));
    };
    let volume =
        number.parse().map_err(|_| Error::invalid(format!("{text}: the volume after # must be a number")))?;
    Ok((PathBuf::from(file), Some(volume)))
}

fn images(
    (model, value): (&Model, ValueId),
    card: Option<&CardInput>,
    words: &mut Words,
    files: &mut Vec<(String, String)>,
) -> Result<(Images, Option<Windows>)> {
    let input = &model.graph.value(value).name;
    let card = card.filter(|c| !c.channels.is_empty()).ok_or_else(|| {
        Error::invalid(format!(
            "input {input:?} was not given and the model card names no modalities for it; pass {input}=FILE.npy or import \
             the model with --card"
        ))
    })?;
    let channels: Vec<Channel> = card
        .channels
        .iter()
        .map(|n| Channel::new(n, card.aliases.get(n).map_or(&[][..], Vec::as_slice)))
        .collect();
    let given: Vec<Option<String>> = channels.iter().map(|c| words.take(&c.name)).collect();
    let wanted: Vec<Channel> =
        channels.iter().zip(&given).filter(|(_, g)| g.is_none()).map(|(c, _)| c.clone()).collect();
    let mut found = match &words.folder {
        Some(folder) if !wanted.is_empty() => find_case(folder, &wanted)?,
        None if !wanted.is_empty() => {
            let names: Vec<&str> = wanted.iter().map(|c| c.name.as_str()).collect();
            return Err(Error::invalid(format!(
                "{} of {} modalities missing: {}. Pass {}=FILE or the case's folder.",
                names.len(),
                channels.len(),
                names.join(", "),
                names[0]
            )));
        }
        _ => Vec::new(),
    }
    .into_iter();
    let mut volumes = Vec::new();
    for (channel, given) in channels.iter().zip(given) {
        let path = given.map(PathBuf::from).or_else(|| found.next());
        let path = path.ok_or_else(|| Error::internal("a found modality has no file"))?;
        let (path, volume) = numbered(path)?;
        if path.extension().is_some_and(|e| e == "npy" || e == "safetensors" || e == "png") {
            return Err(Error::invalid(format!(
                "{}: {} is an image, so a NIfTI file is expected; an array goes in as the network takes it, under the name \
                 of the network's input: {input}=FILE",
                path.display(),
                channel.name
            )));
        }
        read(&path, files)?;
        volumes.push(read_nifti(&path, volume).map_err(|e| e.within(&channel.name))?);
    }
    let place = |e: Error| e.within(format!("input {input:?}"));
    let chain = preparation(&model.card, card)?;
    let (prepared, windows) = prepare(model, value, chain, &volumes).map_err(place)?;
    Ok((Images { names: card.channels.clone(), volumes, prepared }, windows))
}

/// Runs the chain; for a network that sees patches, on an image at least as large as one, and with its windows.
fn prepare(
    model: &Model,
    value: ValueId,
    mut chain: Pipeline,
    volumes: &[Volume],
) -> Result<(Prepared, Option<Windows>)> {
    let prepared = chain.apply(volumes)?;
    let (have, want) = (spatial(prepared.tensor.shape()), spatial(model.graph.shape(value)));
    let (Some(how), Some(have), Some(want)) = (&model.card.sliding_window, have, want) else {
        return Ok((prepared, None));
    };
    if have == want {
        return Ok((prepared, None));
    }
    if model.graph.inputs().len() > 1 {
        return Err(Error::unsupported(
            "sliding windows over networks with several inputs; resize the images instead",
        ));
    }
    let larger = [0, 1, 2].map(|a| have[a].max(want[a]));
    let windows = Windows::over(larger, want, how)?;
    if larger == have {
        return Ok((prepared, Some(windows)));
    }
    chain.steps.push(Step::PadOrCrop(larger));
    Ok((chain.apply(volumes)?, Some(windows)))
}

/// The three spatial sizes of `[1, C, x, y, z]`.
fn spatial(shape: Shape) -> Option<[usize; 3]> {
    shape.get(2..)?.try_into().ok()
}
