// Functions of one element and their derivatives in double precision, as on the CPU: the formulas lose no digits, and
// are rounded once.
#pragma once
#include "common.cuh"

// The order of `Pointwise` in crates/graph/src/ops/pointwise.rs, through crates/cuda/src/kernels/pointwise.rs.
enum {
    RELU, LEAKY_RELU, ELU, SELU, GELU, GELU_TANH, SIGMOID, HARD_SIGMOID, HARD_SWISH, SILU, MISH, TANH, SOFTPLUS, CLIP,
    EXP, LOG, SQRT, ABS, RECIPROCAL, ERF, AFFINE
};

// `a` and `b` are the parameters in the order of the variant's fields.
struct Function {
    i64 n;
    i64 kind;
    double a, b;
};

#define SQRT_HALF 0.70710678118654752
#define TWO_OVER_SQRT_PI 1.1283791670955126
#define SQRT_TWO_OVER_PI 0.79788456080286536
#define SQRT_TWO_PI 2.5066282746310005
#define GELU_CUBE 0.044715

__device__ inline double sigmoid(double x) {
    if (x >= 0.0) return 1.0 / (1.0 + exp(-x));
    double e = exp(x);
    return e / (1.0 + e);
}

__device__ inline double softplus(double x) { return (x > 0.0 ? x : x != x ? x : 0.0) + log1p(exp(-fabs(x))); }

__device__ inline double normal_cdf(double x) { return 0.5 * erfc(-x * SQRT_HALF); }

__device__ inline double gelu_inner(double x) { return SQRT_TWO_OVER_PI * (x + GELU_CUBE * x * x * x); }

// Between 0 and 1; NaN stays.
__device__ inline double unit_clamp(double x) { return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x; }

__device__ inline double value(const Function& f, double x) {
    switch (f.kind) {
        case RELU: return x > 0.0 ? x : 0.0;
        case LEAKY_RELU: return x > 0.0 ? x : f.a * x;
        case ELU: return x > 0.0 ? x : f.a * expm1(x);
        case SELU: return f.b * (x > 0.0 ? x : f.a * expm1(x));
        case GELU: return x * normal_cdf(x);
        case GELU_TANH: return 0.5 * x * (1.0 + tanh(gelu_inner(x)));
        case SIGMOID: return sigmoid(x);
        case HARD_SIGMOID: return unit_clamp(f.a * x + f.b);
        case HARD_SWISH: return x * unit_clamp(x / 6.0 + 0.5);
        case SILU: return x * sigmoid(x);
        case MISH: return x * tanh(softplus(x));
        case TANH: return tanh(x);
        case SOFTPLUS: return softplus(x);
        case CLIP: return fmin(fmax(x, f.a), f.b);
        case EXP: return exp(x);
        case LOG: return log(x);
        case SQRT: return sqrt(x);
        case ABS: return fabs(x);
        case RECIPROCAL: return 1.0 / x;
        case ERF: return erf(x);
        default: return f.a * x + f.b;
    }
}

__device__ inline double mish_derivative(double x) {
    double t = tanh(softplus(x));
    return t + x * (1.0 - t * t) * sigmoid(x);
}

__device__ inline double gelu_tanh_derivative(double x) {
    double t = tanh(gelu_inner(x));
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * SQRT_TWO_OVER_PI * (1.0 + 3.0 * GELU_CUBE * x * x);
}

// The derivative; at a kink, what `Pointwise` says.
__device__ inline double derivative(const Function& f, double x) {
    switch (f.kind) {
        case RELU: return x > 0.0 ? 1.0 : 0.0;
        case LEAKY_RELU: return x > 0.0 ? 1.0 : f.a;
        case ELU: return x > 0.0 ? 1.0 : f.a * exp(x);
        case SELU: return f.b * (x > 0.0 ? 1.0 : f.a * exp(x));
        case GELU: return normal_cdf(x) + x * exp(-0.5 * x * x) / SQRT_TWO_PI;
        case GELU_TANH: return gelu_tanh_derivative(x);
        case SIGMOID: return sigmoid(x) * sigmoid(-x);
        case HARD_SIGMOID: return f.a * x + f.b > 0.0 && f.a * x + f.b < 1.0 ? f.a : 0.0;
        case HARD_SWISH: return x <= -3.0 ? 0.0 : x >= 3.0 ? 1.0 : x / 3.0 + 0.5;
        case SILU: return sigmoid(x) * (1.0 + x * sigmoid(-x));
        case MISH: return mish_derivative(x);
        case TANH: return 4.0 * sigmoid(2.0 * x) * sigmoid(-2.0 * x);
        case SOFTPLUS: return sigmoid(x);
        case CLIP: return x > f.a && x < f.b ? 1.0 : 0.0;
        case EXP: return exp(x);
        case LOG: return 1.0 / x;
        case SQRT: return 0.5 / sqrt(x);
        case ABS: return (x > 0.0 ? 1.0 : 0.0) - (x < 0.0 ? 1.0 : 0.0);
        case RECIPROCAL: return -1.0 / (x * x);
        case ERF: return TWO_OVER_SQRT_PI * exp(-x * x);
        default: return f.a;
    }
}
