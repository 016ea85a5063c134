//! The table of methods and axioms in `docs/AXIOMS.md` is true: every saved counterexample still breaks its axiom, every
//! cell that says so has one, and cells that say an axiom holds are tried again on other networks.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use voxplain_attribution::methods::{Backward, Method, Scaling};
use voxplain_attribution::{Attribution, Engine, Network, Target};
use voxplain_autodiff::Gradient;
use voxplain_axioms::{
    Arithmetic, Axiom, Bench, Cell, Counterexample, Draw, Effort, Program, Subject, fills, methods, search,
};
use voxplain_oracle::Oracle;
use voxplain_tensor::{Result, Tensor};

const EXAMPLES: &str = include_str!("methods.counterexamples");
const PAGE: &str = include_str!("../../../docs/AXIOMS.md");

fn examples() -> Vec<Counterexample> {
    EXAMPLES.lines().map(|line| line.parse().unwrap()).collect()
}

/// Method, axiom and sign of every cell of the page.
fn cells() -> Vec<(String, Axiom, char)> {
    let table = PAGE.lines().filter(|l| l.starts_with('|'));
    let row =
        |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().to_string()).collect::<Vec<String>>();
    let mut rows = table.map(row).take_while(|r| r.len() == Axiom::ALL.len() + 1);
    let head = rows.next().unwrap();
    let axioms: Vec<Axiom> = head[1..].iter().map(|name| Axiom::named(name).unwrap()).collect();
    let rows = rows.skip(1);
    let cell = |row: Vec<String>| {
        let signs = row[1..].iter().map(|c| c.chars().next().unwrap()).collect::<Vec<char>>();
        axioms.iter().zip(signs).map(|(a, s)| (row[0].clone(), *a, s)).collect::<Vec<_>>()
    };
    rows.flat_map(cell).collect()
}

#[test]
fn counterexamples_still_break_their_axioms() {
    for example in examples() {
        let subject = methods::named::<f64>(&example.method).unwrap();
        let bench = Bench { device: &Oracle, subject: &subject };
        let verdict = example.axiom.check(&bench, &example.program, example.variant).unwrap().unwrap();
        assert!(!verdict.holds(), "{example}: {verdict}");
    }
}

#[test]
fn every_broken_cell_has_a_counterexample_and_no_other() {
    let broken: BTreeSet<(String, Axiom)> =
        cells().into_iter().filter(|c| c.2 == '✗').map(|(m, a, _)| (m, a)).collect();
    let saved = examples().into_iter().filter(|e| !e.method.starts_with("fill "));
    let saved: BTreeSet<(String, Axiom)> = saved.map(|e| (e.method, e.axiom)).collect();
    assert_eq!(broken, saved);
    let methods: BTreeSet<String> = methods::all::<f64>().into_iter().map(|s| s.name).collect();
    assert_eq!(methods, cells().into_iter().map(|c| c.0).collect());
}

/// No method looks past a voxel that is not a number, whatever it asks of the network first.
#[test]
fn every_method_refuses_what_is_not_finite() {
    let program: Program = "2x4 | layer2 relu | w 2 1 | x 1 | r 0".parse().unwrap();
    let problem = program.problem().unwrap();
    for subject in methods::all::<f64>() {
        let method = subject.method(&problem).unwrap();
        for bad in [f64::NAN, f64::INFINITY] {
            let mut x = problem.x.clone();
            *x[0].data_mut().last_mut().unwrap() = bad;
            let mut engine = Engine::new(&problem.graph, &Oracle, None);
            let refusal = method.attribute(&mut engine, &x, &problem.target).err().map(|e| e.to_string());
            let named = refusal.as_ref().is_some_and(|text| text.contains("not finite"));
            assert!(named, "{} with {bad}: {refusal:?}", subject.name);
        }
    }
}

/// The table of fills: a ✗ has a counterexample of that variant, nothing else has one.
#[test]
fn the_table_of_fills_is_true() {
    let lines = PAGE.lines().skip_while(|l| !l.starts_with("| fill |")).skip(2);
    let mut said = BTreeSet::new();
    let mut names = BTreeSet::new();
    for line in lines.take_while(|l| l.starts_with('|')) {
        let row: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        names.insert(format!("fill {}", row[0]));
        let broken = (0..2).filter(|v| row[v + 1] == "✗").map(|v| (format!("fill {}", row[0]), v));
        said.extend(broken);
    }
    let saved = examples().into_iter().filter(|e| e.method.starts_with("fill "));
    assert_eq!(said, saved.map(|e| (e.method, e.variant)).collect());
    assert_eq!(names, fills::all::<f64>().into_iter().map(|s| s.name).collect());
    let holds = |name: &str| !said.iter().any(|(n, _)| n.ends_with(name));
    assert!(holds("reference") && holds("constant") && !holds("mean") && !holds("blur"));
    assert!(said.iter().all(|(_, variant)| *variant == 1), "within a run every fill is one image");
}

/// A fill that is made anew for every image it is asked about is found within one run.
#[test]
fn drifting_masks_are_found() {
    let make = |_: &voxplain_axioms::Problem| Ok(Box::new(Drifting) as Box<dyn Method<f64>>);
    let subject = Subject::new("drifting", Arithmetic::Values, make);
    let cell = search(&Oracle, &subject, Axiom::MaskIdempotence, Effort { networks: 40, seed: 1 });
    assert_eq!(cell.broken.iter().map(|(e, _)| e.variant).collect::<Vec<_>>(), [0, 1]);
}

/// Takes away one entry after the other, each time for the mean of what is there then.
struct Drifting;

impl Method<f64> for Drifting {
    fn name(&self) -> &'static str {
        "drifting"
    }
    fn passes(&self) -> (u64, u64) {
        (1, 0)
    }
    fn attribute(
        &self,
        network: &mut dyn Network<f64>,
        inputs: &[Tensor<f64>],
        target: &Target,
    ) -> Result<Attribution<f64>> {
        let seeds = network.seeds(target, inputs)?;
        let mut now = inputs.to_vec();
        for k in 0..now[0].data().len() {
            let values = now[0].data();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            now[0].data_mut()[..=k].fill(mean);
            network.values(&now, seeds.from)?;
        }
        let values = network.values(inputs, seeds.from)?.iter().map(|row| seeds.value(0, row)).collect();
        let (maps, notes) = (Vec::new(), Vec::new());
        Ok(Attribution {
            maps,
            values,
            residuals: None,
            differences: None,
            forward_passes: 1,
            backward_passes: 0,
            notes,
            ledger: None,
            scores: None,
        })
    }
}

#[test]
fn cells_that_hold_hold_on_other_networks() {
    for subject in methods::all::<f64>() {
        for (_, axiom, sign) in cells().into_iter().filter(|c| c.0 == subject.name) {
            if matches!(sign, '≡' | '✓') {
                let cell = search(&Oracle, &subject, axiom, Effort { networks: 8, seed: 77 });
                let shown = cell.broken.iter().map(|(e, v)| format!("{e}: {v}")).collect::<Vec<_>>();
                assert!(cell.broken.is_empty(), "{shown:?}");
            }
        }
    }
}

/// A method with its map multiplied by `factor`.
struct Scaled(f64);

impl Method<f64> for Scaled {
    fn name(&self) -> &'static str {
        "scaled"
    }
    fn passes(&self) -> (u64, u64) {
        (1, 1)
    }
    fn attribute(
        &self,
        network: &mut dyn Network<f64>,
        inputs: &[Tensor<f64>],
        target: &Target,
    ) -> Result<Attribution<f64>> {
        let method = Backward::with_rule("product", Gradient, Scaling::TimesInput);
        let mut found = method.attribute(network, inputs, target)?;
        found.maps.iter_mut().for_each(|m| m.values = m.values.map(|v| v * self.0));
        Ok(found)
    }
}

/// The bounds are tight enough to see a map that is off by one part in ten thousand millions.
#[test]
fn planted_faults_are_found() {
    let broken = |factor: f64, axiom: Axiom| -> Cell {
        let make = move |_: &voxplain_axioms::Problem| Ok(Box::new(Scaled(factor)) as Box<dyn Method<f64>>);
        let subject = Subject::new("scaled", Arithmetic::SignalTimesInput, make);
        search(&Oracle, &subject, axiom, Effort { networks: 40, seed: 1 })
    };
    assert!(broken(1.0, Axiom::SensitivityN).holds());
    let found = broken(1.0 + 1e-10, Axiom::SensitivityN);
    assert_eq!(found.broken.len(), 2, "one entry, and a set of them");
    // The smallest network that shows it: the first layer and the last one, nothing between.
    assert!(found.broken.iter().all(|(example, _)| example.program.steps.is_empty()));
}

#[test]
fn lines_that_are_no_counterexample_are_refused() {
    for line in ["", "a ; b ; c ; d", "gradient ; dummy ; channel ; 2x1 | nothing | w | x | r"] {
        assert!(line.parse::<Counterexample>().is_err(), "{line}");
    }
    assert!("2x1 | relu layer2 | w 1 -1 | x | r 3".parse::<Program>().is_ok());
}

/// No check is silent for want of something it needs, such as a bound for an operator: every variant of every axiom says
/// something about some method.
#[test]
fn every_variant_says_something() {
    let subjects: Vec<Subject<f64>> =
        ["input_x_gradient", "feature_ablation"].into_iter().filter_map(methods::named).collect();
    let said = |axiom: Axiom, variant: usize, subject: &Subject<f64>| {
        let bench = Bench { device: &Oracle, subject };
        let mut draw = Draw::new(5);
        (0..40).any(|_| matches!(axiom.check(&bench, &draw.program(), variant), Ok(Some(_))))
    };
    for axiom in Axiom::ALL {
        for (variant, name) in axiom.variants().iter().enumerate() {
            assert!(subjects.iter().any(|s| said(axiom, variant, s)), "{} {name}", axiom.name());
        }
    }
}
