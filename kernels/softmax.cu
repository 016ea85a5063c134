// Softmax along the middle of [outer, n, inner] and its logarithm: one thread per column, sums in double precision.
#include "common.cuh"

struct Softmax {
    Span s;
    i64 logarithm;
};

KERNEL softmax(const float* __restrict__ x, float* __restrict__ y, Softmax g) {
    i64 i = thread_number();
    if (i >= g.s.outer * g.s.inner) return;
    i64 start = i / g.s.inner * g.s.n * g.s.inner + i % g.s.inner;
    double most = x[start], sum = 0;
    for (i64 k = 1; k < g.s.n; k++) most = fmax(most, (double)x[start + k * g.s.inner]);
    for (i64 k = 0; k < g.s.n; k++) sum += exp(x[start + k * g.s.inner] - most);
    double log_sum = log(sum);
    for (i64 k = 0; k < g.s.n; k++) {
        double shifted = x[start + k * g.s.inner] - most;
        y[start + k * g.s.inner] = (float)(g.logarithm ? shifted - log_sum : exp(shifted) / sum);
    }
}

KERNEL softmax_adjoint(const float* __restrict__ upper, const float* __restrict__ y, float* __restrict__ dx, Softmax g) {
    i64 i = thread_number();
    if (i >= g.s.outer * g.s.inner) return;
    i64 start = i / g.s.inner * g.s.n * g.s.inner + i % g.s.inner;
    double total = 0;
    for (i64 k = 0; k < g.s.n; k++) {
        i64 at = start + k * g.s.inner;
        total += (double)upper[at] * (g.logarithm ? 1.0 : (double)y[at]);
    }
    for (i64 k = 0; k < g.s.n; k++) {
        i64 at = start + k * g.s.inner;
        double u = upper[at], v = y[at];
        dx[at] = (float)(g.logarithm ? u - exp(v) * total : v * (u - total));
    }
}
