//! Matrix products as three loops over strided operands.

use voxplain_autodiff::MatMulGeometry;

pub(crate) fn product(g: &MatMulGeometry, a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut c = Vec::with_capacity(g.batch * g.m * g.n);
    for batch in 0..g.batch {
        for i in 0..g.m {
            for j in 0..g.n {
                let entry = |k: usize| {
                    a[batch * g.a.batch + i * g.a.row + k * g.a.column]
                        * b[batch * g.b.batch + k * g.b.row + j * g.b.column]
                };
                c.push(g.alpha * (0..g.k).map(entry).sum::<f64>());
            }
        }
    }
    c
}
