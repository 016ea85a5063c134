// Moving elements. Every thread owns one element of the result and looks up where it comes from.
#include "common.cuh"

#define AXES 8

struct Permute {
    i64 n;
    i64 rank;
    i64 shape[AXES], strides[AXES];
};

struct Slice {
    i64 n;
    i64 rank;
    i64 whole[AXES], part[AXES], begin[AXES], step[AXES];
};

// How padded entries are found: `pads` in crates/cuda/src/kernels/movement.rs.
enum { CONSTANT, EDGE, REFLECT };

struct Pad {
    i64 n;
    i64 rank, mode;
    double value;
    i64 inner[AXES], padded[AXES], before[AXES];
};

// Boxes of one array under patches; `patched` says whether there are any.
struct Window {
    i64 n;
    i64 rank, part_size, patch_size, patched;
    double fill;
    i64 whole[AXES], part[AXES], patch[AXES];
};

// A box and the place in an array where it begins.
struct Paste {
    i64 n;
    i64 rank;
    i64 part[AXES], whole[AXES], place[AXES];
};

struct Rows {
    i64 outer, size, total, offset;
};

struct Constant {
    i64 n;
    double value;
};

KERNEL fill(float* __restrict__ y, Constant g) {
    i64 i = thread_number();
    if (i < g.n) y[i] = (float)g.value;
}

// `shape` is that of the result; `strides` are those of x in the order of the result's axes.
KERNEL permute(const float* __restrict__ x, float* __restrict__ y, Permute g) {
    i64 i = thread_number();
    if (i >= g.n) return;
    i64 rest = i, from = 0;
    for (int axis = (int)g.rank - 1; axis >= 0; axis--) {
        from += rest % g.shape[axis] * g.strides[axis];
        rest /= g.shape[axis];
    }
    y[i] = x[from];
}

KERNEL slice(const float* __restrict__ x, float* __restrict__ y, Slice g) {
    i64 i = thread_number();
    if (i >= g.n) return;
    i64 rest = i, from = 0, stride = 1;
    for (int axis = (int)g.rank - 1; axis >= 0; axis--) {
        from += (g.begin[axis] + rest % g.part[axis] * g.step[axis]) * stride;
        rest /= g.part[axis];
        stride *= g.whole[axis];
    }
    y[i] = x[from];
}

KERNEL embed(const float* __restrict__ x, float* __restrict__ y, Slice g) {
    i64 i = thread_number();
    if (i >= g.n) return;
    i64 rest = i, from = 0, stride = 1;
    bool inside = true;
    for (int axis = (int)g.rank - 1; axis >= 0; axis--) {
        i64 distance = rest % g.whole[axis] - g.begin[axis];
        i64 k = distance / g.step[axis];
        inside = inside && distance % g.step[axis] == 0 && k >= 0 && k < g.part[axis];
        from += k * stride;
        rest /= g.whole[axis];
        stride *= g.part[axis];
    }
    y[i] = inside ? x[from] : 0.0f;
}

KERNEL pad(const float* __restrict__ x, float* __restrict__ y, Pad g) {
    i64 i = thread_number();
    if (i >= g.n) return;
    i64 rest = i, from = 0, stride = 1;
    bool inside = true;
    for (int axis = (int)g.rank - 1; axis >= 0; axis--) {
        i64 size = g.inner[axis], p = rest % g.padded[axis] - g.before[axis];
        if (p < 0 || p >= size) {
            if (g.mode == CONSTANT) inside = false;
            else if (g.mode == EDGE) p = p < 0 ? 0 : size - 1;
            else p = p < 0 ? -p : 2 * size - 2 - p;
        }
        from += p * stride;
        rest /= g.padded[axis];
        stride *= size;
    }
    y[i] = inside ? x[from] : (float)g.value;
}

// `places` has, for every row, where its box begins along each axis and then where its patch does.
KERNEL window(const float* __restrict__ x, const float* __restrict__ patches, const float* __restrict__ places,
              float* __restrict__ y, Window g) {
    i64 i = thread_number();
    if (i >= g.n) return;
    i64 row = i / g.part_size, rest = i % g.part_size;
    i64 from = 0, stride = 1, over = row * g.patch_size, step = 1;
    bool inside = true, covered = g.patched != 0;
    const float* place = places + row * 2 * g.rank;
    for (int axis = (int)g.rank - 1; axis >= 0; axis--) {
        i64 at = (i64)place[axis] + rest % g.part[axis];
        i64 p = at - (i64)place[g.rank + axis];
        inside = inside && at >= 0 && at < g.whole[axis];
        covered = covered && p >= 0 && p < g.patch[axis];
        from += at * stride;
        over += p * step;
        rest /= g.part[axis];
        stride *= g.whole[axis];
        step *= g.patch[axis];
    }
    if (!inside) y[i] = (float)g.fill;
    else y[i] = covered ? patches[over] : x[from];
}

// Writes a box into an array; what lies outside of it is left out. A thread owns one element of the box.
KERNEL paste(const float* __restrict__ part, float* __restrict__ whole, Paste g) {
    i64 i = thread_number();
    if (i >= g.n) return;
    i64 rest = i, to = 0, stride = 1;
    for (int axis = (int)g.rank - 1; axis >= 0; axis--) {
        i64 at = g.place[axis] + rest % g.part[axis];
        if (at < 0 || at >= g.whole[axis]) return;
        to += at * stride;
        rest /= g.part[axis];
        stride *= g.whole[axis];
    }
    whole[to] = part[i];
}

// The places along one axis that show an entry: a run, and for mirrors up to two places beside it.
struct Shown {
    i64 first, count;
    i64 mirror[2];
    int mirrors;
};

__device__ inline Shown shown(const Pad& g, int axis, i64 p) {
    i64 size = g.inner[axis], before = g.before[axis], last = g.padded[axis] - 1;
    i64 from = before + p, to = before + p;
    Shown s;
    s.mirrors = 0;
    if (g.mode == EDGE && p == 0) from = 0;
    if (g.mode == EDGE && p == size - 1) to = last;
    from = from < 0 ? 0 : from;
    to = to > last ? last : to;
    s.first = from;
    s.count = to >= from ? to - from + 1 : 0;
    if (g.mode == REFLECT) {
        i64 front = before - p, back = before + 2 * (size - 1) - p;
        if (p > 0 && front >= 0 && front <= last) s.mirror[s.mirrors++] = front;
        if (p < size - 1 && back >= 0 && back <= last) s.mirror[s.mirrors++] = back;
    }
    return s;
}

KERNEL pad_adjoint(const float* __restrict__ upper, float* __restrict__ dx, Pad g) {
    i64 i = thread_number();
    if (i >= g.n) return;
    Shown s[AXES];
    i64 rest = i, places = 1, stride[AXES], step = 1;
    for (int axis = (int)g.rank - 1; axis >= 0; axis--) {
        s[axis] = shown(g, axis, rest % g.inner[axis]);
        places *= s[axis].count + s[axis].mirrors;
        rest /= g.inner[axis];
        stride[axis] = step;
        step *= g.padded[axis];
    }
    float sum = 0;
    for (i64 k = 0; k < places; k++) {
        i64 digits = k, at = 0;
        for (int axis = (int)g.rank - 1; axis >= 0; axis--) {
            i64 choices = s[axis].count + s[axis].mirrors, digit = digits % choices;
            digits /= choices;
            i64 p = digit < s[axis].count ? s[axis].first + digit : s[axis].mirror[digit - s[axis].count];
            at += p * stride[axis];
        }
        sum += upper[at];
    }
    dx[i] = sum;
}

// One operand of a concatenation: `outer` runs of `size` entries into rows of `total` entries, at `offset`.
KERNEL concat(const float* __restrict__ x, float* __restrict__ y, Rows g) {
    i64 i = thread_number();
    if (i < g.outer * g.size) y[i / g.size * g.total + g.offset + i % g.size] = x[i];
}
