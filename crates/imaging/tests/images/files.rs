//! Round trips of files and geometry, files of other tools, and broken files.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use voxplain_imaging::{
    Geometry, Lesion, Mode, Phantom, PhantomOptions, Pipeline, Volume, WriteOptions, find_case, read_nifti,
    read_nifti_bytes, read_npy, read_png, resize_volume, write_nifti, write_npy,
};
use voxplain_tensor::Tensor;

fn temporary(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("voxplain-imaging-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn real(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/real").join(name);
    if !path.is_file() {
        println!("SKIPPED: no {name} beside the repository");
    }
    Some(path).filter(|p| p.is_file())
}

fn volume() -> impl Strategy<Value = Volume> {
    let dims = [1usize..6, 1usize..6, 1usize..6];
    (
        dims,
        prop::collection::vec(-1000.0f32..1000.0, 216),
        prop::array::uniform9(-1.0f64..1.0),
        prop::array::uniform3(-50.0f64..50.0),
    )
        .prop_filter_map("the affine must have a volume", |(dims, data, m, t)| {
            let mut affine = [[0.0; 4]; 3];
            for r in 0..3 {
                for c in 0..3 {
                    // Rounded as the file will hold it.
                    affine[r][c] = f64::from((3.0 * f64::from(u8::from(r == c)) + m[3 * r + c]) as f32);
                }
                affine[r][3] = f64::from(t[r] as f32);
            }
            let n = dims.iter().product();
            Volume::new(dims, data[..n].to_vec(), Geometry::from_affine(affine)).ok()
        })
}

proptest! {
    #[test]
    fn written_volumes_read_back_with_their_geometry(v in volume(), gz: bool) {
        let path = temporary("round").join(if gz { "v.nii.gz" } else { "v.nii" });
        write_nifti(&path, &v, &WriteOptions::default()).unwrap();
        let back = read_nifti(&path, None).unwrap();
        prop_assert_eq!(&back.data, &v.data);
        prop_assert_eq!(back.geometry.sform, v.geometry.sform);
        prop_assert_eq!(back.geometry.qform.code, v.geometry.qform.code);
    }

    #[test]
    fn arranging_axes_keeps_every_voxel_in_its_place(
        v in volume(),
        codes in prop::sample::select(vec!["RAS", "LPS", "AIL", "PSR", "SRP"]),
    ) {
        let turned = v.oriented(codes).unwrap();
        prop_assert_eq!(turned.geometry.axis_codes().unwrap(), codes);
        for (x, y, z) in [(0, 0, 0), (turned.dims[0] - 1, 0, turned.dims[2] - 1)] {
            let world = turned.geometry.world([x as f64, y as f64, z as f64]);
            let there = v.geometry.voxel(world).unwrap().map(|i| i.round() as usize);
            prop_assert_eq!(turned.data[turned.index(x, y, z)], v.data[v.index(there[0], there[1], there[2])]);
        }
        let back = turned.oriented(&v.geometry.axis_codes().unwrap()).unwrap();
        prop_assert_eq!(back.data, v.data);
    }

    #[test]
    fn broken_nifti_is_an_error_and_never_a_panic(v in volume(), at in 0usize..700, byte: u8, cut in 0usize..1200, gz: bool) {
        let path = temporary("broken").join(if gz { "v.nii.gz" } else { "v.nii" });
        write_nifti(&path, &v, &WriteOptions::default()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(b) = bytes.get_mut(at) { *b = byte; }
        bytes.truncate(cut);
        let _ = read_nifti_bytes(&bytes, None);
    }

    #[test]
    fn npy_reads_back_and_broken_npy_never_panics(data in prop::collection::vec(-9.0f32..9.0, 1..40), at in 0usize..200, byte: u8) {
        let path = temporary("npy").join("a.npy");
        let tensor = Tensor::new(&[data.len()], data).unwrap();
        write_npy(&path, &tensor).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        prop_assert_eq!(&read_npy(&bytes).unwrap(), &tensor);
        if let Some(b) = bytes.get_mut(at) { *b = byte; }
        let _ = read_npy(&bytes);
        let _ = read_png(&bytes);
    }

    #[test]
    fn resizing_keeps_the_field_of_view(v in volume(), to in [1usize..7, 1usize..7, 1usize..7]) {
        let small = resize_volume(&v, to, Mode::Area).unwrap();
        // The outer corners of the first and last voxel stay where they are.
        let corner = |v: &Volume, end: bool| v.geometry.world([0, 1, 2].map(|a| if end { v.dims[a] as f64 - 0.5 } else { -0.5 }));
        for end in [false, true] {
            for (p, q) in corner(&v, end).iter().zip(corner(&small, end)) {
                prop_assert!((p - q).abs() < 1e-9);
            }
        }
    }
}

#[test]
fn one_head_in_four_axis_orders_is_one_image() {
    let names = ["RAS.nii.gz", "LPS.nii.gz", "AIL.nii.gz", "PSR.nii.gz"];
    let Some(first) = real(names[0]) else { return };
    let ras = read_nifti(&first, None).unwrap();
    for name in names {
        let v = read_nifti(&real(name).unwrap(), None).unwrap();
        assert_eq!(v.geometry.axis_codes().unwrap(), name[..3]);
        let turned = v.oriented("RAS").unwrap();
        assert_eq!(turned.dims, ras.dims, "{name}");
        assert_eq!(turned.data, ras.data, "{name}");
        let (p, q) = (turned.geometry.affine(), ras.geometry.affine());
        let worst = p.iter().flatten().zip(q.iter().flatten()).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(worst < 1e-3, "{name}: {worst}");
    }
}

#[test]
fn files_of_other_tools() {
    let Some(path) = real("complex_image.nii.gz") else { return };
    assert!(read_nifti(&path, None).unwrap_err().message().contains("complex64"));
    assert!(
        read_nifti(&real("ct_perfusion.nii.gz").unwrap(), Some(0)).unwrap_err().message().contains("RGB24")
    );
    let minimal = read_nifti(&real("minimal.nii.gz").unwrap(), None).unwrap();
    assert_eq!(minimal.geometry.axis_codes(), None);
    assert_eq!(read_nifti(&real("low_res.nii.gz").unwrap(), None).unwrap().dims, [7, 5, 3]);
    let flair = read_nifti(&real("FLAIR.nii.gz").unwrap(), None).unwrap();
    assert_eq!((flair.dims, flair.geometry.axis_codes().as_deref()), ([124, 160, 140], Some("RAS")));
    assert_eq!(
        read_nifti(&real("spmMotor.nii.gz").unwrap(), None).unwrap().geometry.axis_codes().as_deref(),
        Some("LAS")
    );
}

#[test]
fn a_map_comes_back_to_the_images_own_grid() {
    let options = PhantomOptions {
        dims: [40, 36, 30],
        seed: 3,
        orientation: "LPS".into(),
        ..PhantomOptions::default()
    };
    let phantom = Phantom::generate(&options).unwrap();
    let steps = ["orient RAS", "minmax", "zscore nonzero per-channel", "crop 2", "resize 16 16 16 area"];
    let pipeline = Pipeline::parse(&steps.map(String::from)).unwrap();
    let prepared = pipeline.apply(&phantom.volumes).unwrap();
    assert_eq!(prepared.tensor.shape()[..], [1, 4, 16, 16, 16]);
    let back = prepared.map_back(&prepared.tensor).unwrap();
    assert_eq!(back.len(), 4);
    for (map, image) in back.iter().zip(&phantom.volumes) {
        assert_eq!((map.dims, map.geometry), (image.dims, image.geometry));
    }
    assert_eq!(pipeline.steps.iter().map(ToString::to_string).collect::<Vec<_>>(), steps);
}

#[test]
fn phantoms_are_brains_with_a_lesion_and_repeat_bit_for_bit() {
    for seed in 0..20 {
        let options = PhantomOptions { dims: [32; 3], seed, ..PhantomOptions::default() };
        let phantom = Phantom::generate(&options).unwrap();
        assert_eq!(phantom.volumes, Phantom::generate(&options).unwrap().volumes);
        let lesion = phantom.segmentation.data.iter().filter(|v| **v > 0.0).count();
        assert!(lesion > 60, "seed {seed}: {lesion} voxels");
        let outside = phantom.volumes[0]
            .data
            .iter()
            .zip(&phantom.segmentation.data)
            .filter(|(v, s)| **v == 0.0 && **s > 0.0);
        assert_eq!(outside.count(), 0);
        let [x, y, z] = phantom.centre;
        assert!(phantom.segmentation.data[phantom.segmentation.index(x, y, z)] == 1.0, "seed {seed}");
    }
    let both = [Lesion::Round, Lesion::Lobed].map(|class| {
        let options = PhantomOptions { dims: [32; 3], class: Some(class), ..PhantomOptions::default() };
        Phantom::generate(&options).unwrap()
    });
    assert_ne!(both[0].volumes[1].data, both[1].volumes[1].data);
}

#[test]
fn a_case_is_found_by_its_names() {
    use voxplain_imaging::Channel;
    let folder = temporary("case");
    let channels = ["t1", "t1ce", "t2", "flair"].map(|n| Channel::new(n, &[]));
    for name in ["a_t1.nii.gz", "a_t1ce.nii.gz", "a_t2.nii.gz", "a_seg.nii.gz"] {
        std::fs::write(folder.join(name), []).unwrap();
    }
    let message = find_case(&folder, &channels).unwrap_err().message().to_string();
    assert!(message.contains("3 of 4 modalities found (t1, t1ce, t2); flair missing"), "{message}");
    std::fs::write(folder.join("a-t2f.nii.gz"), []).unwrap();
    let found = find_case(&folder, &channels).unwrap();
    let names: Vec<_> = found.iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["a_t1.nii.gz", "a_t1ce.nii.gz", "a_t2.nii.gz", "a-t2f.nii.gz"]);
    std::fs::write(folder.join("b_t1.nii.gz"), []).unwrap();
    assert!(find_case(&folder, &channels).unwrap_err().message().contains("could be t1"));
}
