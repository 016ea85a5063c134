//! Matrix products. Where the inner index is contiguous in both operands, rows are multiplied directly (linear layers
//! with few examples are bound by reading the weights once); everything else goes to `matrixmultiply`. The choice
//! depends on the layouts alone, never on the number of rows, so that an example's result does not depend on its batch.

use crate::isa::{Isa, madd, vectorized};
use crate::parallel::Pool;
use voxplain_autodiff::{MatMulGeometry, MatrixStrides};

vectorized! {
    /// The product of two contiguous rows in 32 fixed lanes.
    fn product(a: &[f32], b: &[f32], sum: &mut f32) {
        const LANES: usize = 32;
        let mut lanes = [0.0f32; LANES];
        let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let (rest_a, rest_b) = (left.remainder(), right.remainder());
        for (p, q) in left.zip(right) {
            for i in 0..LANES {
                lanes[i] = madd::<FMA>(p[i], q[i], lanes[i]);
            }
        }
        for (i, (&p, &q)) in rest_a.iter().zip(rest_b).enumerate() {
            lanes[i] = madd::<FMA>(p, q, lanes[i]);
        }
        *sum = lanes.iter().map(|&v| f64::from(v)).sum::<f64>() as f32;
    }
}

/// `c = alpha a b`.
pub fn run(pool: &Pool, isa: Isa, g: &MatMulGeometry, a: &[f32], b: &[f32], c: &mut [f32]) {
    let alpha = g.alpha as f32;
    if g.a.column == 1 && g.b.row == 1 {
        let work = |i: usize, out: &mut [f32]| {
            for (j, out) in out.iter_mut().enumerate() {
                let at = i * BLOCK + j;
                let (n, m, batch) = (at % g.n, at / g.n % g.m, at / g.n / g.m);
                let row = &a[batch * g.a.batch + m * g.a.row..][..g.k];
                let column = &b[batch * g.b.batch + n * g.b.column..][..g.k];
                product(isa, row, column, out);
                *out *= alpha;
            }
        };
        pool.chunks(c, BLOCK, work);
        return;
    }
    for (batch, c) in c.chunks_mut(g.m * g.n).enumerate() {
        multiply((g.m, g.k, g.n), alpha, (&a[batch * g.a.batch..], g.a), (&b[batch * g.b.batch..], g.b), c);
    }
}

/// Results that one thread takes at a time.
const BLOCK: usize = 64;

/// The border to `matrixmultiply`: contiguous `c[m, n] = alpha a[m, k] b[k, n]`.
fn multiply(
    (m, k, n): (usize, usize, usize),
    alpha: f32,
    a: (&[f32], MatrixStrides),
    b: (&[f32], MatrixStrides),
    c: &mut [f32],
) {
    let last = |s: MatrixStrides, rows: usize, columns: usize| {
        (rows.max(1) - 1) * s.row + (columns.max(1) - 1) * s.column
    };
    assert!(last(a.1, m, k) < a.0.len().max(1) && last(b.1, k, n) < b.0.len().max(1) && c.len() >= m * n);
    // SAFETY: the assertion above checked that every element that the strides reach lies in its slice, and `c` is
    // borrowed exclusively, so it overlaps neither operand.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            alpha,
            a.0.as_ptr(),
            a.1.row as isize,
            a.1.column as isize,
            b.0.as_ptr(),
            b.1.row as isize,
            b.1.column as isize,
            0.0,
            c.as_mut_ptr(),
            n as isize,
            1,
        );
    }
}
