//! The strategies: what they promise about the networks that they draw.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain_axioms::strategies::{dense, program, program_of, residual, smooth_program, unet};
use voxplain_axioms::{Axiom, Bench, Program, methods};
use voxplain_graph::Op;
use voxplain_oracle::Oracle;

fn kinds(program: &Program) -> Vec<&'static str> {
    program.problem().unwrap().graph.nodes().iter().map(|n| n.op.kind()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Every program is a network, and reads back from its own line.
    #[test]
    fn programs_are_networks(program in program()) {
        let problem = program.problem().unwrap();
        prop_assert_eq!(problem.graph.outputs().len(), 1);
        prop_assert_eq!(program.to_string().parse::<Program>().unwrap(), program);
    }

    /// No input lies on a kink, and every number is a short binary fraction.
    #[test]
    fn smooth_programs_stay_off_kinks(program in smooth_program()) {
        let problem = program.problem().unwrap();
        let subject = methods::named::<f64>("gradient").unwrap();
        let bench = Bench { device: &Oracle, subject: &subject };
        prop_assert!(!bench.on_kink(&problem).unwrap());
        let value = bench.value(&problem, &problem.x).unwrap() * 1024.0;
        prop_assert_eq!(value, value.round());
    }

    /// An axiom that a method keeps, on networks that shrink.
    #[test]
    fn the_gradient_is_linear(program in program()) {
        let subject = methods::named::<f64>("gradient").unwrap();
        let bench = Bench { device: &Oracle, subject: &subject };
        for variant in 0..2 {
            if let Some(verdict) = Axiom::Linearity.check(&bench, &program, variant).unwrap() {
                prop_assert!(verdict.holds(), "{verdict}");
            }
        }
    }

    #[test]
    fn topologies_are_what_they_are_called(a in program_of(residual()), b in program_of(dense()), c in program_of(unet())) {
        prop_assert!(kinds(&a).contains(&"Add"));
        prop_assert!(kinds(&b).contains(&"Concat"));
        let wide = c.width > 1;
        let graph = c.problem().unwrap().graph;
        prop_assert_eq!(graph.nodes().iter().any(|n| matches!(n.op, Op::Resize { .. })), wide);
    }
}
