//! Random networks of layers with windows of every kind, in two or three dimensions: strides, dilations, paddings, groups,
//! transposed convolutions, resizing, shortcuts and joins. A layer that does not fit where it stands is left out.

use proptest::prelude::*;
use voxplain::graph::ops::{
    Binary, ConvAttributes, ConvTransposeAttributes, Coordinates, PadMode, Pointwise, PoolAttributes,
    Reduction, ResizeMode, SliceAxis, axis_taps,
};
use voxplain::graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain::tensor::{Result, Shape};

/// One layer. Small numbers are taken modulo what there is to choose from.
#[derive(Clone, Copy, Debug)]
pub enum Layer {
    /// To so many channels: kernel, stride, padding, dilation, groups.
    Conv(u8, [u8; 5]),
    /// The same, with the output padding in place of the dilation.
    ConvTranspose(u8, [u8; 5]),
    /// Stored statistics.
    BatchNorm,
    /// Statistics of the data, by group.
    GroupNorm(u8),
    /// Rectifiers and smooth functions.
    Activation(u8),
    /// Kernel, stride, padding, dilation; rounding up.
    MaxPool([u8; 4], bool),
    /// The same; whether padding counts.
    AveragePool([u8; 4], bool, bool),
    /// Twice or one and a half times as large.
    Resize(u8, u8),
    /// Mode and amounts.
    Pad(u8, u8, u8),
    /// First entry, step, backwards.
    Slice(u8, u8, bool),
    /// Remembers the value.
    Push,
    /// Adds the remembered value.
    Add,
    /// Multiplies by its mean over space, of every channel.
    Gate,
    /// Joins it along channels.
    Concat,
    /// Over channels.
    Softmax,
    /// Adds a number for each channel.
    Shift,
    /// Swaps the last two axes.
    Transpose,
}

/// How a network ends.
#[derive(Clone, Copy, Debug)]
pub enum Head {
    /// As it is.
    None,
    /// Mean over space and a linear layer.
    Pooled,
    /// A linear layer over everything.
    Flat,
}

/// A network.
#[derive(Clone, Debug)]
pub struct Layers {
    /// Sizes of the image, two or three.
    pub image: Vec<usize>,
    /// Images in one example: an axis that layers do not mix.
    pub slices: usize,
    /// Channels of the image.
    pub channels: usize,
    /// The layers.
    pub layers: Vec<Layer>,
    /// The end.
    pub head: Head,
}

fn layer() -> impl Strategy<Value = Layer> {
    let four = || any::<[u8; 4]>();
    prop_oneof![
        6 => (1u8..12, any::<[u8; 5]>()).prop_map(|(c, n)| Layer::Conv(c, n)),
        // What Winograd's filtering takes.
        4 => (8u8..10).prop_map(|c| Layer::Conv(c, [2, 0, 1, 0, 0])),
        2 => (1u8..10, any::<[u8; 5]>()).prop_map(|(c, n)| Layer::ConvTranspose(c, n)),
        2 => Just(Layer::BatchNorm),
        1 => any::<u8>().prop_map(Layer::GroupNorm),
        5 => any::<u8>().prop_map(Layer::Activation),
        2 => (four(), any::<bool>()).prop_map(|(n, up)| Layer::MaxPool(n, up)),
        3 => Just(Layer::MaxPool([1, 1, 0, 0], false)),
        2 => (four(), any::<[bool; 2]>()).prop_map(|(n, f)| Layer::AveragePool(n, f[0], f[1])),
        1 => any::<(u8, u8)>().prop_map(|(m, s)| Layer::Resize(m, s)),
        1 => any::<(u8, u8, u8)>().prop_map(|(m, a, b)| Layer::Pad(m, a, b)),
        1 => any::<(u8, u8, bool)>().prop_map(|(a, b, c)| Layer::Slice(a, b, c)),
        2 => Just(Layer::Push),
        2 => Just(Layer::Add),
        1 => Just(Layer::Gate),
        1 => Just(Layer::Concat),
        1 => Just(Layer::Softmax),
        1 => Just(Layer::Shift),
        1 => Just(Layer::Transpose),
    ]
}

/// Networks for properties.
pub fn layers() -> impl Strategy<Value = Layers> {
    let image = prop_oneof![
        prop::collection::vec(5usize..24, 2),
        (4usize..10, 4usize..10, 4usize..14).prop_map(|(z, y, x)| vec![z, y, x])
    ];
    let head = prop_oneof![Just(Head::None), Just(Head::Pooled), Just(Head::Flat)];
    (image, 1usize..3, prop_oneof![1usize..4, Just(8)], prop::collection::vec(layer(), 1..8), head)
        .prop_map(|(image, slices, channels, layers, head)| Layers { image, slices, channels, layers, head })
}

/// Numbers between -1 and 1 from a seed.
pub fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A number for each of `rank` axes, different ones: `least` and less than `most` more.
fn each(rank: usize, n: u8, most: u8, least: usize) -> Vec<usize> {
    (0..rank).map(|a| usize::from((n >> (2 * a)) % most) + least).collect()
}

fn resize(shape: Shape, mode: u8, size: u8) -> Op {
    let mode =
        [ResizeMode::NearestFloor, ResizeMode::Linear, ResizeMode::NearestPreferCeil][usize::from(mode % 3)];
    let coordinates = [Coordinates::HalfPixel, Coordinates::AlignCorners, Coordinates::Asymmetric];
    let along = |a: usize| {
        let (from, size) = (shape[a], size >> a);
        let to = if size % 4 == 0 { from * 3 / 2 } else { 2 * from };
        let coordinates = coordinates[usize::from(size % 3)];
        (a > 1).then(|| axis_taps(from, to, to as f64 / from as f64, mode, coordinates))
    };
    Op::Resize { taps: (0..shape.rank()).map(along).collect() }
}

fn slice(shape: Shape, first: u8, step: u8, backwards: bool) -> Op {
    let along = |a: usize| {
        let (n, step) = (shape[a], usize::from(step % 2) + 1);
        let begin = if a > 1 { usize::from(first % 3).min(n - 1) } else { 0 };
        let count = if a > 1 { (n - begin).div_ceil(step) } else { n };
        match (a > 1, backwards) {
            (true, true) => SliceAxis { begin: begin + (count - 1) * step, step: -(step as isize), count },
            (true, false) => SliceAxis { begin, step: step as isize, count },
            _ => SliceAxis { begin: 0, step: 1, count: n },
        }
    };
    Op::Slice { axes: (0..shape.rank()).map(along).collect() }
}

struct Machine {
    b: GraphBuilder,
    current: ValueId,
    pushed: ValueId,
    nodes: u64,
}

impl Layers {
    /// The network, from `[slices, channels, image]`.
    ///
    /// # Errors
    /// None for networks of [`layers`]; a failure is a fault of the builder.
    pub fn graph(&self) -> Result<Graph> {
        let mut b = GraphBuilder::new();
        let sizes = [&[self.slices, self.channels][..], &self.image].concat();
        let x = b.input("x", &sizes)?;
        let mut machine = Machine { b, current: x, pushed: x, nodes: 0 };
        for layer in &self.layers {
            // What does not fit is left out.
            if let Ok(next) = machine.layer(*layer) {
                machine.current = next;
            }
        }
        machine.finish(self.head)
    }
}

impl Machine {
    fn name(&mut self) -> String {
        self.nodes += 1;
        format!("n{}", self.nodes)
    }

    fn weights(&mut self, sizes: &[usize]) -> Result<ValueId> {
        let name = self.name();
        let data: Vec<f32> = numbers(self.nodes, sizes.iter().product()).iter().map(|v| v * 0.5).collect();
        self.b.parameter(&name, sizes, data)
    }

    fn positive(&mut self, n: usize) -> Result<ValueId> {
        let name = self.name();
        let data: Vec<f32> = numbers(self.nodes, n).iter().map(|v| v.abs() + 0.5).collect();
        self.b.parameter(&name, &[n], data)
    }

    fn node(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let name = self.name();
        self.b.node(&name, op, inputs)
    }

    fn layer(&mut self, layer: Layer) -> Result<ValueId> {
        let (x, shape) = (self.current, self.b.shape(self.current));
        let (rank, c) = (shape.rank() - 2, shape[1]);
        match layer {
            Layer::Conv(to, n) => self.conv(x, usize::from(to), n),
            Layer::ConvTranspose(to, n) => self.conv_transpose(x, usize::from(to), n),
            Layer::BatchNorm => {
                let more = [self.positive(c)?, self.weights(&[c])?, self.weights(&[c])?, self.positive(c)?];
                self.node(Op::BatchNormalization { epsilon: 1e-3 }, &[&[x][..], &more].concat())
            }
            Layer::GroupNorm(n) => {
                let groups = if c % 2 == 0 && n % 2 == 0 { 2 } else { c };
                let (scale, bias) = (self.positive(c)?, self.weights(&[c])?);
                self.node(Op::GroupNormalization { groups, epsilon: 1e-3 }, &[x, scale, bias])
            }
            Layer::Activation(n) => {
                let smooth = [Pointwise::Gelu, Pointwise::Sigmoid, Pointwise::Elu { alpha: 1.0 }];
                let f = if n % 4 > 0 { Pointwise::Relu } else { smooth[usize::from(n / 4 % 3)] };
                self.node(Op::Pointwise(f), &[x])
            }
            Layer::MaxPool(n, up) => self.pool(x, (n, rank), (up, false), Op::MaxPool),
            Layer::AveragePool(n, up, count) => self.pool(x, (n, rank), (up, count), Op::AveragePool),
            Layer::Resize(mode, size) => self.node(resize(shape, mode, size), &[x]),
            Layer::Pad(mode, a, b) => {
                let mode = [PadMode::Constant, PadMode::Edge, PadMode::Reflect][usize::from(mode % 3)];
                let amounts = |n: u8| {
                    let spatial = each(rank, n, 4, 0).into_iter().map(|p| p as isize - 1);
                    [0, 0].into_iter().chain(spatial).collect::<Vec<isize>>()
                };
                self.node(Op::Pad { mode, before: amounts(a), after: amounts(b), value: 0.25 }, &[x])
            }
            Layer::Slice(first, step, backwards) => self.node(slice(shape, first, step, backwards), &[x]),
            Layer::Push => {
                self.pushed = x;
                Ok(x)
            }
            Layer::Add if self.b.shape(self.pushed) == shape => {
                self.node(Op::Binary(Binary::Add), &[x, self.pushed])
            }
            Layer::Add => Ok(x),
            Layer::Concat => self.node(Op::Concat { axis: 1 }, &[self.pushed, x]),
            Layer::Gate => {
                let axes = (2..self.b.shape(self.pushed).rank()).collect();
                let op = Op::Reduce { reduction: Reduction::Mean, axes, keep_axes: true };
                let mean = self.node(op, &[self.pushed])?;
                self.node(Op::Binary(Binary::Mul), &[x, mean])
            }
            Layer::Softmax => self.node(Op::Softmax { axis: 1 }, &[x]),
            Layer::Shift => {
                let shift = self.weights(&[&[c][..], &vec![1; rank]].concat())?;
                self.node(Op::Binary(Binary::Add), &[x, shift])
            }
            Layer::Transpose => {
                let mut permutation: Vec<usize> = (0..shape.rank()).collect();
                permutation.swap(rank, rank + 1);
                self.node(Op::Transpose { permutation }, &[x])
            }
        }
    }

    fn conv(&mut self, x: ValueId, to: usize, n: [u8; 5]) -> Result<ValueId> {
        let (rank, c) = (self.b.shape(x).rank() - 2, self.b.shape(x)[1]);
        let groups = if n[4] % 4 == 1 && c % 2 == 0 && to % 2 == 0 { 2 } else { 1 };
        let plain = n == [2, 0, 1, 0, 0];
        let kernel = if plain { vec![3; rank] } else { each(rank, n[0], 4, 1) };
        let pads = if plain { vec![1; rank] } else { each(rank, n[2], 3, 0) };
        let weight = self.weights(&[&[to, c / groups][..], &kernel].concat())?;
        let bias = self.weights(&[to])?;
        let conv = ConvAttributes {
            strides: each(rank, n[1], 3, 1),
            pads_end: pads.iter().rev().copied().collect(),
            pads_begin: pads,
            dilations: each(rank, n[3], 2, 1),
            groups,
        };
        self.node(Op::Conv(conv), &[x, weight, bias])
    }

    fn conv_transpose(&mut self, x: ValueId, to: usize, n: [u8; 5]) -> Result<ValueId> {
        let (rank, c) = (self.b.shape(x).rank() - 2, self.b.shape(x)[1]);
        let weight = self.weights(&[&[c, to][..], &each(rank, n[0], 4, 1)].concat())?;
        let bias = self.weights(&[to])?;
        let strides = each(rank, n[1], 3, 1);
        let padding = each(rank, n[3], 2, 0);
        let output_padding = strides.iter().zip(padding).map(|(s, p)| p.min(s - 1)).collect();
        let pads = each(rank, n[2], 2, 0);
        let conv = ConvAttributes {
            strides,
            pads_begin: pads.clone(),
            pads_end: pads.into_iter().rev().collect(),
            ..ConvAttributes::plain(rank)
        };
        self.node(Op::ConvTranspose(ConvTransposeAttributes { conv, output_padding }), &[x, weight, bias])
    }

    fn pool(
        &mut self,
        x: ValueId,
        (n, rank): ([u8; 4], usize),
        (ceil_mode, count_include_pad): (bool, bool),
        op: fn(PoolAttributes) -> Op,
    ) -> Result<ValueId> {
        // The windows that joined steps take.
        let halving = n == [1, 1, 0, 0];
        let (kernel, strides) = if halving {
            (vec![2; rank], vec![2; rank])
        } else {
            (each(rank, n[0], 3, 1), each(rank, n[1], 3, 1))
        };
        let pads: Vec<usize> =
            each(rank, n[2], 2, 0).iter().zip(&kernel).map(|(&p, &k)| p.min(k - 1)).collect();
        let pads = if halving { vec![0; rank] } else { pads };
        let pool = PoolAttributes {
            kernel,
            strides,
            pads_begin: pads.clone(),
            pads_end: pads,
            dilations: each(rank, n[3], 2, 1),
            ceil_mode,
            count_include_pad,
        };
        let name = self.name();
        self.b.node(&name, op(pool), &[x])
    }

    fn finish(mut self, head: Head) -> Result<Graph> {
        let shape = self.b.shape(self.current);
        let features = match head {
            Head::None => {
                let last = self.node(Op::Identity, &[self.current])?;
                return self.b.finish(&[last]);
            }
            Head::Pooled => {
                let axes = (2..shape.rank()).collect();
                self.node(Op::Reduce { reduction: Reduction::Mean, axes, keep_axes: false }, &[self.current])?
            }
            Head::Flat => {
                let sizes = vec![shape[0], shape.elements() / shape[0]];
                self.node(Op::Reshape { sizes }, &[self.current])?
            }
        };
        let width = self.b.shape(features)[1];
        let (weight, bias) = (self.weights(&[3, width])?, self.weights(&[3])?);
        let logits = self.node(Op::linear(), &[features, weight, bias])?;
        self.b.finish(&[logits])
    }
}
