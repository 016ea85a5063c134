//! Vectors of single precision, one implementation for each instruction set, so that the kernels that decide the speed
//! are written once and keep their sums in registers by construction rather than by the optimiser's grace.
//!
//! Every method is a single instruction or a few; a body that uses them must be inlined into a function that enables the
//! instruction set, which [`per_isa`] makes.

/// The vector instructions of an instruction set.
///
/// # Safety
/// Every method needs the instruction set at run time. Pointers must be valid for the lanes that are read or written.
pub(crate) trait Simd: Copy {
    /// A vector of [`Simd::LANES`] numbers.
    type V: Copy;
    /// The same with vectors of at most eight numbers.
    type Eight: Simd;
    /// Numbers in a vector.
    const LANES: usize;
    /// How many vectors beside four rows of weights a tile of sums can have without spilling registers.
    const TILE: usize;
    /// How many beside two times four rows, at most 3; 0 where registers are too few or four rows use them as well.
    const PAIR: usize;
    /// The same vector everywhere.
    unsafe fn splat(x: f32) -> Self::V;
    /// Reads a vector from anywhere.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Reads the first `n < LANES` numbers; the others are 0 and their memory is not touched.
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V;
    /// Writes a vector anywhere.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Writes the first `n <= LANES` numbers; the memory behind them is not touched.
    unsafe fn store_first(p: *mut f32, n: usize, v: Self::V);
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// The larger of each pair; `b` where they do not compare.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Of `x` where `a > b`, of `y` elsewhere.
    unsafe fn select_greater(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// `a b + c`, fused where the instruction set has it.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The entries of even and of odd position of `a` and `b` one behind the other.
    unsafe fn deinterleave(a: Self::V, b: Self::V) -> (Self::V, Self::V);
    /// The inverse of [`Simd::deinterleave`].
    unsafe fn interleave(even: Self::V, odd: Self::V) -> (Self::V, Self::V);
    /// `W` vectors, of whose numbers in turn the vectors of every `W`th number, from the first on, from the second on and so on.
    /// `W` is 2 or 4; what is behind the first `W` is of no account.
    #[inline(always)]
    unsafe fn part<const W: usize>(v: [Self::V; 4]) -> [Self::V; 4] {
        // SAFETY: the caller promises the instruction set.
        unsafe {
            let (even, odd) = Self::deinterleave(v[0], v[1]);
            if W == 2 {
                return [even, odd, v[2], v[3]];
            }
            let (more_even, more_odd) = Self::deinterleave(v[2], v[3]);
            let ((first, third), (second, fourth)) =
                (Self::deinterleave(even, more_even), Self::deinterleave(odd, more_odd));
            [first, second, third, fourth]
        }
    }
    /// The inverse of [`Simd::part`].
    #[inline(always)]
    unsafe fn unite<const W: usize>(v: [Self::V; 4]) -> [Self::V; 4] {
        // SAFETY: the caller promises the instruction set.
        unsafe {
            if W == 2 {
                let (a, b) = Self::interleave(v[0], v[1]);
                return [a, b, v[2], v[3]];
            }
            let ((even, more_even), (odd, more_odd)) =
                (Self::interleave(v[0], v[2]), Self::interleave(v[1], v[3]));
            let ((a, b), (c, d)) = (Self::interleave(even, odd), Self::interleave(more_even, more_odd));
            [a, b, c, d]
        }
    }
    /// Reads `W` vectors and parts them, see [`Simd::part`]: instruction sets have shorter ways from memory than between registers.
    #[inline(always)]
    unsafe fn load_parted<const W: usize>(p: *const f32) -> [Self::V; 4] {
        // SAFETY: the caller promises the instruction set and `W` vectors at `p`.
        unsafe {
            let mut v = [Self::splat(0.0); 4];
            for i in 0..W {
                v[i] = Self::load(p.add(i * Self::LANES));
            }
            Self::part::<W>(v)
        }
    }
    /// Unites `W` vectors, see [`Simd::unite`], and writes them.
    #[inline(always)]
    unsafe fn store_united<const W: usize>(p: *mut f32, v: [Self::V; 4]) {
        // SAFETY: the caller promises the instruction set and room for `W` vectors at `p`.
        unsafe {
            let united = Self::unite::<W>(v);
            for i in 0..W {
                Self::store(p.add(i * Self::LANES), united[i]);
            }
        }
    }
    /// One bit for each of the eight numbers at `p`, the first the least: whether it is positive.
    unsafe fn positive(p: *const f32) -> u8;
    /// Asks for the cache line at `p`, which need not be readable, where the machine can be asked.
    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}
    /// Writes whole numbers from 0 to 255 as bytes, one a lane.
    unsafe fn store_bytes(p: *mut u8, v: Self::V);

    /// The inner loop of every matrix product and convolution: `sum[c][j] += w[c] x[j]` for `J` vectors at `x` and `C`
    /// numbers at `w`.
    #[inline(always)]
    unsafe fn add_products<const C: usize, const J: usize>(
        sum: &mut [[Self::V; J]; C],
        x: *const f32,
        w: *const f32,
    ) {
        // SAFETY: the caller promises the instruction set, `J` vectors at `x` and `C` numbers at `w`.
        unsafe {
            let mut vectors = [Self::splat(0.0); J];
            for j in 0..J {
                vectors[j] = Self::load(x.add(j * Self::LANES));
            }
            for c in 0..C {
                let factor = Self::splat(*w.add(c));
                for j in 0..J {
                    sum[c][j] = Self::mul_add(factor, vectors[j], sum[c][j]);
                }
            }
        }
    }
    /// [`Simd::add_products`] of the same vectors with `B` times `C` numbers.
    #[inline(always)]
    unsafe fn add_products_of_blocks<const B: usize, const C: usize, const J: usize>(
        sum: &mut [[[Self::V; J]; C]; B],
        x: *const f32,
        w: [*const f32; B],
    ) {
        // SAFETY: the caller promises the instruction set, `J` vectors at `x` and `C` numbers at each `w`.
        unsafe {
            if B == 1 {
                return Self::add_products(&mut sum[0], x, w[0]);
            }
            let mut vectors = [Self::splat(0.0); J];
            for j in 0..J {
                vectors[j] = Self::load(x.add(j * Self::LANES));
            }
            for b in 0..B {
                for c in 0..C {
                    let factor = Self::splat(*w[b].add(c));
                    for j in 0..J {
                        sum[b][c][j] = Self::mul_add(factor, vectors[j], sum[b][c][j]);
                    }
                }
            }
        }
    }
}

/// Implements [`Simd`] by one expression a method.
macro_rules! instructions {
    ($name:ident, $v:ty, eight $eight:ty, lanes $lanes:literal, tile $tile:literal, pair $pair:literal;
     $(fn $method:ident($($arg:ident: $kind:ty),*) $(-> $result:ty)? { $body:expr })*
     $(own $($own:item)*)?) => {
        impl Simd for $name {
            type V = $v;
            type Eight = $eight;
            const LANES: usize = $lanes;
            const TILE: usize = $tile;
            const PAIR: usize = $pair;
            $(
                #[inline(always)]
                unsafe fn $method($($arg: $kind),*) $(-> $result)? {
                    // SAFETY: the caller promises the instruction set and pointers valid for the lanes in question.
                    #[allow(unused_unsafe, reason = "bodies without instructions need none")]
                    unsafe { $body }
                }
            )*
            $($($own)*)?
        }
    };
}

/// What every target has, four numbers at a time, without fused multiply-add.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

type Four = [f32; 4];

instructions! { Portable, Four, eight Portable, lanes 4, tile 2, pair 0;
    fn splat(x: f32) -> Four { [x; 4] }
    fn load(p: *const f32) -> Four { p.cast::<Four>().read_unaligned() }
    fn load_first(p: *const f32, n: usize) -> Four { core::array::from_fn(|i| if i < n { *p.add(i) } else { 0.0 }) }
    fn store(p: *mut f32, v: Four) { p.cast::<Four>().write_unaligned(v) }
    fn store_first(p: *mut f32, n: usize, v: Four) { (0..n).for_each(|i| *p.add(i) = v[i]) }
    fn add(a: Four, b: Four) -> Four { core::array::from_fn(|i| a[i] + b[i]) }
    fn sub(a: Four, b: Four) -> Four { core::array::from_fn(|i| a[i] - b[i]) }
    fn max(a: Four, b: Four) -> Four { core::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] }) }
    fn select_greater(a: Four, b: Four, x: Four, y: Four) -> Four {
        core::array::from_fn(|i| if a[i] > b[i] { x[i] } else { y[i] })
    }
    fn mul_add(a: Four, b: Four, c: Four) -> Four { core::array::from_fn(|i| a[i] * b[i] + c[i]) }
    fn deinterleave(a: Four, b: Four) -> (Four, Four) { ([a[0], a[2], b[0], b[2]], [a[1], a[3], b[1], b[3]]) }
    fn interleave(e: Four, o: Four) -> (Four, Four) { ([e[0], o[0], e[1], o[1]], [e[2], o[2], e[3], o[3]]) }
    fn positive(p: *const f32) -> u8 { (0..8).fold(0, |bits, i| bits | u8::from(*p.add(i) > 0.0) << i) }
    fn store_bytes(p: *mut u8, v: Four) { p.cast::<[u8; 4]>().write(v.map(|x| x as u8)) }
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;

// Compiled only where the compiler knows AVX-512 (see build.rs).
#[cfg(all(target_arch = "x86_64", avx512))]
#[allow(clippy::incompatible_msrv)]
mod avx512;
#[cfg(all(target_arch = "x86_64", avx512))]
pub(crate) use avx512::Avx512;

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;

/// Compiles a body that is generic over [`Simd`] for every instruction set and calls the one that is asked for. An
/// [`crate::Isa`] that is not available must not be passed; [`crate::Cpu`] checks.
macro_rules! per_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::isa::Isa, $($arg: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2($($arg: $kind),*) {
                // SAFETY: this function enables what the body needs.
                unsafe { $body::<$crate::simd::Avx2>($($arg),*) }
            }
            #[cfg(all(target_arch = "x86_64", avx512))]
            #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
            unsafe fn avx512($($arg: $kind),*) {
                // SAFETY: this function enables what the body needs.
                unsafe { $body::<$crate::simd::Avx512>($($arg),*) }
            }
            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Cpu` is only made with an instruction set that this machine was found to have.
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(all(target_arch = "x86_64", avx512))]
                // SAFETY: as above.
                $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "aarch64")]
                // SAFETY: every aarch64 has NEON.
                $crate::isa::Isa::Neon => unsafe { $body::<$crate::simd::Neon>($($arg),*) },
                // SAFETY: the portable body needs nothing.
                _ => unsafe { $body::<$crate::simd::Portable>($($arg),*) },
            }
        }
    };
}
pub(crate) use per_isa;
