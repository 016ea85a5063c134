//! `voxplain verify`: what methods promise holds on the demo network, and what is planted is found.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use voxplain::attribution::methods::{Backward, Method};
use voxplain::autodiff::{Cotangent, Rule, Site};
use voxplain::verify::{Property, Status};
use voxplain::{Attribution, Case, Explainer, Model, Network, Result, Target, Tensor};
use voxplain_tests::program::{folder, patient, run, text};

/// The checks of a run as JSON: (method, property, status).
fn checks(stdout: &[u8]) -> (Value, Vec<[String; 3]>) {
    let json: Value = serde_json::from_slice(stdout).unwrap();
    let word = |c: &Value, key: &str| c[key].as_str().unwrap().to_string();
    let rows = json["checks"].as_array().unwrap();
    let rows = rows.iter().map(|c| ["method", "property", "status"].map(|key| word(c, key))).collect();
    (json, rows)
}

#[test]
fn the_demo_network_keeps_what_methods_promise() {
    let base = folder("verify");
    let (model, case) = patient(&base);
    let verify = |words: &[&str]| run(&[&["verify", text(&model), text(&case)], words].concat());

    let output = verify(&["-m", "saliency,deeplift,gradcam,shapley_values,lrp_zplus", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let (json, rows) = checks(&output.stdout);
    assert_eq!((json["broken"].as_u64(), rows.len()), (Some(0), 5 * Property::ALL.len()));
    let status = |method: &str, property: Property| {
        let row = rows.iter().find(|r| r[0] == method && r[1] == property.name()).unwrap();
        row[2].clone()
    };
    for property in
        [Property::DummyModality, Property::NeuronScale, Property::Implementation, Property::Devices]
    {
        assert_eq!(status("saliency", property), "kept", "{property:?}");
        assert_eq!(status("deeplift", property), "kept", "{property:?}");
    }
    assert_eq!(status("deeplift", Property::Completeness), "kept");
    assert_eq!(status("shapley_values", Property::Completeness), "kept");
    assert_eq!(status("saliency", Property::Completeness), "measured");
    assert_eq!(status("gradcam", Property::DummyModality), "not applicable");
    assert_eq!(status("gradcam", Property::NeuronScale), "kept");
    assert_eq!(status("saliency", Property::Randomisation), "measured");
    assert_eq!(status("lrp_zplus", Property::ModalitySymmetry), "kept");
    let randomised =
        json["checks"].as_array().unwrap().iter().find(|c| c["property"] == "randomisation").unwrap();
    // Four layers, from the top, from the bottom and alone.
    assert_eq!(randomised["numbers"].as_array().unwrap().len(), 12);

    let numbers = |method: &str, property: Property| {
        let all = json["checks"].as_array().unwrap();
        let name = property.name();
        all.iter().find(|c| c["method"] == method && c["property"] == name).unwrap()["numbers"].clone()
    };
    // With its best factor no map is worse than one of zeros (on air, where all of a window is equal, a gradient foretells noise
    // badly); a map on a layer says nothing about voxels.
    let shares = ["slopes", "parts"]
        .map(|reading| numbers("saliency", Property::Infidelity)[reading]["share"].as_f64());
    assert!(shares.iter().all(|s| (0.0..=1.0).contains(&s.unwrap())), "{shares:?}");
    assert_eq!(status("gradcam", Property::Infidelity), "not applicable");
    for method in ["saliency", "gradcam"] {
        let found = numbers(method, Property::Concentration);
        let [gini, entropy, most] =
            ["sparseness", "complexity", "most"].map(|key| found[key].as_f64().unwrap());
        assert!((0.0..1.0).contains(&gini) && (0.0..=most).contains(&entropy), "{found}");
    }

    // Held to what it does not promise, input times gradient is found out.
    let output = verify(&["-m", "input_x_gradient", "--only", "completeness", "--promise", "completeness"]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("BROKEN"));

    for (words, part) in [
        (vec!["--only", "beauty"], "no property \"beauty\""),
        (vec!["--promise", "stability"], "is a measure"),
        (vec!["-m", "nothing"], "no method \"nothing\""),
    ] {
        let output = verify(&words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{words:?}");
    }
    std::fs::remove_dir_all(&base).unwrap();
}

/// Relevance is held to its ledger and multipliers to their sum; a composite's file and words of --input are taken as `explain`
/// takes them.
#[test]
fn relevance_and_reveal_cancel_are_held_to_their_sums() {
    let base = folder("verify-sums");
    let (model, case) = patient(&base);
    let only = ["--only", "completeness,conservation,dummy-modality", "--json"];
    let methods = "lrp_epsilon_plus_flat,lrp_alpha2_beta1,deep_taylor,deeplift_reveal_cancel,saliency";
    let output = run(&[&["verify", text(&model), "--input", text(&case), "-m", methods], &only[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let (_, rows) = checks(&output.stdout);
    let status = |method: &str, property: &str| {
        rows.iter().find(|r| r[0] == method && r[1] == property).unwrap()[2].clone()
    };
    for method in ["lrp_epsilon_plus_flat", "lrp_alpha2_beta1", "deep_taylor"] {
        assert_eq!(status(method, "conservation"), "kept", "{method}");
    }
    assert_eq!(status("deeplift_reveal_cancel", "completeness"), "kept");
    assert_eq!(status("deeplift_reveal_cancel", "dummy-modality"), "kept");
    assert_eq!(status("deeplift_reveal_cancel", "conservation"), "not applicable");
    assert_eq!(status("saliency", "conservation"), "not applicable");
    // The flat rule looks at places, so a modality without weights has its part.
    assert_eq!(status("lrp_epsilon_plus_flat", "dummy-modality"), "measured");

    let file = base.join("table.toml");
    let lines = [("everything", "unweighted"), ("kind Conv", "gamma"), ("kind Gemm", "epsilon")];
    let lines = lines.map(|(on, rule)| format!("[[rule]]\non = {on:?}\nrule = {rule:?}\n"));
    let table = format!("start = \"one\"\n{}", lines.concat());
    std::fs::write(&file, table).unwrap();
    let words = ["verify", text(&model), text(&case), "--composite", text(&file)];
    let output = run(&[&words[..], &only[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let (json, rows) = checks(&output.stdout);
    assert_eq!(rows[0], ["composite", "completeness", "measured"]);
    assert_eq!(rows[1], ["composite", "conservation", "kept"]);
    assert!(json["checks"][1]["detail"].as_str().unwrap().ends_with("started with 1.000000"), "{json}");
    let refused = run(&[&words[..], &["-m", "saliency"]].concat());
    assert_eq!(refused.status.code(), Some(2));
    std::fs::remove_dir_all(&base).unwrap();
}

/// A jump on the path is between two points of the quadrature: the map misses all of the difference, which no bound forgives.
#[test]
fn a_difference_that_the_path_misses_is_found() {
    let mut b = voxplain::graph::GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let (w, c) =
        (b.parameter("w", &[1, 2], vec![1e6, 1e6]).unwrap(), b.parameter("c", &[1], vec![-3e5]).unwrap());
    let z = b.linear("z", x, w, Some(c)).unwrap();
    let jump = b
        .node("jump", voxplain::graph::Op::Pointwise(voxplain::graph::ops::Pointwise::Sigmoid), &[z])
        .unwrap();
    let graph = b.finish(&[jump]).unwrap();
    let model = Model { graph, card: Default::default(), notes: Vec::new() };
    let case = Case::from_arrays(vec![Tensor::new(&[1, 2], vec![0.5, 0.25]).unwrap()]);
    let explainer = Explainer::new(&model, &case);
    let status = |method: &str| {
        let request = voxplain::request::Request {
            target: Value::from(0),
            ..voxplain::request::Request::named(method)
        };
        explainer.verify(&request, &[Property::Completeness], &[]).unwrap()[0].status
    };
    assert_eq!(status("integrated_gradients"), Status::Broken);
    assert_eq!(status("deeplift"), Status::Kept);
}

/// Guided BackProp whose gate looks at a fixed number, so that units of a neuron matter.
struct Gated;

impl Rule for Gated {
    type Signal = Cotangent;

    fn name(&self) -> String {
        String::from("gated")
    }

    fn pointwise(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        let gate = voxplain::graph::ops::Pointwise::HardSigmoid { alpha: 0.2, beta: 0.5 };
        let (input, lower) = (site.input(0), site.vjp(upper.0)?);
        let open = site.map(gate, input);
        Ok(lower.into_iter().map(|g| g.map(|g| Cotangent(site.emitter().mul(g, open)))).collect())
    }
}

/// The gradient of the first example with what its batch mates have.
struct Mixed;

impl Method<f32> for Mixed {
    fn name(&self) -> &'static str {
        "mixed"
    }

    fn passes(&self) -> (u64, u64) {
        (1, 1)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<f32>,
        inputs: &[Tensor<f32>],
        target: &Target,
    ) -> Result<Attribution<f32>> {
        let mut found = Backward::saliency(false).attribute(network, inputs, target)?;
        for map in &mut found.maps {
            let most = map.values.data().iter().fold(0.0f32, |m, v| m.max(v.abs()));
            map.values = map.values.map(|v| v / most * 1.0e-3);
            let mean = map.values.data().iter().sum::<f32>() / map.values.data().len() as f32;
            map.values = map.values.map(|v| v - mean);
        }
        Ok(found)
    }
}

#[test]
fn planted_violations_are_found() {
    let base = folder("planted");
    let (model, case) = patient(&base);
    let model = Model::open(&model).unwrap();
    let case = Case::open(&model, &[text(&case).to_string()]).unwrap();
    let explainer = Explainer::new(&model, &case);
    let status = |method: &dyn Method<f32>, property: Property| {
        explainer.verify_method(method, "pred", &[property], &[property]).unwrap()[0].status
    };
    let honest = Backward::saliency(false);
    let gated = Backward::with_rule("gated", Gated, voxplain::attribution::methods::Scaling::None);
    assert_eq!(status(&honest, Property::NeuronScale), Status::Kept);
    assert_eq!(status(&gated, Property::NeuronScale), Status::Broken);
    assert_eq!(status(&honest, Property::Batches), Status::Kept);
    assert_eq!(status(&Mixed, Property::Batches), Status::Broken);
    // A mean taken off everywhere is left on a modality that the network cannot see.
    assert_eq!(status(&honest, Property::DummyModality), Status::Kept);
    assert_eq!(status(&Mixed, Property::DummyModality), Status::Broken);
    std::fs::remove_dir_all(&base).unwrap();
}
