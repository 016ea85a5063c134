//! The header of both versions, as far as voxels and geometry need it.

use crate::geometry::{Form, Geometry};
use crate::quaternion;
use voxplain_tensor::{Error, Result};

/// What a header says.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub dims: [usize; 3],
    /// Volumes behind the third axis.
    pub volumes: usize,
    pub dtype: DataType,
    pub big_endian: bool,
    pub offset: usize,
    pub slope: f64,
    pub intercept: f64,
    pub geometry: Geometry,
}

impl Header {
    /// Bytes of one volume. `parse` made sure that this and [`Header::end`] do not overflow.
    pub fn length(&self) -> usize {
        self.dims.iter().product::<usize>() * self.dtype.width()
    }

    /// The byte behind the last volume.
    pub fn end(&self) -> usize {
        self.offset + self.volumes * self.length()
    }
}

/// A real voxel type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl DataType {
    fn from_code(code: i16) -> Result<Self> {
        Ok(match code {
            2 => Self::U8,
            256 => Self::I8,
            512 => Self::U16,
            4 => Self::I16,
            768 => Self::U32,
            8 => Self::I32,
            1280 => Self::U64,
            1024 => Self::I64,
            16 => Self::F32,
            64 => Self::F64,
            other => {
                let name = match other {
                    32 => "complex64",
                    1792 => "complex128",
                    128 => "RGB24",
                    2304 => "RGBA32",
                    1536 => "float128",
                    _ => "unknown",
                };
                return Err(Error::unsupported(format!(
                    "voxels of type {name} (code {other}); real whole or floating-point voxels are expected, convert the \
                     image first"
                )));
            }
        })
    }

    /// Bytes of a voxel.
    pub fn width(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// Reads fields of one endianness.
struct Fields<'a> {
    bytes: &'a [u8],
    big: bool,
}

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out: [u8; N] = self.bytes.get(at..at + N).and_then(|b| b.try_into().ok()).unwrap_or([0; N]);
        if self.big {
            out.reverse();
        }
        out
    }
    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.array(at))
    }
    fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.array(at))
    }
    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.array(at))
    }
    fn f32(&self, at: usize) -> f64 {
        f64::from(f32::from_le_bytes(self.array(at)))
    }
    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.array(at))
    }
}

/// Where a version keeps its fields, and how wide they are.
struct Layout {
    second: bool,
}

impl Layout {
    fn real(&self, f: &Fields<'_>, first: usize, second: usize, i: usize) -> f64 {
        if self.second { f.f64(second + 8 * i) } else { f.f32(first + 4 * i) }
    }
    fn dim(&self, f: &Fields<'_>, i: usize) -> i64 {
        if self.second { f.i64(16 + 8 * i) } else { i64::from(f.i16(40 + 2 * i)) }
    }
    fn code(&self, f: &Fields<'_>, first: usize, second: usize) -> i16 {
        if self.second { i16::try_from(f.i32(second)).unwrap_or(0) } else { f.i16(first) }
    }
}

/// The size of a header of this version, or `None` if the bytes are no NIfTI header.
fn version(bytes: &[u8]) -> Option<(Layout, bool, usize)> {
    let first: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    let find = |size: i32| {
        [(false, i32::from_le_bytes(first)), (true, i32::from_be_bytes(first))]
            .into_iter()
            .find(|(_, v)| *v == size)
    };
    find(348)
        .map(|(big, _)| (Layout { second: false }, big, 348))
        .or_else(|| find(540).map(|(big, _)| (Layout { second: true }, big, 540)))
}

/// Bytes that hold any header.
pub(super) const LONGEST: usize = 540;

pub(super) fn parse(bytes: &[u8]) -> Result<Header> {
    let (layout, big, size) = version(bytes)
        .ok_or_else(|| Error::invalid("not a NIfTI file (its header does not begin with 348 or 540)"))?;
    if bytes.len() < size {
        return Err(Error::invalid(format!(
            "the NIfTI header is cut off after {} of {size} bytes",
            bytes.len()
        )));
    }
    let magic = if layout.second { &bytes[4..8] } else { &bytes[344..348] };
    match magic {
        b"n+1\0" | b"n+2\0" => {}
        b"ni1\0" | b"ni2\0" => {
            return Err(Error::unsupported(
                "header and voxels are in two files (.hdr and .img); convert to one .nii file",
            ));
        }
        _ => {
            return Err(Error::invalid(
                "not a NIfTI file (its magic word is missing); Analyze files must be converted",
            ));
        }
    }
    let f = Fields { bytes, big };
    let (dims, volumes) = dimensions(&layout, &f)?;
    let dtype = DataType::from_code(if layout.second { f.i16(12) } else { f.i16(70) })?;
    let offset = if layout.second { f.i64(168) as f64 } else { f.f32(108) };
    if !(size as f64..1e9).contains(&offset) {
        return Err(Error::invalid(format!("the NIfTI header says that voxels begin at byte {offset}")));
    }
    let (slope, intercept) = (layout.real(&f, 112, 176, 0), layout.real(&f, 116, 184, 0));
    let scaled = slope != 0.0 && slope.is_finite() && intercept.is_finite();
    let (slope, intercept) = if scaled { (slope, intercept) } else { (1.0, 0.0) };
    let geometry = geometry(&layout, &f)?;
    Ok(Header { dims, volumes, dtype, big_endian: big, offset: offset as usize, slope, intercept, geometry })
}

fn dimensions(layout: &Layout, f: &Fields<'_>) -> Result<([usize; 3], usize)> {
    let rank = layout.dim(f, 0);
    if !(1..=7).contains(&rank) {
        return Err(Error::invalid(format!(
            "the NIfTI header says that there are {rank} axes; 1 to 7 are possible"
        )));
    }
    let size = |i: i64| {
        let d = if i <= rank { layout.dim(f, i as usize) } else { 1 };
        usize::try_from(d)
            .ok()
            .filter(|&d| d > 0 && d <= 1 << 20)
            .ok_or_else(|| Error::invalid(format!("the NIfTI header says that axis {i} has {d} entries")))
    };
    let dims = [size(1)?, size(2)?, size(3)?];
    let mut volumes = 1usize;
    for i in 4..=rank {
        volumes = volumes
            .checked_mul(size(i)?)
            .ok_or_else(|| Error::invalid("the NIfTI header says that it is endless"))?;
    }
    let total = dims.iter().try_fold(volumes, |n, &d| n.checked_mul(d)).filter(|&n| n < 1 << 40);
    total
        .map(|_| (dims, volumes))
        .ok_or_else(|| Error::invalid(format!("the NIfTI header says {dims:?} times {volumes} voxels")))
}

fn geometry(layout: &Layout, f: &Fields<'_>) -> Result<Geometry> {
    let pixdim = |i: usize| layout.real(f, 76, 104, i);
    let spacing = [1, 2, 3].map(|i| {
        let s = pixdim(i).abs();
        if s.is_finite() && s > 0.0 { s } else { 1.0 }
    });
    let three = |first: usize, second: usize| [0, 1, 2].map(|i| layout.real(f, first, second, i));
    let qfac = if pixdim(0) < 0.0 { -1.0 } else { 1.0 };
    let q_affine = quaternion::to_affine(three(256, 352), three(268, 376), spacing, qfac);
    let mut s_affine = [[0.0; 4]; 3];
    for (r, row) in s_affine.iter_mut().enumerate() {
        (0..4).for_each(|c| row[c] = layout.real(f, 280, 400, r * 4 + c));
    }
    let (qform_code, sform_code) = (layout.code(f, 252, 344), layout.code(f, 254, 348));
    let broken = |code: i16, a: &[[f64; 4]; 3]| code > 0 && a.iter().flatten().any(|v| !v.is_finite());
    if broken(qform_code, &q_affine) || broken(sform_code, &s_affine) {
        return Err(Error::invalid("the NIfTI header has an affine that is not finite"));
    }
    let q_affine = if qform_code > 0 { q_affine } else { Geometry::unknown(spacing).qform.affine };
    let units = if layout.second { f.i32(500) as u8 } else { f.bytes.get(123).copied().unwrap_or(0) };
    let sform = Form { code: sform_code, affine: if sform_code > 0 { s_affine } else { q_affine } };
    Ok(Geometry { qform: Form { code: qform_code, affine: q_affine }, sform, units })
}
