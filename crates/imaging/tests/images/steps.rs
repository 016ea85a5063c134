//! Steps that data sets' own pipelines use: known numbers computed with MONAI 1.6, NumPy and PyTorch, and the way back.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain_imaging::{Geometry, Mode, Pipeline, Prepared, Step, Volume, resize_array};
use voxplain_tensor::{ErrorKind, Tensor};

fn volume(dims: [usize; 3], spacing: [f64; 3], data: Vec<f32>) -> Volume {
    let [x, y, z] = spacing;
    let affine = [[x, 0.0, 0.0, -7.0], [0.0, y, 0.0, 3.0], [0.0, 0.0, z, 11.0]];
    Volume::new(dims, data, Geometry::from_affine(affine)).unwrap()
}

fn prepare(steps: &[&str], channels: &[&[f32]]) -> Prepared {
    let steps: Vec<String> = steps.iter().map(|s| String::from(*s)).collect();
    let volumes: Vec<Volume> =
        channels.iter().map(|c| volume([c.len(), 1, 1], [1.0; 3], c.to_vec())).collect();
    Pipeline::parse(&steps).unwrap().apply(&volumes).unwrap()
}

fn close(have: &[f32], want: &[f32]) {
    assert_eq!(have.len(), want.len(), "{have:?}");
    have.iter()
        .zip(want)
        .for_each(|(a, b)| assert!((a - b).abs() < 2e-6 * (1.0 + b.abs()), "{have:?} {want:?}"));
}

#[test]
fn sizes_change_about_the_centre_as_in_monai() {
    let line: &[f32] = &[1.0, 2.0, 3.0, 4.0, 5.0];
    let expected: [&[f32]; 6] = [
        &[2.0, 3.0],
        &[2.0, 3.0, 4.0],
        &[1.0, 2.0, 3.0, 4.0],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 0.0],
        &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0],
        &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0],
    ];
    for want in expected {
        let prepared = prepare(&[&format!("pad-or-crop {} 1 1", want.len())], &[line]);
        close(prepared.tensor.data(), want);
        let back = prepared.map_back(&prepared.tensor).unwrap();
        let kept = |v: &f32| if want.contains(v) { *v } else { 0.0 };
        close(&back[0].data, &line.iter().map(kept).collect::<Vec<_>>());
    }
}

#[test]
fn foreground_is_the_box_of_all_channels() {
    let (a, b): (&[f32], &[f32]) =
        (&[0.0, 0.0, 1.0, 0.0, 0.0, -2.0, 0.0], &[0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0]);
    close(prepare(&["crop-foreground"], &[a, b]).tensor.data(), &[1.0, 0.0, 0.0, 0.0, 0.0, 3.0]);
    let wide = prepare(&["crop-foreground 3"], &[a, b]);
    assert_eq!(wide.tensor.shape()[..], [1, 2, 7, 1, 1], "a margin ends at the image's border");
    let empty = Pipeline { steps: vec![Step::CropForeground(0)] };
    assert!(empty.apply(&[volume([2, 1, 1], [1.0; 3], vec![0.0; 2])]).is_err());
}

#[test]
fn statistics_of_the_stack_and_of_each_channel() {
    let (a, b): (&[f32], &[f32]) = (&[0.0, 1.0, 2.0, 4.0], &[0.0, 10.0, 20.0, 60.0]);
    // MONAI's NormalizeIntensity with channel_wise=False, nonzero=False and True.
    let together = [-0.579_844_53, -0.527_723_7, -0.423_481_97, -0.110_756_83, 0.410_451_77, 2.495_286_2];
    let all = prepare(&["zscore"], &[a, b]);
    let data = all.tensor.data();
    close(&[data[1], data[2], data[3], data[5], data[6], data[7]], &together);
    let inside = [-0.735_283, -0.686_802_8, -0.589_842_4, -0.298_961_2, 0.185_840_8, 2.125_048_9];
    let nonzero = prepare(&["zscore nonzero"], &[a, b]);
    let data = nonzero.tensor.data();
    close(&[data[1], data[2], data[3], data[5], data[6], data[7]], &inside);
    assert_eq!((data[0], data[4]), (0.0, 0.0));
    // In front of `stack` each channel is alone.
    let alone = prepare(&["minmax", "stack"], &[a, b]);
    close(alone.tensor.data(), &[0.0, 0.25, 0.5, 1.0, 0.0, 1.0 / 6.0, 1.0 / 3.0, 1.0]);
    let stack = ["stack", "minmax"];
    close(prepare(&stack, &[a, b]).tensor.data(), prepare(&["minmax"], &[a, b]).tensor.data());
    let steps = ["crop-foreground", "stack"].map(String::from);
    let channels = [volume([2, 1, 1], [1.0; 3], vec![1.0; 2])];
    assert!(Pipeline::parse(&steps).unwrap().apply(&channels).is_err());
}

#[test]
fn bounds_are_numpy_percentiles() {
    let (a, b): (&[f32], &[f32]) = (&[0.0, 1.0, 2.0, 4.0], &[0.0, 10.0, 20.0, 60.0]);
    // numpy.percentile([0, 1, 2, 4], [10, 80]) is [0.3, 2.8]; of [10, 20, 60] it is [12, 44].
    close(prepare(&["clip-percentiles 10 80"], &[a]).tensor.data(), &[0.3, 1.0, 2.0, 2.8]);
    let nonzero = prepare(&["clip-percentiles 10 80 nonzero"], &[b]);
    close(nonzero.tensor.data(), &[12.0, 12.0, 20.0, 44.0]);
    close(prepare(&["clip 1 30"], &[b]).tensor.data(), &[1.0, 10.0, 20.0, 30.0]);
    close(
        prepare(&["standardize 1,10 2,5"], &[a, b]).tensor.data(),
        &[-0.5, 0.0, 0.5, 1.5, -2.0, 0.0, 2.0, 10.0],
    );
    let three = Pipeline::parse(&["standardize 1,2,3 1,1,1".into()]).unwrap();
    assert!(three.apply(&[volume([1, 1, 1], [1.0; 3], vec![1.0])]).is_err());
}

#[test]
fn cubic_is_that_of_pytorch() {
    let line = Tensor::new(&[1, 5], vec![0.0, 1.0, 4.0, 9.0, 16.0]).unwrap();
    let eight =
        [-0.092_834_47, 0.187_561, 1.176_513_7, 2.619_384_8, 5.441_650_4, 8.471_436, 13.395_081, 16.649_841];
    close(resize_array(&line, &[8], Mode::Cubic).unwrap().data(), &eight);
    close(resize_array(&line, &[3], Mode::Cubic).unwrap().data(), &[0.148_149_01, 4.0, 14.074_071]);
}

#[test]
fn resampling_keeps_the_field_of_view() {
    let image = volume([10, 6, 4], [1.0, 2.0, 3.5], vec![1.0; 240]);
    let prepared = Pipeline::parse(&["resample 2 2 1 linear".into()])
        .unwrap()
        .apply(std::slice::from_ref(&image))
        .unwrap();
    assert_eq!(prepared.tensor.shape()[..], [1, 1, 5, 6, 14]);
    close(&prepared.geometry.spacing().map(|s| s as f32), &[2.0, 2.0, 1.0]);
    let back = prepared.map_back(&prepared.tensor).unwrap();
    assert_eq!((back[0].dims, back[0].geometry), (image.dims, image.geometry));
    let tiny = Pipeline::parse(&["resample 1e-6 1e-6 1e-6 linear".into()]).unwrap().apply(&[image]);
    assert_eq!(tiny.unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn new_steps_print_as_they_are_read() {
    for step in [
        "zscore",
        "zscore nonzero",
        "standardize 0.485,0.456,0.406 0.229,0.224,0.225",
        "clip -1000 400",
        "clip-percentiles 0.5 99.5",
        "clip-percentiles 1 99 nonzero",
        "crop-foreground",
        "crop-foreground 5",
        "pad-or-crop 96 96 64",
        "resample 1 1 1.5 cubic",
        "resize 8 8 8 cubic",
        "stack",
    ] {
        assert_eq!(Step::parse(step).unwrap().to_string(), step);
    }
    for bad in [
        "zscore per-channel nonzero",
        "standardize 1,2 1",
        "clip 2 1",
        "clip-percentiles 1 101",
        "clip-percentiles 1",
        "crop-foreground -1",
        "pad-or-crop 96 96",
        "resample 0 1 1 linear",
        "resample 1 1 1",
        "stack 2",
    ] {
        let message = Step::parse(bad).unwrap_err().to_string();
        assert!(message.contains("there are: minmax"), "{bad}: {message}");
    }
    assert!(Step::parse("resample 1 1 1 fast").is_err());
}

fn moves() -> impl Strategy<Value = Vec<String>> {
    let size = || 1usize..9;
    let step = prop_oneof![
        (size(), size(), size()).prop_map(|(x, y, z)| format!("pad-or-crop {x} {y} {z}")),
        (0usize..3).prop_map(|m| format!("crop-foreground {m}")),
        prop_oneof![Just("orient RAS"), Just("orient LPI"), Just("orient SAL")].prop_map(String::from),
    ];
    proptest::collection::vec(step, 0..5)
}

proptest! {
    #[test]
    fn what_moved_comes_back_to_its_voxel(
        dims in [1usize..8, 1usize..8, 1usize..8],
        steps in moves(),
    ) {
        let count: usize = dims.iter().product();
        let image = volume(dims, [1.0, 2.0, 0.5], (1..=count).map(|v| v as f32).collect());
        let prepared = match Pipeline::parse(&steps).unwrap().apply(std::slice::from_ref(&image)) {
            // Padding and then cropping can leave nothing but the padding, which has no foreground to crop to.
            Err(error) if error.to_string().contains("no foreground") => return Err(TestCaseError::reject("no foreground")),
            prepared => prepared.unwrap(),
        };
        let back = prepared.map_back(&prepared.tensor).unwrap();
        prop_assert_eq!((back[0].dims, back[0].geometry), (image.dims, image.geometry));
        // Every voxel that reached the network comes back to where it was, and the others are 0.
        for (have, was) in back[0].data.iter().zip(&image.data) {
            let reached = prepared.tensor.data().contains(was);
            prop_assert_eq!(*have, if reached { *was } else { 0.0 });
        }
    }
}
