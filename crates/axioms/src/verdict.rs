//! What a check found.

use std::fmt;

/// One property on one network: how far it is missed, and how far rounding alone could miss it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The largest deviation from what the property demands, in the units of the map (or of the output, where sums of
    /// maps are compared with it).
    pub residual: f64,
    /// What rounding of this run, and nothing else, may add to the deviation.
    pub tolerance: f64,
    /// What was compared, with the numbers of the worst place.
    pub detail: String,
}

impl Verdict {
    /// A verdict; a residual that is not a number counts as infinite.
    pub fn new(residual: f64, tolerance: f64, detail: impl Into<String>) -> Self {
        let residual = if residual.is_nan() { f64::INFINITY } else { residual };
        Self { residual, tolerance, detail: detail.into() }
    }

    /// Whether the property holds as far as rounding lets anybody see.
    pub fn holds(&self) -> bool {
        self.residual <= self.tolerance
    }

    /// Whether both sides are equal bit for bit.
    pub fn is_exact(&self) -> bool {
        self.residual == 0.0
    }

    /// The worse of two: the one that exceeds its tolerance by more.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let excess = |v: &Self| v.residual / v.tolerance.max(f64::MIN_POSITIVE);
        if excess(&other) > excess(&self) { other } else { self }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds() { "holds" } else { "fails" };
        write!(f, "{word}: {:.3e} of {:.1e} allowed; {}", self.residual, self.tolerance, self.detail)
    }
}

/// The largest difference of two maps, and where it is.
pub fn difference(have: &[Vec<f64>], want: &[Vec<f64>]) -> (f64, String) {
    let mut worst = (0.0, String::from("equal"));
    for (i, (a, b)) in have.iter().zip(want).enumerate() {
        for (k, (a, b)) in a.iter().zip(b).enumerate() {
            let gap = (a - b).abs();
            if gap > worst.0 || gap.is_nan() {
                worst = (
                    if gap.is_nan() { f64::INFINITY } else { gap },
                    format!("input {i} entry {k}: {a} and {b}"),
                );
            }
        }
    }
    worst
}
