//! Pooling as loops over windows and taps. A window without an entry inside the data has the maximum minus infinity and
//! the average 0, and gives nothing back.

use crate::conv::places;
use voxplain_autodiff::PoolGeometry;

/// Position in the window and data index of every tap of window `p` inside the data.
fn taps(g: &PoolGeometry, p: [usize; 3]) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    for (code, k) in places(g.kernel).enumerate() {
        let at = [0, 1, 2].map(|a| (p[a] * g.stride[a] + k[a] * g.dilation[a]) as isize - g.pad[a] as isize);
        if (0..3).all(|a| at[a] >= 0 && at[a] < g.input[a] as isize) {
            let [z, y, x] = at.map(|v| v as usize);
            out.push((code, (z * g.input[1] + y) * g.input[2] + x));
        }
    }
    out
}

fn sizes(g: &PoolGeometry) -> (usize, usize) {
    (g.input.iter().product(), g.output.iter().product())
}

pub(crate) fn max(g: &PoolGeometry, x: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let (input, _) = sizes(g);
    let (mut values, mut codes) = (Vec::new(), Vec::new());
    for plane in 0..g.planes {
        for p in places(g.output) {
            let taps = taps(g, p);
            let entries = taps.iter().map(|&(code, at)| (x[plane * input + at], code));
            let better = |best: (f64, usize), other: (f64, usize)| {
                if other.0 > best.0 || (best.0.is_nan() && !other.0.is_nan()) { other } else { best }
            };
            let (value, code) = entries.reduce(better).unwrap_or((f64::NEG_INFINITY, 0));
            values.push(value);
            codes.push(code);
        }
    }
    (values, codes)
}

/// The data index of the tap with this code in window `p`.
fn winner(g: &PoolGeometry, p: [usize; 3], code: usize) -> Option<usize> {
    taps(g, p).into_iter().find(|t| t.0 == code).map(|t| t.1)
}

pub(crate) fn scatter(g: &PoolGeometry, upper: &[f64], codes: &[usize]) -> Vec<f64> {
    let (input, output) = sizes(g);
    let mut dx = vec![0.0; g.planes * input];
    for plane in 0..g.planes {
        for (i, p) in places(g.output).enumerate() {
            if let Some(at) = winner(g, p, codes[plane * output + i]) {
                dx[plane * input + at] += upper[plane * output + i];
            }
        }
    }
    dx
}

pub(crate) fn gather(g: &PoolGeometry, x: &[f64], codes: &[usize]) -> Vec<f64> {
    let (input, output) = sizes(g);
    let mut y = Vec::new();
    for plane in 0..g.planes {
        for (i, p) in places(g.output).enumerate() {
            y.push(
                winner(g, p, codes[plane * output + i]).map_or(f64::NEG_INFINITY, |at| x[plane * input + at]),
            );
        }
    }
    y
}

fn divisor(g: &PoolGeometry, p: [usize; 3]) -> f64 {
    if !g.include_pad {
        return (taps(g, p).len() as f64).max(1.0);
    }
    let counted = places(g.kernel).filter(|k| {
        (0..3).all(|a| p[a] * g.stride[a] + k[a] * g.dilation[a] < g.input[a] + g.pad[a] + g.pad_end[a])
    });
    (counted.count() as f64).max(1.0)
}

pub(crate) fn average(g: &PoolGeometry, x: &[f64]) -> Vec<f64> {
    let (input, _) = sizes(g);
    let mut y = Vec::new();
    for plane in 0..g.planes {
        for p in places(g.output) {
            let sum: f64 = taps(g, p).iter().map(|t| x[plane * input + t.1]).sum();
            y.push(sum / divisor(g, p));
        }
    }
    y
}

pub(crate) fn average_adjoint(g: &PoolGeometry, upper: &[f64]) -> Vec<f64> {
    let (input, output) = sizes(g);
    let mut dx = vec![0.0; g.planes * input];
    for plane in 0..g.planes {
        for (i, p) in places(g.output).enumerate() {
            taps(g, p)
                .iter()
                .for_each(|t| dx[plane * input + t.1] += upper[plane * output + i] / divisor(g, p));
        }
    }
    dx
}
