//! The device: one vector per value, no arena.

use crate::{conv, elementwise, movement, pool, statistics};
use std::sync::Arc;
use voxplain_autodiff::{Device, Kernel, Plan, Slot, Step, Storage};
use voxplain_tensor::{Error, Result};

/// The naive double-precision device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oracle;

/// One vector per value; bits and codes are kept as numbers.
pub struct OracleMemory {
    plan: Arc<Plan>,
    parameters: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
}

impl OracleMemory {
    fn get(&self, slot: Slot) -> &[f64] {
        match self.plan.slot(slot).storage {
            Storage::Parameter(p) => &self.parameters[p],
            _ => &self.values[self.plan.slot(slot).root.index()],
        }
    }
}

impl Device for Oracle {
    type Scalar = f64;
    type Memory = OracleMemory;

    fn prepare(&self, plan: Arc<Plan>) -> Result<OracleMemory> {
        let parameters =
            plan.parameters.iter().map(|p| p.data.iter().map(|&v| f64::from(v)).collect()).collect();
        let values = plan.slots.iter().map(|_| Vec::new()).collect();
        Ok(OracleMemory { plan, parameters, values })
    }

    fn write(&self, memory: &mut OracleMemory, slot: Slot, data: &[f64]) -> Result<()> {
        let root = memory.plan.slot(slot).root.index();
        memory.values[root] = data.to_vec();
        Ok(())
    }

    fn read(&self, memory: &OracleMemory, slot: Slot, data: &mut [f64]) -> Result<()> {
        let value = memory.get(slot);
        if value.len() != data.len() {
            return Err(Error::internal("a value is read with another length"));
        }
        data.copy_from_slice(value);
        Ok(())
    }

    fn set_parameter(&self, memory: &mut OracleMemory, parameter: usize, data: &[f64]) -> Result<()> {
        memory.parameters[parameter] = data.to_vec();
        Ok(())
    }

    fn run(&self, memory: &mut OracleMemory, step: &Step) -> Result<()> {
        let reads: Vec<&[f64]> = step.reads.iter().map(|&s| memory.get(s)).collect();
        let results = compute(&step.kernel, &reads);
        for (slot, result) in step.writes.iter().zip(results) {
            let Some(slot) = slot else { continue };
            let info = memory.plan.slot(*slot);
            if info.shape.elements() != result.len() {
                return Err(Error::internal(format!(
                    "{} gave {} values for {}",
                    step.kernel.name(),
                    result.len(),
                    info.shape
                )));
            }
            let root = info.root.index();
            memory.values[root] = result;
        }
        // A constant has no operand that says how long it is.
        if let (Kernel::Fill(value), Some(Some(slot))) = (&step.kernel, step.writes.first()) {
            let info = memory.plan.slot(*slot);
            let (root, count) = (info.root.index(), info.shape.elements());
            memory.values[root] = vec![*value; count];
        }
        Ok(())
    }

    fn name(&self) -> &str {
        "oracle"
    }
}

/// The results of a kernel on its operands.
fn compute(kernel: &Kernel, x: &[&[f64]]) -> Vec<Vec<f64>> {
    let pairs =
        |f: &dyn Fn(f64, f64) -> f64| x[0].iter().zip(x[1]).map(|(&a, &b)| f(a, b)).collect::<Vec<f64>>();
    let single = match kernel {
        Kernel::Conv(g) => conv::forward(g, x[0], x[1], x.get(2).copied()),
        Kernel::ConvAdjoint(g) => conv::adjoint(g, x[0], x[1]),
        Kernel::ConvWeightAdjoint(g) => conv::weight_adjoint(g, x[0], x[1]),
        Kernel::MatMul(g) => conv::matmul(g, x[0], x[1]),
        Kernel::BatchNorm(g) => statistics::batch_norm(g, x),
        Kernel::BatchNormAdjoint(g) => statistics::batch_norm_adjoint(g, x),
        Kernel::AveragePool(g) => pool::average(g, x[0]),
        Kernel::AveragePoolAdjoint(g) => pool::average_adjoint(g, x[0]),
        Kernel::AxisMap(s, m) => movement::axis_map(*s, m, x[0]),
        Kernel::Permute(s, p) => movement::permute(s, p, x[0]),
        Kernel::Slice(g) => movement::slice(g, x[0]),
        Kernel::Embed(g) => movement::embed(g, x[0]),
        Kernel::Pad(g) => movement::pad(g, x[0]),
        Kernel::PadAdjoint(g) => movement::pad_adjoint(g, x[0]),
        Kernel::Concat { outer, sizes } => movement::concat(*outer, sizes, x),
        Kernel::Reduce(s, scale) => statistics::reduce(*s, *scale, x[0]),
        Kernel::Repeat(s, scale) => statistics::repeat(*s, *scale, x[0]),
        Kernel::Map(f) => x[0].iter().map(|&v| elementwise::value(*f, v)).collect(),
        Kernel::MapGradient(f) => pairs(&|g, x| g * elementwise::derivative(*f, x)),
        Kernel::MapSlope(f) => {
            (0..x[0].len()).map(|i| x[0][i] * elementwise::slope(*f, x[1][i], x[2][i])).collect()
        }
        Kernel::PositiveBits => x[0].iter().map(|&v| f64::from(u8::from(v > 0.0))).collect(),
        Kernel::Mask => pairs(&|g, bit| if bit == 0.0 { 0.0 } else { g }),
        Kernel::Binary(f, g) => elementwise::binary(*f, g, x[0], x[1]),
        Kernel::MaxPool(g) => {
            let (values, codes) = pool::max(g, x[0]);
            return vec![values, codes];
        }
        Kernel::MaxScatter(g) => pool::scatter(g, x[0], x[1]),
        Kernel::MaxGather(g) => pool::gather(g, x[0], x[1]),
        Kernel::Normalize(s, epsilon) => return statistics::normalize(*s, *epsilon, x[0]),
        Kernel::NormalizeAdjoint(s) => statistics::normalize_adjoint(*s, x),
        Kernel::Softmax(s, log) => statistics::softmax(*s, *log, x[0]),
        Kernel::SoftmaxAdjoint(s, log) => statistics::softmax_adjoint(*s, *log, x[0], x[1]),
        Kernel::Fill(_) => return Vec::new(),
    };
    vec![single]
}
