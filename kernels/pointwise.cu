// Functions of one element and their derivatives. The rectifier and straight lines, which are most of a network, are
// computed in single precision, where they lose nothing.
#include "pointwise.cuh"

KERNEL map(const float* __restrict__ x, float* __restrict__ y, Function f) {
    i64 i = thread_number();
    if (i >= f.n) return;
    if (f.kind == RELU) y[i] = x[i] > 0.0f ? x[i] : 0.0f;
    else if (f.kind == AFFINE) y[i] = (float)f.a * x[i] + (float)f.b;
    else y[i] = (float)value(f, x[i]);
}

KERNEL map_gradient(const float* __restrict__ upper, const float* __restrict__ x, float* __restrict__ y, Function f) {
    i64 i = thread_number();
    if (i >= f.n) return;
    if (f.kind == RELU) y[i] = upper[i] * (x[i] > 0.0f ? 1.0f : 0.0f);
    else if (f.kind == AFFINE) y[i] = upper[i] * (float)f.a;
    else y[i] = (float)(upper[i] * derivative(f, x[i]));
}
