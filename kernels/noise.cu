// Rows of an example with Gaussian noise, and moments over rows. Nothing is contracted, and all is in the order of
// crates/autodiff/src/random.rs and of the host: all give the same bits.
#include "common.cuh"

// Kinds of rows: noisy examples, points between them and baselines, gaps between the two.
enum { NOISY, BETWEEN, GAP };

struct Noise {
    i64 rows, length, baselines;
    i64 kind;
    i64 seed, stream;
    double sigma;
};

struct Rows {
    i64 rows, length;
};

// Philox 4x32-10.
__device__ inline void philox(unsigned (&c)[4], unsigned low, unsigned high) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        unsigned a = 0xD2511F53u * c[0], a_high = __umulhi(0xD2511F53u, c[0]);
        unsigned b = 0xCD9E8D57u * c[2], b_high = __umulhi(0xCD9E8D57u, c[2]);
        c[0] = b_high ^ c[1] ^ low;
        c[2] = a_high ^ c[3] ^ high;
        c[1] = b;
        c[3] = a;
        low += 0x9E3779B9u;
        high += 0xBB67AE85u;
    }
}

// The natural logarithm of a positive normal number, by 2 artanh((m - 1) / (m + 1)).
__device__ inline float logarithm(float x) {
    int bits = __float_as_int(x);
    int exponent = (bits - 0x3f3504f3) >> 23;
    float m = __int_as_float(bits - exponent * (1 << 23));
    float f = __fdiv_rn(__fadd_rn(m, -1.0f), __fadd_rn(m, 1.0f));
    float s = __fmul_rn(f, f);
    float series = __fadd_rn(1.0f / 7.0f, __fmul_rn(s, 1.0f / 9.0f));
    series = __fadd_rn(1.0f / 5.0f, __fmul_rn(s, series));
    series = __fadd_rn(1.0f / 3.0f, __fmul_rn(s, series));
    series = __fadd_rn(1.0f, __fmul_rn(s, series));
    float whole = __fmul_rn((float)exponent, 0.693147180559945309f);
    return __fadd_rn(whole, __fmul_rn(__fmul_rn(2.0f, f), series));
}

// 1 - s / divisor * rest.
__device__ inline float less(float s, float divisor, float rest) {
    return __fadd_rn(1.0f, -__fmul_rn(__fdiv_rn(s, divisor), rest));
}

// Cosine and sine of a word, all words being a full turn.
__device__ inline void circle(unsigned word, float& cosine, float& sine) {
    unsigned quarter = (word + (1u << 29)) >> 30;
    int rest = (int)(word - (quarter << 30));
    float r = __fmul_rn((float)rest, 6.28318530717958647692f / 4294967296.0f);
    float s = __fmul_rn(r, r);
    sine = __fmul_rn(r, less(s, 6.0f, less(s, 20.0f, less(s, 42.0f, less(s, 72.0f, 1.0f)))));
    cosine = less(s, 2.0f, less(s, 12.0f, less(s, 30.0f, less(s, 56.0f, less(s, 90.0f, 1.0f)))));
    if (quarter & 1) {
        float other = cosine;
        cosine = -sine;
        sine = other;
    }
    if (quarter & 2) {
        cosine = -cosine;
        sine = -sine;
    }
}

// Two normal numbers of two words: the first gives the radius, the second the angle.
__device__ inline void normals(unsigned word, unsigned angle, float& first, float& second) {
    float fraction = __fmul_rn(__fadd_rn((float)(int)(word >> 1), 0.5f), 1.0f / 2147483648.0f);
    float radius = __fsqrt_rn(__fmul_rn(-2.0f, logarithm(fraction)));
    circle(angle, first, second);
    first = __fmul_rn(radius, first);
    second = __fmul_rn(radius, second);
}

// Every thread makes four entries of a row, which have a block of random words together.
KERNEL noise(const float* __restrict__ x, const float* __restrict__ baselines, const float* __restrict__ numbers,
             float* __restrict__ y, Noise g) {
    i64 i = thread_number(), blocks = (g.length + 3) / 4;
    if (i >= g.rows * blocks) return;
    i64 row = i / blocks, block = i % blocks;
    const float* of = numbers + row * (g.kind == NOISY ? 2 : 5);
    float z[4] = {0, 0, 0, 0};
    if (g.sigma != 0.0) {
        i64 place = (i64)of[1] * blocks + block;
        unsigned c[4] = {(unsigned)place, (unsigned)(place >> 32), (unsigned)of[0], (unsigned)g.stream};
        philox(c, (unsigned)g.seed, (unsigned)(g.seed >> 32));
        normals(c[0], c[1], z[0], z[1]);
        normals(c[2], c[3], z[2], z[3]);
    }
    i64 other = g.kind == NOISY ? 0 : min((i64)of[2], g.baselines - 1) * g.length;
    for (i64 k = 0; k < 4; k++) {
        i64 at = 4 * block + k;
        if (at >= g.length) return;
        float v = x[at];
        if (g.sigma != 0.0) v = __fadd_rn(v, (float)__dmul_rn(g.sigma, (double)z[k]));
        if (g.kind == BETWEEN) v = __fadd_rn(__fmul_rn(of[3], v), __fmul_rn(of[4], baselines[other + at]));
        if (g.kind == GAP) v = __fadd_rn(v, -baselines[other + at]);
        y[row * g.length + at] = v;
    }
}

// A double of which three planes hold the bits: 22, 21 and 21 of them as whole numbers.
__device__ inline double from_words(const float* words, i64 plane, i64 at) {
    i64 high = (i64)words[at], middle = (i64)words[plane + at], low = (i64)words[2 * plane + at];
    return __longlong_as_double((i64)((unsigned long long)high << 42) | middle << 21 | low);
}

__device__ inline void put_words(float* words, i64 plane, i64 at, double value) {
    unsigned long long bits = (unsigned long long)__double_as_longlong(value);
    words[at] = (float)(unsigned)(bits >> 42);
    words[plane + at] = (float)(unsigned)(bits >> 21 & 0x1fffff);
    words[2 * plane + at] = (float)(unsigned)(bits & 0x1fffff);
}

// Mean and sum of squared deviations before, to which the rows are added one after the other.
KERNEL moments(const float* __restrict__ counts, const float* __restrict__ x, const float* __restrict__ before,
               float* __restrict__ y, Rows g) {
    i64 at = thread_number();
    if (at >= g.length) return;
    double mean = from_words(before, g.length, at);
    double deviation = from_words(before + 3 * g.length, g.length, at);
    for (i64 row = 0; row < g.rows; row++) {
        double value = (double)x[row * g.length + at];
        double gap = __dsub_rn(value, mean);
        mean = __dadd_rn(mean, __ddiv_rn(gap, (double)counts[row]));
        deviation = __dadd_rn(deviation, __dmul_rn(gap, __dsub_rn(value, mean)));
    }
    put_words(y, g.length, at, mean);
    put_words(y + 3 * g.length, g.length, at, deviation);
}
