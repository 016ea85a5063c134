// Products of strided matrices: tiles of both operands in shared memory, one entry of the result per thread.
#include "common.cuh"

#define TILE 16

struct MatMul {
    i64 batch, m, k, n;
    i64 a_batch, a_row, a_column, b_batch, b_row, b_column;
    double alpha;
};

KERNEL matmul(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, MatMul g) {
    __shared__ float left[TILE][TILE + 1], right[TILE][TILE + 1];
    i64 across = (g.n + TILE - 1) / TILE, down = (g.m + TILE - 1) / TILE;
    i64 pair = blockIdx.x / (across * down), block = blockIdx.x % (across * down);
    int x = threadIdx.x % TILE, y = threadIdx.x / TILE;
    i64 row = block / across * TILE + y, column = block % across * TILE + x;
    const float* pa = a + pair * g.a_batch;
    const float* pb = b + pair * g.b_batch;
    float sum = 0;
    for (i64 k = 0; k < g.k; k += TILE) {
        left[y][x] = row < g.m && k + x < g.k ? pa[row * g.a_row + (k + x) * g.a_column] : 0.0f;
        right[y][x] = column < g.n && k + y < g.k ? pb[(k + y) * g.b_row + column * g.b_column] : 0.0f;
        __syncthreads();
        for (int j = 0; j < TILE; j++) sum += left[y][j] * right[j][x];
        __syncthreads();
    }
    if (row < g.m && column < g.n) c[(pair * g.m + row) * g.n + column] = (float)g.alpha * sum;
}
