//! Runs a single kernel, by a plan made by hand.
#![allow(clippy::large_enum_variant, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use proptest::prelude::ProptestConfig;
use std::sync::Arc;
use voxplain_autodiff::{
    Composite, DType, Device, Gradient, Kernel, Plan, Planner, Slot, SlotInfo, Step, Storage,
};
use voxplain_cpu::{Cpu, Isa};
use voxplain_graph::{GraphBuilder, Op};
use voxplain_tensor::Shape;

/// So many random cases, and a quarter of them where `VOXPLAIN_EMULATED` says that every instruction takes many: what only an
/// emulated processor could get wrong is a matter of its vectors, which every case meets.
pub fn cases(n: u32) -> ProptestConfig {
    let emulated = std::env::var_os("VOXPLAIN_EMULATED").is_some();
    ProptestConfig::with_cases(if emulated { n / 4 } else { n })
}

/// A value that goes into a kernel; bits and codes come from a kernel that makes them.
#[derive(Clone)]
pub enum Source {
    Real(Vec<f32>),
    Made(Kernel, Vec<f32>, DType, usize),
}

/// A plan with at least six slots, whose fields the tests replace: slots can only be had from a planner.
fn template() -> Plan {
    let mut b = GraphBuilder::new();
    let inputs: Vec<_> = (0..6).map(|i| b.input(&format!("i{i}"), &[1, 1]).unwrap()).collect();
    let y = b.node("y", Op::Concat { axis: 1 }, &inputs).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let mut planner = Planner::new(&graph, 1).unwrap();
    planner.capture(y);
    planner.reverse(&Composite::everywhere(Gradient), y, &inputs).unwrap();
    planner.finish::<f32>(None).unwrap()
}

struct Bench {
    plan: Plan,
    handles: Vec<Slot>,
}

impl Bench {
    fn new() -> Self {
        let mut plan = template();
        let handles = plan.inputs.clone();
        plan.slots.clear();
        plan.arena_bytes = 0;
        Self { plan, handles }
    }

    fn slot(&mut self, dtype: DType, elements: usize) -> Slot {
        let slot = self.handles[self.plan.slots.len()];
        assert_eq!(slot.index(), self.plan.slots.len());
        let shape = Shape::new(&[elements]).unwrap();
        let storage = Storage::Arena(self.plan.arena_bytes);
        self.plan.slots.push(SlotInfo { shape, dtype, storage, root: slot, label: String::new() });
        self.plan.arena_bytes += dtype.bytes(shape, 4).next_multiple_of(64);
        slot
    }
}

/// Runs `kernel` on `sources` and returns its results of reals, of the given sizes.
pub fn run_on(cpu: &Cpu, kernel: Kernel, sources: &[Source], sizes: &[usize]) -> Vec<Vec<f32>> {
    let mut bench = Bench::new();
    let (mut reads, mut steps, mut data) = (vec![], vec![], vec![]);
    for source in sources {
        match source {
            Source::Real(values) => {
                let slot = bench.slot(DType::Real, values.len());
                reads.push(slot);
                data.push((slot, values));
            }
            Source::Made(maker, from, dtype, elements) => {
                let x = bench.slot(DType::Real, from.len());
                let made = bench.slot(*dtype, *elements);
                data.push((x, from));
                let writes = match maker {
                    Kernel::MaxPool(_) => vec![None, Some(made)],
                    _ => vec![Some(made)],
                };
                steps.push(Step { kernel: maker.clone(), reads: vec![x], writes, label: String::new() });
                reads.push(made);
            }
        }
    }
    let outs: Vec<Slot> = sizes.iter().map(|&n| bench.slot(DType::Real, n)).collect();
    let writes = outs.iter().map(|&s| Some(s)).collect();
    steps.push(Step { kernel, reads, writes, label: String::new() });
    let count = steps.len();
    (bench.plan.forward, bench.plan.steps) = (0..count, steps);
    let mut memory = cpu.prepare(Arc::new(bench.plan)).unwrap();
    for (slot, values) in data {
        cpu.write(&mut memory, slot, values).unwrap();
    }
    for out in outs.iter().zip(sizes) {
        // What was there before must not matter.
        cpu.write(&mut memory, *out.0, &vec![f32::NAN; *out.1]).unwrap();
    }
    (0..count).for_each(|step| cpu.run(&mut memory, None, step).unwrap());
    let read = |(slot, &n): (&Slot, &usize)| {
        let mut values = vec![0.0; n];
        cpu.read(&memory, *slot, &mut values).unwrap();
        values
    };
    outs.iter().zip(sizes).map(read).collect()
}

/// As [`run_on`] for operands of reals and one result.
pub fn run(cpu: &Cpu, kernel: Kernel, sources: &[&[f32]], size: usize) -> Vec<f32> {
    let sources: Vec<Source> = sources.iter().map(|s| Source::Real(s.to_vec())).collect();
    run_on(cpu, kernel, &sources, &[size]).remove(0)
}

/// Every instruction set of this machine, on one thread.
pub fn cpus() -> Vec<Cpu> {
    let cpus = Isa::ALL.into_iter().filter_map(Cpu::with_isa);
    cpus.map(|cpu| cpu.with_threads(1).unwrap()).collect()
}

/// `n` numbers between -1 and 1, from a seed.
pub fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(next).collect()
}

pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// `<A x, y>` and `<x, A^T y>` agree to the rounding of their terms.
pub fn assert_adjoint(name: &str, ax: &[f32], y: &[f32], x: &[f32], aty: &[f32]) {
    let (left, right) = (dot(ax, y), dot(x, aty));
    let size: f64 = ax.iter().zip(y).map(|(a, b)| f64::from((a * b).abs())).sum::<f64>()
        + x.iter().zip(aty).map(|(a, b)| f64::from((a * b).abs())).sum::<f64>();
    assert!((left - right).abs() <= 3e-6 * size + 1e-9, "{name}: {left} against {right}");
}

pub fn assert_close(name: &str, got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{name}");
    for (i, (&g, &e)) in got.iter().zip(expected).enumerate() {
        assert!((f64::from(g) - e).abs() <= tolerance * (1.0 + e.abs()), "{name} [{i}]: {g} against {e}");
    }
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}
