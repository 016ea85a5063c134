// Pooling. Adjoints gather: every entry of the input looks up the windows that cover it, so nothing is added from two
// threads. A window without an entry inside the data has the maximum minus infinity and the average 0.
#include "common.cuh"

struct Pool {
    i64 planes;
    int input[3], output[3], kernel[3], stride[3], pad[3], pad_end[3], dilation[3];
    int include_pad, wide;
    // Of the scatter: whether what is negative becomes 0, and the length of a row of bits.
    int rectified, row;
};

struct Place {
    i64 plane;
    int at[3];
};

__device__ inline i64 volume(const int* n) { return (i64)n[0] * n[1] * n[2]; }

__device__ inline Place place(const int* n, i64 i) {
    Place p;
    p.at[2] = (int)(i % n[2]);
    p.at[1] = (int)(i / n[2] % n[1]);
    p.at[0] = (int)(i / n[2] / n[1] % n[0]);
    p.plane = i / volume(n);
    return p;
}

// The position along an axis of tap k of window p, or -1 outside the data.
__device__ inline int tap(const Pool& g, int axis, int p, int k) {
    int at = p * g.stride[axis] + k * g.dilation[axis] - g.pad[axis];
    return at < g.input[axis] ? at : -1;
}

// The window whose tap k is entry `at` of an axis, or -1.
__device__ inline int window(const Pool& g, int axis, int at, int k) {
    int from = at + g.pad[axis] - k * g.dilation[axis];
    if (from < 0 || from % g.stride[axis] != 0) return -1;
    int p = from / g.stride[axis];
    return p < g.output[axis] ? p : -1;
}

__device__ inline i64 flat(const int* n, i64 plane, int z, int y, int x) {
    return ((plane * n[0] + z) * n[1] + y) * n[2] + x;
}

__device__ inline int read_code(const void* codes, int wide, i64 i) {
    return wide ? ((const int*)codes)[i] : ((const unsigned char*)codes)[i];
}

__device__ inline void write_code(void* codes, int wide, i64 i, int code) {
    if (wide) ((int*)codes)[i] = code;
    else ((unsigned char*)codes)[i] = (unsigned char)code;
}

// The first of equal maxima in row-major order wins; NaN never does. Either result may be missing.
KERNEL max_pool(const float* __restrict__ x, float* __restrict__ y, void* __restrict__ codes, Pool g) {
    i64 i = thread_number();
    if (i >= g.planes * volume(g.output)) return;
    Place p = place(g.output, i);
    float best = -INFINITY;
    int winner = 0, code = 0;
    bool any = false;
    for (int kz = 0; kz < g.kernel[0]; kz++)
        for (int ky = 0; ky < g.kernel[1]; ky++)
            for (int kx = 0; kx < g.kernel[2]; kx++, code++) {
                int z = tap(g, 0, p.at[0], kz), v = tap(g, 1, p.at[1], ky), w = tap(g, 2, p.at[2], kx);
                if (z < 0 || v < 0 || w < 0) continue;
                float entry = x[flat(g.input, p.plane, z, v, w)];
                if (!any || entry > best || (best != best && entry == entry)) {
                    best = entry;
                    winner = code;
                    any = true;
                }
            }
    if (y) y[i] = best;
    if (codes) write_code(codes, g.wide, i, winner);
}

// What has no bit becomes 0, where there are bits.
KERNEL max_scatter(const float* __restrict__ upper, const void* __restrict__ codes,
                   const unsigned char* __restrict__ bits, float* __restrict__ dx, Pool g) {
    i64 i = thread_number();
    if (i >= g.planes * volume(g.input)) return;
    Place p = place(g.input, i);
    float sum = 0;
    // Taps backwards, so that windows come in ascending order.
    for (int kz = g.kernel[0] - 1; kz >= 0; kz--)
        for (int ky = g.kernel[1] - 1; ky >= 0; ky--)
            for (int kx = g.kernel[2] - 1; kx >= 0; kx--) {
                int z = window(g, 0, p.at[0], kz), v = window(g, 1, p.at[1], ky), w = window(g, 2, p.at[2], kx);
                if (z < 0 || v < 0 || w < 0) continue;
                i64 at = flat(g.output, p.plane, z, v, w);
                if (read_code(codes, g.wide, at) == (kz * g.kernel[1] + ky) * g.kernel[2] + kx) sum += upper[at];
            }
    if (bits && !bit(bits, g.row, i)) sum = 0.0f;
    dx[i] = g.rectified && !(sum > 0.0f) ? 0.0f : sum;
}

KERNEL max_gather(const float* __restrict__ x, const void* __restrict__ codes, float* __restrict__ y, Pool g) {
    i64 i = thread_number();
    if (i >= g.planes * volume(g.output)) return;
    Place p = place(g.output, i);
    int code = read_code(codes, g.wide, i);
    int z = tap(g, 0, p.at[0], code / (g.kernel[1] * g.kernel[2]));
    int v = tap(g, 1, p.at[1], code / g.kernel[2] % g.kernel[1]);
    int w = tap(g, 2, p.at[2], code % g.kernel[2]);
    y[i] = z < 0 || v < 0 || w < 0 ? -INFINITY : x[flat(g.input, p.plane, z, v, w)];
}

// Taps of window p along an axis that count for the average: inside the data, or inside data and padding.
__device__ inline int counted(const Pool& g, int axis, int p) {
    int end = g.input[axis] + g.pad[axis] + g.pad_end[axis], count = 0;
    for (int k = 0; k < g.kernel[axis]; k++)
        count += g.include_pad ? p * g.stride[axis] + k * g.dilation[axis] < end : tap(g, axis, p, k) >= 0;
    return count;
}

__device__ inline float divisor(const Pool& g, const int* p) {
    int count = counted(g, 0, p[0]) * counted(g, 1, p[1]) * counted(g, 2, p[2]);
    return (float)(count > 1 ? count : 1);
}

KERNEL average_pool(const float* __restrict__ x, float* __restrict__ y, Pool g) {
    i64 i = thread_number();
    if (i >= g.planes * volume(g.output)) return;
    Place p = place(g.output, i);
    double sum = 0;
    for (int kz = 0; kz < g.kernel[0]; kz++)
        for (int ky = 0; ky < g.kernel[1]; ky++)
            for (int kx = 0; kx < g.kernel[2]; kx++) {
                int z = tap(g, 0, p.at[0], kz), v = tap(g, 1, p.at[1], ky), w = tap(g, 2, p.at[2], kx);
                if (z >= 0 && v >= 0 && w >= 0) sum += x[flat(g.input, p.plane, z, v, w)];
            }
    y[i] = (float)(sum / divisor(g, p.at));
}

KERNEL average_pool_adjoint(const float* __restrict__ upper, float* __restrict__ dx, Pool g) {
    i64 i = thread_number();
    if (i >= g.planes * volume(g.input)) return;
    Place p = place(g.input, i);
    float sum = 0;
    for (int kz = g.kernel[0] - 1; kz >= 0; kz--)
        for (int ky = g.kernel[1] - 1; ky >= 0; ky--)
            for (int kx = g.kernel[2] - 1; kx >= 0; kx--) {
                int q[3] = {window(g, 0, p.at[0], kz), window(g, 1, p.at[1], ky), window(g, 2, p.at[2], kx)};
                if (q[0] < 0 || q[1] < 0 || q[2] < 0) continue;
                sum += upper[flat(g.output, p.plane, q[0], q[1], q[2])] / divisor(g, q);
            }
    dx[i] = sum;
}
