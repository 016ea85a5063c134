//! Composites in files, and the newer methods, through the program: tables are printed and recorded, ledgers balance, and
//! what does not fit is refused with one sentence.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::Path;
use voxplain::imaging::read_npy;
use voxplain_tests::program::{folder, patient, refused, run, text};

const TABLE: &str = r#"
start = "output"
[[rule]]
on = "everything"
rule = "unweighted"
[[rule]]
on = "kind Conv"
rule = "z_plus"
[[rule]]
on = "kind Gemm"
rule = "epsilon"
epsilon = 1e-4
[[rule]]
on = "first"
rule = "flat"
"#;

fn manifest(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

/// The sum of the maps that a unit wrote.
fn total(folder: &Path) -> f64 {
    let files = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path());
    let arrays = files.filter(|p| p.extension().is_some_and(|e| e == "npy"));
    arrays.flat_map(|p| read_npy(&std::fs::read(p).unwrap()).unwrap().into_data()).map(f64::from).sum()
}

#[test]
fn a_composite_in_a_file_is_used_printed_and_recorded() {
    let base = folder("composite");
    let (model, case) = patient(&base);
    let (file, out) = (base.join("table.toml"), base.join("out"));
    std::fs::write(&file, TABLE).unwrap();
    let words = ["explain", text(&model), text(&case), "--composite", text(&file)];
    let dry = run(&[&words[..], &["--dry-run"]].concat());
    let printed = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(dry.status.success(), "{}", String::from_utf8_lossy(&dry.stderr));
    assert!(printed.contains("lrp_flat") && printed.contains("lrp_z_plus"), "{printed}");
    let output = run(&[&words[..], &["-o", text(&out), "--format", "npy", "--ledger"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("bias"), "the ledger is printed");
    let record = manifest(&out.join("composite"));
    let rules: Vec<&str> = record["rules"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(rules.iter().filter(|r| r.ends_with("lrp_flat(0.000001)")).count(), 1, "{rules:?}");
    assert_eq!(record["request"]["params"]["rule"].as_array().unwrap().len(), 4);
    let (value, kept) = (&record["target"]["values"][0], &record["ledger"][0]["total"]);
    let (value, kept) = (value.as_f64().unwrap(), kept.as_f64().unwrap());
    let sum = total(&out.join("composite"));
    assert!((sum + kept - value).abs() <= 1e-3 * (value.abs() + kept.abs()), "{sum} + {kept} is not {value}");
    // The preset of the same lines gives the same maps.
    let preset =
        ["explain", text(&model), text(&case), "-m", "lrp_epsilon_plus_flat", "--set", "epsilon=1e-4"];
    assert!(run(&[&preset[..], &["-o", text(&out), "--format", "npy"]].concat()).status.success());
    assert_eq!(total(&out.join("composite")), total(&out.join("lrp_epsilon_plus_flat")));
    for words in [["--composite", text(&file)], ["--rules", "lrp_epsilon_plus_flat"]] {
        let shown = run(&[&["inspect", text(&model)], &words[..]].concat());
        assert!(String::from_utf8_lossy(&shown.stdout).contains("rule    "), "{words:?}");
    }
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn composites_that_do_not_fit_are_refused() {
    let base = folder("composite-bad");
    let (model, case) = patient(&base);
    let file = base.join("table.json");
    let lines = |rules: &str| format!("[{{\"on\": \"everything\", \"rule\": \"unweighted\"}}, {rules}]");
    let conv = r#"{"on": "kind Conv", "rule": "epsilon"}"#;
    for (table, part) in [
        (lines(&format!("{conv}, {conv}")), "make one more specific"),
        (format!("[{conv}]"), "no rule of the composite matches node"),
        (lines(r#"{"on": "name conv99", "rule": "epsilon"}"#), "matches nothing in this network"),
        (lines(r#"{"on": "kind Conv", "rule": "epsilom"}"#), "no rule \"epsilom\"; there are zero, epsilon"),
        (lines(r#"{"on": "kind Conv", "rule": "z_box"}"#), "needs the parameter low"),
        (lines(r#"{"on": "kind Conv", "rule": "alpha_beta", "alpha": 2, "beta": 2}"#), "alpha - beta = 1"),
        (lines(r#"{"on": "kind Conv", "rule": "epsilon", "gamma": 1}"#), "has no parameter \"gamma\""),
        (
            lines(r#"{"on": "kind Conv", "rule": "epsilon", "epsilon": [1, 2]}"#),
            "epsilon [1.0, 2.0]; one number",
        ),
        (
            lines(r#"{"on": "first", "rule": "z_box", "low": [0, 0], "high": [1]}"#),
            "as many of both expected",
        ),
        (
            lines(r#"{"on": "first", "rule": "z_box", "low": [0, 2], "high": [1, 1]}"#),
            "low 2 must be below high 1",
        ),
        (
            lines(r#"{"on": "first", "rule": "z_box", "low": "x", "high": 1}"#),
            "a list of one number per channel",
        ),
        (lines(r#"{"on": "layer 3", "rule": "epsilon"}"#), "names no nodes"),
        (lines(r#"{"on": 3, "rule": "epsilon"}"#), "\"on\" must be a text"),
        // A line that is about nothing in the network is a slip of the pen, whatever it names.
        (
            lines(&format!(r#"{conv}, {{"on": "kind conv", "rule": "epsilon"}}"#)),
            "\"kind conv\" of the composite",
        ),
        (
            lines(&format!(r#"{conv}, {{"on": "class bilinear", "rule": "product_halves"}}"#)),
            "matches nothing",
        ),
        (lines(&format!(r#"{conv}, {{"on": "first Gemm", "rule": "flat"}}"#)), "matches nothing"),
        (
            lines(&format!(r#"{conv}, {{"on": "first", "rule": "flat", "optional": 1}}"#)),
            "must be true or false",
        ),
        (format!(r#"{{"batchnorm": "banana", "rule": {}}}"#, lines(conv)), "merged or keep expected"),
        (format!(r#"{{"start": "two", "rule": {}}}"#, lines(conv)), "output or one expected"),
        (String::from("rule = 3 ="), "neither JSON nor TOML"),
    ] {
        std::fs::write(&file, table).unwrap();
        let out = base.join("out");
        refused(
            &["explain", text(&model), text(&case), "--composite", text(&file), "-o", text(&out)],
            2,
            part,
        );
    }
    // Unless it says that it need not be.
    let optional = r#"{"on": "kind ConvTranspose", "rule": "epsilon", "optional": true}"#;
    std::fs::write(&file, lines(&format!("{conv}, {optional}"))).unwrap();
    assert!(run(&["inspect", text(&model), "--composite", text(&file)]).status.success());
    std::fs::write(&file, lines(conv)).unwrap();
    let words = [
        "explain",
        text(&model),
        text(&case),
        "--composite",
        text(&file),
        "-m",
        "saliency",
        "-o",
        text(&base),
    ];
    refused(&words, 2, "for the method composite");
    refused(&["inspect", text(&model), "--rules", "saliency"], 2, "propagates no relevance");
    std::fs::remove_dir_all(&base).unwrap();
}

/// Bounds of the box rule for every channel, from the command line.
#[test]
fn bounds_of_each_channel() {
    let base = folder("bounds");
    let (model, case) = patient(&base);
    let words =
        ["explain", text(&model), text(&case), "-m", "lrp_epsilon_gamma_box", "--format", "npy", "-o"];
    let mut totals = Vec::new();
    for (name, low, high) in [
        ("one", "low=-3", "high=9"),
        ("each", "low=[-3,-3,-3,-3]", "high=[9,9,9,9]"),
        ("own", "low=[-3,-4,-5,-6]", "high=9"),
    ] {
        let out = base.join(name);
        let output = run(&[&words[..], &[text(&out), "--set", low, "--set", high]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        totals.push(total(&out.join("lrp_epsilon_gamma_box")));
    }
    assert_eq!(totals[0], totals[1]);
    assert_ne!(totals[0], totals[2]);
    let out = base.join("none");
    let two = [&words[..], &[text(&out), "--set", "low=[-3,-3]", "--set", "high=9"]].concat();
    refused(&two, 2, "low has 2 numbers, and the input of this layer has 4 channels");
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn every_newer_method_runs_from_the_command_line() {
    let base = folder("methods");
    let (model, case) = patient(&base);
    let out = base.join("out");
    let methods = "rect_grad,deeplift_reveal_cancel,lrp_zero,lrp_gamma_original,lrp_gamma_captum,lrp_alpha_beta,\
                   lrp_w_square,lrp_flat,deep_taylor,excitation_backprop,attn_lrp";
    let words = ["explain", text(&model), text(&case), "--format", "npy", "-o", text(&out), "-m", methods];
    let output = run(&words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (method, set) in [
        ("guided_ig", &["steps=6"][..]),
        ("blur_ig", &["steps=6", "sigma=2"]),
        ("idgi", &["steps=6", "path=guided"]),
        ("xrai", &["steps=4", "scales=[8,20]"]),
    ] {
        let mut words =
            vec!["explain", text(&model), text(&case), "--format", "npy", "-o", text(&out), "-m", method];
        set.iter().for_each(|s| words.extend(["--set", s]));
        let output = run(&words);
        assert!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
        let record = manifest(&out.join(method));
        assert!(record["completeness"]["residuals"][0].as_f64().is_some(), "{method}");
    }
    let maps = methods.split(',').map(str::trim).chain(["guided_ig", "blur_ig", "idgi", "xrai"]);
    for method in maps {
        assert!(total(&out.join(method)).is_finite(), "{method}");
    }
    refused(
        &["explain", text(&model), text(&case), "-m", "pattern_net", "-o", text(&out.join("none"))],
        2,
        "patterns are fitted to samples",
    );
    std::fs::remove_dir_all(&base).unwrap();
}
