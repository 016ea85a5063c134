//! The adjoint of a convolution in its weights, for training. Row products are summed in double precision.

use crate::isa::{Isa, madd, vectorized};
use crate::parallel::Pool;
use voxplain_autodiff::ConvGeometry;

vectorized! {
    /// Adds the product of two rows to `sum`, in eight fixed lanes.
    fn row_product(a: &[f32], b: &[f32], sum: &mut f64) {
        let mut lanes = [0.0f32; 8];
        let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
        let (rest_a, rest_b) = (left.remainder(), right.remainder());
        for (p, q) in left.zip(right) {
            for i in 0..8 {
                lanes[i] = madd::<FMA>(p[i], q[i], lanes[i]);
            }
        }
        for (i, (&p, &q)) in rest_a.iter().zip(rest_b).enumerate() {
            lanes[i] = madd::<FMA>(p, q, lanes[i]);
        }
        *sum += lanes.iter().map(|&v| f64::from(v)).sum::<f64>();
    }
}

/// The outputs along an axis whose tap `k` reads data: from, to, and the data position of the first.
fn span(g: &ConvGeometry, axis: usize, k: usize) -> (usize, usize, usize) {
    let (stride, pad, reach) = (g.stride[axis], g.pad[axis], k * g.dilation[axis]);
    let from = pad.saturating_sub(reach).div_ceil(stride);
    let to = (g.input[axis] + pad).saturating_sub(reach).div_ceil(stride).min(g.output[axis]);
    // A tap that meets no data has an empty span, also where its first output would lie beyond the last.
    (from.min(to), to, (from * stride + reach).saturating_sub(pad))
}

/// `dw[o, c, k] = sum over examples and places of upper[o, p] x[c, p * stride + k * dilation - pad]`.
pub fn adjoint(pool: &Pool, isa: Isa, g: &ConvGeometry, x: &[f32], upper: &[f32], dw: &mut [f32]) {
    let (ci, co) = (g.in_channels / g.groups, g.out_channels / g.groups);
    let taps: usize = g.kernel.iter().product();
    let places = g.batch * g.output.iter().product::<usize>();
    pool.costly_chunks(dw, taps, places, |i, dw| {
        let (o, c) = (i / ci, i % ci);
        let channel = (o / co) * ci + c;
        for (k, weight) in dw.iter_mut().enumerate() {
            let tap = [k / (g.kernel[1] * g.kernel[2]), k / g.kernel[2] % g.kernel[1], k % g.kernel[2]];
            let sum = (0..g.batch).map(|n| {
                let planes = (
                    plane(x, n * g.in_channels + channel, g.input),
                    plane(upper, n * g.out_channels + o, g.output),
                );
                tap_product(isa, g, planes, tap)
            });
            *weight = sum.sum::<f64>() as f32;
        }
    });
}

fn plane(data: &[f32], index: usize, sizes: [usize; 3]) -> &[f32] {
    let n: usize = sizes.iter().product();
    &data[index * n..(index + 1) * n]
}

fn tap_product(isa: Isa, g: &ConvGeometry, (x, upper): (&[f32], &[f32]), tap: [usize; 3]) -> f64 {
    let [sz, sy, sx] = [0, 1, 2].map(|axis| span(g, axis, tap[axis]));
    let mut sum = 0.0;
    let mut gathered = Vec::new();
    for z in sz.0..sz.1 {
        for y in sy.0..sy.1 {
            let at = [sz.2 + (z - sz.0) * g.stride[0], sy.2 + (y - sy.0) * g.stride[1]];
            let row = &x[(at[0] * g.input[1] + at[1]) * g.input[2]..][..g.input[2]];
            let up = &upper[(z * g.output[1] + y) * g.output[2]..][sx.0..sx.1];
            if g.stride[2] == 1 {
                row_product(isa, &row[sx.2.min(row.len())..][..up.len()], up, &mut sum);
            } else {
                gathered.clear();
                gathered.extend((0..up.len()).map(|i| row[sx.2 + i * g.stride[2]]));
                row_product(isa, &gathered, up, &mut sum);
            }
        }
    }
    sum
}
