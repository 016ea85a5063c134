//! The machine's own speed limit, so that benchmarks can say how much of it a kernel reaches.

use crate::isa::Isa;
use crate::parallel::Pool;
use crate::simd::{Simd, per_isa};
use std::hint::black_box;
use std::time::Instant;

/// Multiply-adds that depend on each other in ten chains: more than the latency of any machine needs, and few enough to
/// stay in registers.
const CHAINS: usize = 10;

#[inline(always)]
unsafe fn chains<S: Simd>(rounds: usize, sum: &mut f32) {
    let mut lanes = [0f32; 16];
    // SAFETY: the caller promises the instruction set; no vector has more than 16 lanes.
    unsafe {
        // Nothing is known of these numbers: a chain that begins with 1 stays there, and compilers leave it out.
        let mut v: [S::V; CHAINS] = core::array::from_fn(|i| S::splat(black_box(i as f32)));
        let (a, b) = (S::splat(black_box(0.999)), S::splat(black_box(1e-3)));
        for _ in 0..rounds {
            v = v.map(|x| S::mul_add(x, a, b));
        }
        let total = v.into_iter().reduce(|a, b| S::add(a, b)).unwrap_or(a);
        S::store(lanes.as_mut_ptr(), total);
    }
    *sum = lanes.iter().sum();
}

per_isa! {
    fn run(rounds: usize, sum: &mut f32) = chains
}

/// The most floating-point operations per second (two per multiply-add) that the threads of `pool` reach together.
pub(crate) fn measure(pool: &Pool, isa: Isa) -> f64 {
    let lanes = isa.lanes();
    let (rounds, threads) = (2_000_000, pool.threads());
    let once = || {
        let start = Instant::now();
        pool.each(threads, usize::MAX, |_| {
            let mut sum = 0.0;
            run(isa, black_box(rounds), &mut sum);
            black_box(sum);
        });
        (2 * CHAINS * lanes * rounds * threads) as f64 / start.elapsed().as_secs_f64()
    };
    // The best of many: threads must have woken up, and nobody else may have run.
    (0..30).map(|_| once()).fold(0.0, f64::max)
}
