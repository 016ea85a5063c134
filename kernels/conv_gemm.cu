// Convolution and its adjoint in x as matrix products whose second factor is never stored: rows are the channels of the
// result, columns its places, and the inner index runs over (channel, tap) of the source. A block makes ROWS x COLUMNS
// entries; while it multiplies one slice of the inner index, the next is being copied into shared memory.
//
// Two kinds of products: in single precision, and on tensor cores with factors rounded to 10 bits (tf32) and sums in
// single precision. In both, an entry's terms are added in an order that depends on nothing but the geometry.
#include "conv.cuh"
#include "tensor_core.cuh"

#define ROWS 64
#define COLUMNS 128
#define DEPTH 16
// Paddings of 8 let the lanes of a warp read 32 different banks.
#define LEFT (ROWS + 8)
#define RIGHT (COLUMNS + 8)

// What the blocks of one launch share.
template <bool ADJOINT>
struct Product {
    const float* source;
    const float* weights;
    Conv g;
    // The host sees to it that none of these comes near 2^31.
    int rows, channels, taps, group, places, columns;
    i64 sources;

    __device__ Product(const float* source, const float* weights, const Conv& g) : source(source), weights(weights), g(g) {
        int inputs = g.in_channels / g.groups, outputs = g.out_channels / g.groups;
        rows = ADJOINT ? inputs : outputs;
        channels = ADJOINT ? outputs : inputs;
        taps = (int)volume(g.kernel);
        places = (int)volume(ADJOINT ? g.input : g.output);
        sources = volume(ADJOINT ? g.output : g.input);
        columns = g.batch * places;
    }

    // The number of the first source channel of an example's group, over all examples.
    __device__ i64 first_channel(i64 example) const { return (example * g.groups + group) * channels; }

    // Where the weight of a row and an inner index lies.
    __device__ i64 weight(int row, int inner) const {
        if (!ADJOINT) return ((i64)group * rows + row) * channels * taps + inner;
        int channel = inner / taps, tap = inner % taps;
        return (((i64)group * channels + channel) * rows + row) * taps + tap;
    }
};

// Where a block stands, and the inner index that a thread copies next: all threads of a warp copy the same.
struct Cursor {
    int first_row, first_column;
    int at[3], tap[3], channel;
    i64 base;
    bool inside;
};

__device__ inline void advance(Cursor& c, const int* kernel) {
    if (++c.tap[2] < kernel[2]) return;
    c.tap[2] = 0;
    if (++c.tap[1] < kernel[1]) return;
    c.tap[1] = 0;
    if (++c.tap[0] < kernel[0]) return;
    c.tap[0] = 0;
    c.channel++;
}

template <bool ADJOINT>
__device__ inline Cursor begin(Product<ADJOINT>& p) {
    Cursor c;
    unsigned down = (p.rows + ROWS - 1) / ROWS, across = (p.columns - 1) / COLUMNS + 1;
    p.group = blockIdx.x / (down * across);
    c.first_row = blockIdx.x % down * ROWS;
    c.first_column = blockIdx.x / down % across * COLUMNS;
    int column = c.first_column + (int)threadIdx.x % COLUMNS;
    const int* sizes = ADJOINT ? p.g.input : p.g.output;
    c.inside = column < p.columns;
    c.at[2] = column % sizes[2];
    c.at[1] = column / sizes[2] % sizes[1];
    c.at[0] = column / sizes[2] / sizes[1] % sizes[0];
    c.base = p.first_channel(column / p.places) * p.sources;
    c.channel = c.tap[0] = c.tap[1] = c.tap[2] = 0;
    for (int k = 0; k < (int)threadIdx.x / COLUMNS * (DEPTH / 2); k++) advance(c, p.g.kernel);
    return c;
}

// Begins to copy the slice of the inner index from `inner` on.
template <bool ADJOINT>
__device__ inline void load(const Product<ADJOINT>& p, Cursor& c, int inner, float* left, float* right) {
    int t = threadIdx.x, most = p.channels * p.taps;
    for (int row = t / DEPTH; row < ROWS; row += THREADS / DEPTH) {
        bool inside = c.first_row + row < p.rows && inner + t % DEPTH < most;
        i64 from = inside ? p.weight(c.first_row + row, inner + t % DEPTH) : 0;
        copy_async(left + t % DEPTH * LEFT + row, p.weights + from, inside);
    }
    for (int k = 0; k < DEPTH / 2; k++) {
        int z = ADJOINT ? target(p.g, 0, c.at[0], c.tap[0]) : source(p.g, 0, c.at[0], c.tap[0]);
        int y = ADJOINT ? target(p.g, 1, c.at[1], c.tap[1]) : source(p.g, 1, c.at[1], c.tap[1]);
        int x = ADJOINT ? target(p.g, 2, c.at[2], c.tap[2]) : source(p.g, 2, c.at[2], c.tap[2]);
        const int* sizes = ADJOINT ? p.g.output : p.g.input;
        bool inside = c.inside && c.channel < p.channels && z >= 0 && y >= 0 && x >= 0;
        i64 from = inside ? c.base + c.channel * p.sources + ((i64)z * sizes[1] + y) * sizes[2] + x : 0;
        copy_async(right + (t / COLUMNS * (DEPTH / 2) + k) * RIGHT + t % COLUMNS, p.source + from, inside);
        advance(c, p.g.kernel);
    }
    // The other half of the threads copies the other half of the slice.
    for (int k = 0; k < DEPTH / 2; k++) advance(c, p.g.kernel);
    copies_commit();
}

// Finishes an entry of the result and writes it.
template <bool ADJOINT>
__device__ inline void store(const Product<ADJOINT>& p, int row, int column, const Finish& f, float* y, float sum) {
    if (row >= p.rows || column >= p.columns) return;
    int channel = p.group * p.rows + row, example = column / p.places;
    i64 at = ((i64)example * p.g.groups * p.rows + channel) * p.places + column % p.places;
    y[at] = finished(f, p.g, channel, at, sum);
}

// Products in single precision: a thread makes 4 x 8 entries, 16 columns apart.
struct Single {
    float sum[4][8];

    __device__ void clear() {
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 8; j++) sum[i][j] = 0;
    }

    __device__ void multiply(const float* left, const float* right) {
        int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16;
#pragma unroll
        for (int k = 0; k < DEPTH; k++)
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 8; j++)
                    sum[i][j] += left[k * LEFT + row + i] * right[k * RIGHT + column + 16 * j];
    }

    template <bool ADJOINT>
    __device__ void finish(const Product<ADJOINT>& p, const Cursor& c, const Finish& f, float* y) {
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 8; j++)
                store(p, c.first_row + threadIdx.x / 16 * 4 + i, c.first_column + threadIdx.x % 16 + 16 * j, f, y,
                      sum[i][j]);
    }
};

// Products on tensor cores: a warp makes 32 x 32 entries in tiles of 16 x 8.
struct TensorFloat {
    float sum[2][4][4];

    __device__ void clear() {
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) sum[i][j][e] = 0;
    }

    __device__ void multiply(const float* left, const float* right) {
        int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
        const float* rows = left + warp / 4 * 32 + g;
        const float* columns = right + warp % 4 * 32 + g;
#pragma unroll
        for (int k = 0; k < DEPTH; k += 8) {
            unsigned a[2][4], b[4][2];
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int e = 0; e < 4; e++) a[i][e] = to_tf32(rows[(k + t + e / 2 * 4) * LEFT + i * 16 + e % 2 * 8]);
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int e = 0; e < 2; e++) b[j][e] = to_tf32(columns[(k + t + e * 4) * RIGHT + j * 8]);
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) product_tf32(sum[i][j], a[i], b[j]);
        }
    }

    template <bool ADJOINT>
    __device__ void finish(const Product<ADJOINT>& p, const Cursor& c, const Finish& f, float* y) {
        int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        int row = c.first_row + warp / 4 * 32 + lane / 4, column = c.first_column + warp % 4 * 32 + lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    store(p, row + i * 16 + e / 2 * 8, column + j * 8 + e % 2, f, y, sum[i][j][e]);
    }
};

// `left` and `right` hold two slices each.
template <bool ADJOINT, class Products>
__device__ inline void multiply(const float* source, const float* weights, const Finish& f, float* y, const Conv& g,
                                float* left, float* right) {
    Product<ADJOINT> p(source, weights, g);
    Cursor c = begin(p);
    Products products;
    products.clear();
    int slices = (p.channels * p.taps + DEPTH - 1) / DEPTH;
    load(p, c, 0, left, right);
    for (int s = 0; s < slices; s++) {
        int now = s % 2, next = 1 - now;
        if (s + 1 < slices) {
            load(p, c, (s + 1) * DEPTH, left + next * DEPTH * LEFT, right + next * DEPTH * RIGHT);
            copies_wait<1>();
        } else {
            copies_wait<0>();
        }
        __syncthreads();
        products.multiply(left + now * DEPTH * LEFT, right + now * DEPTH * RIGHT);
        __syncthreads();
    }
    products.finish(p, c, f, y);
}

KERNEL conv_gemm(const float* __restrict__ source, const float* __restrict__ w, const float* __restrict__ factor,
                 const float* __restrict__ shift, const float* __restrict__ added,
                 const unsigned char* __restrict__ bits, float* __restrict__ y, Conv g) {
    __shared__ float left[2 * DEPTH * LEFT], right[2 * DEPTH * RIGHT];
    Finish finish = {factor, shift, added, bits};
    multiply<false, Single>(source, w, finish, y, g, left, right);
}

KERNEL conv_gemm_adjoint(const float* __restrict__ source, const float* __restrict__ w, const float* __restrict__ factor,
                         const float* __restrict__ shift, const float* __restrict__ added,
                         const unsigned char* __restrict__ bits, float* __restrict__ y, Conv g) {
    __shared__ float left[2 * DEPTH * LEFT], right[2 * DEPTH * RIGHT];
    Finish finish = {factor, shift, added, bits};
    multiply<true, Single>(source, w, finish, y, g, left, right);
}

KERNEL conv_gemm_tf32(const float* __restrict__ source, const float* __restrict__ w, const float* __restrict__ factor,
                      const float* __restrict__ shift, const float* __restrict__ added,
                      const unsigned char* __restrict__ bits, float* __restrict__ y, Conv g) {
    __shared__ float left[2 * DEPTH * LEFT], right[2 * DEPTH * RIGHT];
    Finish finish = {factor, shift, added, bits};
    multiply<false, TensorFloat>(source, w, finish, y, g, left, right);
}

KERNEL conv_gemm_adjoint_tf32(const float* __restrict__ source, const float* __restrict__ w, const float* __restrict__ factor,
                              const float* __restrict__ shift, const float* __restrict__ added,
                              const unsigned char* __restrict__ bits, float* __restrict__ y, Conv g) {
    __shared__ float left[2 * DEPTH * LEFT], right[2 * DEPTH * RIGHT];
    Finish finish = {factor, shift, added, bits};
    multiply<true, TensorFloat>(source, w, finish, y, g, left, right);
}
