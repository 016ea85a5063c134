// Products of a block, ROWS x COLUMNS entries, from slices of DEPTH terms in shared memory: `left` has a slice's factors by
// (term, row) in lines of LEFT, `right` by (term, column) in lines of RIGHT. While one slice is multiplied, the next is being
// copied. An entry's terms are added in their order, wherever the entry stands in the block.
#pragma once
#include "tensor_core.cuh"

#define ROWS 64
#define COLUMNS 128
#define DEPTH 16
// Paddings of 8 let the lanes of a warp read 32 different banks.
#define LEFT (ROWS + 8)
#define RIGHT (COLUMNS + 8)

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

    // Calls store(row, column, sum) for every entry of this thread, counted within the block.
    template <class Store>
    __device__ void finish(const Store& store) const {
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 8; j++) store(threadIdx.x / 16 * 4 + i, threadIdx.x % 16 + 16 * j, sum[i][j]);
    }
};

// Sums on tensor cores: a warp makes 32 x 32 entries in tiles of 16 x 8, shared out over its lanes as PTX says.
struct WarpSums {
    float sum[2][4][4];

    __device__ void clear() {
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) sum[i][j][e] = 0;
    }

    template <class Store>
    __device__ void finish(const Store& store) const {
        int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        int row = warp / 4 * 32 + lane / 4, column = warp % 4 * 32 + lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    store(row + i * 16 + e / 2 * 8, column + j * 8 + e % 2, sum[i][j][e]);
    }
};

// Products of factors with 10 bits behind the point and the range of single precision.
struct TensorFloat : WarpSums {
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
};

// Products of factors of 16 bits, `Half` or `Brain`: a lane holds two neighbouring terms in a word.
template <class Factor>
struct Halves : WarpSums {
    __device__ void multiply(const float* left, const float* right) {
        int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4 * 2;
        const float* rows = left + warp / 4 * 32 + g;
        const float* columns = right + warp % 4 * 32 + g;
        unsigned a[2][4], b[4][2];
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const float* first = rows + (t + e / 2 * 8) * LEFT + i * 16 + e % 2 * 8;
                a[i][e] = Factor::pair(first[0], first[LEFT]);
            }
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const float* first = columns + (t + e * 8) * RIGHT + j * 8;
                b[j][e] = Factor::pair(first[0], first[RIGHT]);
            }
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) Factor::product(sum[i][j], a[i], b[j]);
    }
};

// Sums the products of `slices` slices. load(slice, left, right) begins to copy a slice, in order; `left` and `right` hold
// two slices each.
template <class Products, class Load>
__device__ inline void sum_slices(Products& products, Load& load, i64 slices, float* left, float* right) {
    products.clear();
    load(0, left, right);
    for (i64 s = 0; s < slices; s++) {
        int now = s % 2, next = 1 - now;
        if (s + 1 < slices) {
            load(s + 1, left + next * DEPTH * LEFT, right + next * DEPTH * RIGHT);
            copies_wait<1>();
        } else {
            copies_wait<0>();
        }
        __syncthreads();
        products.multiply(left + now * DEPTH * LEFT, right + now * DEPTH * RIGHT);
        __syncthreads();
    }
}
