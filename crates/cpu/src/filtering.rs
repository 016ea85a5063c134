//! How convolutions are summed: the choice between speed and rounding.

/// How convolutions of width 3 without strides are summed, in two dimensions and three, and kernels of width 4 and more along
/// height and width, with strides or without, to at least 16 channels (depth tap by tap); all others are summed tap by tap.
///
/// Errors against sums in double precision, relative to the root mean square of the results (32 to 256 source channels, normal
/// weights, data normal or rectified, some thousand tiles), against those of one plain running sum in single precision:
///
/// | | largest | root mean square | times that of the plain sum |
/// |---|---|---|---|
/// | plain sum, three dimensions | 2e-6 to 9e-6 | 3e-7 to 1.5e-6 | 1 |
/// | [`Filtering::Accurate`], three dimensions | 1e-6 to 2e-6 | 2e-7 to 7e-7 | 0.4 to 0.6 |
/// | [`Filtering::Fast`], three dimensions | 7e-6 to 1.3e-5 | 1.1e-6 to 2.5e-6 | 1.6 to 2.9 |
/// | plain sum, two dimensions | 1e-6 to 6e-6 | 2e-7 to 9e-7 | 1 |
/// | [`Filtering::Accurate`], two dimensions | 6e-7 to 2e-6 | 2e-7 to 5e-7 | 0.5 to 0.8 |
/// | [`Filtering::Fast`], two dimensions | 6e-6 to 2e-5 | 7e-7 to 2.2e-6 | 2.1 to 3.4 |
/// | plain sum, width 5 to 11 | 2e-6 to 1.3e-5 | 1.5e-7 to 1.4e-6 | 1 |
/// | both, width 5 to 11 (3 to 256 source channels) | 1e-6 to 4e-6 | 1.5e-7 to 8e-7 | 0.6 to 1 |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// Tap by tap: every product is one of a datum and a weight, and errors are bounded by the terms of each output alone.
    Direct,
    /// By Winograd's filtering with tiles of two outputs along each axis, wider kernels in pieces of two and three taps. Every
    /// output is made of the data under the kernel alone, to the bit: where these are equal, so are the outputs, and the first of
    /// them wins in a pooling as it does in plain sums.
    #[default]
    Accurate,
    /// With tiles of four outputs along height and width: a half to a quarter of the multiplications are left out that
    /// [`Filtering::Accurate`] makes, for two to three times the rounding of plain sums. The data of a whole tile take part in the
    /// rounding of each of its outputs: beside an edge of a constant part of an image, outputs that are equal differ in their
    /// last bits, so that another of them may win in a pooling, and what would be 0 may get a sign.
    Fast,
}

impl Filtering {
    /// Outputs that are computed together along depth, height and width, counted from the first of an image.
    pub(crate) fn tile(self) -> [usize; 3] {
        match self {
            Self::Direct => [1; 3],
            Self::Accurate => [2; 3],
            Self::Fast => [2, 4, 4],
        }
    }
}
