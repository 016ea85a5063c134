// Rows between two known examples, and sums over rows. Every thread owns one entry. Nothing is contracted, and all is in
// the order of crates/cpu/src/kernels/mix.rs and of the host: all give the same bits.
#include "common.cuh"

struct Labelled {
    i64 rows, length, count;
};

// Grids of nodes; axes that are missing come first and have size 1.
struct Grid {
    i64 rows, length;
    i64 inner, grids, nodes, axes, cells;
    i64 sizes[3];
    double level;
};

struct Rows {
    i64 rows, length;
};

// A double as the sum of three floats.
__device__ inline double number(const float* numbers, i64 i) {
    return __dadd_rn(__dadd_rn((double)numbers[3 * i], (double)numbers[3 * i + 1]), (double)numbers[3 * i + 2]);
}

__device__ inline void put_number(float* numbers, i64 i, double value) {
    float first = (float)value;
    double rest = __dsub_rn(value, (double)first);
    float second = (float)rest;
    numbers[3 * i] = first;
    numbers[3 * i + 1] = second;
    numbers[3 * i + 2] = (float)__dsub_rn(rest, (double)second);
}

__device__ inline float mixed(double share, float x, float fill) {
    if (share == 1.0) return x;
    if (share == 0.0) return fill;
    return (float)__dadd_rn(__dmul_rn(share, (double)x), __dmul_rn(__dsub_rn(1.0, share), (double)fill));
}

// The share of an entry: between the nodes around it, along the first axis first.
__device__ inline double interpolated(const float* row, const Grid& g, i64 entry) {
    i64 first = g.grids == 1 ? 0 : entry / g.inner * g.nodes, rest = entry % g.inner, step = 1;
    i64 steps[3];
    double parts[3];
#pragma unroll
    for (int axis = 2; axis >= 0; axis--) {
        steps[axis] = 0;
        parts[axis] = 0;
        i64 number_of_shift = axis - (3 - g.axes);
        if (number_of_shift < 0) continue;
        i64 n = g.sizes[axis];
        double shift = number(row, g.grids * g.nodes + number_of_shift);
        double middle = __dadd_rn((double)(rest % n), 0.5);
        double place = __dadd_rn(__ddiv_rn(__dmul_rn(middle, (double)g.cells), (double)n), shift);
        i64 low = (i64)place;
        low = low < g.cells ? low : g.cells;
        parts[axis] = __dsub_rn(place, (double)low);
        steps[axis] = step;
        first += low * step;
        rest /= n;
        step *= g.cells + 2;
    }
    double corners[8];
#pragma unroll
    for (int c = 0; c < 8; c++) {
        corners[c] = number(row, first + (c >> 2) * steps[0] + (c >> 1 & 1) * steps[1] + (c & 1) * steps[2]);
    }
#pragma unroll
    for (int axis = 0; axis < 3; axis++) {
        int half = 4 >> axis;
#pragma unroll
        for (int c = 0; c < 4; c++) {
            if (c >= half) continue;
            double gap = __dsub_rn(corners[c + half], corners[c]);
            corners[c] = __dadd_rn(corners[c], __dmul_rn(parts[axis], gap));
        }
    }
    return corners[0];
}

KERNEL mix_labels(const float* __restrict__ x, const float* __restrict__ fill, const float* __restrict__ labels,
                  const float* __restrict__ numbers, float* __restrict__ y, Labelled g) {
    i64 i = thread_number();
    if (i >= g.rows * g.length) return;
    i64 row = i / g.length, at = i % g.length;
    double share = labels[at] < (float)g.count ? number(numbers + row * 3 * g.count, (i64)labels[at]) : 1.0;
    y[i] = mixed(share, x[at], fill[at]);
}

KERNEL mix_grid(const float* __restrict__ x, const float* __restrict__ fill, const float* __restrict__ numbers,
                float* __restrict__ y, Grid g) {
    i64 i = thread_number();
    if (i >= g.rows * g.length) return;
    i64 row = i / g.length, at = i % g.length;
    y[i] = mixed(interpolated(numbers + row * 3 * (g.grids * g.nodes + g.axes), g, at), x[at], fill[at]);
}

KERNEL grid_sums(const float* __restrict__ weights, const float* __restrict__ numbers, float* __restrict__ y, Grid g) {
    i64 at = thread_number();
    if (at >= g.length) return;
    double sum = 0, squares = 0;
    for (i64 row = 0; row < g.rows; row++) {
        double share = interpolated(numbers + row * 3 * (g.grids * g.nodes + g.axes), g, at);
        double part = __dmul_rn(number(weights, row), __dsub_rn(share, g.level));
        sum = __dadd_rn(sum, part);
        squares = __dadd_rn(squares, __dmul_rn(part, part));
    }
    put_number(y, at, sum);
    put_number(y, g.length + at, squares);
}

// What was before and the weighted rows, one after the other.
KERNEL accumulate(const float* __restrict__ weights, const float* __restrict__ x, const float* __restrict__ before,
                  float* __restrict__ y, Rows g) {
    i64 at = thread_number();
    if (at >= g.length) return;
    float sum = before[at];
    for (i64 row = 0; row < g.rows; row++) sum = __fadd_rn(sum, __fmul_rn(weights[row], x[row * g.length + at]));
    y[at] = sum;
}
