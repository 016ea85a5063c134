//! Running one kernel by a plan made by hand. Bits and codes, which devices store as they like, go in through the kernel
//! that makes them and come out through one that uses them.

use super::{KernelCase, Operand, Output};
use std::sync::Arc;
use voxplain_autodiff::{DType, Device, Kernel, Plan, Planner, Slot, SlotInfo, Step, Storage};
use voxplain_graph::{GraphBuilder, Op, Parameter};
use voxplain_tensor::{Error, Result, Scalar, Shape};

/// The most values that a case needs.
const HANDLES: usize = 16;

/// A plan with nothing in it, and names for its values, which can only be had from a planner.
fn empty_plan(scalar_bytes: usize) -> Result<(Plan, Vec<Slot>)> {
    let mut builder = GraphBuilder::new();
    let inputs =
        (0..HANDLES).map(|i| builder.input(&format!("i{i}"), &[1, 1])).collect::<Result<Vec<_>>>()?;
    let y = builder.node("y", Op::Concat { axis: 1 }, &inputs)?;
    let graph = builder.finish(&[y])?;
    let mut plan = Planner::new(&graph, 1)?.finish::<f32>(None)?;
    let handles = plan.inputs.clone();
    plan.slots.clear();
    (plan.arena_bytes, plan.scalar_bytes) = (0, scalar_bytes);
    Ok((plan, handles))
}

/// A plan in the making.
struct Bench {
    plan: Plan,
    handles: Vec<Slot>,
    steps: Vec<Step>,
    data: Vec<(Slot, Vec<f64>)>,
}

impl Bench {
    fn new(scalar_bytes: usize) -> Result<Self> {
        let (plan, handles) = empty_plan(scalar_bytes)?;
        Ok(Self { plan, handles, steps: Vec::new(), data: Vec::new() })
    }

    fn place(&mut self, dtype: DType, shape: Shape, storage: Storage) -> Result<Slot> {
        let next = self.plan.slots.len();
        let slot = self.handles.get(next).copied().filter(|slot| slot.index() == next);
        let root = slot.ok_or_else(|| Error::internal("a case needs more values than there are handles"))?;
        self.plan.slots.push(SlotInfo { shape, dtype, storage, root, label: String::from("case") });
        Ok(root)
    }

    /// A value in the arena, behind all others.
    fn value(&mut self, dtype: DType, elements: usize) -> Result<Slot> {
        self.rows(dtype, elements, elements)
    }

    /// The same in rows of `row` elements.
    fn rows(&mut self, dtype: DType, elements: usize, row: usize) -> Result<Slot> {
        let (shape, offset) = (Shape::new(&[elements / row.max(1), row])?, self.plan.arena_bytes);
        self.plan.arena_bytes += dtype.bytes(shape, self.plan.scalar_bytes).next_multiple_of(64);
        self.place(dtype, shape, Storage::Arena(offset))
    }

    /// A value of numbers that is there before the run.
    fn given(&mut self, data: &[f64]) -> Result<Slot> {
        let slot = self.value(DType::Real, data.len())?;
        self.data.push((slot, data.to_vec()));
        Ok(slot)
    }

    fn parameter(&mut self, data: &[f64]) -> Result<Slot> {
        let number = self.plan.parameters.len();
        let shape = Shape::new(&[data.len()])?;
        let data: Arc<[f32]> = data.iter().map(|&v| v as f32).collect();
        self.plan.parameters.push(Parameter { name: format!("p{number}"), shape, data });
        self.place(DType::Real, shape, Storage::Parameter(number))
    }

    /// A result of numbers, spoilt before the run so that nothing can depend on what was there.
    fn spoilt(&mut self, elements: usize) -> Result<Slot> {
        self.given(&vec![f64::NAN; elements])
    }

    fn step(&mut self, kernel: Kernel, reads: Vec<Slot>, writes: Vec<Option<Slot>>) {
        self.steps.push(Step { kernel, reads, writes, label: String::from("case") });
    }

    fn operand(&mut self, operand: &Operand, stored: bool) -> Result<Slot> {
        match operand {
            Operand::Real(data) if stored => self.parameter(data),
            Operand::Real(data) => self.given(data),
            Operand::Bits(data, row) => {
                let (x, bits) = (self.given(data)?, self.rows(DType::Bits, data.len(), *row)?);
                self.step(Kernel::PositiveBits, vec![x], vec![Some(bits)]);
                Ok(bits)
            }
            Operand::Codes(g, data) => {
                let windows = g.planes * g.output.iter().product::<usize>();
                let (x, codes) = (self.given(data)?, self.value(g.code(), windows)?);
                self.step(Kernel::MaxPool(*g), vec![x], vec![None, Some(codes)]);
                Ok(codes)
            }
        }
    }

    fn output(&mut self, output: &Output) -> Result<Option<Slot>> {
        Ok(match output {
            Output::Real(n) => Some(self.spoilt(*n)?),
            Output::Bits(n, row) => Some(self.rows(DType::Bits, *n, *row)?),
            Output::Codes(g) => Some(self.value(g.code(), g.planes * g.output.iter().product::<usize>())?),
            Output::Unwanted => None,
        })
    }

    /// The value of numbers through which a result can be read.
    fn readable(&mut self, output: &Output, slot: Slot) -> Result<Slot> {
        match output {
            Output::Bits(n, _) => {
                let (ones, y) = (self.given(&vec![1.0; *n])?, self.spoilt(*n)?);
                self.step(Kernel::Mask, vec![ones, slot], vec![Some(y)]);
                Ok(y)
            }
            Output::Codes(g) => {
                let plane: usize = g.input.iter().product();
                let positions: Vec<f64> = (0..g.planes * plane).map(|i| (i % plane) as f64).collect();
                let windows = g.planes * g.output.iter().product::<usize>();
                let (x, y) = (self.given(&positions)?, self.spoilt(windows)?);
                self.step(Kernel::MaxGather(*g), vec![x, slot], vec![Some(y)]);
                Ok(y)
            }
            Output::Real(_) | Output::Unwanted => Ok(slot),
        }
    }
}

/// Runs a case on a device; the results that are wanted, as numbers (see [`Output`]).
///
/// # Errors
/// The device failed.
pub fn run_kernel<D: Device>(device: &D, case: &KernelCase) -> Result<Vec<Vec<D::Scalar>>> {
    let mut bench = Bench::new(size_of::<D::Scalar>())?;
    let mut reads = Vec::new();
    for (i, operand) in case.operands.iter().enumerate() {
        reads.push(bench.operand(operand, case.stored && i > 0)?);
    }
    let writes = case.outputs.iter().map(|o| bench.output(o)).collect::<Result<Vec<_>>>()?;
    bench.step(case.kernel.clone(), reads, writes.clone());
    let mut results = Vec::new();
    for (output, slot) in case.outputs.iter().zip(writes) {
        if let Some(slot) = slot {
            results.push(bench.readable(output, slot)?);
        }
    }
    execute(device, bench, &results)
}

fn execute<D: Device>(device: &D, bench: Bench, results: &[Slot]) -> Result<Vec<Vec<D::Scalar>>> {
    let Bench { mut plan, steps, data, .. } = bench;
    (plan.forward, plan.steps) = (0..steps.len(), steps);
    let plan = Arc::new(plan);
    let mut memory = device.prepare(plan.clone())?;
    for (slot, values) in data {
        let values: Vec<D::Scalar> = values.into_iter().map(D::Scalar::from_f64).collect();
        device.write(&mut memory, slot, &values)?;
    }
    (0..plan.steps.len()).try_for_each(|step| device.run(&mut memory, None, step))?;
    let read = |&slot: &Slot| {
        let mut values = vec![D::Scalar::ZERO; plan.slot(slot).shape.elements()];
        device.read(&memory, slot, &mut values)?;
        Ok(values)
    };
    results.iter().map(read).collect()
}
