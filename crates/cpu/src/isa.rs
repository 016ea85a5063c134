//! Run-time choice of the instruction set: bodies are written once and compiled for each.

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// What the target guarantees (SSE2 on x86-64), without fused multiply-add.
    Scalar,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F and VL with FMA.
    Avx512,
    /// NEON, which every aarch64 has.
    Neon,
}

impl Isa {
    /// All, slowest first.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Neon, Self::Avx2, Self::Avx512];

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
            // Without the compiler's support (see build.rs) there is no code for it either.
            #[cfg(all(target_arch = "x86_64", avx512))]
            Self::Avx512 => {
                std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512vl")
                    && Self::Avx2.is_available()
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// The best that this machine has.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Scalar)
    }

    /// Numbers in a vector of the kernels that vectors decide.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Self::Avx512 => 16,
            Self::Avx2 => 8,
            Self::Neon | Self::Scalar => 4,
        }
    }

    /// The name, for manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }
}

/// `a * b + c`, fused where the instruction set has it.
#[inline(always)]
pub(crate) fn madd<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Compiles a body for every instruction set and calls the one that is asked for. In the body the constant `FMA` says
/// whether fused multiply-add is there. An [`Isa`] that is not available must not be passed; [`crate::Cpu`] checks.
macro_rules! vectorized {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<const $generic:ident : $kind:ty>)? ($($arg:ident : $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name $(<const $generic: $kind>)? (isa: $crate::isa::Isa, $($arg: $ty),*) {
            #[inline(always)]
            #[allow(unused_variables, clippy::too_many_arguments)]
            fn body<const FMA: bool $(, const $generic: $kind)?>($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx2 $(<const $generic: $kind>)? ($($arg: $ty),*) {
                body::<true $(, $generic)?>($($arg),*)
            }
            #[cfg(all(target_arch = "x86_64", avx512))]
            #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx512 $(<const $generic: $kind>)? ($($arg: $ty),*) {
                body::<true $(, $generic)?>($($arg),*)
            }
            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Cpu` is only made with an instruction set that this machine was found to have.
                $crate::isa::Isa::Avx2 => unsafe { avx2 $(::<$generic>)? ($($arg),*) },
                #[cfg(all(target_arch = "x86_64", avx512))]
                // SAFETY: as above.
                $crate::isa::Isa::Avx512 => unsafe { avx512 $(::<$generic>)? ($($arg),*) },
                #[cfg(target_arch = "aarch64")]
                $crate::isa::Isa::Neon => body::<true $(, $generic)?>($($arg),*),
                _ => body::<false $(, $generic)?>($($arg),*),
            }
        }
    };
}
pub(crate) use vectorized;
