//! What a session knows of its values: where they are nothing but background, or those of the state that it runs over.
//! Convolutions tell what they wrote; inputs are looked at, and so are boxes over a state and what single numbers of an input
//! become; of everything else nothing is known.

use crate::kernels::conv::background::Background;
use crate::kernels::conv::changed::Patch;
use crate::kernels::conv::{Cut, Known};
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
    /// Of boxes over a state: where they may differ from it.
    boxes: BTreeMap<Slot, Background>,
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
        self.of.values_mut().chain(self.boxes.values_mut()).for_each(Background::forget);
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
    ///
    /// # Errors
    /// A value of the plan is missing.
    pub fn known<'k>(&'k mut self, o: &Operands<'k>, at: usize) -> Result<Option<Known<'k>>> {
        let slot = o.slot(0)?;
        let background = self.of.get(&slot).or_else(|| self.boxes.get(&slot)).filter(|b| b.is_known());
        let (Some(background), Some(cut)) = (background, self.cuts.get_mut(&at)) else { return Ok(None) };
        let kept = if background.of_state { o.kept()? } else { None };
        Ok(Some(Known { background, cut, kept }))
    }

    /// Notes where a box over a state, which step `at` has made, may differ from the state, if a convolution gains from that.
    ///
    /// # Errors
    /// An operand is missing.
    pub fn note_box(
        &mut self,
        pool: &Pool,
        (plan, at): (&Plan, usize),
        prepared: &[Option<Prepared>],
        o: &Operands<'_>,
    ) -> Result<()> {
        let (Some(result), Some(boxes)) = (o.wants(0), o.boxes()?) else { return Ok(()) };
        let gains = |(step, prepared): (&Step, &Option<Prepared>)| {
            let takes = prepared.as_ref().is_some_and(|p| p.convolution.takes_background());
            takes && step.reads.first() == Some(&result)
        };
        let found = self.boxes.entry(result).or_default();
        found.forget();
        if !plan.steps.iter().zip(prepared).skip(at).any(gains) {
            return Ok(());
        }
        let slot = o.slot(1)?;
        let patch = match self.of.get(&slot).filter(|b| b.is_known() && b.of_state) {
            Some(known) => Patch::Known(known),
            None if plan.inputs.contains(&slot) => Patch::Compared,
            None => Patch::Anything,
        };
        found.find_changed(pool, boxes, &patch);
        Ok(())
    }

    /// Notes what is known of the results of a step.
    pub fn note(&mut self, (step, at): (&Step, usize), prepared: &Prepared) {
        step.writes.iter().flatten().for_each(|&slot| self.forget(slot));
        let result = |i: usize| step.writes.get(i).copied().flatten();
        let (sizes, pool) = match &step.kernel {
            Kernel::Conv(g) => (g.output, None),
            Kernel::ConvBlock(g, finish) if !finish.added => (g.output, finish.pool.as_ref()),
            _ => return,
        };
        let source = step.reads.first().and_then(|slot| self.boxes.get(slot)).filter(|b| b.is_known());
        if let (Some(source), Some(reach)) = (source, prepared.convolution.reach()) {
            if let Some(slot) = result(0) {
                self.of.entry(slot).or_default().follow(source, reach, sizes, [1; 3]);
            }
            if let (Some(slot), Some(pool)) = (result(2), pool) {
                self.of.entry(slot).or_default().follow(source, reach, sizes, pool.kernel);
            }
            return;
        }
        let Some(cut) = self.cuts.get(&at).filter(|cut| cut.is_divided()) else { return };
        if let Some(slot) = result(0) {
            cut.note_values(sizes, self.of.entry(slot).or_default());
        }
        if let (Some(slot), Some(pool)) = (result(2), pool) {
            cut.note_maxima(pool.output, self.of.entry(slot).or_default());
        }
    }
}
