//! The device: one vector per value, no arena.

use crate::{
    axis_map, binary, bits, conv, joined, matmul, mix, movement, noise, normalize, pointwise, pool, reduce,
    slope::slope, softmax,
};
use std::sync::Arc;
use voxplain_autodiff::{Batching, Device, Kernel, Plan, Slot, Step, Storage};
use voxplain_tensor::{Error, Result};

/// The naive double-precision device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oracle;

/// The elements of a value.
#[derive(Clone, Debug)]
enum Value {
    Real(Vec<f64>),
    Bits(Vec<bool>),
    Codes(Vec<usize>),
}

impl Value {
    fn len(&self) -> usize {
        match self {
            Self::Real(v) => v.len(),
            Self::Bits(v) => v.len(),
            Self::Codes(v) => v.len(),
        }
    }
}

/// One vector per value.
pub struct OracleMemory {
    plan: Arc<Plan>,
    parameters: Vec<Vec<f64>>,
    values: Vec<Option<Value>>,
}

impl OracleMemory {
    fn real(&self, slot: Slot) -> Result<&[f64]> {
        if let Storage::Parameter(p) = self.plan.slot(slot).storage {
            return Ok(&self.parameters[p]);
        }
        match self.value(slot)? {
            Value::Real(v) => Ok(v),
            _ => Err(Error::internal("bits or codes are read as numbers")),
        }
    }

    fn value(&self, slot: Slot) -> Result<&Value> {
        let value = self.values[self.plan.slot(slot).root.index()].as_ref();
        value.ok_or_else(|| Error::internal("a value is read before it is made"))
    }

    fn store(&mut self, slot: Slot, value: Value) -> Result<()> {
        let info = self.plan.slot(slot);
        if info.shape.elements() != value.len() {
            let (got, shape) = (value.len(), info.shape);
            return Err(Error::internal(format!("{got} values for a value of shape {shape}")));
        }
        if matches!(info.storage, Storage::Parameter(_)) {
            return Err(Error::internal("a parameter is written as a value"));
        }
        let root = info.root.index();
        self.values[root] = Some(value);
        Ok(())
    }
}

impl Device for Oracle {
    type Scalar = f64;
    type Memory = OracleMemory;

    fn prepare(&self, plan: Arc<Plan>) -> Result<OracleMemory> {
        let parameters =
            plan.parameters.iter().map(|p| p.data.iter().map(|&v| f64::from(v)).collect()).collect();
        let values = vec![None; plan.slots.len()];
        Ok(OracleMemory { plan, parameters, values })
    }

    fn write(&self, memory: &mut OracleMemory, slot: Slot, data: &[f64]) -> Result<()> {
        memory.store(slot, Value::Real(data.to_vec()))
    }

    fn read(&self, memory: &OracleMemory, slot: Slot, data: &mut [f64]) -> Result<()> {
        let value = memory.real(slot)?;
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

    fn run(&self, memory: &mut OracleMemory, base: Option<&OracleMemory>, step: usize) -> Result<()> {
        run_step(memory, base, step)
    }

    fn batching(&self) -> Batching {
        Batching::CACHED
    }

    fn paste(
        &self,
        base: &mut OracleMemory,
        into: Slot,
        memory: &OracleMemory,
        part: Slot,
        at: &[isize],
    ) -> Result<()> {
        let (whole, shape) = (base.plan.slot(into).shape, memory.plan.slot(part).shape);
        let root = base.plan.slot(into).root.index();
        let part = memory.real(part)?;
        // Memory that nothing ran in yet is filled piece by piece.
        let length = base.plan.slot(base.plan.slot(into).root).shape.elements();
        match base.values[root].get_or_insert_with(|| Value::Real(vec![0.0; length])) {
            Value::Real(values) => movement::paste(part, &shape, values, &whole, at),
            _ => return Err(Error::internal("a box is pasted into a value that is not there")),
        }
        Ok(())
    }

    fn mixing(&self) -> bool {
        false
    }

    fn name(&self) -> &str {
        "oracle"
    }
}

fn run_step(memory: &mut OracleMemory, base: Option<&OracleMemory>, step: usize) -> Result<()> {
    let plan = memory.plan.clone();
    let step = plan.steps.get(step).ok_or_else(|| Error::internal("there is no such step"))?;
    let results = compute(memory, base, step).map_err(|e| e.within(step.kernel.name()))?;
    for (slot, result) in step.writes.iter().zip(results) {
        if let Some(slot) = slot {
            memory.store(*slot, result).map_err(|e| e.within(step.kernel.name()))?;
        }
    }
    Ok(())
}

/// The operands of a step.
struct Operands<'a> {
    memory: &'a OracleMemory,
    base: Option<&'a OracleMemory>,
    step: &'a Step,
}

impl<'a> Operands<'a> {
    fn slot(&self, i: usize) -> Result<Slot> {
        self.step.reads.get(i).copied().ok_or_else(|| Error::internal("a step lacks an operand"))
    }

    fn real(&self, i: usize) -> Result<&'a [f64]> {
        let slot = self.slot(i)?;
        match self.memory.plan.slot(slot).storage {
            Storage::Base(kept) => {
                let missing = || Error::internal("a plan without the session that it runs over");
                self.base.ok_or_else(missing)?.real(kept)
            }
            _ => self.memory.real(slot),
        }
    }

    fn reals(&self) -> Result<Vec<&'a [f64]>> {
        (0..self.step.reads.len()).map(|i| self.real(i)).collect()
    }

    fn bits(&self, i: usize) -> Result<&'a [bool]> {
        match self.memory.value(self.slot(i)?)? {
            Value::Bits(v) => Ok(v),
            _ => Err(Error::internal("an operand is not bits")),
        }
    }

    fn codes(&self, i: usize) -> Result<&'a [usize]> {
        match self.memory.value(self.slot(i)?)? {
            Value::Codes(v) => Ok(v),
            _ => Err(Error::internal("an operand is not codes")),
        }
    }

    /// The number of elements of the first result, which alone says how long a constant is.
    fn length(&self) -> usize {
        let first = self.step.writes.first().copied().flatten();
        first.map_or(0, |slot| self.memory.plan.slot(slot).shape.elements())
    }
}

/// The results of a step.
fn compute(memory: &OracleMemory, base: Option<&OracleMemory>, step: &Step) -> Result<Vec<Value>> {
    let o = Operands { memory, base, step };
    Ok(match &step.kernel {
        Kernel::PositiveBits => vec![Value::Bits(bits::positive(o.real(0)?))],
        Kernel::MaxPool(g) => {
            let (values, codes) = pool::max(g, o.real(0)?);
            vec![Value::Real(values), Value::Codes(codes)]
        }
        Kernel::Normalize(s, epsilon) => {
            normalize::normalize(*s, *epsilon, o.real(0)?).into_iter().map(Value::Real).collect()
        }
        Kernel::ConvBlock(g, finish) => {
            let block = joined::conv_block(g, finish, &o.reals()?);
            let (pooled, codes) = block.pooled.unwrap_or_default();
            vec![Value::Real(block.y), Value::Bits(block.bits), Value::Real(pooled), Value::Codes(codes)]
        }
        _ => vec![Value::Real(real_result(&step.kernel, &o)?)],
    })
}

/// The result of a kernel that has one, of reals.
fn real_result(kernel: &Kernel, o: &Operands) -> Result<Vec<f64>> {
    Ok(match kernel {
        Kernel::Conv(g) => {
            let bias = if o.step.reads.len() > 2 { Some(o.real(2)?) } else { None };
            conv::forward(g, o.real(0)?, o.real(1)?, bias)
        }
        Kernel::ConvAdjoint(g) => conv::adjoint(g, o.real(0)?, o.real(1)?),
        Kernel::ConvWeightAdjoint(g) => conv::weight_adjoint(g, o.real(0)?, o.real(1)?),
        Kernel::MatMul(g) => matmul::product(g, o.real(0)?, o.real(1)?),
        Kernel::BatchNorm(g) => normalize::batch_norm(g, &o.reals()?),
        Kernel::BatchNormAdjoint(g) => normalize::batch_norm_adjoint(g, &o.reals()?),
        Kernel::AveragePool(g) => pool::average(g, o.real(0)?),
        Kernel::AveragePoolAdjoint(g) => pool::average_adjoint(g, o.real(0)?),
        Kernel::MaxScatter(g) => pool::scatter(g, o.real(0)?, o.codes(1)?),
        Kernel::MaxGather(g) => pool::gather(g, o.real(0)?, o.codes(1)?),
        Kernel::Mask => bits::mask(o.real(0)?, o.bits(1)?),
        Kernel::Binary(f, g) => binary::apply(*f, g, o.real(0)?, o.real(1)?),
        Kernel::NormalizeAdjoint(s) => normalize::normalize_adjoint(*s, &o.reals()?),
        Kernel::Softmax(s, log) => softmax::forward(*s, *log, o.real(0)?),
        Kernel::SoftmaxAdjoint(s, log) => softmax::adjoint(*s, *log, o.real(0)?, o.real(1)?),
        Kernel::Map(_) | Kernel::MapGradient(_) | Kernel::MapSlope(_) => elementwise(kernel, o)?,
        Kernel::ConvAdjointBlock(g, finish) => {
            let count = if finish.norm.is_some() { 4 } else { 2 };
            let x = (0..count).map(|i| o.real(i)).collect::<Result<Vec<_>>>()?;
            let bits = |wanted: bool, i: usize| if wanted { o.bits(i).map(Some) } else { Ok(None) };
            let mask = bits(finish.masked, finish.bits_operand())?;
            let start = match finish.pooled {
                Some(p) => Some(joined::Start { codes: o.codes(count)?, mask: bits(p.masked, count + 1)? }),
                None => None,
            };
            joined::conv_adjoint_block(g, finish, &x, start.as_ref(), mask)
        }
        Kernel::Unpool(g, rectified) => {
            let mask = if o.step.reads.len() > 2 { Some(o.bits(2)?) } else { None };
            joined::unpool(g, o.real(0)?, o.codes(1)?, mask, *rectified)
        }
        Kernel::PositiveBits | Kernel::MaxPool(_) | Kernel::Normalize(..) | Kernel::ConvBlock(..) => {
            return Err(Error::internal("a kernel with other results than one of reals"));
        }
        Kernel::AxisMap(s, m) => axis_map::forward(*s, m, o.real(0)?),
        Kernel::Permute(s, p) => movement::permute(s, p, o.real(0)?),
        Kernel::Slice(g) => movement::slice(g, o.real(0)?),
        Kernel::Embed(g) => movement::embed(g, o.real(0)?),
        Kernel::Pad(g) => movement::pad(g, o.real(0)?),
        Kernel::PadAdjoint(g) => movement::pad_adjoint(g, o.real(0)?),
        Kernel::Window(g) => movement::window(g, &o.reals()?),
        Kernel::Mix(g) => mix::mix(g, &o.reals()?),
        Kernel::GridSums(g) => mix::sums(g, o.real(0)?, o.real(1)?),
        Kernel::Accumulate { rows, length } => mix::accumulate((*rows, *length), &o.reals()?),
        Kernel::Noise(g) => noise::rows(g, &o.reals()?),
        Kernel::Moments { rows, length } => noise::moments((*rows, *length), &o.reals()?),
        Kernel::Concat { outer, sizes } => movement::concat(*outer, sizes, &o.reals()?),
        Kernel::Reduce(s, scale) => reduce::reduce(*s, *scale, o.real(0)?),
        Kernel::Repeat(s, scale) => reduce::repeat(*s, *scale, o.real(0)?),
        Kernel::Fill(value) => vec![*value; o.length()],
        Kernel::Host(call) => return Err(call.refusal()),
    })
}

fn elementwise(kernel: &Kernel, o: &Operands) -> Result<Vec<f64>> {
    let x = o.reals()?;
    let value = |i: usize| match kernel {
        Kernel::Map(f) => pointwise::value(*f, x[0][i]),
        Kernel::MapGradient(f) => x[0][i] * pointwise::derivative(*f, x[1][i]),
        Kernel::MapSlope(f) => x[0][i] * slope(*f, x[1][i], x[2][i]),
        _ => f64::NAN,
    };
    Ok((0..x[0].len()).map(value).collect())
}
