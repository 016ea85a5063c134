//! Random networks for properties: a program for a stack machine that is always valid, so that shrinking is deleting
//! steps, and a tape of small weights that the network reads round and round.

use proptest::prelude::*;
use voxplain::graph::ops::{Binary, ConvAttributes, Pointwise, PoolAttributes, Reduction};
use voxplain::graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain::tensor::{Result, Tensor};

/// One step of a network.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Convolution to so many channels, 3x3, padded.
    Conv(u8),
    /// An activation.
    Activation(u8),
    /// 2x2 max pooling, overlapping if the flag is set.
    MaxPool(bool),
    /// 2x2 average pooling.
    AveragePool,
    /// Group normalisation over all channels.
    Normalise,
    /// Remembers the current value.
    Push,
    /// Adds the remembered value if it has the shape, else joins nothing.
    Add,
    /// Multiplies by the sigmoid of the remembered value if it has the shape.
    Gate,
    /// Joins the remembered value along channels if it has the spatial sizes.
    Concat,
    /// Divides by the softplus of the remembered value plus one, if it has the shape.
    Divide,
    /// Softmax over channels.
    Softmax,
}

/// A network and what it is evaluated on.
#[derive(Clone, Debug)]
pub struct Case {
    /// The program.
    pub steps: Vec<Step>,
    /// Small weights.
    pub tape: Vec<i8>,
    /// Two inputs of `[1, 2, 6, 5]`.
    pub x: Vec<i8>,
    /// The reference.
    pub r: Vec<i8>,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u8..4).prop_map(Step::Conv),
        (0u8..9).prop_map(Step::Activation),
        any::<bool>().prop_map(Step::MaxPool),
        Just(Step::AveragePool),
        Just(Step::Normalise),
        Just(Step::Push),
        Just(Step::Add),
        Just(Step::Gate),
        Just(Step::Concat),
        Just(Step::Divide),
        Just(Step::Softmax),
    ]
}

/// Cases for properties.
pub fn case() -> impl Strategy<Value = Case> {
    let bytes = |n: usize| prop::collection::vec(any::<i8>(), n);
    (prop::collection::vec(step(), 1..9), bytes(64), bytes(60), bytes(60))
        .prop_map(|(steps, tape, x, r)| Case { steps, tape, x, r })
}

impl Case {
    /// Input or reference as numbers of about unit size.
    pub fn tensor(data: &[i8]) -> Result<Tensor<f64>> {
        Tensor::new(&[1, 2, 6, 5], data.iter().map(|&v| f64::from(v) / 64.0).collect())
    }

    /// The network, from `[1, 2, 6, 5]` to two outputs.
    ///
    /// # Errors
    /// None for cases of [`case`]; a failure is a fault of the builder.
    pub fn graph(&self) -> Result<Graph> {
        let mut b = GraphBuilder::new();
        let x = b.input("x", &[1, 2, 6, 5])?;
        let mut machine = Machine { b, tape: &self.tape, read: 0, current: x, pushed: x, nodes: 0 };
        for step in &self.steps {
            machine.step(*step)?;
        }
        machine.finish()
    }
}

struct Machine<'t> {
    b: GraphBuilder,
    tape: &'t [i8],
    read: usize,
    current: ValueId,
    pushed: ValueId,
    nodes: usize,
}

impl Machine<'_> {
    fn name(&mut self) -> String {
        self.nodes += 1;
        format!("n{}", self.nodes)
    }

    fn weights(&mut self, sizes: &[usize]) -> Result<ValueId> {
        let count: usize = sizes.iter().product();
        let data: Vec<f32> =
            (0..count).map(|i| f32::from(self.tape[(self.read + i) % self.tape.len()]) / 160.0).collect();
        self.read += count + 7;
        let name = self.name();
        self.b.parameter(&name, sizes, data)
    }

    fn node(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let name = self.name();
        self.b.node(&name, op, inputs)
    }

    fn same_shape(&self) -> bool {
        self.b.shape(self.current) == self.b.shape(self.pushed)
    }

    fn step(&mut self, step: Step) -> Result<()> {
        let (x, shape) = (self.current, self.b.shape(self.current));
        let pointwise = |f: u8| {
            use Pointwise::*;
            [
                Relu,
                LeakyRelu { alpha: 0.1 },
                Elu { alpha: 1.0 },
                Gelu,
                Sigmoid,
                Tanh,
                Softplus,
                Silu,
                HardSwish,
            ][usize::from(f % 9)]
        };
        let wide = shape[2] >= 2 && shape[3] >= 2;
        self.current = match step {
            Step::Conv(to) => {
                let weight = self.weights(&[usize::from(to), shape[1], 3, 3])?;
                let bias = self.weights(&[usize::from(to)])?;
                self.node(Op::Conv(ConvAttributes::padded(2, 1)), &[x, weight, bias])?
            }
            Step::Activation(f) => self.node(Op::Pointwise(pointwise(f)), &[x])?,
            Step::MaxPool(overlapping) if wide => {
                let mut pool = PoolAttributes::tiles(&[2, 2]);
                if overlapping {
                    pool.strides = vec![1, 1];
                }
                self.node(Op::MaxPool(pool), &[x])?
            }
            Step::AveragePool if wide => self.node(Op::AveragePool(PoolAttributes::tiles(&[2, 2])), &[x])?,
            Step::Normalise => {
                let (scale, bias) = (self.weights(&[shape[1]])?, self.weights(&[shape[1]])?);
                self.node(Op::GroupNormalization { groups: 1, epsilon: 1e-3 }, &[x, scale, bias])?
            }
            Step::Push => {
                self.pushed = x;
                x
            }
            Step::Add if self.same_shape() => self.node(Op::Binary(Binary::Add), &[x, self.pushed])?,
            Step::Gate if self.same_shape() => {
                let gate = self.node(Op::Pointwise(Pointwise::Sigmoid), &[self.pushed])?;
                self.node(Op::Binary(Binary::Mul), &[x, gate])?
            }
            Step::Divide if self.same_shape() => {
                let soft = self.node(Op::Pointwise(Pointwise::Softplus), &[self.pushed])?;
                let below =
                    self.node(Op::Pointwise(Pointwise::Affine { scale: 1.0, shift: 1.0 }), &[soft])?;
                self.node(Op::Binary(Binary::Div), &[x, below])?
            }
            Step::Concat if self.b.shape(self.pushed)[2..] == shape[2..] && shape[1] < 8 => {
                self.node(Op::Concat { axis: 1 }, &[x, self.pushed])?
            }
            Step::Softmax => self.node(Op::Softmax { axis: 1 }, &[x])?,
            _ => x,
        };
        Ok(())
    }

    fn finish(mut self) -> Result<Graph> {
        let op = Op::Reduce { reduction: Reduction::Mean, axes: vec![2, 3], keep_axes: false };
        let features = self.node(op, &[self.current])?;
        let width = self.b.shape(features)[1];
        let (weight, bias) = (self.weights(&[2, width])?, self.weights(&[2])?);
        let logits = self.node(Op::linear(), &[features, weight, bias])?;
        self.b.finish(&[logits])
    }
}
