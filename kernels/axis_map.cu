// A sparse matrix along the middle of [outer, n, inner]; its rows are stored one behind the other.
#include "common.cuh"

struct AxisMap {
    Span s;
    i64 rows;
};

KERNEL axis_map(const float* __restrict__ x, const int* __restrict__ starts, const int* __restrict__ columns,
                const float* __restrict__ weights, float* __restrict__ y, AxisMap g) {
    i64 i = thread_number();
    if (i >= g.s.outer * g.rows * g.s.inner) return;
    i64 inner = i % g.s.inner, row = i / g.s.inner % g.rows, outer = i / g.s.inner / g.rows;
    const float* source = x + outer * g.s.n * g.s.inner + inner;
    float sum = 0;
    for (int e = starts[row]; e < starts[row + 1]; e++) sum += weights[e] * source[columns[e] * g.s.inner];
    y[i] = sum;
}
