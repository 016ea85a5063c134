//! Which features are present: a set of bits that can be compared and looked up.

use crate::run::Key;

/// A set of features.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Coalition {
    words: Vec<u64>,
    features: usize,
}

impl Coalition {
    /// No feature of `features`.
    pub fn empty(features: usize) -> Self {
        Self { words: vec![0; features.div_ceil(64)], features }
    }

    /// All features.
    ///
    /// ```
    /// use voxplain_perturbation::Coalition;
    /// let all = Coalition::full(70);
    /// assert_eq!((all.size(), all.complement().size()), (70, 0));
    /// ```
    pub fn full(features: usize) -> Self {
        Self::of(features, |_| true)
    }

    /// The features that `present` names.
    pub fn of(features: usize, present: impl Fn(usize) -> bool) -> Self {
        let mut set = Self::empty(features);
        (0..features).filter(|&f| present(f)).for_each(|f| set.insert(f));
        set
    }

    /// The features that are the bits of `number`.
    pub fn numbered(features: usize, number: u64) -> Self {
        Self::of(features, |f| f < 64 && number >> f & 1 == 1)
    }

    /// Adds a feature.
    pub fn insert(&mut self, feature: usize) {
        self.words[feature / 64] |= 1 << (feature % 64);
    }

    /// Whether a feature is present.
    pub fn contains(&self, feature: usize) -> bool {
        self.words[feature / 64] >> (feature % 64) & 1 == 1
    }

    /// How many features are present.
    pub fn size(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// How many features there are.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The features that are not present.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self::of(self.features, |f| !self.contains(f))
    }

    /// What names the coalition among evaluated inputs.
    pub(crate) fn key(&self) -> Key {
        std::iter::once(self.features as u64).chain(self.words.iter().copied()).collect()
    }

    /// 1 for every feature that is present, else 0.
    pub fn row(&self) -> Vec<f64> {
        (0..self.features).map(|f| f64::from(u8::from(self.contains(f)))).collect()
    }
}
