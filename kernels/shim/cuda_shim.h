// CUDA on the CPU, for tests: the same .cu files as C++. Every thread of a block is a fiber that runs until it waits at
// a barrier, in an order that the caller chooses, so that what relies on a missing barrier reads what is not there yet;
// shared memory starts every block as NaN. A block whose threads do not all reach a barrier, or do not all leave the
// kernel, is an error. Not covered: what reads and writes between two barriers in different warps beyond the orders
// tried. Asynchronous copies happen as late as they may in even orders and at once in odd ones.
#pragma once
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <utility>
#include <vector>

#define CUDA_SHIM 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shim_shared"), used))

using std::max;
using std::min;

struct dim3 {
    unsigned x, y, z;
};

// Where the linker puts the variables of the section, if there are any.
extern char __start_shim_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_shim_shared[] __attribute__((weak, visibility("hidden")));

namespace shim {

struct Copy {
    void* to;
    const void* from;
    size_t bytes;
};

enum State { READY, AT_BARRIER, AT_WARP, DONE };

struct Fiber {
    ucontext_t context;
    jmp_buf at;
    char* stack;
    bool started;
    State state;
    // Copies that were asked for, by group; the last group is open.
    std::vector<std::vector<Copy>> copies;
    // What a thread shows to its warp.
    uint32_t shown[8];
};

const size_t STACK = 64 << 10;

static std::vector<Fiber> fibers;
static unsigned current, count, thread_order;
static dim3 thread_index, block_index, block_size, grid_size;
static jmp_buf scheduler;
static void (*body)(void**);
static void** arguments;

static void leave(State state) {
    Fiber& f = fibers[current];
    f.state = state;
    if (state == DONE) _longjmp(scheduler, 1);
    if (_setjmp(f.at) == 0) _longjmp(scheduler, 1);
}

static void entry() {
    body(arguments);
    leave(DONE);
}

static void resume(unsigned i) {
    Fiber& f = fibers[i];
    current = i;
    thread_index = {i % block_size.x, i / block_size.x % block_size.y, i / block_size.x / block_size.y};
    if (_setjmp(scheduler) != 0) return;
    if (f.started) _longjmp(f.at, 1);
    f.started = true;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = STACK;
    f.context.uc_link = nullptr;
    makecontext(&f.context, entry, 0);
    setcontext(&f.context);
}

static bool all(unsigned from, unsigned to, State state) {
    for (unsigned i = from; i < to; i++)
        if (fibers[i].state != state) return false;
    return true;
}

// Lets the threads that wait together go on; whether any could.
static bool release() {
    bool any = false;
    if (all(0, count, AT_BARRIER)) {
        for (Fiber& f : fibers) f.state = READY;
        return true;
    }
    for (unsigned w = 0; w < count; w += 32) {
        unsigned end = std::min(w + 32, count);
        if (!all(w, end, AT_WARP)) continue;
        for (unsigned i = w; i < end; i++) fibers[i].state = READY;
        any = true;
    }
    return any;
}

// Which thread runs as the k-th: 0 forwards, 1 backwards, others a permutation.
static unsigned pick(unsigned order, unsigned k) {
    if (order == 0) return k;
    if (order == 1) return count - 1 - k;
    unsigned step = 2 * order + 1;
    while (std::__gcd(step, count) != 1) step += 2;
    return (unsigned)(((uint64_t)k * step + order * 7) % count);
}

// Runs one block; an error, or null.
static const char* run_block(unsigned order) {
    // All bits set is NaN.
    if (__start_shim_shared) memset(__start_shim_shared, 0xff, __stop_shim_shared - __start_shim_shared);
    for (Fiber& f : fibers) {
        f.started = false;
        f.state = READY;
        f.copies.assign(1, {});
    }
    for (;;) {
        for (unsigned k = 0; k < count; k++) {
            unsigned i = pick(order, k);
            if (fibers[i].state == READY) resume(i);
        }
        if (all(0, count, DONE)) return nullptr;
        if (!release()) return "the threads of a block do not meet at the same barrier";
    }
}

template <class F, size_t... I>
struct Call;

template <class... A, size_t... I>
void unpack(void (*kernel)(A...), void** a, std::index_sequence<I...>) {
    kernel(*reinterpret_cast<std::remove_reference_t<A>*>(a[I])...);
}

template <class... A>
void call(void (*kernel)(A...), void** a) {
    unpack(kernel, a, std::index_sequence_for<A...>{});
}

static const char* launch(void (*kernel)(void**), unsigned blocks, unsigned threads, unsigned order, void** args) {
    body = kernel;
    arguments = args;
    count = threads;
    thread_order = order;
    block_size = {threads, 1, 1};
    grid_size = {blocks, 1, 1};
    while (fibers.size() > threads) {
        free(fibers.back().stack);
        fibers.pop_back();
    }
    while (fibers.size() < threads) {
        fibers.emplace_back();
        fibers.back().stack = (char*)malloc(STACK);
    }
    for (unsigned b = 0; b < blocks; b++) {
        block_index = {order == 1 ? blocks - 1 - b : b, 0, 0};
        if (const char* error = run_block(order)) return error;
    }
    return nullptr;
}

}  // namespace shim

#define threadIdx shim::thread_index
#define blockIdx shim::block_index
#define blockDim shim::block_size
#define gridDim shim::grid_size

// Threads go on with their own index: the scheduler sets it whenever it resumes one.
inline void __syncthreads() { shim::leave(shim::AT_BARRIER); }
inline void __syncwarp() { shim::leave(shim::AT_WARP); }

// One rounding each: the shim is compiled without contraction.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }

// The upper half of a product, and the same bits as another type.
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }

template <class To, class From>
inline To same_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "types of one size");
    To made;
    memcpy(&made, &value, sizeof(To));
    return made;
}

inline int __float_as_int(float a) { return same_bits<int>(a); }
inline float __int_as_float(int a) { return same_bits<float>(a); }
inline long long __double_as_longlong(double a) { return same_bits<long long>(a); }
inline double __longlong_as_double(long long a) { return same_bits<double>(a); }

namespace shim {

inline void perform(const Copy& copy) {
    if (copy.from) memcpy(copy.to, copy.from, copy.bytes);
    else memset(copy.to, 0, copy.bytes);
}

}  // namespace shim

// A number, or 0 if it lies outside.
inline void copy_async(float* to, const float* from, bool inside) {
    shim::Copy copy = {to, inside ? from : nullptr, sizeof(float)};
    if (shim::thread_order % 2) shim::perform(copy);
    else shim::fibers[shim::current].copies.back().push_back(copy);
}

inline void copies_commit() { shim::fibers[shim::current].copies.emplace_back(); }

// The last group is open, so one more than PENDING stays.
template <int PENDING>
void copies_wait() {
    auto& groups = shim::fibers[shim::current].copies;
    while (groups.size() > PENDING + 1) {
        for (const shim::Copy& copy : groups.front()) shim::perform(copy);
        groups.erase(groups.begin());
    }
}

inline float shim_number(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

inline unsigned to_tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits + 0x1000u) & ~0x1fffu;
}

namespace shim {

// The lanes show their parts to the warp, and each computes its four numbers from 8 or 16 terms; left(lane, row / 8, k)
// and right(lane, k) read a factor of what lane number `lane` of the warp shows.
template <int TERMS, int PER_LANE, class Left, class Right>
void product(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], Left left, Right right) {
    unsigned me = current, lane = me % 32, warp = me - lane;
    uint32_t* shown = fibers[me].shown;
    for (int i = 0; i < 4; i++) shown[i] = a[i];
    for (int i = 0; i < 2; i++) shown[4 + i] = b[i];
    __syncwarp();
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
        float sum = c[i];
        for (int k = 0; k < TERMS; k++) {
            int holder = k / PER_LANE % 4;
            sum += left(fibers[warp + row % 8 * 4 + holder].shown, row / 8, k) *
                   right(fibers[warp + column * 4 + holder].shown, k);
        }
        c[i] = sum;
    }
    __syncwarp();
}

// The two numbers of a word of 16 bits each, the first in its lower half.
template <class Factor>
void halves(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    auto half = [](uint32_t word, int k) { return Factor::number((uint16_t)(k % 2 ? word >> 16 : word)); };
    product<16, 2>(
        c, a, b, [&](const uint32_t* shown, int low, int k) { return half(shown[low + 2 * (k / 8)], k); },
        [&](const uint32_t* shown, int k) { return half(shown[4 + k / 8], k); });
}

inline uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

}  // namespace shim

inline void product_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    // The hardware reads the upper 19 bits of a number.
    auto part = [](uint32_t bits) { return shim_number(bits & ~0x1fffu); };
    shim::product<8, 1>(
        c, a, b, [&](const uint32_t* shown, int low, int k) { return part(shown[low + 2 * (k / 4)]); },
        [&](const uint32_t* shown, int k) { return part(shown[4 + k / 4]); });
}

struct Half {
    // Rounded to nearest, ties to even: the distance of neighbouring numbers is 2^-10 of the power of two below, and
    // 2^-24 at least.
    static uint16_t rounded(float x) {
        uint16_t sign = shim::bits_of(x) >> 31 << 15;
        if (x != x) return sign | 0x7fff;
        double size = std::fabs((double)x);
        int exponent = size > 0 ? std::max(std::ilogb(size), -14) : -14;
        // Counted in such distances; the default mode of the machine rounds to nearest, ties to even.
        double steps = std::nearbyint(std::ldexp(size, 10 - exponent));
        double value = std::ldexp(steps, exponent - 10);
        if (value >= 65520.0 || std::isinf(size)) return sign | 0x7c00;
        if (steps >= 2048) steps /= 2, exponent++;
        return steps < 1024 ? sign | (uint16_t)steps : sign | (uint16_t)((exponent + 15) << 10 | ((int)steps - 1024));
    }

    static float number(uint16_t bits) {
        int exponent = bits >> 10 & 31, fraction = bits & 1023;
        float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                     : exponent     ? std::ldexp((float)(1024 + fraction), exponent - 25)
                                    : std::ldexp((float)fraction, -24);
        return bits >> 15 ? -size : size;
    }

    static unsigned pair(float first, float second) { return rounded(first) | (unsigned)rounded(second) << 16; }

    static void product(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { shim::halves<Half>(c, a, b); }
};

struct Brain {
    // The upper half of the number after rounding to nearest, ties to even.
    static uint16_t rounded(float x) {
        uint32_t bits = shim::bits_of(x);
        return x != x ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    }

    static float number(uint16_t bits) { return shim_number((uint32_t)bits << 16); }

    static unsigned pair(float first, float second) { return rounded(first) | (unsigned)rounded(second) << 16; }

    static void product(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { shim::halves<Brain>(c, a, b); }
};
