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

// The lanes show their parts to the warp, and each computes its four numbers.
inline void product_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    unsigned me = shim::current, lane = me % 32, warp = me - lane;
    uint32_t* shown = shim::fibers[me].shown;
    for (int i = 0; i < 4; i++) shown[i] = a[i];
    for (int i = 0; i < 2; i++) shown[4 + i] = b[i];
    __syncwarp();
    // The hardware reads the upper 19 bits of a number.
    auto part = [&](unsigned other, int i) { return shim_number(shim::fibers[warp + other].shown[i] & ~0x1fffu); };
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
        float sum = c[i];
        for (int k = 0; k < 8; k++)
            sum += part(row % 8 * 4 + k % 4, row / 8 + 2 * (k / 4)) * part(column * 4 + k % 4, 4 + k / 4);
        c[i] = sum;
    }
    __syncwarp();
}
