// One bit per element, least significant first; every row begins on a byte, and bits behind its last element are 0.
#include "common.cuh"

// `n` elements in rows of `row`.
struct Rows {
    i64 n, row;
};

KERNEL positive_bits(const float* __restrict__ x, unsigned char* __restrict__ bits, Rows g) {
    i64 byte = thread_number(), bytes = (g.row + 7) / 8;
    if (byte >= g.n / g.row * bytes) return;
    i64 from = byte % bytes * 8;
    const float* row = x + byte / bytes * g.row;
    unsigned set = 0;
    for (int k = 0; k < 8 && from + k < g.row; k++) set |= (row[from + k] > 0.0f ? 1u : 0u) << k;
    bits[byte] = (unsigned char)set;
}

KERNEL mask(const float* __restrict__ upper, const unsigned char* __restrict__ bits, float* __restrict__ y, Rows g) {
    i64 i = thread_number();
    if (i < g.n) y[i] = bit(bits, g.row, i) ? upper[i] : 0.0f;
}
