// What all kernels share. A kernel takes pointers and then one structure of numbers by value, whose twin is in
// crates/cuda/src/kernels; results are functions of one thread or one block each, so that no two runs differ.
#pragma once

typedef long long i64;

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif

#define KERNEL extern "C" __global__ void
// Threads of a block, everywhere: what reductions in shared memory rely on.
#define THREADS 256

// The number of this thread in the whole launch.
__device__ inline i64 thread_number() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }

// Whether the bit of element i is set, in rows of `row` elements that begin on bytes.
__device__ inline bool bit(const unsigned char* bits, i64 row, i64 i) {
    i64 at = i % row;
    return bits[i / row * ((row + 7) / 8) + at / 8] >> (at % 8) & 1;
}

// An array seen as [outer, n, inner].
struct Span {
    i64 outer, n, inner;
};

// The sum of one number per thread, in every thread; `shared` has THREADS entries. The tree is the same in every run.
template <class T>
__device__ inline T block_sum(T* shared, T value) {
    int t = threadIdx.x;
    __syncthreads();
    shared[t] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) shared[t] += shared[t + half];
        __syncthreads();
    }
    return shared[0];
}
