//! Writing results: arrays, NIfTI maps that overlay, figures, and a manifest, each file whole or not at all.

use crate::case::Images;
use crate::estimation::{DRAWS, EVALUATIONS, draws_file};
use crate::explain::Explained;
use crate::figures;
use crate::manifest::{manifest, sha256};
use std::path::Path;
use voxplain_attribution::{Grid, Interpolation, Map, resize};
use voxplain_imaging::{Volume, WriteOptions, atomic_write, write_nifti, write_npy, write_png};
use voxplain_tensor::{Error, Result, Tensor};

/// A kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `<input>.npy` in the network's shape (`cam.npy` on a layer's grid).
    Npy,
    /// `<modality>.nii.gz` in the image's own grid.
    Nifti,
    /// `montage.png`.
    Png,
}

impl Format {
    /// The format of that name.
    ///
    /// # Errors
    /// There is no such format.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "npy" => Ok(Self::Npy),
            "nifti" => Ok(Self::Nifti),
            "png" => Ok(Self::Png),
            _ => Err(Error::invalid(format!("no format {name:?}; npy, nifti or png expected"))),
        }
    }
}

/// The maps of one modality in its image's space.
pub(crate) struct ModalityMap<'a> {
    pub name: String,
    pub image: &'a Volume,
    pub map: Volume,
}

/// Removes what a killed run left behind in a unit's folder: temporary files, which nothing else is named like.
fn remove_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && name.ends_with(".tmp") {
            // One that cannot be removed does no harm.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

impl Explained<'_> {
    /// Writes the result into `folder/<id>/` in the given formats, and `manifest.json` last. Returns the file names.
    ///
    /// # Errors
    /// A format needs images and the inputs were arrays, or a file cannot be written.
    pub fn write(&self, folder: &Path, formats: &[Format]) -> Result<Vec<String>> {
        let folder = folder.join(&self.request.id);
        std::fs::create_dir_all(&folder).map_err(|e| Error::from(e).within(folder.display()))?;
        remove_leftovers(&folder);
        let mut names = Vec::new();
        let written = self
            .write_all(&folder, formats, &mut names)
            .and_then(|()| self.write_draws(&folder, &mut names))
            .and_then(|()| self.write_manifest(&folder, &names));
        if written.is_err() {
            // A unit is there with its manifest or not at all; the first error is the one to tell.
            names.iter().for_each(|name| drop(std::fs::remove_file(folder.join(name))));
            let _ = std::fs::remove_dir(&folder);
        }
        written?;
        if !self.estimation.stopped {
            // There are none where nothing had to be saved.
            let _ = std::fs::remove_file(folder.join(EVALUATIONS));
        }
        Ok(names)
    }

    fn write_draws(&self, folder: &Path, names: &mut Vec<String>) -> Result<()> {
        if self.estimation.draws.is_empty() {
            return Ok(());
        }
        let bytes = draws_file(&self.estimation.draws)?;
        atomic_write(&folder.join(DRAWS), |out| Ok(out.write_all(&bytes)?))?;
        names.push(String::from(DRAWS));
        Ok(())
    }

    fn write_all(&self, folder: &Path, formats: &[Format], names: &mut Vec<String>) -> Result<()> {
        for format in formats {
            match format {
                Format::Npy => self.write_arrays(folder, names)?,
                Format::Nifti => self.write_volumes(folder, names)?,
                Format::Png => {
                    let picture = figures::montage(self)?;
                    let name = String::from("montage.png");
                    write_png(&folder.join(&name), picture.width, picture.height, &picture.rgb)?;
                    names.push(name);
                }
            }
        }
        Ok(())
    }

    fn write_manifest(&self, folder: &Path, names: &[String]) -> Result<()> {
        let hashed = names.iter().map(|name| {
            let bytes = std::fs::read(folder.join(name)).map_err(|e| Error::from(e).within(name))?;
            Ok((name.clone(), sha256(&bytes)))
        });
        let hashed: Vec<(String, String)> = hashed.collect::<Result<_>>()?;
        let text = format!("{:#}\n", manifest(self.explainer, self, &hashed));
        atomic_write(&folder.join("manifest.json"), |out| Ok(out.write_all(text.as_bytes())?))
    }

    /// The stem of a map's file: the input's name, or `cam` for a layer's grid.
    fn stem(map: &Map<f32>) -> &str {
        match &map.grid {
            Grid::Input(name) | Grid::InputSpace(name) => name,
            Grid::Layer(_) => "cam",
        }
    }

    fn write_arrays(&self, folder: &Path, names: &mut Vec<String>) -> Result<()> {
        for map in &self.attribution.maps {
            let name = format!("{}.npy", Self::stem(map));
            write_npy(&folder.join(&name), &map.values)?;
            names.push(name);
        }
        Ok(())
    }

    fn write_volumes(&self, folder: &Path, names: &mut Vec<String>) -> Result<()> {
        for entry in self.modality_maps()? {
            let name = format!("{}.nii.gz", entry.name);
            write_nifti(&folder.join(&name), &entry.map, &self.options(&entry.map))?;
            names.push(name);
        }
        Ok(())
    }

    /// Display range (symmetric for signed maps), description and intent of a written map.
    fn options(&self, map: &Volume) -> WriteOptions {
        let (low, high) = map.data.iter().fold((0.0f32, 0.0f32), |(l, h), &v| (l.min(v), h.max(v)));
        let most = high.max(-low);
        WriteOptions {
            display: (if low < 0.0 { -most } else { 0.0 }, most),
            description: format!("voxplain {} {}", self.request.method, &self.key[..16]),
            estimate_of: Some(String::from("attribution")),
        }
    }

    /// Every modality's map in its image's grid.
    pub(crate) fn modality_maps(&self) -> Result<Vec<ModalityMap<'_>>> {
        let mut all = Vec::new();
        let graph = &self.explainer.model.graph;
        for (i, images) in self.explainer.case.images.iter().enumerate() {
            let Some(images) = images else { continue };
            let name = &graph.value(graph.inputs()[i]).name;
            let several = self.explainer.case.images.len() > 1;
            if let Some(tensor) = self.map_for(name, images)? {
                let volumes = images.prepared.map_back(&tensor)?;
                for (channel, image) in images.volumes.iter().enumerate() {
                    let modality = &images.names[channel];
                    let name = if several { format!("{name}_{modality}") } else { modality.clone() };
                    let map = volumes[if volumes.len() == 1 { 0 } else { channel }].clone();
                    all.push(ModalityMap { name, image, map });
                }
            }
        }
        if all.is_empty() {
            return Err(Error::invalid(
                "the inputs were arrays without geometry, so there is no space to write NIfTI or figures in; use --format npy",
            ));
        }
        Ok(all)
    }

    /// The map on an input's grid; a layer's map is brought there linearly.
    fn map_for(&self, name: &str, images: &Images) -> Result<Option<Tensor<f32>>> {
        if let Some(map) = self.attribution.input_map(name) {
            return Ok(Some(map.values.clone()));
        }
        let Some(map) = self.attribution.maps.iter().find(|m| matches!(m.grid, Grid::Layer(_))) else {
            return Ok(None);
        };
        let shape = images.prepared.tensor.shape();
        if map.values.shape().rank() != shape.rank() || map.values.rows() != 1 {
            return Ok(None);
        }
        resize(&map.values, &shape[2..], Interpolation::Linear).map(Some)
    }
}
