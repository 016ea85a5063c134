//! What a session knows of its values: where they are nothing but background. Convolutions tell what they wrote; inputs are
//! looked at, and so is what single numbers of an input become; of everything else nothing is known.

use crate::kernels::conv::Cut;
use crate::kernels::conv::background::Background;
use crate::operands::Operands;
use crate::parallel::Pool;
use crate::prepared::Prepared;
use std::collections::BTreeMap;
use voxplain_autodiff::{Kernel, Plan, Slot, Step};
use voxplain_tensor::Result;

/// Backgrounds of values, and the divisions of the steps that use them. Both are kept between runs for their room.
#[derive(Default)]
pub(crate) struct Backgrounds {
    of: BTreeMap<Slot, Background>,
    cuts: BTreeMap<usize, Cut>,
}

impl Backgrounds {
    /// A value was written from outside.
    pub fn forget(&mut self, slot: Slot) {
        if let Some(background) = self.of.get_mut(&slot) {
            background.forget();
        }
    }

    /// All values are lost.
    pub fn forget_all(&mut self) {
        self.of.values_mut().for_each(Background::forget);
        self.cuts.values_mut().for_each(Cut::forget);
    }

    /// Looks at the operand of step `at`, if that is an input or made of one number by number and the step gains from a
    /// background.
    ///
    /// # Errors
    /// The operand is missing.
    pub fn look(
        &mut self,
        pool: &Pool,
        (plan, at): (&Plan, usize),
        prepared: &Prepared,
        o: &Operands<'_>,
    ) -> Result<()> {
        let slot = o.slot(0)?;
        let shape = plan.slot(slot).shape;
        if !prepared.convolution.takes_background() || shape.rank() != 5 {
            return Ok(());
        }
        self.cuts.entry(at).or_default().forget();
        if prepared.looks {
            let background = self.of.entry(slot).or_default();
            background.find(pool, o.real(0)?, shape[1], [shape[2], shape[3], shape[4]]);
        }
        Ok(())
    }

    /// What is known of the operand of a step, and where its division goes.
    pub fn known(&mut self, step: &Step, at: usize) -> Option<(&Background, &mut Cut)> {
        let background = self.of.get(step.reads.first()?).filter(|b| b.is_known())?;
        Some((background, self.cuts.get_mut(&at)?))
    }

    /// Notes what is known of the results of a step.
    pub fn note(&mut self, step: &Step, at: usize) {
        step.writes.iter().flatten().for_each(|&slot| self.forget(slot));
        let Some(cut) = self.cuts.get(&at).filter(|cut| cut.is_divided()) else { return };
        let result = |i: usize| step.writes.get(i).copied().flatten();
        let (sizes, pool) = match &step.kernel {
            Kernel::Conv(g) => (g.output, None),
            Kernel::ConvBlock(g, finish) => (g.output, finish.pool.as_ref()),
            _ => return,
        };
        if let Some(slot) = result(0) {
            cut.note_values(sizes, self.of.entry(slot).or_default());
        }
        if let (Some(slot), Some(pool)) = (result(2), pool) {
            cut.note_maxima(pool.output, self.of.entry(slot).or_default());
        }
    }
}
