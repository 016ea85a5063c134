//! One estimation as it goes: how far its budget reaches, what it knows already, and when it is saved.

mod budget;
mod finite;
mod ledger;

pub use budget::{Budget, Precision};
pub use ledger::Ledger;

pub(crate) use finite::{Finite, finite};
pub(crate) use ledger::Key;

use crate::moments::growing;
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::time::Instant;
use voxplain_tensor::{Error, Result, Tensor};

/// Saves a ledger; see [`Run::saved_by`].
type Save = Box<dyn FnMut(&Ledger) -> Result<()>>;

/// Takes the value of one of the inputs to evaluate, by its position among them; `Break` asks to end.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(usize, f64) -> ControlFlow<()>;

/// Evaluates the inputs of these keys, by their positions, in any order and in batches of its own making: it is asked for as
/// many at once as may be wanted, and stopped between batches.
pub(crate) type Evaluate<'a> = &'a mut dyn FnMut(&[usize], Sink<'_>) -> Result<()>;

/// Seconds between two saves.
const PACE: f64 = 2.0;
/// Inputs that are evaluated before their cost is known.
const FIRST: usize = 16;

/// An estimation's budget, memory and way to be saved.
pub struct Run {
    budget: Budget,
    ledger: Ledger,
    save: Option<Save>,
    begun: Instant,
    saved: Instant,
    /// Seconds of one evaluation, once some have been measured.
    each: Option<f64>,
    /// Seconds of one save.
    saving: f64,
    stopped: bool,
    draws: Option<BTreeMap<String, Tensor<f64>>>,
}

impl Default for Run {
    fn default() -> Self {
        Self::new(Budget::default())
    }
}

impl Run {
    /// An estimation that knows nothing yet.
    pub fn new(budget: Budget) -> Self {
        let now = Instant::now();
        Self {
            budget,
            ledger: Ledger::default(),
            save: None,
            begun: now,
            saved: now,
            each: None,
            saving: 0.0,
            stopped: false,
            draws: None,
        }
    }

    /// Goes on from what is known: the result is the same, bit for bit, as without, and what is known is not evaluated.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = ledger.unused();
        self
    }

    /// Calls `save` every few seconds with everything that is known by then.
    #[must_use]
    pub fn saved_by(mut self, save: impl FnMut(&Ledger) -> Result<()> + 'static) -> Self {
        self.save = Some(Box::new(save));
        self
    }

    /// Keeps the draws for [`Run::draws`].
    #[must_use]
    pub fn with_draws(mut self) -> Self {
        self.draws = Some(BTreeMap::new());
        self
    }

    /// What is known.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether the budget ended the estimation before its draws did.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// What was drawn, under the names of the parameters that take it, and other tables that an estimator has to offer;
    /// empty unless asked for by [`Run::with_draws`].
    pub fn draws(&self) -> BTreeMap<String, Tensor<f64>> {
        self.draws.clone().unwrap_or_default()
    }

    /// Saves what is known.
    ///
    /// # Errors
    /// Those of the function given to [`Run::saved_by`].
    pub fn save(&mut self) -> Result<()> {
        let Some(save) = &mut self.save else { return Ok(()) };
        let start = Instant::now();
        self.ledger.seconds += (start - self.saved.max(self.begun)).as_secs_f64();
        self.saved = start;
        save(&self.ledger)?;
        self.saving = start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Begins with so many examples.
    pub(crate) fn open(&mut self, examples: usize) {
        self.ledger.open(examples);
    }

    /// Keeps a table of draws, if they are wanted.
    pub(crate) fn keep(&mut self, name: &str, make: impl FnOnce() -> Result<Tensor<f64>>) -> Result<()> {
        if let Some(draws) = &mut self.draws {
            draws.insert(String::from(name), make()?);
        }
        Ok(())
    }

    /// Whether draws can be looked at one after the other, because only their number is bounded.
    pub(crate) fn counts_only(&self) -> bool {
        self.budget.seconds.is_none() && self.budget.error.is_none()
    }

    /// Whether an error is asked for.
    pub(crate) fn wants_error(&self) -> bool {
        self.budget.error.is_some()
    }

    /// The sizes of a sample to look at before it has all `most` rows: where an error is asked for it may end earlier.
    pub(crate) fn sizes(&self, least: usize, most: usize) -> Vec<usize> {
        if self.wants_error() { growing(least, most).collect() } else { vec![most] }
    }

    /// The evaluations that an example may use, if they are bounded.
    pub(crate) fn share(&self, example: usize) -> Option<u64> {
        self.budget.share(example, self.ledger.examples())
    }

    /// Whether the errors of these scores are as small as they are asked to be, which ends the estimation.
    pub(crate) fn is_precise(&mut self, scores: &[f64], errors: &[f64]) -> bool {
        let most =
            |values: &[f64]| values.iter().fold(0.0f64, |m, v| if v.is_nan() { m } else { m.max(v.abs()) });
        let enough = match self.budget.error {
            None => false,
            Some(Precision::Absolute(error)) => most(errors) <= error,
            Some(Precision::Relative(share)) => most(errors) <= share * most(scores),
        };
        self.stopped |= enough;
        enough
    }

    /// Seconds of this and earlier runs.
    fn seconds(&self) -> f64 {
        self.ledger.seconds + self.saved.max(self.begun).elapsed().as_secs_f64()
    }

    /// Seconds that example `example` has left.
    fn left(&self, example: usize) -> f64 {
        let share = (example + 1) as f64 / self.ledger.examples().max(1) as f64;
        self.budget.seconds.map_or(f64::INFINITY, |all| all * share - self.seconds())
    }

    /// How many inputs to evaluate together. Those of one call share batches, so it is all of them unless time is bounded. Then it
    /// is what half of the time should do: inputs are evaluated in an order of the network's own, and of those that are cut
    /// off by the clock only what lies in front of the first gap counts.
    fn chunk(&self, example: usize) -> usize {
        if self.budget.seconds.is_none() {
            return usize::MAX;
        }
        let half = self.left(example) / 2.0;
        self.each.map_or(FIRST, |each| (half / each.max(1e-9)) as usize).clamp(1, 1 << 16)
    }

    /// How many of the keys, from the first, the number of evaluations allows.
    fn allowed(&self, example: usize, keys: &[Key]) -> usize {
        let Some(share) = self.share(example) else { return keys.len() };
        let mut left = share.saturating_sub(self.ledger.used_by(example));
        let mut new = HashSet::new();
        for (at, key) in keys.iter().enumerate() {
            if self.ledger.is_used(example, key) || !new.insert(key) {
                continue;
            }
            if left == 0 {
                return at;
            }
            left -= 1;
        }
        keys.len()
    }

    /// The values of `keys`, as many from the first as the budget allows; fewer than all mean that it has ended.
    /// `evaluate` is given the positions of the keys whose values are not known.
    pub(crate) fn fetch(&mut self, example: usize, keys: &[Key], evaluate: Evaluate<'_>) -> Result<Vec<f64>> {
        let allowed = &keys[..self.allowed(example, keys)];
        self.evaluate(example, allowed, false, evaluate)?;
        let values: Vec<f64> = allowed.iter().map_while(|key| self.ledger.spend(example, key)).collect();
        self.stopped |= values.len() < keys.len();
        Ok(values)
    }

    /// As [`Run::fetch`] for what an estimation cannot do without, however long it takes.
    pub(crate) fn require(
        &mut self,
        example: usize,
        keys: &[Key],
        evaluate: Evaluate<'_>,
    ) -> Result<Vec<f64>> {
        if self.allowed(example, keys) < keys.len() {
            return Err(self.too_small(example, keys.len() as u64));
        }
        self.evaluate(example, keys, true, evaluate)?;
        Ok(keys.iter().filter_map(|key| self.ledger.spend(example, key)).collect())
    }

    /// The sentence for a budget that allows no result.
    pub(crate) fn too_small(&self, example: usize, need: u64) -> Error {
        match self.share(example) {
            Some(share) => Error::invalid(format!(
                "a budget of {share} evaluations (per example) is too small: at least {need} are needed; raise the budget or \
                 use fewer features"
            )),
            None => Error::invalid(format!(
                "the budget's time ended before the first {need} evaluations, which are the least; raise the budget or use \
                 fewer features"
            )),
        }
    }

    fn evaluate(
        &mut self,
        example: usize,
        keys: &[Key],
        whatever: bool,
        evaluate: Evaluate<'_>,
    ) -> Result<()> {
        let mut seen = HashSet::new();
        let unknown = |at: &usize| self.ledger.get(example, &keys[*at]).is_none() && seen.insert(&keys[*at]);
        let missing: Vec<usize> = (0..keys.len()).filter(unknown).collect();
        let mut rest = &missing[..];
        while !rest.is_empty() && (whatever || self.left(example) > 0.0) {
            let (part, later) = rest.split_at(self.chunk(example).min(rest.len()));
            self.evaluate_part((example, whatever), keys, part, evaluate)?;
            rest = later;
        }
        Ok(())
    }

    /// Evaluates the keys at these positions, or those of them that time allows, and saves them now and then.
    fn evaluate_part(
        &mut self,
        (example, whatever): (usize, bool),
        keys: &[Key],
        part: &[usize],
        evaluate: Evaluate<'_>,
    ) -> Result<()> {
        let (start, mut done, mut saved) = (Instant::now(), 0usize, Ok(()));
        let mut sink = |row: usize, value: f64| {
            self.ledger.insert(example, keys[part[row]].clone(), value);
            done += 1;
            if saved.is_ok() && self.saved.elapsed().as_secs_f64() > PACE.max(20.0 * self.saving) {
                saved = self.save();
            }
            let over = !whatever && self.left(example) <= 0.0;
            if over || saved.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        evaluate(part, &mut sink)?;
        saved?;
        self.each = Some(start.elapsed().as_secs_f64() / done.max(1) as f64);
        Ok(())
    }
}
