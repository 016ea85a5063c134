// One bit per element, least significant first; bits behind the last element are 0.
#include "common.cuh"

KERNEL positive_bits(const float* __restrict__ x, unsigned char* __restrict__ bits, Count g) {
    i64 byte = thread_number();
    if (byte >= (g.n + 7) / 8) return;
    unsigned set = 0;
    for (int k = 0; k < 8 && byte * 8 + k < g.n; k++) set |= (x[byte * 8 + k] > 0.0f ? 1u : 0u) << k;
    bits[byte] = (unsigned char)set;
}

KERNEL mask(const float* __restrict__ upper, const unsigned char* __restrict__ bits, float* __restrict__ y, Count g) {
    i64 i = thread_number();
    if (i < g.n) y[i] = bits[i / 8] >> (i % 8) & 1 ? upper[i] : 0.0f;
}
