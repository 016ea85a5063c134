//! The same networks for property tests: topology, weights and inputs are drawn independently of each other, so that each
//! shrinks by itself, and deleting any step leaves a network.

use crate::program::{Program, Step};
use proptest::prelude::*;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1u8..4).prop_map(Step::Layer),
        3 => Just(Step::Relu),
        1 => any::<bool>().prop_map(Step::MaxPool),
        1 => Just(Step::AveragePool),
        1 => Just(Step::Upsample),
        1 => Just(Step::Push),
        1 => Just(Step::Add),
        1 => Just(Step::Join),
    ]
}

/// Layers and rectifiers one after the other.
pub fn sequential() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(prop_oneof![(1u8..4).prop_map(Step::Layer), Just(Step::Relu)], 1..7)
}

/// A block whose input is added to its output. Its input comes from a layer of its own, because the width behind the first
/// layers of inputs that are apart is their number.
pub fn residual() -> impl Strategy<Value = Vec<Step>> {
    (1u8..4).prop_map(|n| {
        use Step::{Add, Layer, Push, Relu};
        vec![Layer(n), Relu, Layer(n), Push, Relu, Layer(n), Add, Relu]
    })
}

/// A block whose input is joined to its output.
pub fn dense() -> impl Strategy<Value = Vec<Step>> {
    (1u8..4, 1u8..4, 1u8..4).prop_map(|(a, b, c)| {
        use Step::{Join, Layer, Push, Relu};
        vec![Layer(a), Relu, Push, Layer(b), Relu, Join, Layer(c), Relu]
    })
}

/// Down, up again, joined with what was before.
pub fn unet() -> impl Strategy<Value = Vec<Step>> {
    (1u8..4, 1u8..4, 1u8..4).prop_map(|(a, b, c)| {
        use Step::{Join, Layer, MaxPool, Push, Relu, Upsample};
        vec![Layer(a), Relu, Push, MaxPool(false), Layer(b), Relu, Upsample, Join, Layer(c), Relu]
    })
}

/// Any of these, or any steps.
pub fn topology() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![prop::collection::vec(step(), 1..9), sequential(), residual(), dense(), unet(),]
}

/// Networks of a topology with weights, input and reference; with one input of two or three channels or as many inputs.
pub fn program_of(steps: impl Strategy<Value = Vec<Step>>) -> impl Strategy<Value = Program> {
    let numbers = |most: i8, count: usize| prop::collection::vec(-most..=most, 0..count);
    (
        (2u8..4, prop_oneof![Just(1u8), Just(4u8)], any::<bool>(), any::<bool>()),
        steps,
        (numbers(2, 96), numbers(4, 13), numbers(4, 13)),
    )
        .prop_map(|((channels, width, apart, biased), steps, (weights, x, r))| Program {
            channels,
            width,
            apart,
            biased,
            steps,
            weights,
            x,
            r,
        })
}

/// Networks of all topologies.
pub fn program() -> impl Strategy<Value = Program> {
    program_of(topology())
}

/// Networks with biases and without pooling, which no input puts on a kink; a rectifier behind another one would see its
/// zeros.
pub fn smooth_program() -> impl Strategy<Value = Program> {
    let narrow = |mut p: Program| {
        p.biased = true;
        p.width = 1;
        p.steps.dedup_by(|a, b| (*a, *b) == (Step::Relu, Step::Relu));
        p
    };
    program_of(sequential()).prop_map(narrow)
}
