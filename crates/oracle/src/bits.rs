//! Signs as bits, and the mask that they make.

pub(crate) fn positive(x: &[f64]) -> Vec<bool> {
    x.iter().map(|&v| v > 0.0).collect()
}

pub(crate) fn mask(upper: &[f64], bits: &[bool]) -> Vec<f64> {
    upper.iter().zip(bits).map(|(&g, &bit)| if bit { g } else { 0.0 }).collect()
}
