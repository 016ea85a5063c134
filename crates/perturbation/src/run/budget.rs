//! How much an estimation may cost, and how exact it has to become.

use voxplain_tensor::{Error, Result};

/// When the standard errors are small enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Precision {
    /// The largest one is at most this, in units of the explained output.
    Absolute(f64),
    /// The largest one is at most this share of the largest score.
    Relative(f64),
}

/// Bounds of one estimation, for all examples together, which share them equally; whichever is reached first ends it.
/// Without any, an estimation ends with its draws.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// Different inputs that may go through the network, those of earlier runs that are used again included.
    pub evaluations: Option<u64>,
    /// Seconds, those of earlier runs of the same estimation included.
    pub seconds: Option<f64>,
    /// The error that is small enough.
    pub error: Option<Precision>,
}

impl Budget {
    /// A budget in words: `500` (evaluations), `60s`, `10m` or `2h` (time), `error=0.01` or `error=5%` (the largest
    /// standard error, of the largest score with a percent sign), or several with commas.
    ///
    /// # Errors
    /// Another word, or a number that is not above 0.
    ///
    /// ```
    /// use voxplain_perturbation::{Budget, Precision};
    /// let budget = Budget::parse("500,1m,error=5%")?;
    /// assert_eq!((budget.evaluations, budget.seconds), (Some(500), Some(60.0)));
    /// assert_eq!(budget.error, Some(Precision::Relative(0.05)));
    /// # Ok::<(), voxplain_tensor::Error>(())
    /// ```
    pub fn parse(words: &str) -> Result<Self> {
        let mut budget = Self::default();
        for word in words.split(',').map(str::trim) {
            budget.add(word)?;
        }
        Ok(budget)
    }

    fn add(&mut self, word: &str) -> Result<()> {
        let bad = || {
            Error::invalid(format!(
                "a budget of {word:?}; evaluations as 500, time as 60s, 10m or 2h, or a standard error as error=0.01 or \
                 error=5% expected, above 0"
            ))
        };
        let positive = |text: &str| {
            let number = text.trim().parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
            number.ok_or_else(bad)
        };
        let units = [('s', 1.0), ('m', 60.0), ('h', 3600.0)];
        if let Some(error) = word.strip_prefix("error=") {
            self.error = Some(match error.strip_suffix('%') {
                Some(percent) => Precision::Relative(positive(percent)? / 100.0),
                None => Precision::Absolute(positive(error)?),
            });
        } else if let Some((unit, factor)) = units.iter().find(|(unit, _)| word.ends_with(*unit)) {
            self.seconds = Some(positive(word.trim_end_matches(*unit))? * factor);
        } else {
            let count = word.parse::<u64>().ok().filter(|n| *n > 0);
            self.evaluations = Some(count.ok_or_else(bad)?);
        }
        Ok(())
    }

    /// The evaluations of example `example` of `examples`.
    pub(super) fn share(&self, example: usize, examples: usize) -> Option<u64> {
        let up_to = |n: usize, all: u64| (u128::from(all) * n as u128 / examples.max(1) as u128) as u64;
        self.evaluations.map(|all| up_to(example + 1, all) - up_to(example, all))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_or_refused() {
        assert_eq!(Budget::parse("2h").unwrap().seconds, Some(7200.0));
        assert_eq!(Budget::parse("error=0.5").unwrap().error, Some(Precision::Absolute(0.5)));
        for bad in ["", "0", "-5", "0s", "soon", "error=", "error=0", "error=-1%", "5.5", "infs", "1,"] {
            let error = Budget::parse(bad).unwrap_err();
            assert!(error.message().contains("above 0"), "{bad}: {error}");
        }
    }

    #[test]
    fn examples_share_to_the_last_evaluation() {
        let budget = Budget { evaluations: Some(10), ..Budget::default() };
        assert_eq!([0, 1, 2].map(|n| budget.share(n, 3)), [Some(3), Some(3), Some(4)]);
    }
}
