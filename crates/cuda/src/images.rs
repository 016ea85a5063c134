//! The compiled kernels, embedded: PTX for every GPU from compute capability 8.0 on, and binaries for 9.0. What they are
//! made of and by is checked by `cargo xtask ptx --check`.

/// What a file of kernels was compiled to.
pub(crate) struct Image {
    /// The file's stem.
    pub family: &'static str,
    /// For compute capability 8.0 and later; the driver compiles it.
    pub ptx: &'static str,
    /// For compute capability 9.x.
    pub sm_90: &'static [u8],
}

macro_rules! images {
    ($($family:literal),* $(,)?) => {
        &[$(Image {
            family: $family,
            ptx: include_str!(concat!("../images/", $family, ".ptx")),
            sm_90: include_bytes!(concat!("../images/", $family, ".sm_90.cubin")),
        }),*]
    };
}

/// One image per file of kernels.
pub(crate) static IMAGES: &[Image] = images![
    "axis_map",
    "binary",
    "bits",
    "conv",
    "conv_gemm",
    "conv_weight",
    "matmul",
    "mix",
    "movement",
    "noise",
    "normalize",
    "pointwise",
    "pool",
    "reduce",
    "slope",
    "softmax",
];

impl Image {
    /// The names of its kernels.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> {
        let name = |line: &'static str| {
            let rest = line.strip_prefix(".visible .entry ")?;
            Some(rest.split('(').next()?.trim())
        };
        self.ptx.lines().filter_map(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shim::{Kernels, kernel_names, sources};

    /// A kernel that is forgotten here would be missed on a machine with a GPU only.
    #[test]
    fn every_kernel_of_the_sources_is_embedded() {
        let mut families: Vec<&str> = IMAGES.iter().map(|i| i.family).collect();
        families.sort_unstable();
        assert_eq!(Kernels::families().unwrap_or_default(), families);
        for image in IMAGES {
            let text = std::fs::read_to_string(sources().join(format!("{}.cu", image.family)));
            let mut names = kernel_names(&text.unwrap_or_default());
            let mut embedded: Vec<&str> = image.kernels().collect();
            names.sort_unstable();
            embedded.sort_unstable();
            assert_eq!(names, embedded, "{}", image.family);
            assert!(
                !names.is_empty()
                    && image.ptx.contains(".target sm_80")
                    && image.sm_90.starts_with(b"\x7fELF")
            );
        }
    }
}
