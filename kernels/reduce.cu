// Sums along the middle of [outer, n, inner] and their adjoint.
#include "common.cuh"

struct Scaled {
    Span s;
    double scale;
};

// One thread per sum: neighbouring threads read neighbouring columns.
KERNEL reduce_columns(const float* __restrict__ x, float* __restrict__ y, Scaled g) {
    i64 i = thread_number();
    if (i >= g.s.outer * g.s.inner) return;
    const float* column = x + i / g.s.inner * g.s.n * g.s.inner + i % g.s.inner;
    double sum = 0;
    for (i64 k = 0; k < g.s.n; k++) sum += column[k * g.s.inner];
    y[i] = (float)(g.scale * sum);
}

// One block per sum, for few long sums with inner = 1.
KERNEL reduce_rows(const float* __restrict__ x, float* __restrict__ y, Scaled g) {
    __shared__ double part[THREADS];
    const float* row = x + blockIdx.x * g.s.n;
    double sum = 0;
    for (i64 k = threadIdx.x; k < g.s.n; k += THREADS) sum += row[k];
    double total = block_sum(part, sum);
    if (threadIdx.x == 0) y[blockIdx.x] = (float)(g.scale * total);
}

KERNEL repeat(const float* __restrict__ x, float* __restrict__ y, Scaled g) {
    i64 i = thread_number();
    if (i >= g.s.outer * g.s.n * g.s.inner) return;
    y[i] = (float)g.scale * x[i / (g.s.n * g.s.inner) * g.s.inner + i % g.s.inner];
}
