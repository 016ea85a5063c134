//! Cases of every kernel as data, because each device has to be tested on the same geometries: a case runs on any
//! device, and what the device may be off by follows from the kernel's own terms.
//!
//! - [`random_case`] draws operands and geometry of some kernel, [`case`] of a named kind and size;
//! - [`run_kernel`] runs a case on a device, [`disagreement`] compares a device with the [`crate::Oracle`];
//! - [`adjoint_pair`] and [`adjoint_defect`] hold linear kernels against their adjoints;
//! - [`difference_defect`] holds the derivatives of the others against finite differences.

mod bound;
mod difference;
mod draw;
mod elements;
mod joined;
mod linear;
mod mixes;
mod noises;
mod run;
mod shapes;
mod statistics;
mod windows;

pub use bound::{bounds, disagreement};
pub use difference::{Differentiable, difference_defect};
pub use linear::{PAIRS, adjoint_defect, adjoint_pair};
pub use run::run_kernel;

use draw::Draw;
use voxplain_autodiff::{Kernel, PoolGeometry};

/// What goes into a kernel. All numbers are exact in single precision.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Numbers.
    Real(Vec<f64>),
    /// The bits that mark the positive entries of these numbers, in rows of so many.
    Bits(Vec<f64>, usize),
    /// The codes of the maxima of these numbers.
    Codes(PoolGeometry, Vec<f64>),
}

/// What comes out of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// So many numbers.
    Real(usize),
    /// So many bits in rows of so many; read as numbers 0 and 1.
    Bits(usize, usize),
    /// Codes of windows; read as positions of the winners in their plane.
    Codes(PoolGeometry),
    /// A result that nobody wants.
    Unwanted,
}

/// A kernel with its operands.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCase {
    /// The kernel.
    pub kernel: Kernel,
    /// Its operands.
    pub operands: Vec<Operand>,
    /// Its results.
    pub outputs: Vec<Output>,
    /// Whether operands behind the first are parameters of the plan rather than values.
    pub stored: bool,
    /// The operand in which a linear kernel is taken to be linear.
    pub variable: usize,
}

impl KernelCase {
    /// A case with operands of numbers and one result of `size` numbers.
    fn plain(kernel: Kernel, operands: Vec<Vec<f64>>, size: usize) -> Self {
        let operands = operands.into_iter().map(Operand::Real).collect();
        Self { kernel, operands, outputs: vec![Output::Real(size)], stored: false, variable: 0 }
    }

    /// The numbers that an operand is given as.
    fn data(&self, i: usize) -> &[f64] {
        match &self.operands[i] {
            Operand::Real(v) | Operand::Bits(v, _) | Operand::Codes(_, v) => v,
        }
    }
}

type Maker = fn(&mut Draw) -> KernelCase;

/// The kinds of cases: what they are called and how they are drawn.
const KINDS: [(&str, Maker); 45] = [
    ("conv", windows::conv),
    ("conv_adjoint", windows::conv_adjoint),
    ("conv_weight_adjoint", windows::conv_weight_adjoint),
    ("matmul", statistics::matmul),
    ("batch_norm", statistics::batch_norm),
    ("batch_norm_adjoint", statistics::batch_norm_adjoint),
    ("average_pool", windows::average_pool),
    ("average_pool_adjoint", windows::average_pool_adjoint),
    ("axis_map", shapes::axis_map),
    ("permute", shapes::permute),
    ("slice", shapes::slice),
    ("embed", shapes::embed),
    ("pad", shapes::pad),
    ("pad_adjoint", shapes::pad_adjoint),
    ("window", shapes::window),
    ("mix", mixes::labelled),
    ("mix_grid", mixes::gridded),
    ("grid_sums", mixes::sums),
    ("accumulate", mixes::accumulate),
    ("noise", noises::noisy),
    ("noise_between", noises::between),
    ("noise_gap", noises::gap),
    ("moments", noises::moments),
    ("concat", shapes::concat),
    ("reduce", shapes::reduce),
    ("repeat", shapes::repeat),
    ("map", elements::map),
    ("map_gradient", elements::map_gradient),
    ("map_slope", elements::map_slope),
    ("positive_bits", elements::positive_bits),
    ("mask", elements::mask),
    ("binary", elements::binary),
    ("binary_broadcast", elements::binary_broadcast),
    ("max_pool", windows::max_pool),
    ("max_pool_wide", windows::max_pool_wide),
    ("max_scatter", windows::max_scatter),
    ("max_gather", windows::max_gather),
    ("normalize", statistics::normalize),
    ("normalize_adjoint", statistics::normalize_adjoint),
    ("softmax", statistics::softmax),
    ("softmax_adjoint", statistics::softmax_adjoint),
    ("fill", elements::fill),
    ("conv_block", joined::conv_block),
    ("conv_adjoint_block", joined::conv_adjoint_block),
    ("unpool", joined::unpool),
];

/// The names of the kinds of cases; every kernel has at least one.
pub fn kinds() -> impl ExactSizeIterator<Item = &'static str> {
    KINDS.iter().map(|k| k.0)
}

/// The case of kind `kind` (its position in [`kinds`], taken modulo their number) with dimensions up to about `size`.
pub fn case(kind: usize, size: usize, seed: u64) -> KernelCase {
    let mut draw = Draw::new(seed, size);
    let mut case = KINDS[kind % KINDS.len()].1(&mut draw);
    case.stored |= draw.flag();
    case
}

/// A random case of any kind.
pub fn random_case(rng: u64) -> KernelCase {
    case((rng % KINDS.len() as u64) as usize, 40, rng / KINDS.len() as u64)
}
