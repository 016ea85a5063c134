//! The montage of a result.

use crate::explain::Explained;
use crate::output::ModalityMap;
use voxplain_imaging::Volume;
use voxplain_report::{Image, Montage, Options, Picture, Row, share_words};
use voxplain_tensor::Result;

/// A volume as figures see it.
fn image(volume: &Volume) -> Result<Image<'_>> {
    let [nx, ny, _] = volume.dims;
    Image::new(
        &volume.data,
        volume.dims,
        [1, nx, nx * ny],
        volume.geometry.affine(),
        volume.geometry.is_oriented(),
    )
}

/// One row per modality, planes through the mask if there is one, else through the voxel of largest magnitude.
pub(crate) fn montage(explained: &Explained<'_>) -> Result<Picture> {
    let maps = explained.modality_maps()?;
    let mass = |m: &ModalityMap<'_>| m.map.data.iter().map(|&v| f64::from(v.abs())).sum::<f64>();
    let masses: Vec<f64> = maps.iter().map(mass).collect();
    let total: f64 = masses.iter().sum();
    let shared = explained.attribution.maps.iter().all(|m| m.values.shape().get(1) == Some(&1));
    let words: Vec<String> = masses
        .iter()
        .map(|m| match (shared && maps.len() > 1, total > 0.0) {
            (true, _) => String::from("one map for all"),
            (false, true) => share_words(m / total),
            (false, false) => String::from("zero"),
        })
        .collect();
    let mut rows = Vec::new();
    for (entry, share) in maps.iter().zip(&words) {
        rows.push(Row { name: &entry.name, underlay: image(entry.image)?, map: image(&entry.map)?, share });
    }
    let lines = lines(explained);
    let title = format!("{}: {}", explained.request.method, explained.target_words);
    let mask = explained.explainer.case.mask.as_ref();
    let outline = mask.map(image).transpose()?;
    let focus = mask.and_then(centre).unwrap_or_else(|| peak(&maps));
    let unit =
        if explained.attribution.residuals.is_some() { "logit per network voxel" } else { "map units" };
    Montage { title: &title, lines: &lines, rows: &rows, focus, outline, unit, options: Options::default() }
        .render()
}

fn lines(explained: &Explained<'_>) -> Vec<String> {
    let a = &explained.attribution;
    let mut lines =
        vec![format!("prediction {}; explained value {:.4}", explained.prediction_words(), a.values[0])];
    if let (Some(r), Some(d)) = (&a.residuals, &a.differences) {
        lines.push(format!(
            "completeness: sum of the map differs by {:.1e} from F(x) - F(baseline) = {:.4}",
            r[0], d[0]
        ));
    }
    lines.extend(a.notes.iter().cloned());
    lines
}

/// The voxel of a mask that is nearest to its centre of mass; `None` if it is empty.
fn centre(mask: &Volume) -> Option<[usize; 3]> {
    let [nx, ny, _] = mask.dims;
    let inside: Vec<[usize; 3]> = (0..mask.data.len())
        .filter(|&i| mask.data[i] > 0.5)
        .map(|i| [i % nx, i / nx % ny, i / nx / ny])
        .collect();
    let mean = [0, 1, 2].map(|a| inside.iter().map(|p| p[a] as f64).sum::<f64>() / inside.len() as f64);
    let distance = |p: &[usize; 3]| (0..3).map(|a| (p[a] as f64 - mean[a]).powi(2)).sum::<f64>();
    inside.into_iter().min_by(|p, q| distance(p).total_cmp(&distance(q)))
}

/// The voxel with the largest magnitude inside the image's foreground, of all modalities.
fn peak(maps: &[ModalityMap<'_>]) -> [usize; 3] {
    let (mut best, mut at) = (-1.0f32, (0, 0));
    for (m, entry) in maps.iter().enumerate() {
        for (i, (v, image)) in entry.map.data.iter().zip(&entry.image.data).enumerate() {
            if *image != 0.0 && v.abs() > best {
                (best, at) = (v.abs(), (m, i));
            }
        }
    }
    let dims = maps[at.0].map.dims;
    [at.1 % dims[0], at.1 / dims[0] % dims[1], at.1 / dims[0] / dims[1]]
}
