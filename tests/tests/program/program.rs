//! The program end to end: what it writes, what it says to bad input, and with which exit code.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use voxplain::imaging::{Phantom, PhantomOptions, read_nifti, read_npy, write_npy};
use voxplain::tensor::Tensor;
use voxplain_tests::program::{folder, patient, refused, run, text};
use voxplain_tests::{golden_cases, read_f64, relative_error, shared};

#[test]
fn the_demo_writes_what_it_promises() {
    let out = folder("demo");
    let output = run(&["demo", "-o", text(&out)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let image = read_nifti(&out.join("patient/patient_t1ce.nii.gz"), None).unwrap();
    for method in
        ["saliency", "deeplift", "gradcam", "guided_gradcam", "integrated_gradients", "vargrad", "layercam"]
    {
        let map = read_nifti(&out.join("maps").join(method).join("t1ce.nii.gz"), None).unwrap();
        assert_eq!(
            (map.dims, map.geometry.axis_codes()),
            (image.dims, image.geometry.axis_codes()),
            "{method}"
        );
        assert_eq!(map.geometry.sform, image.geometry.sform);
        assert!(map.data.iter().any(|v| *v != 0.0), "{method}");
        let png = std::fs::read(out.join("maps").join(method).join("montage.png")).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
    }
    std::fs::remove_dir_all(&out).unwrap();
}

#[test]
fn requests_reproduce_the_reference_cases() {
    for case in
        golden_cases().into_iter().filter(|c| ["cnn3d", "three_branch", "mlp"].iter().any(|n| c.ends_with(n)))
    {
        let out = folder("requests");
        let (request, tensors, model) =
            (case.join("case.json"), case.join("inputs.safetensors"), case.join("model.onnx"));
        let words = [
            "explain",
            text(&model),
            "--request",
            text(&request),
            "--tensors",
            text(&tensors),
            "--format",
            "npy",
            "--out",
            text(&out),
        ];
        let output = run(&words);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let expected = read_f64(&std::fs::read(case.join("expected.safetensors")).unwrap());
        let mut compared = 0;
        for (stem, values) in &expected {
            let Ok(bytes) = std::fs::read(out.join(format!("{stem}.npy"))) else { continue };
            let got: Vec<f64> = read_npy(&bytes).unwrap().data().iter().map(|v| f64::from(*v)).collect();
            let error = relative_error(&got, values);
            assert!(error <= 1e-4, "{stem}: {error:e}");
            compared += 1;
        }
        // Every row of every method; the logits are no row.
        assert_eq!(compared, expected.len() - 1);
        // Again: everything is there already, with the same bytes.
        let first = std::fs::read(out.join("saliency/manifest.json")).unwrap();
        let again = run(&words);
        assert!(String::from_utf8_lossy(&again.stdout).contains("saliency: cached"));
        assert_eq!(first, std::fs::read(out.join("saliency/manifest.json")).unwrap());
        std::fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn maps_do_not_depend_on_threads_or_memory() {
    let base = folder("threads");
    let (model, case) = patient(&base);
    let maps = |name: &str, extra: &[&str]| {
        let out = base.join(name);
        let mut words = vec![
            "explain",
            text(&model),
            text(&case),
            "-m",
            "smoothgrad,deeplift",
            "--format",
            "npy",
            "-o",
            text(&out),
        ];
        words.extend(extra);
        let output = run(&words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ["smoothgrad", "deeplift"].map(|m| std::fs::read(out.join(m).join("x.npy")).unwrap())
    };
    let reference = maps("one", &["--threads", "1"]);
    assert_eq!(reference, maps("two", &["--threads", "2"]));
    assert_eq!(reference, maps("small", &["--memory", "12M"]));
    std::fs::remove_dir_all(&base).unwrap();
}

/// Supervoxels of each modality and of all together; requests in one run, which share passes, give what each gives alone;
/// plain sums give nearly the same maps and say so in the manifest.
#[test]
fn supervoxels_shared_passes_and_plain_sums() {
    let folder = folder("supervoxels");
    let (model, patient) = patient(&folder);
    let explain = |out: &str, more: &[&str]| {
        let out = folder.join(out);
        let output =
            run(&[&["explain", text(&model), text(&patient), "-o", text(&out), "--format", "npy"], more]
                .concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        out
    };
    let map = |out: &Path, method: &str| {
        let file = if method == "gradcam" { "cam.npy" } else { "x.npy" };
        read_npy(&std::fs::read(out.join(method).join(file)).unwrap()).unwrap().data().to_vec()
    };
    for (name, mask) in [("each", "mask=\"slic segments=9\""), ("joint", "mask=\"slic joint segments=9\"")] {
        let out = explain(name, &["-m", "feature_ablation", "--set", mask]);
        let mut scores: Vec<u32> = map(&out, "feature_ablation").iter().map(|v| v.to_bits()).collect();
        scores.sort_unstable();
        scores.dedup();
        assert!((3..40).contains(&scores.len()), "{} scores", scores.len());
    }
    let methods = ["gradient", "guided_backprop", "gradcam", "deeplift"];
    let together = explain("together", &["-m", &methods.join(",")]);
    for method in methods {
        let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let alone = explain("alone", &["-m", method]);
        assert_eq!(bits(map(&together, method)), bits(map(&alone, method)), "{method}");
    }
    let double = |out: &Path| map(out, "gradient").into_iter().map(f64::from).collect::<Vec<_>>();
    // Larger tiles round equal neighbours differently, so that another of them may win in a pooling.
    for (mode, most) in [("exact", 1e-3), ("fast", 0.2)] {
        let out = explain(mode, &["-m", "gradient", &format!("--{mode}")]);
        let error = relative_error(&double(&out), &double(&together));
        assert!(error > 0.0 && error < most, "{mode}: {error}");
        let manifest = std::fs::read_to_string(out.join("gradient/manifest.json")).unwrap();
        assert!(manifest.contains(mode), "{manifest}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn one_patient_in_two_axis_orders_gives_one_map_in_world_space() {
    let base = folder("orders");
    let (model, _) = patient(&base);
    let map = |orientation: &str| {
        let options = PhantomOptions {
            dims: [24, 20, 22],
            orientation: orientation.into(),
            ..PhantomOptions::default()
        };
        let at = base.join(orientation);
        Phantom::generate(&options).unwrap().write(&at, "p").unwrap();
        let (case, out) = (at.join("p"), at.join("out"));
        let output = run(&[
            "explain",
            text(&model),
            text(&case),
            "-m",
            "input_x_gradient",
            "--format",
            "nifti",
            "-o",
            text(&out),
        ]);
        assert!(output.status.success());
        read_nifti(&out.join("input_x_gradient/flair.nii.gz"), None).unwrap()
    };
    let reference = map("RAS");
    for orientation in ["LPS", "AIL", "PSR"] {
        let turned = map(orientation);
        assert_eq!(turned.geometry.axis_codes().as_deref(), Some(orientation));
        assert_eq!(turned.oriented("RAS").unwrap().data, reference.data, "{orientation}");
    }
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn real_heads_in_four_axis_orders_give_one_map() {
    let Some(real) = shared("real") else { return };
    let base = folder("heads");
    let (model, _) = patient(&base);
    let map = |codes: &str| {
        let file = real.join(format!("{codes}.nii.gz"));
        let out = base.join(codes);
        let given = ["t1", "t1ce", "t2", "flair"].map(|m| format!("{m}={}", file.display()));
        let mut words = vec!["explain", text(&model)];
        words.extend(given.iter().map(String::as_str));
        words.extend(["-m", "saliency", "--format", "nifti", "-o", text(&out)]);
        let output = run(&words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let map = read_nifti(&out.join("saliency/t2.nii.gz"), None).unwrap();
        let image = read_nifti(&file, None).unwrap();
        assert_eq!((map.dims, map.geometry.sform), (image.dims, image.geometry.sform));
        map.oriented("RAS").unwrap()
    };
    let reference = map("RAS");
    for codes in ["LPS", "AIL", "PSR"] {
        assert_eq!(map(codes).data, reference.data, "{codes}");
    }
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn bad_input_is_one_sentence_and_leaves_nothing() {
    let base = folder("bad");
    let (model, case) = patient(&base);
    let out = base.join("out");
    let explain = |extra: &[&str]| {
        let mut words = vec!["explain", text(&model), text(&case), "-o", text(&out)];
        words.extend(extra.iter().copied());
        words.into_iter().map(String::from).collect::<Vec<String>>()
    };
    let fails = |words: Vec<String>, code: i32, part: &str| {
        refused(&words.iter().map(String::as_str).collect::<Vec<_>>(), code, part);
    };
    fails(explain(&["-m", "magic"]), 2, "no method \"magic\"");
    fails(explain(&["-t", "5"]), 2, "no class 5: the network has 2");
    fails(explain(&["-t", "bumpy"]), 2, "round, lobed");
    fails(explain(&["-m", "gradcam", "--set", "layer=conv9"]), 2, "no layer named \"conv9\"");
    fails(explain(&["-m", "gradcam", "--layer", "conv9"]), 2, "no layer named \"conv9\"");
    fails(explain(&["-m", "saliency", "--layer", "conv9"]), 2, "--layer is for class activation maps");
    fails(explain(&["-m", "saliency", "--set", "steps=3"]), 2, "no parameter \"steps\"");
    fails(explain(&["--set", "n_steps"]), 2, "key=value");
    fails(explain(&["--memory", "1k"]), 2, "bytes are needed above the weights");
    fails(explain(&["--format", "gif"]), 2, "no format \"gif\"");
    refused(&["explain", "nowhere.safetensors", text(&case), "-o", text(&out)], 2, "nowhere.safetensors");
    refused(&["explain", text(&model), "nowhere", "-o", text(&out)], 2, "neither a folder nor");
    refused(&["explain", text(&model)], 2, "no case was given");
    refused(&["explain", "--unknown"], 2, "--unknown");
    std::fs::remove_file(case.join("patient_flair.nii.gz")).unwrap();
    fails(explain(&[]), 2, "3 of 4 modalities found (t1, t1ce, t2); flair missing");
    std::fs::write(case.join("patient_flair.nii.gz"), b"not an image").unwrap();
    fails(explain(&[]), 2, "not a NIfTI file");
    let array = base.join("x.npy");
    write_npy(&array, &Tensor::new(&[1, 4, 8, 8, 8], vec![0.0f32; 2048]).unwrap()).unwrap();
    refused(
        &["explain", text(&model), &format!("x={}", array.display()), "-o", text(&out)],
        2,
        "input \"x\" has shape [1, 4, 8, 8, 8]",
    );
    let mut data = vec![0.0f32; 4 * 32 * 32 * 32];
    data[7] = f32::NAN;
    write_npy(&array, &Tensor::new(&[1, 4, 32, 32, 32], data).unwrap()).unwrap();
    refused(
        &["explain", text(&model), &format!("x={}", array.display()), "-o", text(&out)],
        2,
        "element 7 is not finite",
    );
    let left: Vec<_> = std::fs::read_dir(&out)
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|d| std::fs::read_dir(d.path()))
        .flatten()
        .flatten()
        .collect();
    assert!(left.is_empty(), "{left:?}");
    std::fs::remove_dir_all(&base).unwrap();
}

/// A unit whose second file cannot be written leaves nothing of itself, and what a killed run left behind goes.
#[test]
fn a_unit_is_there_whole_or_not_at_all() {
    let base = folder("whole");
    let (model, case) = patient(&base);
    let out = base.join("out");
    // A folder where a file is to go stands for a disk that refuses.
    std::fs::create_dir_all(out.join("saliency/t2.nii.gz/in the way")).unwrap();
    std::fs::write(out.join("saliency/.t1.nii.gz.77.tmp"), b"half").unwrap();
    let words = [
        "explain",
        text(&model),
        text(&case),
        "-m",
        "saliency,deeplift",
        "--format",
        "nifti",
        "-o",
        text(&out),
    ];
    let output = run(&words);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("saliency/t2.nii.gz"));
    let left: Vec<_> =
        std::fs::read_dir(out.join("saliency")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["t2.nii.gz"]);
    assert!(out.join("deeplift/manifest.json").is_file());
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn import_of_a_pytorch_program() {
    let base = folder("pt2");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/models/tests/data");
    let (file, out) = (data.join("conv.pt2"), base.join("m.safetensors"));
    let imported = run(&["import", text(&file), "-o", text(&out)]);
    let said = String::from_utf8_lossy(&imported.stdout).into_owned();
    assert!(
        imported.status.success() && said.contains("note: ") && said.contains("patient's images"),
        "{said}"
    );
    let shown = String::from_utf8_lossy(&run(&["inspect", text(&file)]).stdout).into_owned();
    assert!(shown.contains("conv6.op.2"), "{shown}");
    refused(&["import", text(&data.join("in_place_view.pt2")), "-o", text(&out)], 2, "in place");
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn import_and_inspect() {
    let Some(golden) = shared("golden") else { return };
    let base = folder("import");
    let case = golden.join("genenet3d");
    let (onnx, state, out) =
        (case.join("model.onnx"), case.join("state_dict.safetensors"), base.join("m.safetensors"));
    assert!(run(&["import", text(&onnx), "-o", text(&out)]).status.success());
    let shown = run(&["inspect", text(&out), "--plan"]);
    assert!(shown.status.success());
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("conv2.5") && shown.contains("GFLOP forward") && shown.contains("max_scatter"),
        "{shown}"
    );
    let words = ["import", text(&state), "--arch", "genenet", "--input", "8,8,6", "--fold", "-o", text(&out)];
    assert!(run(&words).status.success());
    let folded = String::from_utf8_lossy(&run(&["inspect", text(&out)]).stdout).into_owned();
    assert!(folded.contains("rewrite fold_batch_normalization (3 nodes)"), "{folded}");
    refused(&["import", text(&state), "-o", text(&out)], 2, "no \"graph\" in its metadata");
    let listed = String::from_utf8_lossy(&run(&["import", "--list-architectures"]).stdout).into_owned();
    assert!(listed.contains("segresnet") && listed.contains("genenet"), "{listed}");
    let small = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/models/tests/architectures/segresnet.safetensors");
    let sized = ["import", text(&small), "--arch", "segresnet", "--spatial", "8", "10", "-o", text(&out)];
    refused(&sized, 2, "8 groups do not divide 4 channels");
    let said = run(&[&sized[..], &["--arch-set", "groups=2"]].concat());
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("rewrite architecture segresnet") && said.contains("groups=2"), "{said}");
    std::fs::remove_dir_all(&base).unwrap();
}
