//! Segmentation networks: targets over regions, and images larger than what the network sees at a time.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use voxplain::graph::ops::ConvAttributes;
use voxplain::graph::{Graph, GraphBuilder};
use voxplain::imaging::{Geometry, Volume, WriteOptions, read_nifti, read_npy, write_nifti};
use voxplain::models::Card;
use voxplain::{Case, Explainer, Model};
use voxplain_tests::program::{folder, refused, run, text};

/// Weights of three classes on two channels.
const WEIGHTS: [[f32; 2]; 3] = [[0.5, -1.0], [1.0, 0.25], [-0.75, 2.0]];
const DIMS: [usize; 3] = [10, 9, 8];

/// Every voxel by itself, so that windows must not change anything; the network sees 6 x 5 x 4 voxels.
fn network() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2, 6, 5, 4]).unwrap();
    let w = b.parameter("w", &[3, 2, 1, 1, 1], WEIGHTS.concat()).unwrap();
    let c = b.parameter("c", &[3], vec![0.1, -0.2, 0.3]).unwrap();
    let y = b.conv("conv", x, w, Some(c), ConvAttributes::plain(3)).unwrap();
    b.finish(&[y]).unwrap()
}

const CARD: &str = r#"
task = "segmentation"
classes = ["background", "core", "rim"]
output = "logits"
sliding_window = { overlap = 0.5, blend = "gaussian" }
[[input]]
name = "x"
channels = ["a", "b"]
"#;

fn image(channel: usize) -> Vec<f32> {
    let count: usize = DIMS.iter().product();
    (0..count).map(|i| ((i * (7 + channel * 4)) as f32 * 0.37).sin()).collect()
}

/// A model file, two images and a mask with labels 1 and 2 in a new folder.
fn patient(name: &str) -> (PathBuf, PathBuf, Volume) {
    let out = folder(name);
    let model = Model { graph: network(), card: Card::parse(CARD).unwrap(), notes: Vec::new() };
    model.save(&out.join("model.safetensors")).unwrap();
    let affine = [[-1.0, 0.0, 0.0, 5.0], [0.0, 2.0, 0.0, -3.0], [0.0, 0.0, 1.5, 2.0]];
    let volume = |data| Volume::new(DIMS, data, Geometry::from_affine(affine)).unwrap();
    let options = || WriteOptions { display: (0.0, 1.0), description: String::new(), estimate_of: None };
    for (c, channel) in ["a", "b"].into_iter().enumerate() {
        write_nifti(&out.join(format!("case_{channel}.nii.gz")), &volume(image(c)), &options()).unwrap();
    }
    let label = |i: usize| match (i % 10, i / 10 % 9) {
        (3..7, 2..4) => 1.0,
        (3..7, 4..6) => 2.0,
        _ => 0.0,
    };
    let mask = volume((0..720).map(|i| label(i) * f32::from(u8::from(i / 90 > 2))).collect());
    write_nifti(&out.join("mask.nii.gz"), &mask, &options()).unwrap();
    (out.clone(), out.join("model.safetensors"), mask)
}

/// The class of a voxel.
fn class(a: f32, b: f32) -> usize {
    let bias = [0.1, -0.2, 0.3];
    let value = |k: usize| WEIGHTS[k][0] * a + WEIGHTS[k][1] * b + bias[k];
    (0..3).fold(0, |best, k| if value(k) > value(best) { k } else { best })
}

fn succeed(words: &[&str]) -> String {
    let output = run(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every voxel of the map is the weight where `inside`, and 0 elsewhere.
fn check_gradient(folder: &Path, inside: &dyn Fn(usize) -> bool, weight: [f32; 2]) {
    for (c, channel) in ["a", "b"].into_iter().enumerate() {
        let map = read_nifti(&folder.join(format!("{channel}.nii.gz")), None).unwrap();
        assert_eq!(map.dims, DIMS);
        for (i, v) in map.data.iter().enumerate() {
            let want = if inside(i) { weight[c] } else { 0.0 };
            assert!((v - want).abs() < 1e-5, "{channel} voxel {i}: {v} {want}");
        }
    }
}

#[test]
fn windows_blend_to_the_whole_image() {
    let (out, model, _) = patient("segment");
    let labels = out.join("labels.nii.gz");
    let said = succeed(&["predict", text(&model), text(&out), "-o", text(&labels)]);
    assert!(said.contains("[1, 3, 10, 9, 8]") && said.contains("rim") && said.contains("voxels"), "{said}");
    let (a, b) = (image(0), image(1));
    let labels = read_nifti(&labels, None).unwrap();
    for i in 0..720 {
        assert_eq!(labels.data[i] as usize, class(a[i], b[i]), "voxel {i}");
    }
    let values = out.join("values.npy");
    succeed(&["predict", text(&model), text(&out), "-o", text(&values)]);
    let values = read_npy(&std::fs::read(values).unwrap()).unwrap();
    assert_eq!(values.shape()[..], [1, 3, 10, 9, 8]);
    // The array runs along z first, the file along x.
    let first = WEIGHTS[1][0] * a[10] + WEIGHTS[1][1] * b[10] - 0.2;
    assert!((values.data()[720 + 8] - first).abs() < 1e-5);
}

#[test]
fn a_class_is_explained_where_it_is_asked_for() {
    let (out, model, mask) = patient("regions");
    let maps = out.join("maps");
    let mask_file = out.join("mask.nii.gz");
    let explain = |target: &str, method: &str| {
        let _ = std::fs::remove_dir_all(&maps);
        succeed(&[
            "explain",
            text(&model),
            text(&out),
            "-o",
            text(&maps),
            "-m",
            method,
            "-t",
            target,
            "-f",
            "nifti",
            "--mask",
            text(&mask_file),
        ]);
        maps.join(method)
    };
    let (a, b) = (image(0), image(1));
    check_gradient(&explain("rim@pred", "saliency"), &|i| class(a[i], b[i]) == 2, WEIGHTS[2]);
    check_gradient(&explain("core@mask", "saliency"), &|i| mask.data[i] != 0.0, WEIGHTS[1]);
    check_gradient(&explain("1@mask:2", "saliency"), &|i| mask.data[i] == 2.0, WEIGHTS[1]);
    let in_box = |i: usize| (2..9).contains(&(i % 10)) && (0..3).contains(&(i / 10 % 9)) && i / 90 == 7;
    let difference = [WEIGHTS[2][0] - WEIGHTS[0][0], WEIGHTS[2][1] - WEIGHTS[0][1]];
    check_gradient(&explain("rim-background@box:2:9,0:3,7:8", "saliency"), &in_box, difference);
    check_gradient(&explain("rim", "saliency"), &|_| true, WEIGHTS[2]);
    // Completeness over all windows: the sum over the region of the linear part.
    let folder = explain("rim@mask", "integrated_gradients");
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let inside = (0..720).filter(|&i| mask.data[i] != 0.0);
    let want: f64 = inside.map(|i| f64::from(WEIGHTS[2][0] * a[i] + WEIGHTS[2][1] * b[i])).sum();
    let completeness = &manifest["completeness"];
    assert!((completeness["differences"][0].as_f64().unwrap() - want).abs() < 1e-4);
    assert!(completeness["residuals"][0].as_f64().unwrap().abs() < 1e-4);
    assert!(manifest["windows"].as_u64().unwrap() > 20);
}

#[test]
fn an_image_smaller_than_a_window_is_padded() {
    let (out, model, _) = patient("small");
    let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    let small = out.join("small");
    std::fs::create_dir_all(&small).unwrap();
    let volume = Volume::new([3, 7, 4], vec![1.0; 84], Geometry::from_affine(affine)).unwrap();
    let options = || WriteOptions { display: (0.0, 1.0), description: String::new(), estimate_of: None };
    for channel in ["a", "b"] {
        write_nifti(&small.join(format!("{channel}.nii.gz")), &volume, &options()).unwrap();
    }
    let maps = out.join("maps");
    succeed(&[
        "explain",
        text(&model),
        text(&small),
        "-o",
        text(&maps),
        "-m",
        "saliency",
        "-t",
        "core",
        "-f",
        "nifti",
    ]);
    let map = read_nifti(&maps.join("saliency/a.nii.gz"), None).unwrap();
    assert_eq!((map.dims, map.geometry.axis_codes()), ([3, 7, 4], volume.geometry.axis_codes()));
    assert!(map.data.iter().all(|v| (v - WEIGHTS[1][0]).abs() < 1e-5));
}

#[test]
fn regions_that_cannot_be_are_refused() {
    let (out, model, _) = patient("refused");
    let maps = out.join("maps");
    for (target, part) in [
        ("rim@sphere", "no region \"sphere\""),
        ("rim@mask", "pass --mask"),
        ("rim@box:0:20,0:3,0:3", "does not lie inside"),
        ("rim@box:5:5,0:3,0:3", "no region"),
        ("9@pred", "no class 9"),
        ("tumour@pred", "no class \"tumour\""),
        ("pred", "CLASS@pred"),
        ("rim-core", "CLASS@pred"),
    ] {
        let words = ["explain", text(&model), text(&out), "-o", text(&maps), "-m", "saliency", "-t", target];
        refused(&words, 2, part);
    }
    // A class nobody has: the values of a constant image.
    let graph = network();
    let card = Card { sliding_window: None, ..Card::parse(CARD).unwrap() };
    let flat = Model { graph, card, notes: Vec::new() };
    let case = Case::from_arrays(vec![voxplain::Tensor::new(&[1, 2, 6, 5, 4], vec![0.0; 240]).unwrap()]);
    let explainer = Explainer::new(&flat, &case);
    let message = explainer.explain("saliency", "core@pred").err().unwrap().to_string();
    assert!(message.contains("gives no voxel the class core"), "{message}");
    assert!(explainer.explain("saliency", "rim@box:0:2,0:2,0:2").is_ok());
}
