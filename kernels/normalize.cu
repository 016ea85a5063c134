// Normalisation with stored statistics and with statistics of the data; statistics in double precision.
#include "common.cuh"

struct Channels {
    i64 channels, inner, chunks;
    double epsilon;
};

struct Groups {
    i64 n;
    double epsilon;
};

// Entries of a plane that one block of `batch_norm` takes.
#define CHUNK (4 * THREADS)

// The line that a batch normalisation is for each channel, behind a convolution with this bias or none: factors, then
// shifts. One thread per channel.
KERNEL batch_norm_lines(const float* __restrict__ bias, const float* __restrict__ scale, const float* __restrict__ shift,
                        const float* __restrict__ mean, const float* __restrict__ variance, float* __restrict__ lines,
                        Channels g) {
    i64 c = thread_number();
    if (c >= g.channels) return;
    double s = scale[c] / sqrt(variance[c] + g.epsilon);
    lines[c] = (float)s;
    lines[g.channels + c] = (float)(shift[c] + ((bias ? bias[c] : 0.0) - mean[c]) * s);
}

// A block takes a chunk of a plane; its first thread computes what belongs to the channel.
KERNEL batch_norm(const float* __restrict__ x, const float* __restrict__ scale, const float* __restrict__ bias,
                  const float* __restrict__ mean, const float* __restrict__ variance, float* __restrict__ y, Channels g) {
    __shared__ float line[2];
    i64 plane = blockIdx.x / g.chunks, from = blockIdx.x % g.chunks * CHUNK;
    if (threadIdx.x == 0) {
        i64 c = plane % g.channels;
        double s = scale[c] / sqrt(variance[c] + g.epsilon);
        line[0] = (float)s;
        line[1] = (float)(bias[c] - mean[c] * s);
    }
    __syncthreads();
    for (i64 k = from + threadIdx.x; k < from + CHUNK && k < g.inner; k += THREADS)
        y[plane * g.inner + k] = line[0] * x[plane * g.inner + k] + line[1];
}

KERNEL batch_norm_adjoint(const float* __restrict__ upper, const float* __restrict__ scale,
                          const float* __restrict__ variance, float* __restrict__ dx, Channels g) {
    __shared__ float factor[1];
    i64 plane = blockIdx.x / g.chunks, from = blockIdx.x % g.chunks * CHUNK;
    if (threadIdx.x == 0) {
        i64 c = plane % g.channels;
        factor[0] = (float)(scale[c] / sqrt(variance[c] + g.epsilon));
    }
    __syncthreads();
    for (i64 k = from + threadIdx.x; k < from + CHUNK && k < g.inner; k += THREADS)
        dx[plane * g.inner + k] = factor[0] * upper[plane * g.inner + k];
}

// One block per group. Either result may be missing.
KERNEL normalize(const float* __restrict__ x, float* __restrict__ y, float* __restrict__ inverse, Groups g) {
    __shared__ double part[THREADS];
    const float* group = x + blockIdx.x * g.n;
    double sum = 0, squares = 0;
    for (i64 k = threadIdx.x; k < g.n; k += THREADS) sum += group[k];
    double mean = block_sum(part, sum) / g.n;
    for (i64 k = threadIdx.x; k < g.n; k += THREADS) squares += (group[k] - mean) * (group[k] - mean);
    double factor = 1.0 / sqrt(block_sum(part, squares) / g.n + g.epsilon);
    if (inverse && threadIdx.x == 0) inverse[blockIdx.x] = (float)factor;
    if (!y) return;
    for (i64 k = threadIdx.x; k < g.n; k += THREADS) y[blockIdx.x * g.n + k] = (float)((group[k] - mean) * factor);
}

KERNEL normalize_adjoint(const float* __restrict__ upper, const float* __restrict__ normalised,
                         const float* __restrict__ inverse, float* __restrict__ dx, Groups g) {
    __shared__ double part[THREADS];
    i64 start = blockIdx.x * g.n;
    double sum = 0, products = 0;
    for (i64 k = threadIdx.x; k < g.n; k += THREADS) {
        sum += upper[start + k];
        products += (double)upper[start + k] * normalised[start + k];
    }
    double mean = block_sum(part, sum) / g.n;
    double along = block_sum(part, products) / g.n;
    for (i64 k = threadIdx.x; k < g.n; k += THREADS)
        dx[start + k] = (float)(inverse[blockIdx.x] * (upper[start + k] - mean - normalised[start + k] * along));
}
