//! The plans that move a state, one for each class of its steps.

use super::missing;
use super::program::Program;
use std::collections::BTreeMap;
use voxplain_autodiff::{Class, Device};
use voxplain_tensor::Result;

/// Bytes that are kept.
const MOST: usize = 256 << 20;

/// Programs by the class of their step. They run in turn, so that one place for values serves all where a device can hand it on.
pub(super) struct Programs<'a, D: Device> {
    /// Each with when it ran last.
    of: BTreeMap<Class, (Program<'a, D>, u64)>,
    /// The class of the one that ran last.
    latest: Option<Class>,
    clock: u64,
}

impl<D: Device> Default for Programs<'_, D> {
    fn default() -> Self {
        Self { of: BTreeMap::new(), latest: None, clock: 0 }
    }
}

impl<'a, D: Device> Programs<'a, D> {
    /// Bytes that they hold.
    pub fn bytes(&self) -> usize {
        self.of.values().map(|(program, _)| program.bytes()).sum()
    }

    /// Whether there is one for a class.
    pub fn contains(&self, class: &Class) -> bool {
        self.of.contains_key(class)
    }

    /// Keeps a program; those that ran longest ago go when there are too many.
    pub fn keep(&mut self, class: Class, program: Program<'a, D>) {
        let mut held = self.bytes();
        while held + program.bytes() > MOST {
            // The place of the latest may be that of all.
            let others = self.of.iter().filter(|(class, _)| Some(*class) != self.latest.as_ref());
            let oldest = others.min_by_key(|(_, (_, used))| *used).map(|(class, _)| class.clone());
            let Some((oldest, _)) = oldest.and_then(|class| self.of.remove(&class)) else { break };
            held -= oldest.bytes();
        }
        self.of.insert(class, (program, self.clock));
    }

    /// The program of a class, to be run now.
    ///
    /// # Errors
    /// There is none, or no place for its values.
    pub fn next(&mut self, class: &Class) -> Result<&mut Program<'a, D>> {
        self.clock += 1;
        if self.latest.as_ref() != Some(class) {
            let last = self.latest.as_ref().and_then(|last| self.of.remove_entry(last));
            if let Some((last, (mut program, used))) = last {
                let followed = self.of.get_mut(class).map(|(next, _)| next.follow(&mut program));
                self.of.insert(last, (program, used));
                followed.transpose()?;
            }
            self.latest = Some(class.clone());
        }
        let (program, used) = self.of.get_mut(class).ok_or_else(missing)?;
        *used = self.clock;
        Ok(program)
    }
}
