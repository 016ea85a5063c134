//! Means and standard errors of rows of numbers that come one after the other.

/// Running means and sums of squared deviations (Welford 1962), one per column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moments {
    count: usize,
    mean: Vec<f64>,
    spread: Vec<f64>,
}

/// Rows before a standard error is worth ending on.
const TRUSTED: usize = 10;

impl Moments {
    /// No rows of `columns` numbers.
    pub fn new(columns: usize) -> Self {
        Self { count: 0, mean: vec![0.0; columns], spread: vec![0.0; columns] }
    }

    /// Adds a row.
    pub fn push(&mut self, row: &[f64]) {
        self.count += 1;
        for ((mean, spread), &value) in self.mean.iter_mut().zip(&mut self.spread).zip(row) {
            let step = value - *mean;
            *mean += step / self.count as f64;
            *spread += step * (value - *mean);
        }
    }

    /// The means.
    pub fn means(&self) -> &[f64] {
        &self.mean
    }

    /// Standard errors of the means; infinite for fewer than two rows.
    pub fn errors(&self) -> Vec<f64> {
        let n = self.count as f64;
        let error = |s: &f64| if n > 1.0 { (s / (n - 1.0) / n).sqrt() } else { f64::INFINITY };
        self.spread.iter().map(error).collect()
    }

    /// Whether there are enough rows to believe [`Moments::errors`].
    pub fn is_trusted(&self) -> bool {
        self.count >= TRUSTED
    }
}

/// Sizes of growing samples, from `least` to `most`, a quarter larger each time.
pub(crate) fn growing(least: usize, most: usize) -> impl Iterator<Item = usize> {
    let next = move |size: &usize| (*size < most).then(|| (size + size / 4 + 1).min(most));
    std::iter::successors(Some(least.min(most)), next)
}
