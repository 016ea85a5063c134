//! The sizes that kernels work on, in canonical form: three spatial axes (missing ones have size 1), matrices by strides,
//! spans along one axis, slices and paddings by axis.

use crate::kernel::DType;
use alloc::vec::Vec;
use voxplain_tensor::{MAX_RANK, Shape};

/// A convolution `[batch, in_channels, input] -> [batch, out_channels, output]` with weights
/// `[out_channels, in_channels / groups, kernel]`:
/// `y[o, p] = bias[o] + sum_{c, k} w[o, c, k] x[c, p * stride + k * dilation - pad]`, entries outside the data being 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Examples.
    pub batch: usize,
    /// Channel groups; divides both channel counts.
    pub groups: usize,
    /// Channels of x, all groups together.
    pub in_channels: usize,
    /// Channels of y, all groups together.
    pub out_channels: usize,
    /// Spatial sizes of x (depth, height, width).
    pub input: [usize; 3],
    /// Spatial sizes of y.
    pub output: [usize; 3],
    /// Spatial sizes of the weights.
    pub kernel: [usize; 3],
    /// Steps.
    pub stride: [usize; 3],
    /// Zeros before the first entry; those after the last follow from `output`.
    pub pad: [usize; 3],
    /// Distances between taps.
    pub dilation: [usize; 3],
}

impl ConvGeometry {
    /// Whether the adjoint had better begin with the signal of `pool` behind the convolution, of which most is 0: windows of one
    /// or two outputs along each axis, two along the rows, side by side; kernels at most 3 wide without steps, holes or
    /// groups; at most 4 channels of x, or windows of eight outputs and at most 128 channels on both sides, up to where
    /// it was measured to be faster than Winograd's filtering (of windows of four it is not).
    pub fn scatters_from(&self, pool: &PoolGeometry) -> bool {
        let plain =
            self.groups == 1 && self.stride == [1; 3] && self.dilation == [1; 3] && self.kernel[2] <= 3;
        let whole = pool.input == self.output && pool.planes == self.batch * self.out_channels;
        let sparse = pool.kernel == [2; 3] && self.in_channels.max(self.out_channels) <= 128;
        plain && (self.in_channels <= 4 || sparse) && whole && pool.is_halving() && pool.kernel[2] == 2
    }
}

/// Windows over `planes` (batch times channels) separate arrays of spatial size `input`.
/// Window `p` covers the entries `p * stride + k * dilation - pad` that lie inside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGeometry {
    /// Batch times channels.
    pub planes: usize,
    /// Spatial sizes of x.
    pub input: [usize; 3],
    /// Spatial sizes of y.
    pub output: [usize; 3],
    /// Window sizes.
    pub kernel: [usize; 3],
    /// Steps.
    pub stride: [usize; 3],
    /// Entries before the data.
    pub pad: [usize; 3],
    /// Entries after the data; matters only for `include_pad`.
    pub pad_end: [usize; 3],
    /// Distances between taps.
    pub dilation: [usize; 3],
    /// Whether an average divides by the taps inside data and padding (true) or inside the data (false).
    /// Taps beyond the end padding (`ceil_mode`) never count.
    pub include_pad: bool,
}

impl PoolGeometry {
    /// The type that holds a winner's code: its position in the window, row-major.
    pub fn code(&self) -> DType {
        if self.kernel.iter().product::<usize>() <= 256 { DType::Byte } else { DType::Index }
    }

    /// Whether windows of one or two entries along each axis lie side by side, without padding.
    pub fn is_halving(&self) -> bool {
        (0..3).all(|a| {
            let k = self.kernel[a];
            let apart = self.stride[a] == k && self.dilation[a] == 1 && self.pad[a] == 0;
            k <= 2 && apart && self.output[a] == self.input[a] / k
        })
    }
}

/// Strides of a matrix operand in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixStrides {
    /// Between matrices; 0 repeats one.
    pub batch: usize,
    /// Between rows.
    pub row: usize,
    /// Between columns.
    pub column: usize,
}

/// `c = alpha a b` for `batch` pairs of matrices `[m, k]` and `[k, n]`; c is contiguous `[batch, m, n]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatMulGeometry {
    /// Pairs.
    pub batch: usize,
    /// Rows of the result.
    pub m: usize,
    /// Inner size.
    pub k: usize,
    /// Columns of the result.
    pub n: usize,
    /// Layout of the first operand.
    pub a: MatrixStrides,
    /// Layout of the second operand.
    pub b: MatrixStrides,
    /// Factor.
    pub alpha: f64,
}

/// An array seen as `[outer, n, inner]`; the kernel works along `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Product of the sizes before.
    pub outer: usize,
    /// Size of the axis.
    pub n: usize,
    /// Product of the sizes after.
    pub inner: usize,
}

/// A sparse matrix by rows: row `r` holds the entries `starts[r] .. starts[r + 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseMatrix {
    /// Number of columns.
    pub columns: usize,
    /// Row starts, one more than rows.
    pub starts: Vec<usize>,
    /// Column of each entry, ascending in a row.
    pub column: Vec<usize>,
    /// Weight of each entry.
    pub weight: Vec<f64>,
}

impl SparseMatrix {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// A matrix from its rows of (column, weight); entries of one column in a row are added, zeros dropped.
    pub fn from_rows(columns: usize, rows: &[Vec<(usize, f64)>]) -> Self {
        let mut matrix = Self { columns, starts: alloc::vec![0], column: Vec::new(), weight: Vec::new() };
        for row in rows {
            let mut merged = alloc::collections::BTreeMap::new();
            for &(column, weight) in row {
                *merged.entry(column).or_insert(0.0) += weight;
            }
            for (column, weight) in merged.into_iter().filter(|&(_, w)| w != 0.0) {
                matrix.column.push(column);
                matrix.weight.push(weight);
            }
            matrix.starts.push(matrix.column.len());
        }
        matrix
    }

    /// The transposed matrix.
    pub fn transposed(&self) -> Self {
        let mut rows = alloc::vec![Vec::new(); self.columns];
        for r in 0..self.rows() {
            for e in self.starts[r]..self.starts[r + 1] {
                rows[self.column[e]].push((r, self.weight[e]));
            }
        }
        Self::from_rows(self.rows(), &rows)
    }
}

/// One axis of a strided slice: entry `i` of the slice is entry `begin + i * step` of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceStep {
    /// First entry.
    pub begin: usize,
    /// Distance, may be negative.
    pub step: isize,
}

/// A slice of an array of shape `whole`; the slice has shape `part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceGeometry {
    /// Shape of the whole array.
    pub whole: Shape,
    /// Shape of the slice, of the same rank.
    pub part: Shape,
    /// Per axis.
    pub axes: [SliceStep; MAX_RANK],
}

/// How padded entries are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadFill {
    /// A constant.
    Constant(f64),
    /// The nearest entry.
    Edge,
    /// Mirrored without repeating the border.
    Reflect,
}

/// Padding from shape `inner` to shape `padded`; entry `p` of an axis comes from entry `p - before`.
/// A negative `before` crops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PadGeometry {
    /// Shape before padding.
    pub inner: Shape,
    /// Shape after padding.
    pub padded: Shape,
    /// Entries added in front, per axis.
    pub before: [isize; MAX_RANK],
    /// What fills the rest.
    pub fill: PadFill,
}

/// Boxes cut out of one array that all rows share, each row having a patch of its own over it: what a row that differs from
/// a known state in a patch shows in its box. Along every axis a row says where its box begins and where its patch does, in
/// entries of the array. Entries of the box outside the array are `fill`, whatever the patch has there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowGeometry {
    /// Rows.
    pub rows: usize,
    /// Shape of the shared array.
    pub whole: Shape,
    /// Shape of a row's box, of the same rank.
    pub part: Shape,
    /// Shape of a row's patch, of the same rank, where rows have one.
    pub patch: Option<Shape>,
    /// What lies outside.
    pub fill: f64,
}

/// Coarse grids of numbers over the images of an example, one for all of its channels or one each, interpolated linearly along
/// the first axis first. Entry `i` of `n` along an axis lies at cell `(i + 1/2) cells / n + shift`, the shift being the row's,
/// from 0 to 1; a grid therefore has `cells + 2` nodes along every axis. A row is the nodes of all grids, then its shifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GridGeometry {
    /// Spatial sizes, at the end of the array; what is before them is 1.
    pub sizes: [usize; 3],
    /// How many of them there are, up to 3.
    pub axes: usize,
    /// Cells along every axis.
    pub cells: usize,
    /// Images of an example.
    pub channels: usize,
    /// Grids: one, or as many as channels.
    pub grids: usize,
}

impl GridGeometry {
    /// Nodes of one grid.
    pub fn nodes(&self) -> usize {
        (self.cells + 2).pow(self.axes as u32)
    }

    /// Numbers of a row.
    pub fn numbers(&self) -> usize {
        self.grids * self.nodes() + self.axes
    }

    /// Entries of an example.
    pub fn length(&self) -> usize {
        self.channels * self.sizes.iter().product::<usize>()
    }
}

/// How much of an example each entry of a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MixShares {
    /// By feature: entries are labelled from 0 to `count` (which stands for no feature and has all), a row is a share for each
    /// of `count` features.
    Labelled {
        /// Features.
        count: usize,
    },
    /// By place.
    Gridded(GridGeometry),
}

impl MixShares {
    /// Numbers of a row.
    pub fn numbers(&self) -> usize {
        match self {
            Self::Labelled { count } => *count,
            Self::Gridded(grid) => grid.numbers(),
        }
    }
}

/// Rows between an example `x` and what fills it where it is absent: `s x + (1 - s) fill` in double precision, rounded once;
/// `x` itself where `s` is 1 and `fill` itself where it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixGeometry {
    /// Rows.
    pub rows: usize,
    /// Entries of an example.
    pub length: usize,
    /// Where `s` comes from.
    pub shares: MixShares,
}

/// Sums over rows of `w (s - level)` and of its square for every entry, `s` being the row's share there and `w` its weight; in
/// double precision, one row after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GridSumsGeometry {
    /// Rows.
    pub rows: usize,
    /// Where shares come from.
    pub grid: GridGeometry,
    /// What is taken away from shares.
    pub level: f64,
}

/// What rows of [`NoiseGeometry`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseKind {
    /// The noisy example x' itself.
    Noisy,
    /// A point `a x' + c b` of the way to one of so many baselines b; a row says which, and a and c.
    Between(usize),
    /// `x' - b`, of the same rows.
    Gap(usize),
}

impl NoiseKind {
    /// How many baselines there are to choose from.
    pub fn baselines(self) -> Option<usize> {
        match self {
            Self::Noisy => None,
            Self::Between(count) | Self::Gap(count) => Some(count),
        }
    }

    /// Numbers of a row: its draw and which example of a call it is, the two of them making up the noise, and where there are
    /// baselines the row of them, a and c. Counts are whole numbers below `2^24`.
    pub fn numbers(self) -> usize {
        if self == Self::Noisy { 2 } else { 5 }
    }
}

/// Rows of an example x with Gaussian noise, `x' = x + sigma z`: z are the normal numbers of [`crate::Philox`] in order, those
/// of example n beginning with block `n` times the blocks of an example. The product with sigma is of double precision and
/// rounded once, everything else is of the device's scalar; x itself where sigma is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseGeometry {
    /// Rows.
    pub rows: usize,
    /// Entries of an example.
    pub length: usize,
    /// Where the numbers come from.
    pub source: crate::Philox,
    /// The standard deviation.
    pub sigma: f64,
    /// What the rows are.
    pub kind: NoiseKind,
}
