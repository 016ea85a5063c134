// Divided differences (f(a) - f(b)) / (a - b) in closed form, because the plain quotient loses every digit where a and b
// are close. The forms are those of crates/cpu/src/kernels/slope.rs, which says why each is safe.
#include "pointwise.cuh"

struct Interval {
    double low, high;
};

__device__ inline double length(Interval i) { return i.high - i.low; }

__device__ inline Interval within(Interval i, double from, double to) {
    Interval part = {fmax(i.low, from), fmin(i.high, to)};
    return part;
}

// How much of the interval lies in [from, to], 0 to 1.
__device__ inline double share(Interval i, double from, double to) {
    return fmax(length(within(i, from, to)) / length(i), 0.0);
}

__device__ inline double positive(Interval i) { return share(i, 0.0, INFINITY); }
__device__ inline double negative(Interval i) { return share(i, -INFINITY, 0.0); }

__device__ inline double hard_sigmoid(Interval i, double alpha, double beta) {
    if (alpha == 0.0) return 0.0;
    double zero = -beta / alpha, one = (1.0 - beta) / alpha;
    return alpha * share(i, fmin(zero, one), fmax(zero, one));
}

__device__ inline double hard_swish(Interval i) {
    Interval middle = within(i, -3.0, 3.0);
    double curved = ((middle.low + middle.high) / 6.0 + 0.5) * share(i, -3.0, 3.0);
    return curved + share(i, 3.0, INFINITY);
}

__device__ inline double exponential(Interval i) { return exp(i.high) * -expm1(-length(i)) / length(i); }

__device__ inline double elu(Interval i, double alpha) {
    Interval below = within(i, -INFINITY, 0.0);
    double curved = length(below) > 0.0 ? alpha * exponential(below) * negative(i) : 0.0;
    return positive(i) + curved;
}

__device__ inline double logistic(Interval i) {
    return sigmoid(i.high) * sigmoid(-i.low) * -expm1(-length(i)) / length(i);
}

__device__ inline double hyperbolic_tangent(Interval i) {
    Interval twice = {2.0 * i.low, 2.0 * i.high};
    return 4.0 * logistic(twice);
}

__device__ inline double smooth_rectifier(Interval i) {
    double rise = length(i) < 27.7 ? log1p(sigmoid(i.low) * expm1(length(i))) : softplus(i.high) - softplus(i.low);
    return rise / length(i);
}

__device__ inline double logarithm(Interval i) {
    return i.low < 0.0 ? NAN : log1p(length(i) / i.low) / length(i);
}

// The mean of the derivative over an interval shorter than 1 by Gauss and Legendre's rule of 8 points; the quotient
// beyond, where it loses nothing.
__device__ inline double averaged(const Function& f, Interval i) {
    const double nodes[4] = {0.1834346424956498, 0.525532409916329, 0.7966664774136267, 0.9602898564975363};
    const double weights[4] = {0.362683783378362, 0.31370664587788727, 0.22238103445337448, 0.10122853629037626};
    if (length(i) >= 1.0) return (value(f, i.high) - value(f, i.low)) / length(i);
    double centre = i.low + 0.5 * length(i), half = 0.5 * length(i), sum = 0.0;
    for (int k = 0; k < 4; k++)
        sum += weights[k] * (derivative(f, centre - half * nodes[k]) + derivative(f, centre + half * nodes[k]));
    return 0.5 * sum;
}

__device__ inline double error_function(const Function& f, Interval i) {
    if (length(i) < 0.5 && length(i) * fmax(fabs(i.high), fabs(i.low)) < 1.0) return averaged(f, i);
    double rise = i.low > 0.0    ? erfc(i.low) - erfc(i.high)
                  : i.high < 0.0 ? erfc(-i.high) - erfc(-i.low)
                                 : erf(i.high) - erf(i.low);
    return rise / length(i);
}

__device__ inline double divided_difference(const Function& f, double a, double b) {
    if (a == b) return derivative(f, a);
    if (a != a || b != b) return NAN;
    Interval i = {fmin(a, b), fmax(a, b)};
    switch (f.kind) {
        case RELU: return positive(i);
        case LEAKY_RELU: return positive(i) + f.a * negative(i);
        case ABS: return positive(i) - negative(i);
        case CLIP: return share(i, f.a, f.b);
        case HARD_SIGMOID: return hard_sigmoid(i, f.a, f.b);
        case HARD_SWISH: return hard_swish(i);
        case AFFINE: return f.a;
        case ELU: return elu(i, f.a);
        case SELU: return f.b * elu(i, f.a);
        case EXP: return exponential(i);
        case SIGMOID: return logistic(i);
        case TANH: return hyperbolic_tangent(i);
        case SOFTPLUS: return smooth_rectifier(i);
        case LOG: return logarithm(i);
        case SQRT: return 1.0 / (sqrt(a) + sqrt(b));
        case RECIPROCAL: return -1.0 / (a * b);
        case ERF: return error_function(f, i);
        default: return averaged(f, i);
    }
}

KERNEL map_slope(const float* __restrict__ upper, const float* __restrict__ x, const float* __restrict__ r,
                 float* __restrict__ y, Function f) {
    i64 i = thread_number();
    if (i < f.n) y[i] = (float)(upper[i] * divided_difference(f, x[i], r[i]));
}
