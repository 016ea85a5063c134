// The adjoint of a convolution in its weights: one block per weight, its places shared out among the threads.
#include "conv.cuh"

KERNEL conv_weight_adjoint(const float* __restrict__ x, const float* __restrict__ upper, float* __restrict__ dw, Conv g) {
    __shared__ double part[THREADS];
    int kx = blockIdx.x % g.kernel[2], ky = blockIdx.x / g.kernel[2] % g.kernel[1];
    int kz = blockIdx.x / g.kernel[2] / g.kernel[1] % g.kernel[0];
    int inputs = g.in_channels / g.groups, pair = (int)(blockIdx.x / volume(g.kernel));
    int c = pair % inputs, o = pair / inputs, channel = o / (g.out_channels / g.groups) * inputs + c;
    i64 plane = volume(g.output);
    double sum = 0;
    for (i64 i = threadIdx.x; i < g.batch * plane; i += THREADS) {
        i64 n = i / plane;
        int u = source(g, 2, (int)(i % g.output[2]), kx);
        int v = source(g, 1, (int)(i / g.output[2] % g.output[1]), ky);
        int z = source(g, 0, (int)(i / g.output[2] / g.output[1] % g.output[0]), kz);
        if (z < 0 || v < 0 || u < 0) continue;
        i64 from = (((n * g.in_channels + channel) * g.input[0] + z) * g.input[1] + v) * g.input[2] + u;
        sum += (double)x[from] * upper[(n * g.out_channels + o) * plane + i % plane];
    }
    double total = block_sum(part, sum);
    if (threadIdx.x == 0) dw[blockIdx.x] = (float)total;
}
