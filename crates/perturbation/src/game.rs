//! The explained value as a function of which features are present.

use crate::coalition::Coalition;
use crate::coalitions::Known;
use crate::features::{Features, NO_FEATURE};
use crate::methods::{between, scores};
use crate::run::{Finite, Key, Run, Sink};
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Ground, Network, Seeds, Shares, Target};
use voxplain_tensor::{Error, ErrorKind, Result, Scalar, Tensor};

/// A network, inputs, what takes the place of absent features, and what is explained.
pub struct Game<'n, S: Scalar> {
    players: Players<'n, S>,
    run: &'n mut Run,
}

/// What decides the value of a coalition.
struct Players<'n, S: Scalar> {
    network: &'n mut dyn Network<S>,
    inputs: &'n [Tensor<S>],
    baseline: &'n Baseline<S>,
    features: &'n Features,
    seeds: Seeds<S>,
    examples: usize,
    /// The example that was evaluated last, as it is known to the network.
    known: Option<Known<S>>,
    /// There was no room for states.
    refused: bool,
    /// The example that the network puts rows together from, and whether it can.
    laid: Option<(usize, bool)>,
}

impl<'n, S: Scalar> Game<'n, S> {
    /// A game whose values `run` remembers and bounds.
    ///
    /// # Errors
    /// Inputs, baseline, features or target do not fit the network.
    pub fn new(
        network: &'n mut dyn Network<S>,
        inputs: &'n [Tensor<S>],
        baseline: &'n Baseline<S>,
        features: &'n Features,
        target: &Target,
        run: &'n mut Run,
    ) -> Result<Self> {
        let examples = network.examples(inputs)?;
        baseline.check(network.graph(), inputs, examples)?;
        features.check(network, examples)?;
        let seeds = network.seeds(target, inputs)?;
        run.open(examples);
        Ok(Self {
            players: Players {
                network,
                inputs,
                baseline,
                features,
                seeds,
                examples,
                known: None,
                refused: false,
                laid: None,
            },
            run,
        })
    }

    /// How many examples there are.
    pub fn examples(&self) -> usize {
        self.players.examples
    }

    /// How many features there are.
    pub fn features(&self) -> &'n Features {
        self.players.features
    }

    /// The network.
    pub fn network(&self) -> &dyn Network<S> {
        self.players.network
    }

    /// How many different inputs were asked for.
    pub fn evaluations(&self) -> u64 {
        self.run.ledger().used()
    }

    pub(crate) fn run(&mut self) -> &mut Run {
        self.run
    }

    /// The values of coalitions for one example, as many from the first as the budget allows. A coalition that was asked
    /// for before is not evaluated again.
    ///
    /// # Errors
    /// A coalition is of another number of features, a value is not finite, or the network failed.
    pub fn values(&mut self, example: usize, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        self.ask(example, coalitions, false)
    }

    /// The values of all of these coalitions.
    ///
    /// # Errors
    /// As [`Game::values`], or the budget does not allow them all.
    pub fn all_values(&mut self, example: usize, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        let values = self.values(example, coalitions)?;
        match values.len() == coalitions.len() {
            true => Ok(values),
            false => Err(self.run.too_small(example, coalitions.len() as u64)),
        }
    }

    fn ask(&mut self, example: usize, coalitions: &[Coalition], all: bool) -> Result<Vec<f64>> {
        let keys = self.keys(coalitions)?;
        let players = &mut self.players;
        let mut evaluate = |at: &[usize], sink: Sink<'_>| {
            let picked: Vec<&Coalition> = at.iter().map(|&i| &coalitions[i]).collect();
            players.evaluate(example, &picked, sink)
        };
        match all {
            true => self.run.require(example, &keys, &mut evaluate),
            false => self.run.fetch(example, &keys, &mut evaluate),
        }
    }

    fn keys(&self, coalitions: &[Coalition]) -> Result<Vec<Key>> {
        let count = self.features().count();
        match coalitions.iter().find(|c| c.features() != count) {
            None => Ok(coalitions.iter().map(Coalition::key).collect()),
            Some(other) => Err(Error::invalid(format!(
                "a coalition of {} features where the masks have {count}",
                other.features(),
            ))),
        }
    }

    /// The values with no feature and with all features, whatever time is left.
    ///
    /// # Errors
    /// As [`Game::all_values`].
    pub fn ends(&mut self, example: usize) -> Result<(f64, f64)> {
        let n = self.features().count();
        let ends = self.ask(example, &[Coalition::empty(n), Coalition::full(n)], true)?;
        Ok((ends[0], ends[1]))
    }

    /// The values of inputs in which features are present in part: `presence(row, feature)` of the input and the rest of
    /// the baseline. Rows are named by two numbers; as many from the first as the budget allows.
    pub(crate) fn blends(
        &mut self,
        example: usize,
        rows: &[[u64; 2]],
        presence: &dyn Fn(usize, usize) -> f64,
    ) -> Result<Vec<f64>> {
        let keys: Vec<Key> = rows.iter().map(|[a, b]| Key::from([u64::MAX, *a, *b])).collect();
        let players = &mut self.players;
        let mut evaluate = |at: &[usize], sink: Sink<'_>| {
            players.blend(example, at.len(), &|row, f| presence(at[row], f), sink)
        };
        self.run.fetch(example, &keys, &mut evaluate)
    }

    /// Sums over the entries of each feature of an example: `of(input value, baseline value)`. Entries without a feature,
    /// which are always there, come last.
    pub(crate) fn sums(&self, example: usize, of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        self.players.sums(example, of)
    }
}

impl<S: Scalar> Players<'_, S> {
    fn evaluate(&mut self, example: usize, coalitions: &[&Coalition], sink: Sink<'_>) -> Result<()> {
        match self.by_changes(example, coalitions, sink) {
            Ok(true) => Ok(()),
            Ok(false) => self.by_full_passes(example, coalitions, sink),
            Err(error) if error.kind() == ErrorKind::Limit => {
                self.refused = true;
                self.leave();
                self.by_full_passes(example, coalitions, sink)
            }
            Err(error) => {
                self.known = None;
                Err(error)
            }
        }
    }

    /// By what differs from known coalitions; `false` where the network cannot do that.
    fn by_changes(&mut self, example: usize, coalitions: &[&Coalition], sink: Sink<'_>) -> Result<bool> {
        if self.refused || self.network.states().is_none() {
            return Ok(false);
        }
        let mixed = self.lay(example)?;
        if self.known.as_ref().is_none_or(|k| k.example() != example) {
            let both = self.ends(example);
            self.known = Some(Known::new(self.network, self.features, example, both));
        }
        let (Some(known), Some(states)) = (&mut self.known, self.network.states()) else { return Ok(false) };
        let mut sink = Finite::new(sink);
        known.values((states, mixed), (self.features, &self.seeds), coalitions, &mut sink)?;
        sink.finish().map(|()| true)
    }

    /// By input: an example, and what absent entries of it become.
    fn ends(&self, example: usize) -> (Vec<Vec<S>>, Vec<Vec<S>>) {
        let of = |i: usize| {
            let data = self.inputs[i].data();
            let length = data.len() / self.examples;
            let mut fill = vec![S::ZERO; length];
            self.baseline.fill(i, example, &mut fill);
            (data[example * length..][..length].to_vec(), fill)
        };
        (0..self.inputs.len()).map(of).unzip()
    }

    /// Whether the network puts rows of this example together itself.
    fn lay(&mut self, example: usize) -> Result<bool> {
        if let Some((_, laid)) = self.laid.filter(|l| l.0 == example) {
            return Ok(laid);
        }
        let (inputs, fills) =
            if self.network.mixing().is_some() { self.ends(example) } else { Default::default() };
        let Some(mixing) = self.network.mixing() else { return Ok(false) };
        let labels = (0..inputs.len()).map(|i| self.features.of(i, example)).collect();
        let shares = Shares::Labelled { labels, count: self.features.count() };
        let ends = inputs.iter().zip(&fills).map(|(x, fill)| (&x[..], &fill[..])).collect();
        let laid = mixing.lay(&Ground { ends, shares })?;
        self.laid = Some((example, laid));
        Ok(laid)
    }

    /// By full passes on rows that the network puts together, given the share of each of their features; false where it
    /// does not, or has no room.
    fn by_mixing(
        &mut self,
        example: usize,
        rows: usize,
        share: &dyn Fn(usize, usize) -> f64,
        sink: Sink<'_>,
    ) -> Result<bool> {
        if !self.lay(example)? {
            return Ok(false);
        }
        let (Some(mixing), mut sink) = (self.network.mixing(), Finite::new(sink)) else { return Ok(false) };
        let mut numbers = |row: usize, _: usize, into: &mut [f64]| {
            into.iter_mut().enumerate().for_each(|(f, v)| *v = share(row, f));
        };
        let mut take = |row: usize, v: &[S]| sink.take(row, self.seeds.value(example, v));
        match mixing.mix(self.seeds.from, rows, &mut numbers, &mut take) {
            Err(error) if error.kind() == ErrorKind::Limit => {
                mixing.lift();
                self.laid = Some((example, false));
                Ok(false)
            }
            mixed => mixed.and_then(|()| sink.finish()).map(|()| true),
        }
    }

    /// Gives back what the network holds of known coalitions.
    fn leave(&mut self) {
        self.known = None;
        if let Some(states) = self.network.states() {
            states.leave();
        }
        self.laid = None;
        if let Some(mixing) = self.network.mixing() {
            mixing.lift();
        }
    }

    fn by_full_passes(&mut self, example: usize, coalitions: &[&Coalition], sink: Sink<'_>) -> Result<()> {
        let share = |row: usize, f: usize| f64::from(u8::from(coalitions[row].contains(f)));
        if self.by_mixing(example, coalitions.len(), &share, sink)? {
            return Ok(());
        }
        let (inputs, features, baseline) = (self.inputs, self.features, self.baseline);
        let mut fill = |row: usize, i: usize, into: &mut [S]| {
            // The baseline first, then the features that are there.
            baseline.fill(i, example, into);
            let x = &inputs[i].data()[example * into.len()..][..into.len()];
            let labels = features.of(i, example);
            for ((v, &x), &label) in into.iter_mut().zip(x).zip(labels) {
                if label == NO_FEATURE || coalitions[row].contains(label as usize) {
                    *v = x;
                }
            }
        };
        scores(self.network, (&self.seeds, example), coalitions.len(), &mut fill, sink)
    }

    fn blend(
        &mut self,
        example: usize,
        rows: usize,
        presence: &dyn Fn(usize, usize) -> f64,
        sink: Sink<'_>,
    ) -> Result<()> {
        if self.by_mixing(example, rows, presence, sink)? {
            return Ok(());
        }
        let (inputs, features, baseline) = (self.inputs, self.features, self.baseline);
        let mut fill = |row: usize, i: usize, into: &mut [S]| {
            baseline.fill(i, example, into);
            let x = &inputs[i].data()[example * into.len()..][..into.len()];
            for ((v, &x), &label) in into.iter_mut().zip(x).zip(features.of(i, example)) {
                let share = if label == NO_FEATURE { 1.0 } else { presence(row, label as usize) };
                *v = between(share, x, *v);
            }
        };
        scores(self.network, (&self.seeds, example), rows, &mut fill, sink)
    }

    /// Sums over the entries of each feature of an example: `of(input value, baseline value)`. Entries without a feature,
    /// which are always there, come last.
    fn sums(&self, example: usize, of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let count = self.features.count();
        let mut sums = vec![0.0; count + 1];
        for (i, input) in self.inputs.iter().enumerate() {
            let length = input.data().len() / self.examples;
            let x = &input.data()[example * length..][..length];
            let mut b = vec![S::ZERO; length];
            self.baseline.fill(i, example, &mut b);
            for ((x, b), &label) in x.iter().zip(&b).zip(self.features.of(i, example)) {
                sums[(label as usize).min(count)] += of(x.to_f64(), b.to_f64());
            }
        }
        sums
    }
}

impl<S: Scalar> Drop for Players<'_, S> {
    fn drop(&mut self) {
        self.leave();
    }
}
