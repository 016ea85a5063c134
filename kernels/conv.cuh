// The geometry of convolutions, for the files that compute them.
#pragma once
#include "common.cuh"

struct Conv {
    int batch, groups, in_channels, out_channels;
    int input[3], output[3], kernel[3], stride[3], pad[3], dilation[3];
    // What becomes of a sum: whether what is negative becomes 0, and the length of a row of bits.
    int rectified, row;
};

// What a sum goes through before it is stored; what is missing is left out.
struct Finish {
    const float* factor;
    const float* shift;
    const float* added;
    const unsigned char* bits;
};

__device__ inline float finished(const Finish& f, const Conv& g, int channel, i64 at, float sum) {
    if (f.factor) sum *= f.factor[channel];
    if (f.shift) sum += f.shift[channel];
    if (f.added) sum += f.added[at];
    if (f.bits && !bit(f.bits, g.row, at)) sum = 0.0f;
    return g.rectified && !(sum > 0.0f) ? 0.0f : sum;
}

__device__ inline i64 volume(const int* n) { return (i64)n[0] * n[1] * n[2]; }

// The position in the data of tap k of output p along an axis, or -1 outside.
__device__ inline int source(const Conv& g, int axis, int p, int k) {
    int at = p * g.stride[axis] + k * g.dilation[axis] - g.pad[axis];
    return at < g.input[axis] ? at : -1;
}

// The output whose tap k is entry `at` of the data along an axis, or -1.
__device__ inline int target(const Conv& g, int axis, int at, int k) {
    int from = at + g.pad[axis] - k * g.dilation[axis];
    if (from < 0 || from % g.stride[axis] != 0) return -1;
    int p = from / g.stride[axis];
    return p < g.output[axis] ? p : -1;
}
