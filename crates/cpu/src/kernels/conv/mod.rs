//! Convolutions and their adjoints: which way each is computed, its packed weights, and the division over threads.
//!
//! * [`sparse`]: adjoints behind a pooling, of whose signal most is 0;
//! * [`winograd`]: width 3 without strides, where both sides have channels enough;
//! * [`decomposed`]: wider kernels, with steps and without, in pieces of that width;
//! * [`direct`]: everything else, and everything in exact mode.

mod axis;
pub mod background;
pub mod changed;
mod decomposed;
mod direct;
mod fill;
pub mod output;
mod panel;
pub mod sparse;
mod tile;
mod whole_windows;
mod winograd;

use crate::filtering::Filtering;
use crate::isa::Isa;
use crate::parallel::Pool;
use axis::{Axis, AxisGeometry};
use background::Background;
use changed::{Kept, Reach};
use core::ops::Range;
use decomposed::Pieces;
use direct::Strips;
use output::Output;
use panel::Panel;
use sparse::{Pooled, Scatter};
use std::cell::RefCell;
use tile::CHANNELS;
use voxplain_autodiff::{ConvGeometry, PoolGeometry};
pub use winograd::Cut;
use winograd::Tiles;

/// Work items for every thread, so that none waits long for the others.
const ITEMS: usize = 2;

/// What decides how a convolution is computed, beside its geometry.
#[derive(Clone, Copy)]
pub struct Preparation {
    /// How it is summed; threads and lanes decide nothing of that.
    pub filtering: Filtering,
    /// Numbers in a vector.
    pub lanes: usize,
    /// How many threads share the work.
    pub threads: usize,
}

/// Numbers between planes or channels that are read together, `numbers` or a few more: an odd number of cache lines, so that they
/// do not share the few places of the cache that one stride reaches.
const fn apart(numbers: usize) -> usize {
    const LINE: usize = 16;
    let lines = numbers.div_ceil(LINE);
    (lines + 1 - lines % 2) * LINE
}

/// `0..channels` in groups of nearly equal size, at most `most`.
fn groups_of(channels: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let size = channels.div_ceil(channels.div_ceil(most).max(1)).max(1);
    (0..channels).step_by(size).map(move |first| first..(first + size).min(channels))
}

/// A convolution as its outputs see it: from source to target, forward or adjoint.
pub struct Problem {
    batch: usize,
    groups: usize,
    /// Channels of a group.
    source_channels: usize,
    target_channels: usize,
    kernel: [usize; 3],
    axes: [Axis; 3],
}

impl Problem {
    fn new(g: &ConvGeometry, adjoint: bool) -> Self {
        let (ci, co) = (g.in_channels / g.groups, g.out_channels / g.groups);
        let (source_channels, target_channels) = if adjoint { (co, ci) } else { (ci, co) };
        let axis = |a: usize| AxisGeometry {
            input: g.input[a],
            output: g.output[a],
            kernel: g.kernel[a],
            stride: g.stride[a],
            pad: g.pad[a],
            dilation: g.dilation[a],
        };
        let axes = [0, 1, 2].map(|a| Axis::new(axis(a), adjoint));
        Self { batch: g.batch, groups: g.groups, source_channels, target_channels, kernel: g.kernel, axes }
    }

    /// Blocks of channels of a group.
    fn blocks(&self) -> usize {
        self.target_channels.div_ceil(CHANNELS)
    }

    fn panel(&self, size: [usize; 2], beside: usize) -> Panel {
        Panel::new(self, size, beside, self.near_channels())
    }

    fn target(&self) -> [usize; 3] {
        [0, 1, 2].map(|a| self.axes[a].target)
    }

    fn multiplications(&self) -> usize {
        let places: usize = self.target().iter().product();
        let taps: usize = self.kernel.iter().product();
        self.batch * self.groups * self.target_channels * self.source_channels * taps * places
    }
}

/// A convolution or an adjoint with the way in which it is computed.
pub struct Convolution {
    problem: Problem,
    adjoint: bool,
    way: Way,
}

/// How sums are made.
enum Way {
    /// Tap by tap.
    Direct,
    /// By Winograd's filtering.
    Winograd(Tiles),
    /// By Winograd's filtering of a kernel's pieces.
    Decomposed(Box<Pieces>),
    /// From the winners of a pooling.
    Sparse(Scatter),
}

/// What a convolution reads.
pub enum Source<'a> {
    /// Every value.
    Dense(&'a [f32]),
    /// The signal of a pooling, for the adjoint of the convolution in front of it.
    Pooled(Pooled<'a>),
}

/// What one thread needs.
#[derive(Default)]
struct Workspace {
    direct: direct::Workspace,
    decomposed: decomposed::Workspace,
    winograd: winograd::Workspace,
    sparse: sparse::Workspace,
}

std::thread_local! {
    /// A thread's buffers, kept so that only the first run of a network makes them grow.
    static WORKSPACE: RefCell<Workspace> = RefCell::new(Workspace::default());
}

impl Convolution {
    /// The convolution of geometry `g` or its adjoint.
    pub fn new(g: &ConvGeometry, adjoint: bool, how: Preparation) -> Self {
        let problem = Problem::new(g, adjoint);
        let pieces = || Pieces::new(&problem, how.filtering);
        let way = match Tiles::new(&problem, how) {
            Some(tiles) => Way::Winograd(tiles),
            None => pieces().map_or(Way::Direct, |pieces| Way::Decomposed(Box::new(pieces))),
        };
        Self { way, problem, adjoint }
    }

    /// The adjoint of the convolution of geometry `g` in front of `pool`, from the pooling's signal.
    pub fn behind(g: &ConvGeometry, pool: &PoolGeometry, threads: usize) -> Self {
        let problem = Problem::new(g, true);
        Self { way: Way::Sparse(Scatter::new(&problem, pool, threads)), problem, adjoint: true }
    }

    /// The way in which it is computed, and what decides the layout of its weights beside their sizes.
    pub fn layout(&self) -> [usize; 2] {
        match &self.way {
            Way::Direct => [0, self.problem.near_channels()],
            Way::Sparse(_) => [1, 0],
            Way::Winograd(tiles) => [2, tiles.outputs()],
            Way::Decomposed(_) => [3, 0],
        }
    }

    /// Spatial sizes of the target.
    pub fn target(&self) -> [usize; 3] {
        self.problem.target()
    }

    /// How many numbers the packed weights are.
    pub fn packed_len(&self) -> usize {
        match &self.way {
            Way::Direct => direct::packed_len(&self.problem),
            Way::Winograd(tiles) => winograd::packed_len(&self.problem, tiles),
            Way::Decomposed(pieces) => decomposed::packed_len(&self.problem, pieces),
            Way::Sparse(_) => sparse::packed_len(&self.problem),
        }
    }

    /// Packs weights in the layout of the graph, those of output channel `o` times `scale[o]` where there are scales.
    pub fn pack(&self, pool: &Pool, weights: &[f32], scale: Option<&[f64]>, packed: &mut [f32]) {
        let p = &self.problem;
        let taps: usize = p.kernel.iter().product();
        let (ci, co) = if self.adjoint {
            (p.target_channels, p.source_channels)
        } else {
            (p.source_channels, p.target_channels)
        };
        let weight = |t: usize, s: usize, k: usize| {
            let (group, t) = (t / p.target_channels, t % p.target_channels);
            let (o, c) = if self.adjoint { (s, t) } else { (t, s) };
            let value = f64::from(weights[((group * co + o) * ci + c) * taps + k]);
            scale.map_or(value, |scale| value * scale[group * co + o])
        };
        match &self.way {
            Way::Direct => direct::pack(p, weight, packed),
            Way::Winograd(tiles) => winograd::pack(pool, (p, tiles), weight, packed),
            Way::Decomposed(pieces) => decomposed::pack(p, pieces, weight, packed),
            Way::Sparse(_) => sparse::pack(p, weight, packed),
        }
    }

    /// What an output is made of along each axis, where Winograd's filtering computes it.
    pub fn reach(&self) -> Option<[Reach; 3]> {
        let Way::Winograd(tiles) = &self.way else { return None };
        // With tiles of two every output is made of the data under its kernel alone.
        let shared = tiles.sizes().map(|size| if size > 2 { size } else { 1 });
        let one = |a: usize| Reach {
            low: self.problem.axes[a].low,
            width: self.problem.kernel[a],
            shared: shared[a],
        };
        Some([0, 1, 2].map(one)).filter(|_| !self.adjoint)
    }

    /// Whether it gains from knowing where its source is background.
    pub fn takes_background(&self) -> bool {
        matches!(self.way, Way::Winograd(_)) && !self.adjoint
    }

    /// Convolves `source` with packed weights; sums begin with `bias`, one per channel of the target. False if the source is
    /// none that this convolution was made for. What is known of the source is used, and what is then known of the
    /// result is in the cut.
    #[must_use]
    pub fn run(
        &self,
        (pool, isa): (&Pool, Isa),
        source: &Source<'_>,
        packed: &[f32],
        bias: Option<&[f32]>,
        output: &Output<'_>,
        known: Option<Known<'_>>,
    ) -> bool {
        let problem = &self.problem;
        let cost = problem.multiplications();
        match (&self.way, source) {
            (Way::Winograd(tiles), Source::Dense(source)) => {
                let job = winograd::Job { problem, tiles, source, packed, bias, output, cut: None };
                run_winograd(pool, isa, &job, known.filter(|known| !self.adjoint && known.serves(output)));
            }
            (Way::Decomposed(pieces), Source::Dense(source)) => {
                let strips = decomposed::Strips::new(problem, pieces, output.window()[0], pool.threads());
                let job = decomposed::Job { problem, pieces, strips, source, packed, bias, output };
                pool.each(job.strips.items(problem), cost, |i| {
                    WORKSPACE.with_borrow_mut(|w| job.run(isa, i, &mut w.decomposed));
                });
            }
            (Way::Direct, Source::Dense(source)) => {
                let strips = Strips::new(problem, output.window(), pool.threads());
                let job = direct::Job { problem, strips, source, packed, bias, output };
                pool.each(job.strips.items(problem), cost, |i| {
                    WORKSPACE.with_borrow_mut(|w| job.run(isa, i, &mut w.direct));
                });
            }
            (Way::Sparse(scatter), Source::Pooled(source)) => {
                let job = sparse::Job { problem, scatter, source, packed, output };
                pool.each(scatter.items(problem), cost, |i| {
                    WORKSPACE.with_borrow_mut(|w| job.run(isa, i, &mut w.sparse));
                });
            }
            _ => return false,
        }
        true
    }
}

/// What is known of the operand of a convolution.
pub struct Known<'k> {
    /// Where it is live.
    pub background: &'k Background,
    /// Where the division goes.
    pub cut: &'k mut Cut,
    /// What the state has of the result, of an operand that is a state's where it is not live.
    pub kept: Option<Kept<'k>>,
}

impl Known<'_> {
    /// Whether what is not live needs no sums in `output`.
    fn serves(&self, output: &Output<'_>) -> bool {
        match self.background.of_state {
            true => self.kept.is_some() && output.is_one(),
            false => output.repeats(),
        }
    }
}

/// Runs a job, without what repeats or is the state's if something is known of its source.
fn run_winograd(pool: &Pool, isa: Isa, job: &winograd::Job<'_>, known: Option<Known<'_>>) {
    let cost = job.problem.multiplications();
    let (mut cut, mut kept) = (None, None);
    if let Some(known) = known {
        let (background, room) = (known.background, known.cut);
        let how =
            Preparation { lanes: isa.lanes(), threads: pool.threads(), filtering: Filtering::default() };
        let divided = room.divide(job.problem, job.tiles, background, how);
        let repeated = |room: &mut Cut| {
            WORKSPACE.with_borrow_mut(|w| room.repeat_once(job, isa, background, &mut w.winograd))
        };
        if divided && (background.of_state || repeated(room)) {
            (cut, kept) = (Some(&*room), known.kept);
        } else {
            room.forget();
        }
    }
    let job = winograd::Job { cut, ..*job };
    pool.each(job.items(), cost, |i| WORKSPACE.with_borrow_mut(|w| job.run(isa, i, &mut w.winograd)));
    pool.each(job.repeats(), cost, |i| job.repeat(i, kept.as_ref()));
}
