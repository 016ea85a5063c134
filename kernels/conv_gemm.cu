// Convolution and its adjoint in x as matrix products whose second factor is never stored: rows are the channels of the
// result, columns its places, and the inner index runs over (channel, tap) of the source. A block makes ROWS x COLUMNS
// entries; while it multiplies one slice of the inner index, the next is being copied into shared memory.
//
// Products are in single precision, or on tensor cores with factors rounded to 10 bits (tf32, f16) or 7 bits (bf16) behind
// the point and sums in single precision. In all, an entry's terms are added in an order that depends on nothing but
// channels and taps.
#include "conv.cuh"
#include "tiles.cuh"

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

// Copies the slices of a block in order.
template <bool ADJOINT>
struct Loader {
    const Product<ADJOINT>& p;
    Cursor& c;

    __device__ void operator()(i64 slice, float* left, float* right) { load(p, c, (int)slice * DEPTH, left, right); }
};

// Finishes an entry of the result and writes it.
template <bool ADJOINT>
struct Writer {
    const Product<ADJOINT>& p;
    const Cursor& c;
    const Finish& f;
    float* y;

    __device__ void operator()(int row, int column, float sum) const {
        row += c.first_row;
        column += c.first_column;
        if (row >= p.rows || column >= p.columns) return;
        int channel = p.group * p.rows + row, example = column / p.places;
        i64 at = ((i64)example * p.g.groups * p.rows + channel) * p.places + column % p.places;
        y[at] = finished(f, p.g, channel, at, sum);
    }
};

template <bool ADJOINT, class Products>
__device__ inline void multiply(const float* source, const float* weights, const Finish& f, float* y, const Conv& g,
                                float* left, float* right) {
    Product<ADJOINT> p(source, weights, g);
    Cursor c = begin(p);
    Products products;
    Loader<ADJOINT> loader = {p, c};
    sum_slices(products, loader, (p.channels * p.taps + DEPTH - 1) / DEPTH, left, right);
    Writer<ADJOINT> writer = {p, c, f, y};
    products.finish(writer);
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

KERNEL conv_gemm_f16(const float* __restrict__ source, const float* __restrict__ w, const float* __restrict__ factor,
                     const float* __restrict__ shift, const float* __restrict__ added,
                     const unsigned char* __restrict__ bits, float* __restrict__ y, Conv g) {
    __shared__ float left[2 * DEPTH * LEFT], right[2 * DEPTH * RIGHT];
    Finish finish = {factor, shift, added, bits};
    multiply<false, Halves<Half>>(source, w, finish, y, g, left, right);
}

KERNEL conv_gemm_adjoint_f16(const float* __restrict__ source, const float* __restrict__ w, const float* __restrict__ factor,
                             const float* __restrict__ shift, const float* __restrict__ added,
                             const unsigned char* __restrict__ bits, float* __restrict__ y, Conv g) {
    __shared__ float left[2 * DEPTH * LEFT], right[2 * DEPTH * RIGHT];
    Finish finish = {factor, shift, added, bits};
    multiply<true, Halves<Half>>(source, w, finish, y, g, left, right);
}

KERNEL conv_gemm_bf16(const float* __restrict__ source, const float* __restrict__ w, const float* __restrict__ factor,
                      const float* __restrict__ shift, const float* __restrict__ added,
                      const unsigned char* __restrict__ bits, float* __restrict__ y, Conv g) {
    __shared__ float left[2 * DEPTH * LEFT], right[2 * DEPTH * RIGHT];
    Finish finish = {factor, shift, added, bits};
    multiply<false, Halves<Brain>>(source, w, finish, y, g, left, right);
}

KERNEL conv_gemm_adjoint_bf16(const float* __restrict__ source, const float* __restrict__ w, const float* __restrict__ factor,
                              const float* __restrict__ shift, const float* __restrict__ added,
                              const unsigned char* __restrict__ bits, float* __restrict__ y, Conv g) {
    __shared__ float left[2 * DEPTH * LEFT], right[2 * DEPTH * RIGHT];
    Finish finish = {factor, shift, added, bits};
    multiply<true, Halves<Brain>>(source, w, finish, y, g, left, right);
}
