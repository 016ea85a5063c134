//! What phantoms promise, because the true importance of every modality rests on it.
#![allow(clippy::unwrap_used)]

use voxplain_imaging::{
    Channel, Lesion, MODALITIES, Phantom, PhantomOptions, Shown, Volume, find_case, read_nifti,
};

fn small(seed: u64) -> PhantomOptions {
    PhantomOptions { dims: [32; 3], seed, ..PhantomOptions::default() }
}

fn mean(volume: &Volume, segmentation: &Volume, label: f32) -> f64 {
    let inside = volume.data.iter().zip(&segmentation.data).filter(|(v, s)| **v > 0.0 && **s == label);
    let (sum, count) = inside.fold((0.0, 0), |(s, n), (v, _)| (s + f64::from(*v), n + 1));
    assert!(count > 0, "no voxel of label {label}");
    sum / f64::from(count)
}

#[test]
fn lesions_are_off_the_midline_and_show_in_each_modality_as_in_patients() {
    for seed in 0..20 {
        // Every modality shows the class's own shape, so that labels say what is where.
        let options = PhantomOptions { shown: [Shown::Aligned(1.0); 4], ..small(seed) };
        let p = Phantom::generate(&options).unwrap();
        assert_eq!(p.shapes, [p.class; 4]);
        let m = |modality: usize, label: f32| mean(&p.volumes[modality], &p.segmentation, label);
        let (t1ce, t2, flair) = (1, 2, 3);
        assert!(m(t1ce, 4.0) > 1.3 * m(t1ce, 0.0) && m(t1ce, 4.0) > 2.0 * m(t1ce, 1.0), "seed {seed}");
        assert!(m(t2, 2.0) > 1.3 * m(t2, 0.0) && m(flair, 2.0) > 1.3 * m(flair, 0.0), "seed {seed}");
        let x = p.centre[0] as f64 - 15.5;
        assert!(x.abs() > 2.0, "seed {seed}: the lesion lies at {:?}", p.centre);
        assert!(
            p.volumes[0].data[0] == 0.0
                && p.segmentation.data.iter().all(|v| [0.0, 1.0, 2.0, 4.0].contains(v))
        );
    }
}

#[test]
fn round_and_lobed_overlap_little_enough_to_be_told_apart() {
    for seed in 0..20 {
        let [round, lobed] = [Lesion::Round, Lesion::Lobed].map(|class| {
            let p = Phantom::generate(&PhantomOptions { class: Some(class), ..small(seed) }).unwrap();
            p.segmentation.data.iter().map(|v| *v > 0.0).collect::<Vec<_>>()
        });
        let count = |v: &[bool]| v.iter().filter(|b| **b).count() as f64;
        let both = round.iter().zip(&lobed).filter(|(a, b)| **a && **b).count() as f64;
        let dice = 2.0 * both / (count(&round) + count(&lobed));
        println!("seed {seed}: overlap {dice:.3}, voxels {} and {}", count(&round), count(&lobed));
        assert!(dice < 0.8, "seed {seed}: overlap {dice}");
    }
}

#[test]
fn the_dials_say_how_often_a_modality_shows_the_class() {
    let mut same = [0; 4];
    for seed in 0..300 {
        let options = PhantomOptions { dims: [16; 3], seed, ..PhantomOptions::default() };
        let p = Phantom::generate(&options).unwrap();
        assert_eq!([p.shapes[0], p.shapes[2]], [Lesion::Lobed; 2]);
        (0..4).for_each(|m| same[m] += u32::from(p.shapes[m] == p.class));
    }
    assert_eq!(same[1], 300);
    // 0.7 and, by the class alone, 0.5; four standard deviations are 0.11.
    assert!((177..=243).contains(&same[3]) && (115..=185).contains(&same[0]), "{same:?}");
}

#[test]
fn axis_orders_and_odd_sizes_are_the_same_patient() {
    let options = PhantomOptions { dims: [24, 40, 30], spacing: [2.0, 1.0, 3.0], ..small(5) };
    let ras = Phantom::generate(&options).unwrap();
    for orientation in ["LAS", "LPS", "LIA"] {
        let p = Phantom::generate(&PhantomOptions { orientation: orientation.into(), ..options.clone() })
            .unwrap();
        assert_eq!(p.volumes[0].geometry.axis_codes().as_deref(), Some(orientation));
        for (turned, plain) in p.volumes.iter().zip(&ras.volumes) {
            assert_eq!(&turned.oriented("RAS").unwrap(), plain);
        }
        let world = |p: &Phantom| p.segmentation.geometry.world(p.centre.map(|c| c as f64));
        assert_eq!(world(&p), world(&ras));
    }
    for bad in [
        PhantomOptions { dims: [8, 32, 32], ..small(0) },
        PhantomOptions { spacing: [0.0, 1.0, 1.0], ..small(0) },
        PhantomOptions { orientation: "RAR".into(), ..small(0) },
    ] {
        assert!(Phantom::generate(&bad).is_err());
    }
}

#[test]
fn a_tilted_head_is_the_same_patient_with_the_lesion_on_the_same_side() {
    let plain = Phantom::generate(&small(2)).unwrap();
    for (orientation, codes) in [("oblique", "RAS"), ("LPS oblique", "LPS"), ("LIA oblique", "LIA")] {
        let p = Phantom::generate(&PhantomOptions { orientation: orientation.into(), ..small(2) }).unwrap();
        let g = p.volumes[0].geometry;
        assert_eq!(g.axis_codes().as_deref(), Some(codes));
        assert!(g.affine().iter().all(|row| row[..3].iter().filter(|v| v.abs() > 1e-3).count() >= 2));
        assert!(g.spacing().iter().all(|s| (s - 2.5).abs() < 1e-12));
        let turned = p.volumes[1].oriented("RAS").unwrap();
        assert_eq!(turned.data, plain.volumes[1].data);
        let right = |p: &Phantom| p.segmentation.geometry.world(p.centre.map(|c| c as f64))[0];
        assert_eq!(right(&p).signum(), right(&plain).signum());
    }
    for bad in ["LPR oblique", "oblique RAS"] {
        assert!(Phantom::generate(&PhantomOptions { orientation: bad.into(), ..small(2) }).is_err());
    }
}

#[test]
fn a_written_phantom_is_a_case() {
    let folder = std::env::temp_dir().join(format!("voxplain-phantom-{}", std::process::id()));
    let p = Phantom::generate(&small(1)).unwrap();
    p.write(&folder, "sub-001").unwrap();
    let case = folder.join("sub-001");
    let channels = MODALITIES.map(|m| Channel::new(m, &[]));
    for (file, volume) in find_case(&case, &channels).unwrap().iter().zip(&p.volumes) {
        let back = read_nifti(file, None).unwrap();
        assert_eq!(
            (back.dims, &back.data, back.geometry.sform),
            (volume.dims, &volume.data, volume.geometry.sform)
        );
    }
    assert_eq!(read_nifti(&case.join("sub-001_seg.nii.gz"), None).unwrap().data, p.segmentation.data);
    let label = std::fs::read_to_string(case.join("label.txt")).unwrap();
    assert_eq!(label, format!("{}\n", u8::from(p.class == Lesion::Lobed)));
    std::fs::remove_dir_all(folder).unwrap();
}
