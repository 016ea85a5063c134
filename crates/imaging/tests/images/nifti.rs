//! NIfTI of every type, version and endianness; headers that lie; geometry that must survive a round trip.
#![allow(clippy::unwrap_used)]

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::io::Write;
use voxplain_imaging::{Form, Geometry, Volume, WriteOptions, read_nifti, read_nifti_bytes, write_nifti};

/// Fields of a file made by hand.
#[derive(Clone, Debug)]
struct Made {
    second: bool,
    big: bool,
    code: i16,
    /// The number of axes, then their sizes.
    dims: [i64; 8],
    slope: [f64; 2],
    /// Bytes of extensions between header and voxels.
    extension: usize,
}

impl Made {
    fn new(code: i16, dims: [i64; 8]) -> Self {
        Self { second: false, big: false, code, dims, slope: [0.0, 0.0], extension: 0 }
    }

    fn put<const N: usize>(&self, h: &mut [u8], at: usize, mut little: [u8; N]) {
        if self.big {
            little.reverse();
        }
        h[at..at + N].copy_from_slice(&little);
    }

    fn real(&self, h: &mut [u8], first: usize, second: usize, v: f64) {
        if self.second {
            self.put(h, second, v.to_le_bytes());
        } else {
            self.put(h, first, (v as f32).to_le_bytes());
        }
    }

    fn bytes(&self, values: &[i64]) -> Vec<u8> {
        let size = if self.second { 540 } else { 348 };
        let offset = size + 4 + self.extension;
        let mut h = vec![0u8; offset];
        self.put(&mut h, 0, (size as i32).to_le_bytes());
        for (i, &d) in self.dims.iter().enumerate() {
            if self.second {
                self.put(&mut h, 16 + 8 * i, d.to_le_bytes());
            } else {
                self.put(&mut h, 40 + 2 * i, (d as i16).to_le_bytes());
            }
        }
        self.put(&mut h, if self.second { 12 } else { 70 }, self.code.to_le_bytes());
        let magic: &[u8] = if self.second { b"n+2\0" } else { b"n+1\0" };
        let at = if self.second { 4 } else { 344 };
        h[at..at + 4].copy_from_slice(magic);
        if self.second {
            self.put(&mut h, 168, (offset as i64).to_le_bytes());
        } else {
            self.put(&mut h, 108, (offset as f32).to_le_bytes());
        }
        self.real(&mut h, 112, 176, self.slope[0]);
        self.real(&mut h, 116, 184, self.slope[1]);
        values.iter().for_each(|&v| self.value(&mut h, v));
        h
    }

    fn value(&self, out: &mut Vec<u8>, v: i64) {
        let mut bytes = match self.code {
            2 | 256 => (v as i8).to_le_bytes().to_vec(),
            4 | 512 => (v as i16).to_le_bytes().to_vec(),
            8 | 768 => (v as i32).to_le_bytes().to_vec(),
            16 => (v as f32).to_le_bytes().to_vec(),
            64 => (v as f64).to_le_bytes().to_vec(),
            _ => v.to_le_bytes().to_vec(),
        };
        if self.big {
            bytes.reverse();
        }
        out.extend(bytes);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn message(bytes: &[u8]) -> String {
    read_nifti_bytes(bytes, None).unwrap_err().message().to_string()
}

const CODES: [i16; 10] = [2, 256, 512, 4, 768, 8, 1280, 1024, 16, 64];

proptest! {
    #[test]
    fn every_type_version_and_endianness_reads_the_same_numbers(
        code in prop::sample::select(CODES.to_vec()),
        second: bool, big: bool, zipped: bool,
        dims in [1i64..5, 1i64..5, 1i64..5],
        slope in prop::sample::select(vec![[0.0, 0.0], [0.0, 7.0], [2.0, 0.0], [0.5, -3.0]]),
        extension in prop::sample::select(vec![0usize, 16, 48]),
        values in prop::collection::vec(-120i64..120, 64),
    ) {
        let made = Made { second, big, slope, extension, ..Made::new(code, [3, dims[0], dims[1], dims[2], 0, 0, 0, 0]) };
        let unsigned = [2, 512, 768, 1280].contains(&code);
        let count = (dims[0] * dims[1] * dims[2]) as usize;
        let values: Vec<i64> = values[..count].iter().map(|v| if unsigned { v.abs() } else { *v }).collect();
        let plain = made.bytes(&values);
        let volume = read_nifti_bytes(&if zipped { gzip(&plain) } else { plain }, None).unwrap();
        let [a, b] = if slope[0] == 0.0 { [1.0, 0.0] } else { slope };
        let want: Vec<f32> = values.iter().map(|&v| (v as f64 * a + b) as f32).collect();
        prop_assert_eq!(volume.data, want);
        prop_assert_eq!(volume.dims.map(|d| d as i64), dims);
        prop_assert_eq!(volume.geometry.axis_codes(), None);
    }

    #[test]
    fn any_change_of_a_gzipped_file_is_an_error_or_a_volume(at in 0usize..200, bit in 0u8..8, cut: bool) {
        let made = Made::new(4, [3, 3, 4, 5, 0, 0, 0, 0]);
        let plain = made.bytes(&(0..60).collect::<Vec<_>>());
        let (good, mut bytes) = (read_nifti_bytes(&plain, None).unwrap(), gzip(&plain));
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        if let Ok(volume) = read_nifti_bytes(&bytes, None) {
            // The checksum sees every change of the voxels; only the name and time in gzip's own header are free.
            prop_assert_eq!(volume, good);
        }
    }

    #[test]
    fn arbitrary_headers_never_panic(
        second: bool, big: bool, code in prop::sample::select(CODES.to_vec()),
        dims in prop::array::uniform8(prop::sample::select(vec![-1i64, 0, 1, 2, 3, 7, 32767, 1 << 20, i64::MAX])),
        change in prop::collection::vec((0usize..560, any::<u8>()), 0..6), index in 0usize..3,
    ) {
        let mut bytes = Made { second, big, ..Made::new(code, dims) }.bytes(&[1, 2, 3, 4]);
        for (at, byte) in change {
            if let Some(b) = bytes.get_mut(at) { *b = byte; }
        }
        let _ = read_nifti_bytes(&bytes, Some(index));
        let _ = read_nifti_bytes(&gzip(&bytes), None);
    }
}

#[test]
fn a_volume_of_a_4d_file_is_named_and_ones_behind_are_no_axes() {
    let made = Made::new(4, [4, 2, 1, 1, 3, 0, 0, 0]);
    for bytes in [made.bytes(&[1, 2, 3, 4, 5, 6]), gzip(&made.bytes(&[1, 2, 3, 4, 5, 6]))] {
        assert!(message(&bytes).contains("3 volumes"), "{}", message(&bytes));
        for (i, want) in [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].into_iter().enumerate() {
            assert_eq!(read_nifti_bytes(&bytes, Some(i)).unwrap().data, want);
        }
        assert!(read_nifti_bytes(&bytes, Some(3)).is_err());
    }
    let ones = Made::new(4, [6, 2, 1, 1, 1, 1, 1, 0]).bytes(&[1, 2]);
    assert_eq!(read_nifti_bytes(&ones, None).unwrap().data, [1.0, 2.0]);
}

#[test]
fn refusals_say_what_the_file_is() {
    for (code, name) in [(32, "complex64"), (1792, "complex128"), (128, "RGB24"), (2304, "RGBA32")] {
        assert!(message(&Made::new(code, [3, 1, 1, 1, 0, 0, 0, 0]).bytes(&[0])).contains(name));
    }
    let mut pair = Made::new(4, [3, 1, 1, 1, 0, 0, 0, 0]).bytes(&[0]);
    pair[344..348].copy_from_slice(b"ni1\0");
    assert!(message(&pair).contains(".hdr and .img"));
    let huge = Made::new(64, [3, 32767, 32767, 900, 0, 0, 0, 0]).bytes(&[0]);
    for bytes in [huge.clone(), gzip(&huge)] {
        assert!(message(&bytes).contains("cut off"), "{}", message(&bytes));
    }
    assert!(message(&Made::new(4, [3, -4, 1, 1, 0, 0, 0, 0]).bytes(&[0])).contains("-4 entries"));
    let beyond = Made { second: true, ..Made::new(4, [4, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 0, 0, 0]) };
    assert!(message(&beyond.bytes(&[0])).contains("voxels"));
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("voxplain-nifti-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn forms_codes_units_and_text_are_written_as_they_are() {
    let q = [[0.0, -2.0, 0.0, 5.0], [1.5, 0.0, 0.0, -6.0], [0.0, 0.0, 3.0, 7.0]];
    let s = [[0.1, -2.0, 0.0, 50.0], [1.5, 0.2, 0.0, -60.0], [0.0, 0.3, 3.0, 70.0]]
        .map(|r: [f64; 4]| r.map(|v| f64::from(v as f32)));
    let folder = folder("forms");
    for (qcode, scode) in [(0, 0), (1, 0), (0, 2), (3, 4)] {
        let geometry = Geometry {
            qform: Form { code: qcode, affine: q },
            sform: Form { code: scode, affine: s },
            units: 10,
        };
        let volume = Volume::new([2, 1, 1], vec![1.0, -2.0], geometry).unwrap();
        let options = WriteOptions {
            display: (-2.0, 1.0),
            description: "é".repeat(60),
            estimate_of: Some("saliency".into()),
        };
        let path = folder.join("v.nii");
        write_nifti(&path, &volume, &options).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(std::str::from_utf8(&bytes[148..226]).unwrap(), "é".repeat(39));
        assert_eq!(
            (bytes[226], &bytes[68..70], &bytes[328..336]),
            (0, &1001i16.to_le_bytes()[..], &b"saliency"[..])
        );
        assert_eq!((&bytes[112..116], &bytes[124..128]), (&1f32.to_le_bytes()[..], &1f32.to_le_bytes()[..]));
        let back = read_nifti(&path, None).unwrap();
        let g = back.geometry;
        assert_eq!((g.qform.code, g.sform.code, g.units), (qcode, scode, 10));
        if scode > 0 {
            assert_eq!(g.sform.affine, s);
        }
        if qcode > 0 {
            let worst = q.iter().flatten().zip(g.qform.affine.iter().flatten());
            assert!(worst.fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) < 1e-5);
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn writing_repeats_byte_for_byte_and_long_axes_become_nifti_2() {
    let folder = folder("bytes");
    let affine = [[-1.0, 0.0, 0.0, 0.1], [0.0, 2.0, 0.0, 0.2], [0.0, 0.0, 3.0, 0.3]];
    let volume = Volume::new([40_000, 1, 1], vec![0.5; 40_000], Geometry::from_affine(affine)).unwrap();
    let paths = ["a.nii.gz", "b.nii.gz", "c.nii"].map(|n| folder.join(n));
    for path in &paths {
        write_nifti(path, &volume, &WriteOptions::default()).unwrap();
        let back = read_nifti(path, None).unwrap();
        assert_eq!((back.dims, &back.data), (volume.dims, &volume.data));
        assert_eq!(back.geometry.sform, volume.geometry.sform);
    }
    assert_eq!(std::fs::read(&paths[0]).unwrap(), std::fs::read(&paths[1]).unwrap());
    assert_eq!(std::fs::read(&paths[2]).unwrap()[..12], *b"\x1c\x02\0\0n+2\0\r\n\x1a\n");
    let endless = Geometry::from_affine([[1e300, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
    let bad = Volume::new([1, 1, 1], vec![0.0], endless).unwrap();
    assert!(write_nifti(&folder.join("d.nii"), &bad, &WriteOptions::default()).is_err());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
    std::fs::remove_dir_all(folder).unwrap();
}
