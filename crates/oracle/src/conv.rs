//! Convolution and its adjoints as one loop over all (output, tap) pairs, so that the three cannot disagree about which
//! products there are.

use voxplain_autodiff::ConvGeometry;

/// Calls `visit(output index, weight index, input index, output channel)` for every product of the convolution.
fn products(g: &ConvGeometry, mut visit: impl FnMut(usize, usize, usize, usize)) {
    let (ci, co) = (g.in_channels / g.groups, g.out_channels / g.groups);
    let input = |n: usize, c: usize, p: [usize; 3]| {
        ((n * g.in_channels + c) * g.input[0] + p[0]) * g.input[1] * g.input[2] + p[1] * g.input[2] + p[2]
    };
    for n in 0..g.batch {
        for o in 0..g.out_channels {
            for p in places(g.output) {
                let y = ((n * g.out_channels + o) * g.output[0] + p[0]) * g.output[1] * g.output[2]
                    + p[1] * g.output[2]
                    + p[2];
                for c in 0..ci {
                    for k in places(g.kernel) {
                        let at = [0, 1, 2].map(|a| {
                            (p[a] * g.stride[a] + k[a] * g.dilation[a]) as isize - g.pad[a] as isize
                        });
                        if (0..3).any(|a| at[a] < 0 || at[a] >= g.input[a] as isize) {
                            continue;
                        }
                        let w = ((o * ci + c) * g.kernel[0] + k[0]) * g.kernel[1] * g.kernel[2]
                            + k[1] * g.kernel[2]
                            + k[2];
                        visit(y, w, input(n, o / co * ci + c, at.map(|v| v as usize)), o);
                    }
                }
            }
        }
    }
}

/// All positions of a box, row-major.
pub(crate) fn places(sizes: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let [a, b, c] = sizes;
    (0..a).flat_map(move |x| (0..b).flat_map(move |y| (0..c).map(move |z| [x, y, z])))
}

pub(crate) fn forward(g: &ConvGeometry, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let plane: usize = g.output.iter().product();
    let mut y: Vec<f64> = (0..g.batch * g.out_channels * plane)
        .map(|i| bias.map_or(0.0, |b| b[i / plane % g.out_channels]))
        .collect();
    products(g, |at, k, from, _| y[at] += w[k] * x[from]);
    y
}

pub(crate) fn adjoint(g: &ConvGeometry, upper: &[f64], w: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; g.batch * g.in_channels * g.input.iter().product::<usize>()];
    products(g, |at, k, from, _| dx[from] += w[k] * upper[at]);
    dx
}

pub(crate) fn weight_adjoint(g: &ConvGeometry, x: &[f64], upper: &[f64]) -> Vec<f64> {
    let mut dw = vec![0.0; g.out_channels * (g.in_channels / g.groups) * g.kernel.iter().product::<usize>()];
    products(g, |at, k, from, _| dw[k] += x[from] * upper[at]);
    dw
}
