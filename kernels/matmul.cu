// Products of strided matrices: tiles of both operands in shared memory. In single precision a thread makes one entry of the
// result; with factors of 16 bits, on tensor cores, a block makes a tile as the convolutions do.
#include "tiles.cuh"

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

// Copies the slices of a block; a thread copies neighbours of a line where there are lines.
struct Loader {
    const float* a;
    const float* b;
    const MatMul& g;
    i64 first_row, first_column;

    __device__ void operator()(i64 slice, float* left, float* right) {
        i64 first = slice * DEPTH;
        for (int e = threadIdx.x; e < ROWS * DEPTH; e += THREADS) {
            bool lines = g.a_column == 1;
            int row = lines ? e / DEPTH : e % ROWS, k = lines ? e % DEPTH : e / ROWS;
            bool inside = first_row + row < g.m && first + k < g.k;
            i64 from = inside ? (first_row + row) * g.a_row + (first + k) * g.a_column : 0;
            copy_async(left + k * LEFT + row, a + from, inside);
        }
        for (int e = threadIdx.x; e < COLUMNS * DEPTH; e += THREADS) {
            bool lines = g.b_column == 1;
            int column = lines ? e % COLUMNS : e / DEPTH, k = lines ? e / COLUMNS : e % DEPTH;
            bool inside = first_column + column < g.n && first + k < g.k;
            i64 from = inside ? (first + k) * g.b_row + (first_column + column) * g.b_column : 0;
            copy_async(right + k * RIGHT + column, b + from, inside);
        }
        copies_commit();
    }
};

struct Writer {
    float* c;
    const MatMul& g;
    i64 pair, first_row, first_column;

    __device__ void operator()(int row, int column, float sum) const {
        if (first_row + row < g.m && first_column + column < g.n)
            c[(pair * g.m + first_row + row) * g.n + first_column + column] = (float)g.alpha * sum;
    }
};

template <class Products>
__device__ inline void multiply(const float* a, const float* b, float* c, const MatMul& g, float* left, float* right) {
    i64 across = (g.n + COLUMNS - 1) / COLUMNS, down = (g.m + ROWS - 1) / ROWS;
    i64 pair = blockIdx.x / (across * down), block = blockIdx.x % (across * down);
    i64 row = block / across * ROWS, column = block % across * COLUMNS;
    Products products;
    Loader loader = {a + pair * g.a_batch, b + pair * g.b_batch, g, row, column};
    sum_slices(products, loader, (g.k + DEPTH - 1) / DEPTH, left, right);
    Writer writer = {c, g, pair, row, column};
    products.finish(writer);
}

KERNEL matmul_f16(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, MatMul g) {
    __shared__ float left[2 * DEPTH * LEFT], right[2 * DEPTH * RIGHT];
    multiply<Halves<Half>>(a, b, c, g, left, right);
}

KERNEL matmul_bf16(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, MatMul g) {
    __shared__ float left[2 * DEPTH * LEFT], right[2 * DEPTH * RIGHT];
    multiply<Halves<Brain>>(a, b, c, g, left, right);
}
