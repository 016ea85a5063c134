// Convolution and its adjoint in x for every geometry, one output per thread: neighbouring threads read neighbouring
// entries of a row. What `conv_gemm.cu` does not take comes here.
#include "conv.cuh"

KERNEL conv(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ factor,
            const float* __restrict__ shift, const float* __restrict__ added, const unsigned char* __restrict__ bits,
            float* __restrict__ y, Conv g) {
    i64 i = thread_number(), plane = volume(g.output), taps = volume(g.kernel);
    if (i >= g.batch * g.out_channels * plane) return;
    int px = (int)(i % g.output[2]), py = (int)(i / g.output[2] % g.output[1]);
    int pz = (int)(i / g.output[2] / g.output[1] % g.output[0]);
    int o = (int)(i / plane % g.out_channels), n = (int)(i / plane / g.out_channels);
    int inputs = g.in_channels / g.groups, first = o / (g.out_channels / g.groups) * inputs;
    float sum = 0;
    for (int c = 0; c < inputs; c++) {
        const float* data = x + ((i64)n * g.in_channels + first + c) * volume(g.input);
        const float* weight = w + ((i64)o * inputs + c) * taps;
        for (int kz = 0; kz < g.kernel[0]; kz++) {
            int z = source(g, 0, pz, kz);
            if (z < 0) continue;
            for (int ky = 0; ky < g.kernel[1]; ky++) {
                int v = source(g, 1, py, ky);
                if (v < 0) continue;
                for (int kx = 0; kx < g.kernel[2]; kx++) {
                    int u = source(g, 2, px, kx);
                    if (u < 0) continue;
                    float tap = weight[(kz * g.kernel[1] + ky) * g.kernel[2] + kx];
                    sum += tap * data[((i64)z * g.input[1] + v) * g.input[2] + u];
                }
            }
        }
    }
    Finish finish = {factor, shift, added, bits};
    y[i] = finished(finish, g, o, i, sum);
}

KERNEL conv_adjoint(const float* __restrict__ upper, const float* __restrict__ w, const float* __restrict__ factor,
                    const float* __restrict__ shift, const float* __restrict__ added,
                    const unsigned char* __restrict__ bits, float* __restrict__ dx, Conv g) {
    i64 i = thread_number(), plane = volume(g.input), taps = volume(g.kernel);
    if (i >= g.batch * g.in_channels * plane) return;
    int px = (int)(i % g.input[2]), py = (int)(i / g.input[2] % g.input[1]);
    int pz = (int)(i / g.input[2] / g.input[1] % g.input[0]);
    int channel = (int)(i / plane % g.in_channels), n = (int)(i / plane / g.in_channels);
    int inputs = g.in_channels / g.groups, outputs = g.out_channels / g.groups;
    int first = channel / inputs * outputs, c = channel % inputs;
    float sum = 0;
    for (int o = first; o < first + outputs; o++) {
        const float* data = upper + ((i64)n * g.out_channels + o) * volume(g.output);
        const float* weight = w + ((i64)o * inputs + c) * taps;
        for (int kz = 0; kz < g.kernel[0]; kz++) {
            int z = target(g, 0, pz, kz);
            if (z < 0) continue;
            for (int ky = 0; ky < g.kernel[1]; ky++) {
                int v = target(g, 1, py, ky);
                if (v < 0) continue;
                for (int kx = 0; kx < g.kernel[2]; kx++) {
                    int u = target(g, 2, px, kx);
                    if (u < 0) continue;
                    float tap = weight[(kz * g.kernel[1] + ky) * g.kernel[2] + kx];
                    sum += tap * data[((i64)z * g.output[1] + v) * g.output[2] + u];
                }
            }
        }
    }
    Finish finish = {factor, shift, added, bits};
    dx[i] = finished(finish, g, channel, i, sum);
}
