// Arithmetic of two operands, broadcast by strides of 0.
#include "common.cuh"

struct Binary {
    i64 n;
    int function, rank, same, pad;
    double value;
    i64 shape[8], a[8], b[8];
};

// The order of `BinaryFn` in crates/autodiff/src/kernel.rs, through crates/cuda/src/kernels/binary.rs.
enum { ADD, SUB, MUL, DIV, DIV_OR_ZERO, DIV_OR_ONE, DIV_STABILISED, MAXIMUM, LERP, GATE };

__device__ inline float apply(int function, float value, float a, float b) {
    switch (function) {
        case ADD: return a + b;
        case SUB: return a - b;
        case MUL: return a * b;
        case DIV: return a / b;
        case DIV_OR_ZERO: return a == 0.0f ? 0.0f : a / b;
        case DIV_OR_ONE: return b == 0.0f ? 1.0f : a / b;
        case DIV_STABILISED: return a / (b >= 0.0f ? b + value : b - value);
        case MAXIMUM: return b > a ? b : a;
        case LERP: return a + value * (b - a);
        default: return b > 0.0f ? a : 0.0f;
    }
}

KERNEL binary(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ y, Binary g) {
    i64 i = thread_number();
    if (i >= g.n) return;
    i64 at_a = i, at_b = i;
    if (!g.same) {
        at_a = at_b = 0;
        i64 rest = i;
        for (int axis = g.rank - 1; axis >= 0; axis--) {
            i64 k = rest % g.shape[axis];
            rest /= g.shape[axis];
            at_a += k * g.a[axis];
            at_b += k * g.b[axis];
        }
    }
    y[i] = apply(g.function, (float)g.value, a[at_a], b[at_b]);
}
