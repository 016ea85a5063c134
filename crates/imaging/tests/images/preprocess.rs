//! The way to the network's grid and back: known numbers for intensities, exact geometry for moves.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain_imaging::{Geometry, Mode, Pipeline, Step, Volume, resize_array, resize_volume};
use voxplain_tensor::{ErrorKind, Tensor};

fn unit(dims: [usize; 3], data: Vec<f32>) -> Volume {
    let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    Volume::new(dims, data, Geometry::from_affine(affine)).unwrap()
}

fn pipeline(steps: &[&str]) -> Pipeline {
    Pipeline::parse(&steps.iter().map(|s| String::from(*s)).collect::<Vec<_>>()).unwrap()
}

/// What the steps make of channels of four voxels.
fn run(steps: &[&str], channels: &[[f32; 4]]) -> Vec<f32> {
    let volumes: Vec<Volume> = channels.iter().map(|c| unit([4, 1, 1], c.to_vec())).collect();
    pipeline(steps).apply(&volumes).unwrap().tensor.data().to_vec()
}

fn close(have: &[f32], want: &[f32]) {
    assert_eq!(have.len(), want.len());
    have.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{have:?} {want:?}"));
}

#[test]
fn intensities_are_the_written_formulas() {
    // The whole stack shares its range.
    close(
        &run(&["minmax"], &[[0.0, 1.0, 2.0, 3.0], [4.0, 4.0, 4.0, 8.0]]),
        &[0.0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 1.0],
    );
    close(&run(&["scale 0 255"], &[[1.0, 2.0, 3.0, 5.0]]), &[0.0, 63.75, 127.5, 255.0]);
    // Deviations of the population: of 1, 2, 3 it is the root of 2/3.
    let d = (2.0f32 / 3.0).sqrt();
    close(&run(&["zscore nonzero per-channel"], &[[0.0, 1.0, 2.0, 3.0]]), &[0.0, -1.0 / d, 0.0, 1.0 / d]);
    let d = 1.25f32.sqrt();
    close(&run(&["zscore per-channel"], &[[0.0, 1.0, 2.0, 3.0]]), &[-1.5 / d, -0.5 / d, 0.5 / d, 1.5 / d]);
    close(&run(&["standardize 58.09 49.73"], &[[58.09, 107.82, 58.09, 58.09]]), &[0.0, 1.0, 0.0, 0.0]);
    for constant in ["minmax", "scale 0 9", "zscore per-channel", "zscore nonzero per-channel"] {
        close(&run(&[constant], &[[5.0; 4]]), &[0.0; 4]);
    }
    close(&run(&["repeat 2"], &[[1.0, 2.0, 3.0, 4.0]]), &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn steps_print_as_they_are_read_and_others_are_refused() {
    let steps = [
        "minmax",
        "zscore nonzero per-channel",
        "zscore per-channel",
        "resize 128 96 64 area",
        "resize 8 8 8 linear",
        "resize 8 8 8 nearest",
        "crop 16",
        "crop 0 16 16",
        "resize 8 8 8 nearest-exact",
        "scale 0 255",
        "standardize 58.09 49.73",
        "repeat 3",
        "orient RAS",
    ];
    for step in steps {
        assert_eq!(Step::parse(step).unwrap().to_string(), step);
    }
    for bad in [
        "",
        "minmax 3",
        "resize 8 8 area",
        "resize 0 8 8 area",
        "crop -1",
        "crop 0 0 0",
        "crop 1 2",
        "crop 1 2 x",
        "orient RAA",
        "standardize 1 0",
        "scale 0 inf",
    ] {
        assert!(Step::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_card_cannot_ask_for_endless_memory() {
    let volume = [unit([1, 1, 1], vec![1.0])];
    for steps in [&["resize 65535 65535 65535 area"][..], &["resize 60 60 60 area", "repeat 60000"]] {
        assert_eq!(pipeline(steps).apply(&volume).unwrap_err().kind(), ErrorKind::Limit, "{steps:?}");
    }
}

#[test]
fn channels_must_share_their_grid_and_be_finite() {
    let one = unit([2, 1, 1], vec![1.0, 2.0]);
    let (mut moved, mut broken) = (one.clone(), one.clone());
    moved.geometry.sform.affine[1][3] = 2.0;
    broken.data[1] = f32::NAN;
    let minmax = pipeline(&["minmax"]);
    assert!(minmax.apply(&[one.clone(), moved]).unwrap_err().message().contains("another grid"));
    assert!(minmax.apply(&[one, broken]).unwrap_err().message().contains("(1, 0, 0) is NaN"));
    assert!(minmax.apply(&[]).is_err());
}

#[test]
fn pictures_resize_by_pooling_windows_and_half_pixels() {
    let row = Tensor::new(&[1, 1, 5], vec![1.0, 2.0, 3.0, 4.0, 10.0]).unwrap();
    let to = |size, mode| resize_array(&row, &[1, size], mode).unwrap().into_data();
    // Windows 0..2, 1..4, 3..5, as adaptive average pooling has them.
    close(&to(3, Mode::Area), &[1.5, 3.0, 7.0]);
    close(&to(2, Mode::Nearest), &[1.0, 3.0]);
    // Centres (i + 1/2) 5/2 - 1/2 = 0.75 and 3.25.
    close(&to(2, Mode::Linear), &[1.75, 5.5]);
    close(&to(10, Mode::Linear), &[1.0, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 5.5, 8.5, 10.0]);
    let two = Tensor::new(&[2, 2, 1], vec![1.0, 3.0, 5.0, 9.0]).unwrap();
    assert_eq!(resize_array(&two, &[1, 2], Mode::Area).unwrap().data(), [2.0, 2.0, 7.0, 7.0]);
    assert!(resize_array(&two, &[1], Mode::Area).is_err());
    assert_eq!(resize_array(&two, &[0, 1], Mode::Area).unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// A volume whose values are the millimetres along one world axis.
fn ramp(dims: [usize; 3], affine: [[f64; 4]; 3], world: usize) -> Volume {
    let mut volume =
        Volume::new(dims, vec![0.0; dims.iter().product()], Geometry::from_affine(affine)).unwrap();
    for z in 0..dims[2] {
        for y in 0..dims[1] {
            for x in 0..dims[0] {
                let at = volume.index(x, y, z);
                volume.data[at] = volume.geometry.world([x as f64, y as f64, z as f64])[world] as f32;
            }
        }
    }
    volume
}

/// Rotations about two axes, then voxel sizes.
fn oblique(angles: [f64; 2], size: [f64; 3]) -> [[f64; 4]; 3] {
    let ((s, c), (t, d)) = (angles[0].sin_cos(), angles[1].sin_cos());
    let r = [[c, -s, 0.0], [s * d, c * d, -t], [s * t, c * t, d]];
    [0, 1, 2].map(|i| [r[i][0] * size[0], r[i][1] * size[1], r[i][2] * size[2], 10.0 * i as f64])
}

proptest! {
    #[test]
    fn a_linear_resize_reads_world_coordinates_where_its_geometry_says(
        dims in [3usize..8, 3usize..8, 3usize..8], to in [1usize..8, 1usize..8, 1usize..8],
        angles in prop::array::uniform2(-3.2f64..3.2), world in 0usize..3,
    ) {
        let volume = ramp(dims, oblique(angles, [1.0, 2.0, 0.5]), world);
        let small = resize_volume(&volume, to, Mode::Linear).unwrap();
        for z in 0..to[2] {
            for y in 0..to[1] {
                for x in 0..to[0] {
                    let at = [x as f64, y as f64, z as f64];
                    // Inside the outermost centres nothing is clamped.
                    let inside = (0..3).all(|a| {
                        let s = (at[a] + 0.5) * dims[a] as f64 / to[a] as f64 - 0.5;
                        s >= 0.0 && s <= (dims[a] - 1) as f64
                    });
                    let want = small.geometry.world(at)[world];
                    let have = f64::from(small.data[small.index(x, y, z)]);
                    prop_assert!(!inside || (have - want).abs() < 1e-3, "{have} {want}");
                }
            }
        }
    }

    #[test]
    fn moves_without_interpolation_come_back_exactly(
        dims in [5usize..9, 5usize..9, 5usize..9],
        turns in prop::array::uniform2(prop::sample::select(vec![0.0, 0.3, -1.2, 2.0, 3.0,
            std::f64::consts::FRAC_PI_4, 3.0 * std::f64::consts::FRAC_PI_4, -std::f64::consts::FRAC_PI_4])),
        codes in prop::sample::select(vec!["RAS", "LPS", "ASR", "IPR"]),
        orient_first: bool,
    ) {
        // Where an axis lies exactly between two directions, the way back must still be that of the way there.
        let mut volumes = [0, 1, 2].map(|w| ramp(dims, oblique(turns, [1.0, 2.0, 0.5]), w));
        volumes[1].geometry.qform.code = 3;
        volumes[2].geometry.units = 10;
        let orient = format!("orient {codes}");
        let steps = if orient_first { [&*orient, "crop 1", "repeat 2"] } else { ["crop 1", "repeat 2", &*orient] };
        let prepared = pipeline(&steps).apply(&volumes).unwrap();
        prop_assert_eq!(prepared.channels(), 3);
        let back = prepared.map_back(&prepared.tensor).unwrap();
        prop_assert_eq!(back.len(), 3);
        for (map, image) in back.iter().zip(&volumes) {
            prop_assert_eq!((map.dims, map.geometry), (image.dims, image.geometry));
            for z in 0..dims[2] {
                for y in 0..dims[1] {
                    for x in 0..dims[0] {
                        let i = image.index(x, y, z);
                        let kept = [x, y, z].iter().zip(dims).all(|(&v, d)| v >= 1 && v < d - 1);
                        // Two copies of each channel are added up.
                        prop_assert_eq!(map.data[i], if kept { 2.0 * image.data[i] } else { 0.0 });
                    }
                }
            }
        }
    }

    #[test]
    fn a_resized_map_lies_where_its_image_lies(
        dims in [6usize..14, 6usize..14, 6usize..14], angles in prop::array::uniform2(-3.2f64..3.2), world in 0usize..3,
    ) {
        // A map of world coordinates, made on the network's grid, must read world coordinates on the image's grid.
        let image = ramp(dims, oblique(angles, [1.0, 1.5, 0.7]), world);
        let steps = ["orient RAS", "crop 1", "resize 7 6 5 area"];
        let prepared = pipeline(&steps).apply(std::slice::from_ref(&image)).unwrap();
        let grid = prepared.geometry;
        let map = ramp([7, 6, 5], grid.affine(), world).to_array().unwrap().reshaped(&[1, 1, 7, 6, 5]).unwrap();
        let back = &prepared.map_back(&map).unwrap()[0];
        for z in 0..dims[2] {
            for y in 0..dims[1] {
                for x in 0..dims[0] {
                    let there = grid.voxel(image.geometry.world([x as f64, y as f64, z as f64])).unwrap();
                    let inside = there.iter().zip([7.0, 6.0, 5.0]).all(|(t, n)| *t >= 0.0 && *t <= n - 1.0);
                    let i = image.index(x, y, z);
                    prop_assert!(!inside || (back.data[i] - image.data[i]).abs() < 1e-3);
                }
            }
        }
    }
}

#[test]
fn one_map_for_all_channels_and_maps_of_other_shapes() {
    let volumes = [unit([4, 4, 4], vec![1.0; 64]), unit([4, 4, 4], vec![2.0; 64])];
    let prepared = pipeline(&["resize 2 2 2 area", "repeat 3"]).apply(&volumes).unwrap();
    assert_eq!(prepared.tensor.shape()[..], [1, 6, 2, 2, 2]);
    let single = Tensor::new(&[1, 1, 2, 2, 2], vec![1.0; 8]).unwrap();
    let back = prepared.map_back(&single).unwrap();
    assert_eq!((back.len(), back[0].dims, back[0].data[7]), (1, [4, 4, 4], 1.0));
    for shape in [&[1usize, 2, 2, 2, 2][..], &[1, 6, 2, 2, 1], &[6, 2, 2, 2]] {
        let wrong = Tensor::new(shape, vec![0.0; shape.iter().product()]).unwrap();
        assert!(prepared.map_back(&wrong).is_err(), "{shape:?}");
    }
}

#[test]
fn slices_are_cropped_inside_and_kept_all() {
    // The chain of the knee study: 5 slices of 40 x 40, each cropped to 8 x 8.
    let voxels = (0..5 * 40 * 40).map(|v| (v % 251) as f32).collect();
    let image = unit([5, 40, 40], voxels);
    let steps = ["crop 0 16 16", "scale 0 255", "standardize 58.09 49.73", "repeat 3"];
    let prepared = pipeline(&steps).apply(std::slice::from_ref(&image)).unwrap();
    assert_eq!(prepared.tensor.shape()[..], [1, 3, 5, 8, 8]);
    let ones = Tensor::full(prepared.tensor.shape(), 1.0f32);
    let back = prepared.map_back(&ones).unwrap();
    assert_eq!((back.len(), back[0].dims, back[0].geometry), (1, image.dims, image.geometry));
    // Three copies are added up; what was cropped away is 0.
    assert_eq!(back[0].data[back[0].index(0, 16, 16)], 3.0);
    assert_eq!(back[0].data.iter().filter(|v| **v == 3.0).count(), 5 * 8 * 8);
    assert_eq!(back[0].data[back[0].index(4, 15, 20)], 0.0);
}

proptest! {
    #[test]
    fn nearest_on_the_way_back_gives_each_voxel_the_network_voxel_it_lies_in(
        from in [1usize..12, 1usize..12, 1usize..12],
        to in [1usize..12, 1usize..12, 1usize..12],
    ) {
        let image = unit(from, vec![1.0; from.iter().product()]);
        let steps = [format!("resize {} {} {} area", to[0], to[1], to[2])];
        let prepared = Pipeline::parse(&steps).unwrap().apply(std::slice::from_ref(&image)).unwrap();
        let count: usize = to.iter().product();
        let map = Tensor::new(&[1, 1, to[0], to[1], to[2]], (0..count).map(|v| v as f32).collect()).unwrap();
        let back = prepared.map_back_by(&map, Mode::NearestExact).unwrap();
        for i in 0..image.data.len() {
            let at = [i % from[0], i / from[0] % from[1], i / from[0] / from[1]];
            let there = prepared.geometry.voxel(image.geometry.world(at.map(|v| v as f64))).unwrap();
            // Rows of the network are row-major; a centre on the border of two voxels may go to either.
            let value = back[0].data[i] as usize;
            let hit = [value / to[2] / to[1], value / to[2] % to[1], value % to[2]];
            for a in 0..3 {
                prop_assert!((there[a] - hit[a] as f64).abs() <= 0.5 + 1e-9, "{there:?} {hit:?}");
            }
        }
    }
}
