//! What a plan's convolutions need before the first run: the way each is computed, and its weights in that layout, with a
//! normalisation behind it folded in (in double precision, rounded once).
//!
//! Weights of the network are packed once for each layout and shared by all sessions of a device that run at the time.
//! Weights that a plan computes itself (rules that change them) are packed when their step runs.

use crate::kernels::conv::{Convolution, Preparation};
use crate::parallel::Pool;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use voxplain_autodiff::{ConvGeometry, Kernel, Plan, PoolGeometry, Slot, Step, Storage};

/// One step's convolution.
pub(crate) struct Prepared {
    /// How it is computed.
    pub convolution: Convolution,
    /// Packed weights, unless the plan computes them.
    pub packed: Option<Arc<[f32]>>,
    /// A factor for each output channel, from a normalisation.
    pub scale: Option<Vec<f64>>,
    /// What the sums begin with where a normalisation decides it.
    pub shift: Option<Vec<f32>>,
    /// Whether its operand may have the background of an input.
    pub looks: bool,
}

/// Whether a value is an input, or made of one number by number.
fn is_of_input(plan: &Plan, slot: Slot) -> bool {
    if plan.inputs.contains(&slot) || plan.references.iter().flatten().any(|&r| r == slot) {
        return true;
    }
    let maker = plan.steps[plan.forward.clone()].iter().find(|step| step.writes.contains(&Some(slot)));
    let Some(step) = maker else { return false };
    let single = matches!(step.kernel, Kernel::Map(_) | Kernel::Binary(..) | Kernel::BatchNorm(_));
    let Some((&first, others)) = step.reads.split_first().filter(|_| single) else { return false };
    is_of_input(plan, first) && !others.iter().any(|&read| varies(plan, read))
}

/// Whether a value depends on an input, by way of steps that make it of weights otherwise.
fn varies(plan: &Plan, slot: Slot) -> bool {
    let maker = plan.steps[plan.forward.clone()].iter().find(|step| step.writes.contains(&Some(slot)));
    match maker {
        Some(step) => step.reads.iter().any(|&read| varies(plan, read)),
        None => !matches!(plan.slot(slot).storage, Storage::Parameter(_)),
    }
}

/// What a step asks of a convolution.
struct Wish<'a> {
    geometry: &'a ConvGeometry,
    adjoint: bool,
    /// The pooling whose signal it reads.
    pool: Option<&'a PoolGeometry>,
    /// The operands of a normalisation `(scale, shift, mean, variance)` or, in the adjoint, `(scale, variance)`.
    norm: Option<(f64, &'a [Slot])>,
    bias: Option<Slot>,
}

impl<'a> Wish<'a> {
    fn of(step: &'a Step) -> Option<Self> {
        let plain = |geometry, adjoint| Self { geometry, adjoint, pool: None, norm: None, bias: None };
        Some(match &step.kernel {
            Kernel::Conv(g) => plain(g, false),
            Kernel::ConvAdjoint(g) => plain(g, true),
            Kernel::ConvBlock(g, finish) => {
                let first = 2 + usize::from(finish.biased);
                let bias = if finish.biased { step.reads.get(2).copied() } else { None };
                let norm = finish.norm.and_then(|e| Some((e, step.reads.get(first..first + 4)?)));
                Self { norm, bias, ..plain(g, false) }
            }
            Kernel::ConvAdjointBlock(g, finish) => {
                let norm = finish.norm.and_then(|e| Some((e, step.reads.get(2..4)?)));
                let pool = finish.pooled.as_ref().map(|p| &p.pool);
                Self { norm, pool, ..plain(g, true) }
            }
            _ => return None,
        })
    }
}

/// Packed weights that some session uses, by the addresses of what they are made of and the layout.
#[derive(Default)]
pub(crate) struct Packs {
    known: Mutex<BTreeMap<Key, Known>>,
}

type Key = (Vec<usize>, [usize; 9]);

/// What weights were made of is kept beside them: an address alone could be another's by now.
struct Known {
    from: Vec<Weak<[f32]>>,
    packed: Weak<[f32]>,
}

impl Packs {
    /// Everything that the steps of `plan` need, by step.
    pub fn prepare(
        &self,
        (pool, how): (&Pool, Preparation),
        plan: &Plan,
        parameters: &[Arc<[f32]>],
    ) -> Vec<Option<Prepared>> {
        plan.steps.iter().map(|step| self.one((pool, how), plan, step, parameters)).collect()
    }

    /// Prepares the steps that read parameter `parameter` anew.
    pub fn replace(
        &self,
        (pool, how): (&Pool, Preparation),
        plan: &Plan,
        parameter: usize,
        parameters: &[Arc<[f32]>],
        prepared: &mut [Option<Prepared>],
    ) {
        let reads =
            |step: &Step| step.reads.iter().any(|&r| plan.slot(r).storage == Storage::Parameter(parameter));
        for (step, prepared) in plan.steps.iter().zip(prepared).filter(|(step, p)| p.is_some() && reads(step))
        {
            *prepared = self.one((pool, how), plan, step, parameters);
        }
    }

    fn one(
        &self,
        (pool, how): (&Pool, Preparation),
        plan: &Plan,
        step: &Step,
        parameters: &[Arc<[f32]>],
    ) -> Option<Prepared> {
        let wish = Wish::of(step)?;
        let convolution = match wish.pool {
            Some(pooled) => Convolution::behind(wish.geometry, pooled, how.threads),
            None => Convolution::new(wish.geometry, wish.adjoint, how),
        };
        let parameter = |slot: Slot| match plan.slot(slot).storage {
            Storage::Parameter(p) => parameters.get(p),
            _ => None,
        };
        let (mut scale, mut shift, mut from) = (None, None, Vec::new());
        if let Some((epsilon, operands)) = wish.norm {
            let values = operands.iter().map(|&s| parameter(s)).collect::<Option<Vec<_>>>()?;
            let factors = factors(values[0], values[values.len() - 1], epsilon);
            if let [_, beta, mean, _] = values[..] {
                let bias = wish.bias.and_then(parameter);
                shift = Some(shifts(&factors, beta, mean, bias.map(|b| &b[..])));
            }
            from.extend([values[0].clone(), values[values.len() - 1].clone()]);
            scale = Some(factors);
        }
        let packed = parameter(*step.reads.get(1)?).map(|weights| {
            from.push(weights.clone());
            self.packed(pool, (&convolution, &wish), &from, scale.as_deref())
        });
        let looks = is_of_input(plan, *step.reads.first()?);
        Some(Prepared { convolution, packed, scale, shift, looks })
    }

    /// Packs the last of `from`, scaled; the others decide the scale.
    fn packed(
        &self,
        pool: &Pool,
        (c, wish): (&Convolution, &Wish<'_>),
        from: &[Arc<[f32]>],
        scale: Option<&[f64]>,
    ) -> Arc<[f32]> {
        let g = wish.geometry;
        // Only what decides the layout: neither batch nor image sizes do.
        let [way, detail] = c.layout();
        let layout = [
            usize::from(wish.adjoint),
            way,
            detail,
            g.groups,
            g.in_channels,
            g.out_channels,
            g.kernel[0],
            g.kernel[1],
            g.kernel[2],
        ];
        let key = (from.iter().map(|p| p.as_ptr() as usize).collect(), layout);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = |entry: &Known| {
            let same = |(a, b): (&Weak<[f32]>, &Arc<[f32]>)| a.upgrade().is_some_and(|a| Arc::ptr_eq(&a, b));
            entry.packed.upgrade().filter(|_| entry.from.iter().zip(from).all(same))
        };
        if let Some(packed) = known.get(&key).and_then(alive) {
            return packed;
        }
        known.retain(|_, entry| entry.packed.strong_count() > 0);
        // Made where they stay: a vector would be copied.
        let mut packed: Arc<[f32]> = std::iter::repeat_n(0.0, c.packed_len()).collect();
        if let (Some(weights), Some(room)) = (from.last(), Arc::get_mut(&mut packed)) {
            c.pack(pool, weights, scale, room);
        }
        known.insert(
            key,
            Known { from: from.iter().map(Arc::downgrade).collect(), packed: Arc::downgrade(&packed) },
        );
        packed
    }
}

/// `scale / sqrt(variance + epsilon)`.
fn factors(scale: &[f32], variance: &[f32], epsilon: f64) -> Vec<f64> {
    scale.iter().zip(variance).map(|(s, v)| f64::from(*s) / (f64::from(*v) + epsilon).sqrt()).collect()
}

/// What a normalisation adds to a convolution without bias whose weights it scaled.
fn shifts(factors: &[f64], beta: &[f32], mean: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let one = |o: usize| {
        f64::from(beta[o]) + (f64::from(bias.map_or(0.0, |b| b[o])) - f64::from(mean[o])) * factors[o]
    };
    (0..factors.len()).map(|o| one(o) as f32).collect()
}
