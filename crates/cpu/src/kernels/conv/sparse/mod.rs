//! The adjoint of a convolution behind a pooling, straight from the pooled signal and the winners' codes: of every window
//! at most one entry is not 0, so that most products of the dense adjoint are left out.
//!
//! Targets of few channels go one way ([`narrow`]), those of more another ([`wide`]). Either way target channels lie side by
//! side in the sums, so that an entry of the source is multiplied with whole vectors of weights.

mod collected;
mod lists;
mod narrow;
mod vectors;
mod wide;

use super::output::Output;
use super::{ITEMS, Problem};
use crate::isa::Isa;
use core::ops::Range;
use voxplain_autodiff::PoolGeometry;

/// The most rows that a window has.
const PLACES: usize = 4;
/// Slices of targets of an item: their open rows of sums stay in the second cache.
const DEPTH: usize = 16;
/// Rows of an item where more items are wanted: fewer would list many windows twice.
const LEAST_ROWS: usize = 16;
/// The same where threads have nothing to do otherwise.
const FEWEST_ROWS: usize = 4;

/// The signal of a pooling whose windows have one or two entries along depth and height, and two along the rows.
pub struct Pooled<'a> {
    /// The signal.
    pub upper: &'a [f32],
    /// The winners' places in their windows, row-major.
    pub codes: &'a [u8],
    /// Bits of the pooling's input, every row beginning on a byte; where one is clear the signal becomes 0.
    pub bits: Option<&'a [u8]>,
    /// Whether what is negative becomes 0.
    pub rectified: bool,
}

/// How the adjoint is computed.
pub struct Scatter {
    window: [usize; 2],
    /// Windows along each axis.
    pooled: [usize; 3],
    /// Targets of an item along depth and height, and items along each.
    size: [usize; 2],
    count: [usize; 2],
    /// Columns of a row of sums.
    columns: usize,
}

impl Scatter {
    /// The way for an adjoint behind `pool`, which must be one that
    /// [`voxplain_autodiff::ConvGeometry::scatters_from`] allows.
    pub fn new(p: &Problem, pool: &PoolGeometry, threads: usize) -> Self {
        let target = p.target();
        let items = |size: [usize; 2]| p.batch * target[0].div_ceil(size[0]) * target[1].div_ceil(size[1]);
        let mut size = [DEPTH.min(target[0]).max(1), target[1].max(1)];
        while size[1] > LEAST_ROWS && items(size) < ITEMS * threads
            || size[1] > FEWEST_ROWS && items(size) < threads
        {
            size[1] = size[1].div_ceil(2);
        }
        Self {
            window: [pool.kernel[0], pool.kernel[1]],
            pooled: pool.output,
            size,
            count: [target[0].div_ceil(size[0]), target[1].div_ceil(size[1])],
            // The last window's reach, and whole vectors of the columns that are targets.
            columns: (2 * pool.output[2] + 2).max(p.first_column() + target[2].next_multiple_of(16)),
        }
    }

    /// Work items.
    pub fn items(&self, p: &Problem) -> usize {
        p.batch * self.count[0] * self.count[1]
    }
}

/// Whether targets have few channels.
fn is_narrow(p: &Problem) -> bool {
    p.target_channels <= narrow::FEW
}

impl Problem {
    /// The column of sums that is the first target: zeros in front of the convolution's input.
    fn first_column(&self) -> usize {
        self.axes[2].high.max(0) as usize
    }

    /// Taps along depth and height.
    fn plane_taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// What one thread needs.
#[derive(Default)]
pub struct Workspace {
    narrow: narrow::Workspace,
    wide: wide::Workspace,
}

/// Everything that the items of one call share.
pub struct Job<'a> {
    /// The convolution.
    pub problem: &'a Problem,
    /// How it is computed.
    pub scatter: &'a Scatter,
    /// The data.
    pub source: &'a Pooled<'a>,
    /// Weights as [`pack`] makes them.
    pub packed: &'a [f32],
    /// Where the sums go.
    pub output: &'a Output<'a>,
}

/// Numbers of the packed weights.
pub fn packed_len(p: &Problem) -> usize {
    if is_narrow(p) { narrow::packed_len(p) } else { wide::packed_len(p) }
}

/// Weights in the layout of the way that is taken. `weight(o, c, k)` is the weight of target channel `o`, source channel `c` and
/// tap `k`.
pub fn pack(p: &Problem, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    packed.fill(0.0);
    if is_narrow(p) { narrow::pack(p, weight, packed) } else { wide::pack(p, weight, packed) }
}

/// The part of an image that an item computes.
struct Item {
    example: usize,
    /// Targets along depth and height.
    targets: [Range<usize>; 2],
    /// Windows along depth and height that reach them.
    windows: [Range<usize>; 2],
}

impl Job<'_> {
    fn item(&self, number: usize) -> Item {
        let (p, s) = (self.problem, self.scatter);
        let (y, rest) = (number % s.count[1], number / s.count[1]);
        let (z, example) = (rest % s.count[0], rest / s.count[0]);
        let targets =
            [(0, z), (1, y)].map(|(a, i)| i * s.size[a]..((i + 1) * s.size[a]).min(p.axes[a].target));
        let windows = [0, 1].map(|a| {
            let (first, last) = (targets[a].start as isize, targets[a].end as isize - 1);
            let low = (first + p.axes[a].low).max(0) as usize / s.window[a];
            let high = (last + p.axes[a].high).max(-1) + 1;
            low..(high as usize).div_ceil(s.window[a]).clamp(low, s.pooled[a].max(low))
        });
        Item { example, targets, windows }
    }

    /// Computes item `number`.
    pub fn run(&self, isa: Isa, number: usize, workspace: &mut Workspace) {
        if is_narrow(self.problem) {
            narrow::run_item(isa, self, number, &mut workspace.narrow);
        } else {
            wide::run_item(isa, self, number, &mut workspace.wide);
        }
    }
}
