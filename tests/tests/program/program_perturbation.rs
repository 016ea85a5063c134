//! Perturbation methods through the program: budgets, going on after a kill, draws, other patients' values, the importance
//! of modalities, and what is said to bad input.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use voxplain::imaging::{Phantom, PhantomOptions, Volume, WriteOptions, read_nifti, read_npy, write_nifti};
use voxplain_tests::program::{folder, patient, program, refused, run, text};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// `explain` on a patient, with these words; it must succeed. Returns the output folder.
fn explain(base: &Path, out: &str, words: &[&str]) -> PathBuf {
    let out = base.join(out);
    let (model, case) = (base.join("model.safetensors"), base.join("patient"));
    let fixed = ["explain", text(&model), text(&case), "--format", "npy", "-o", text(&out)];
    let output = run(&[&fixed, words].concat());
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    out
}

fn map(out: &Path, id: &str) -> Vec<u8> {
    std::fs::read(out.join(id).join("x.npy")).unwrap()
}

/// What a manifest says of the result, without the seconds it took.
fn stated(out: &Path, id: &str) -> Value {
    let mut manifest = json(&out.join(id).join("manifest.json"));
    manifest.as_object_mut().unwrap().remove("seconds");
    manifest
}

#[test]
fn a_budget_ends_and_a_larger_one_goes_on() {
    let base = folder("budget");
    patient(&base);
    let sampling = ["-m", "shapley_sampling", "--set", "mask=grid 16", "--seed", "3"];
    let with =
        |out: &str, budget: &str| explain(&base, out, &[&sampling[..], &["--budget", budget]].concat());
    let small = with("out", "100");
    let manifest = stated(&small, "shapley_sampling");
    let used = manifest["passes"]["forward"].as_u64().unwrap();
    assert!(used <= 100 && manifest["ended_by_budget"] == true, "{manifest}");
    let state = small.join("shapley_sampling/evaluations.bin");
    assert!(state.is_file());
    // The same again is there already; more goes on, and is what it would have been without a break.
    let again = run(&[
        "explain",
        text(&base.join("model.safetensors")),
        text(&base.join("patient")),
        "--format",
        "npy",
        "-o",
        text(&small),
        "-m",
        "shapley_sampling",
        "--set",
        "mask=grid 16",
        "--seed",
        "3",
        "--budget",
        "100",
    ]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("cached"));
    with("out", "300");
    let fresh = with("fresh", "300");
    assert!(map(&small, "shapley_sampling") == map(&fresh, "shapley_sampling"));
    assert_eq!(stated(&small, "shapley_sampling"), stated(&fresh, "shapley_sampling"));
    // Time that is not used up ends nothing; an error does; more threads change nothing.
    let timed = explain(&base, "timed", &["-m", "banzhaf", "--budget", "2h", "--set", "draws=40"]);
    assert_eq!(stated(&timed, "banzhaf")["ended_by_budget"], false);
    let words = [&sampling[..], &["--budget", "error=20%,2000", "--threads"]].concat();
    let one = explain(&base, "one", &[&words[..], &["1"]].concat());
    let two = explain(&base, "two", &[&words[..], &["2"]].concat());
    assert!(map(&one, "shapley_sampling") == map(&two, "shapley_sampling"));
    std::fs::remove_dir_all(&base).unwrap();
}

/// Killed again and again while it evaluates, it goes on from what it saved and ends with the bytes of a run in one piece;
/// nothing else is left in the folder.
#[test]
fn a_killed_run_goes_on() {
    let base = folder("killed");
    let (model, case) = patient(&base);
    let method = ["-m", "occlusion,kernel_shap"];
    let whole = explain(&base, "whole", &method);
    let out = base.join("parts");
    let words = ["explain", text(&model), text(&case), "--format", "npy", "-o", text(&out)];
    let mut kills = 0;
    for delay in [700u64, 1100, 1500, 1900] {
        let mut child = Command::new(program())
            .args([&words[..], &method[..]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(delay) && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        kills += usize::from(child.kill().is_ok() && !child.wait().unwrap().success());
    }
    println!("killed {kills} times");
    explain(&base, "parts", &method);
    for id in ["occlusion", "kernel_shap"] {
        assert!(map(&whole, id) == map(&out, id), "{id}");
        assert_eq!(stated(&whole, id), stated(&out, id), "{id}");
        let names = |out: &Path| {
            let all = std::fs::read_dir(out.join(id)).unwrap();
            let mut names: Vec<_> = all.map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&whole), names(&out));
    }
    std::fs::remove_dir_all(&base).unwrap();
}

/// Draws that were saved are given back and give the same map; another patient's values fill in.
#[test]
fn draws_and_other_patients() {
    let base = folder("draws");
    patient(&base);
    let features = ["--set", "mask=grid 12"];
    for (method, key) in [("shapley_sampling", "permutations"), ("sobol", "points")] {
        let words = [&["-m", method, "--save-draws", "--set", "draws=6"], &features[..]].concat();
        let drawn = explain(&base, "drawn", &words);
        let file = drawn.join(method).join("draws.safetensors");
        let set = format!("{key}={key}");
        let words = [&["-m", method, "--tensors", text(&file), "--set", &set], &features[..]].concat();
        let again = explain(&base, "again", &words);
        assert!(map(&drawn, method) == map(&again, method), "{method}");
    }
    let options = PhantomOptions { dims: [24, 20, 22], seed: 9, ..PhantomOptions::default() };
    Phantom::generate(&options).unwrap().write(&base, "other").unwrap();
    let other = base.join("other");
    let ablate = ["-m", "feature_ablation", "--set", "mask=modality"];
    let words = [&ablate[..], &["--set", "baseline=reference"]].concat();
    let foreign = [&words[..], &["--reference", text(&other)]].concat();
    let foreign = map(&explain(&base, "foreign", &foreign), "feature_ablation");
    let zero = map(&explain(&base, "zero", &ablate), "feature_ablation");
    assert!(foreign != zero, "another patient's values are not zeros");
    // A patient in place of itself changes nothing.
    let own = base.join("patient");
    let words = [&words[..], &["--reference", text(&own)]].concat();
    let same = read_npy(&map(&explain(&base, "self", &words), "feature_ablation")).unwrap();
    assert!(same.data().iter().all(|v| *v == 0.0));
    std::fs::remove_dir_all(&base).unwrap();
}

/// One case: what it adds up to. Several: the means of the cases, with intervals; with labels accuracy and AUC.
#[test]
fn modalities_of_cases_and_data_sets() {
    let base = folder("modalities");
    let (model, case) = patient(&base);
    let words = |more: &[&str]| {
        let output = run(&[&["modalities", text(&model), "--json"], more].concat());
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let importances = |answer: &Value| -> Vec<f64> {
        answer["modalities"].as_array().unwrap().iter().map(|m| m["importance"].as_f64().unwrap()).collect()
    };
    let adds_up = |answer: &Value| {
        let worth = |end: &str| answer["worth"][end].as_f64().unwrap();
        let sum: f64 = importances(answer).iter().sum();
        assert!((sum - worth("all") + worth("none")).abs() < 1e-5, "{answer}");
    };
    let single = words(&[text(&case)]);
    adds_up(&single);
    let names: Vec<&str> =
        single["modalities"].as_array().unwrap().iter().map(|m| m["modality"].as_str().unwrap()).collect();
    assert_eq!(names, ["t1", "t1ce", "t2", "flair"]);
    // The same numbers as the method by its name.
    let out = explain(&base, "out", &["-m", "shapley_values"]);
    let scores = json(&out.join("shapley_values/manifest.json"))["scores"]["values"][0].clone();
    for (a, b) in importances(&single).iter().zip(scores.as_array().unwrap()) {
        assert!((a - b.as_f64().unwrap()).abs() < 1e-5, "{single} {scores}");
    }
    let others: Vec<PathBuf> = (1..4)
        .map(|seed| {
            let name = format!("p{seed}");
            let options = PhantomOptions { dims: [24, 20, 22], seed, ..PhantomOptions::default() };
            Phantom::generate(&options).unwrap().write(&base, &name).unwrap();
            base.join(name)
        })
        .collect();
    let all: Vec<&str> = others.iter().map(|p| text(p)).collect();
    let probability = words(&[&all[..], &["--of", "probability", "-t", "1"]].concat());
    adds_up(&probability);
    let cases = probability["cases"].as_array().unwrap();
    for m in 0..4 {
        let mean = cases.iter().map(|c| c["importances"][m].as_f64().unwrap()).sum::<f64>() / 3.0;
        let row = &probability["modalities"][m];
        assert!((mean - row["importance"].as_f64().unwrap()).abs() < 1e-9);
        let (low, high) = (row["interval"][0].as_f64().unwrap(), row["interval"][1].as_f64().unwrap());
        assert!(low <= mean + 1e-12 && mean <= high + 1e-12, "{row}");
    }
    let labels = base.join("labels.csv");
    std::fs::write(&labels, "case,class\np1,0\np2,1\np3,1\n").unwrap();
    for measure in ["accuracy", "auc"] {
        adds_up(&words(&[&all[..], &["--of", measure, "--labels", text(&labels)]].concat()));
    }
    let bad = |more: &[&str], part: &str| {
        refused(&[&["modalities", text(&model), all[0]], more].concat(), 2, part);
    };
    bad(&["--of", "auc"], "needs the cases' classes");
    bad(&["--of", "fame"], "logit, probability, accuracy or auc expected");
    bad(&["--of", "auc", "--labels", text(&labels)], "all cases have the same label");
    std::fs::write(&labels, "p9,0\n").unwrap();
    bad(&["--of", "accuracy", "--labels", text(&labels)], "case p1 has no label");
    std::fs::write(&labels, "p1 0\n").unwrap();
    bad(&["--of", "accuracy", "--labels", text(&labels)], "line 1");
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn bad_input_is_one_sentence() {
    let base = folder("bad-perturbation");
    let (model, case) = patient(&base);
    let out = base.join("out");
    let bad = |more: &[&str], part: &str| {
        let fixed = ["explain", text(&model), text(&case), "-o", text(&out)];
        refused(&[&fixed, more].concat(), 2, part);
    };
    bad(&["-m", "lime", "--budget", "0"], "--budget: a budget of \"0\"");
    bad(&["-m", "lime", "--budget", "soon"], "evaluations as 500, time as 60s");
    bad(&["-m", "deeplift", "--budget", "60s"], "none was asked for");
    bad(&["-m", "shapley_values", "--budget", "5"], "a budget of 5 evaluations (per example) is too small");
    bad(&["-m", "shapley_values", "--set", "mask=grid 4"], "use shapley_sampling or kernel_shap");
    bad(&["-m", "sobol", "--set", "mask=grid 2"], "more than the 512");
    bad(&["-m", "banzhaf", "--set", "mode=some"], "reuse or plain or exact expected");
    bad(&["-m", "occlusion", "--set", "baseline=reference"], "name one with --reference FOLDER");
    bad(
        &["-m", "occlusion", "--set", "inside=nowhere"],
        "everywhere, foreground or a tensor per input expected",
    );
    bad(&["-m", "feature_permutation"], "there is only one; give a batch of several patients");
    bad(&["-m", "rise", "--set", "masks=m"], "need both tensors");
    assert!(!out.join("lime").exists());
    // What it would cost, within the budget.
    let fixed = ["explain", text(&model), text(&case), "-o", text(&out), "--dry-run", "--json"];
    let output = run(&[&fixed[..], &["-m", "kernel_shap", "--budget", "123"]].concat());
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["forward"], 123);
    // The published study's methods all have their parameters right; permutation needs someone to permute with.
    for (reference, methods) in [(&[][..], 15), (&["--reference", text(&case)][..], 16)] {
        let output = run(&[&fixed[..], &["-m", "study"], reference].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let what = if methods == 15 { "left out" } else { "the values of the patient of --reference" };
        assert!(said.contains("feature_permutation") && said.contains(what), "{said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), methods);
    }
    std::fs::remove_dir_all(&base).unwrap();
}

/// The labels of an image beside the patient's are features of every modality, or of all at once; other labels of the same
/// name are not gone on from.
#[test]
fn labels_of_an_image_are_features() {
    let base = folder("labels");
    patient(&base);
    let mask = base.join("labels.nii.gz");
    let with = |words: &str, labels: &dyn Fn(usize) -> f32| {
        let any = std::fs::read_dir(base.join("patient")).unwrap().flatten().map(|f| f.path());
        let image = any.into_iter().find(|f| text(f).ends_with(".nii.gz")).unwrap();
        let image = read_nifti(&image, None).unwrap();
        let data = (0..image.data.len()).map(labels).collect();
        let made = Volume::new(image.dims, data, image.geometry).unwrap();
        write_nifti(&mask, &made, &WriteOptions::default()).unwrap();
        let set = format!("mask={words}");
        let out = explain(&base, "out", &["-m", "feature_ablation", "--set", &set, "--mask", text(&mask)]);
        let scores = stated(&out, "feature_ablation")["scores"].clone();
        (scores["values"][0].as_array().unwrap().len(), map(&out, "feature_ablation"))
    };
    let halves = |at: usize| if at % 2 == 0 { 7.0 } else { 9.0 };
    let (own, _) = with("labels", &halves);
    let (joint, both) = with("labels joint", &halves);
    assert_eq!((own, joint), (2 * 4, 2));
    let (one, other) = with("labels joint", &|at| if at < 1000 { 5.0 } else { 0.0 });
    assert!(one == 1 && other != both);
    let (model, case) = (base.join("model.safetensors"), base.join("patient"));
    let out = base.join("none");
    let words =
        ["explain", text(&model), text(&case), "-m", "feature_ablation", "--set", "mask=labels", "-o"];
    refused(&[&words[..], &[text(&out)]].concat(), 2, "pass --mask FILE");
    std::fs::remove_dir_all(&base).unwrap();
}
