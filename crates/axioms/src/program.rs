//! Networks as programs that are always valid: deleting a step leaves a network, so that shrinking is deleting.
//!
//! Data are `[1, channels, width]`; a width of 1 makes a fully connected network, 4 a convolutional one. Channels are the
//! modalities; with [`Program::apart`] each is an input of its own behind its own first layer. Weights are whole numbers
//! and biases of layer l odd multiples of `2^-(l+1)`, so that without pooling every sum before a rectifier is an odd
//! multiple of `2^-(l+1)`: no input lies on a kink, and every number of the network is exact in either precision.

use crate::problem::Problem;
use std::fmt;
use std::str::FromStr;
use voxplain_attribution::Target;
use voxplain_graph::ops::{AxisTap, Binary, ConvAttributes, PoolAttributes, Reduction};
use voxplain_graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain_tensor::{Error, Result, Tensor};

/// One step of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A convolution of 3 taps with padding (of 1 tap where the width is 1) to so many channels.
    Layer(u8),
    /// A rectifier.
    Relu,
    /// Maxima of 2 neighbours, overlapping where the flag is set.
    MaxPool(bool),
    /// Means of 2 neighbours.
    AveragePool,
    /// Every entry twice.
    Upsample,
    /// Remembers the current value.
    Push,
    /// Adds the remembered value, if it has the shape.
    Add,
    /// Joins the remembered value along channels, if it has the width.
    Join,
}

/// A network, its weights and what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Channels of the input: 2 or 3.
    pub channels: u8,
    /// Entries along the only spatial axis: 1 or 4, up to 8 where a check makes room.
    pub width: u8,
    /// Whether every channel is an input of its own.
    pub apart: bool,
    /// Whether layers have biases.
    pub biased: bool,
    /// The steps; the first layer and the last two (mean over space, a linear layer to two outputs) are always there.
    pub steps: Vec<Step>,
    /// Weights in the order in which layers read them; 1 where there are no more.
    pub weights: Vec<i8>,
    /// The input, channel by channel; 1 where there are no more.
    pub x: Vec<i8>,
    /// The reference; 0 where there are no more.
    pub r: Vec<i8>,
}

impl Program {
    /// The network with its input, reference and output 0.
    ///
    /// # Errors
    /// None but faults of the builder.
    pub fn problem(&self) -> Result<Problem> {
        Ok(Problem {
            graph: self.graph(0)?,
            x: self.tensors(&self.x, 1)?,
            r: self.tensors(&self.r, 0)?,
            target: Target::Class(vec![0]),
        })
    }

    /// The network with weights from the tape's entry `skip` on.
    ///
    /// # Errors
    /// As [`Program::problem`].
    pub fn graph(&self, skip: usize) -> Result<Graph> {
        let mut b = GraphBuilder::new();
        let x: Vec<ValueId> = self
            .sizes()
            .iter()
            .enumerate()
            .map(|(i, s)| b.input(&format!("x{i}"), s))
            .collect::<Result<_>>()?;
        let mut maker = Maker { program: self, b, read: skip, nodes: 0, layers: 0 };
        let mut current = maker.stem(&x)?;
        let mut pushed = current;
        let rest = usize::from(matches!(self.steps.first(), Some(Step::Layer(_))));
        for &step in &self.steps[rest..] {
            current = maker.step(step, current, &mut pushed)?;
        }
        maker.finish(current)
    }

    fn sizes(&self) -> Vec<[usize; 3]> {
        let (channels, width) = (usize::from(self.channels.clamp(2, 3)), usize::from(self.width.clamp(1, 8)));
        if self.apart { vec![[1, 1, width]; channels] } else { vec![[1, channels, width]] }
    }

    fn tensors(&self, data: &[i8], rest: i8) -> Result<Vec<Tensor<f64>>> {
        let mut numbers = data.iter().copied().chain(std::iter::repeat(rest)).map(f64::from);
        let one =
            |size: &[usize; 3]| Tensor::new(size, numbers.by_ref().take(size.iter().product()).collect());
        self.sizes().iter().map(one).collect()
    }

    /// How much there is to read: steps count most, then numbers, by magnitude.
    pub fn size(&self) -> u64 {
        let numbers = |list: &[i8], rest: i8| {
            list.iter().map(|&v| 4 + 2 * u64::from((v - rest).unsigned_abs())).sum::<u64>()
        };
        let wide: u64 =
            self.steps.iter().map(|s| if let Step::Layer(n) = s { u64::from(*n) } else { 0 }).sum();
        let kinds = 40 * u64::from(self.apart) + 20 * u64::from(self.biased) + 60 * u64::from(self.width - 1);
        1000 * self.steps.len() as u64
            + 100 * (wide + u64::from(self.channels))
            + kinds
            + numbers(&self.weights, 1)
            + numbers(&self.x, 1)
            + numbers(&self.r, 0)
    }
}

struct Maker<'p> {
    program: &'p Program,
    b: GraphBuilder,
    read: usize,
    nodes: usize,
    layers: i32,
}

impl Maker<'_> {
    fn name(&mut self) -> String {
        self.nodes += 1;
        format!("n{}", self.nodes)
    }

    fn take(&mut self, count: usize) -> Vec<f32> {
        let tape = self.program.weights.get(self.read..).unwrap_or(&[]);
        self.read += count;
        tape.iter().copied().chain(std::iter::repeat(1)).map(f32::from).take(count).collect()
    }

    fn node(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let name = self.name();
        self.b.node(&name, op, inputs)
    }

    /// The first layer: one over all channels, or one per input, joined.
    fn stem(&mut self, x: &[ValueId]) -> Result<ValueId> {
        let wide =
            if let Some(Step::Layer(n)) = self.program.steps.first() { *n } else { self.program.channels };
        if let [x] = x {
            return self.layer(*x, wide, 0);
        }
        let each = x.iter().map(|&x| self.layer(x, 1, 0)).collect::<Result<Vec<_>>>()?;
        self.node(Op::Concat { axis: 1 }, &each)
    }

    fn bias(&mut self, count: usize, level: i32) -> Result<Option<ValueId>> {
        if !self.program.biased {
            return Ok(None);
        }
        let unit = 0.5f32.powi(level);
        let data: Vec<f32> = self.take(count).into_iter().map(|v| (v + 0.5) * unit).collect();
        let name = format!("{}.bias", self.name());
        self.b.parameter(&name, &[count], data).map(Some)
    }

    fn layer(&mut self, x: ValueId, to: u8, level: i32) -> Result<ValueId> {
        let (to, shape) = (usize::from(to.clamp(1, 4)), self.b.shape(x));
        let taps = if shape[2] == 1 { 1 } else { 3 };
        let weights = self.take(to * shape[1] * taps);
        let name = format!("{}.weight", self.name());
        let weight = self.b.parameter(&name, &[to, shape[1], taps], weights)?;
        let bias = self.bias(to, level)?;
        self.layers = self.layers.max(level + 1);
        let name = self.name();
        self.b.conv(&name, x, weight, bias, ConvAttributes::padded(1, taps / 2))
    }

    fn step(&mut self, step: Step, x: ValueId, pushed: &mut ValueId) -> Result<ValueId> {
        let (shape, other) = (self.b.shape(x), self.b.shape(*pushed));
        match step {
            Step::Layer(to) => self.layer(x, to, self.layers),
            Step::Relu => self.node(Op::Pointwise(voxplain_graph::ops::Pointwise::Relu), &[x]),
            Step::MaxPool(overlapping) if shape[2] >= 2 => {
                let mut pool = PoolAttributes::tiles(&[2]);
                if overlapping {
                    pool.strides = vec![1];
                }
                self.node(Op::MaxPool(pool), &[x])
            }
            Step::AveragePool if shape[2] >= 2 => {
                self.node(Op::AveragePool(PoolAttributes::tiles(&[2])), &[x])
            }
            Step::Upsample if shape[2] > 1 && shape[2] <= 4 => self.upsample(x, shape[2]),
            Step::Push => {
                *pushed = x;
                Ok(x)
            }
            Step::Add if shape == other && x != *pushed => self.node(Op::Binary(Binary::Add), &[x, *pushed]),
            Step::Join if shape[2] == other[2] && shape[1] + other[1] <= 8 => {
                self.node(Op::Concat { axis: 1 }, &[x, *pushed])
            }
            _ => Ok(x),
        }
    }

    fn upsample(&mut self, x: ValueId, width: usize) -> Result<ValueId> {
        let taps = (0..2 * width).map(|i| AxisTap { at: [i / 2; 2], weight: [1.0, 0.0] }).collect();
        self.node(Op::Resize { taps: vec![None, None, Some(taps)] }, &[x])
    }

    fn finish(mut self, x: ValueId) -> Result<Graph> {
        let mut x = x;
        if self.b.shape(x)[2] > 1 {
            let op = Op::Reduce { reduction: Reduction::Mean, axes: vec![2], keep_axes: true };
            x = self.node(op, &[x])?;
        }
        let wide = self.b.shape(x)[1];
        x = self.node(Op::Reshape { sizes: vec![1, wide] }, &[x])?;
        let weights = self.take(2 * wide);
        let weight = self.b.parameter("out.weight", &[2, wide], weights)?;
        let bias = self.bias(2, self.layers)?;
        let y = self.b.linear("out", x, weight, bias)?;
        self.b.finish(&[y])
    }
}

const WORDS: [(&str, Step); 8] = [
    ("relu", Step::Relu),
    ("maxpool", Step::MaxPool(false)),
    ("maxpool-overlapping", Step::MaxPool(true)),
    ("averagepool", Step::AveragePool),
    ("upsample", Step::Upsample),
    ("push", Step::Push),
    ("add", Step::Add),
    ("join", Step::Join),
];

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, WORDS.iter().find(|(_, s)| s == self)) {
            (Self::Layer(n), _) => write!(f, "layer{n}"),
            (_, Some((word, _))) => f.write_str(word),
            (_, None) => f.write_str("?"),
        }
    }
}

impl FromStr for Step {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let layer = text.strip_prefix("layer").and_then(|n| n.parse().ok()).map(Self::Layer);
        let word = || WORDS.iter().find(|(word, _)| *word == text).map(|(_, step)| *step);
        layer.or_else(word).ok_or_else(|| Error::invalid(format!("no step {text:?}")))
    }
}

/// One line: `2x4 apart biased | layer2 relu | w 1 -1 | x 2 1 | r 0`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |list: Vec<String>| list.into_iter().map(|w| format!(" {w}")).collect::<String>();
        let numbers = |list: &[i8]| words(list.iter().map(ToString::to_string).collect());
        write!(f, "{}x{}", self.channels, self.width)?;
        f.write_str(if self.apart { " apart" } else { "" })?;
        f.write_str(if self.biased { " biased" } else { "" })?;
        let steps = words(self.steps.iter().map(ToString::to_string).collect());
        write!(f, " |{steps} | w{} | x{} | r{}", numbers(&self.weights), numbers(&self.x), numbers(&self.r))
    }
}

impl FromStr for Program {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(format!("{text:?} is no network; `2x1 | layer1 relu | w 1 | x 1 | r 0` expected"))
        };
        let parts: Vec<Vec<&str>> = text.split('|').map(|p| p.split_whitespace().collect()).collect();
        let [head, steps, w, x, r] = parts.as_slice() else { return Err(bad()) };
        let (channels, width) = head.first().and_then(|s| s.split_once('x')).ok_or_else(bad)?;
        let numbers = |list: &[&str], name: &str| -> Result<Vec<i8>> {
            let (first, rest) = list.split_first().ok_or_else(bad)?;
            let all = rest.iter().map(|n| n.parse().map_err(|_| bad())).collect();
            if *first == name { all } else { Err(bad()) }
        };
        Ok(Self {
            channels: channels.parse().map_err(|_| bad())?,
            width: width.parse().map_err(|_| bad())?,
            apart: head.contains(&"apart"),
            biased: head.contains(&"biased"),
            steps: steps.iter().map(|s| s.parse()).collect::<Result<_>>()?,
            weights: numbers(w, "w")?,
            x: numbers(x, "x")?,
            r: numbers(r, "r")?,
        })
    }
}
