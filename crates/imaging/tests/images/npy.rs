//! NumPy arrays of every type, order and version, as NumPy itself lays them out.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain_imaging::{read_npy, write_npy};
use voxplain_tensor::{ErrorKind, Tensor};

/// A file with this dictionary.
fn file(version: u8, descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let mut out = b"\x93NUMPY".to_vec();
    out.extend([version, 0]);
    if version == 1 {
        out.extend((header.len() as u16).to_le_bytes());
    } else {
        out.extend((header.len() as u32).to_le_bytes());
    }
    out.extend(header.as_bytes());
    out.extend(data);
    out
}

/// The number in the bytes of a type, little-endian.
fn bytes(kind: &str, v: i64) -> Vec<u8> {
    match kind {
        "f4" => (v as f32).to_le_bytes().to_vec(),
        "f8" => (v as f64).to_le_bytes().to_vec(),
        _ => v.to_le_bytes()[..kind[1..].parse().unwrap()].to_vec(),
    }
}

proptest! {
    #[test]
    fn every_type_endianness_order_and_version(
        kind in prop::sample::select(vec!["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]),
        big: bool, fortran: bool, version in 1u8..4, values in prop::collection::vec(-120i64..120, 6),
    ) {
        let values: Vec<i64> = values.into_iter().map(|v| if kind.starts_with('u') { v.abs() } else { v }).collect();
        // Element (i, j) of 2 x 3 is at i + 2 j in Fortran order.
        let stored = if fortran { [0, 3, 1, 4, 2, 5] } else { [0, 1, 2, 3, 4, 5] };
        let mut data = Vec::new();
        for i in stored {
            let mut b = bytes(kind, values[i]);
            if big { b.reverse(); }
            data.extend(b);
        }
        let sign = if big { '>' } else { '<' };
        let order = if fortran { "True" } else { "False" };
        let have = read_npy(&file(version, &format!("{sign}{kind}"), order, "(2, 3)", &data)).unwrap();
        let want = values.iter().map(|&v| v as f32).collect();
        prop_assert_eq!(have, Tensor::new(&[2, 3], want).unwrap());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        descr in "[<>|=]?[a-z][0-9]{0,3}|é", shape in "\\(([0-9]{0,20}, ?){0,9}\\)|\\(", version in 0u8..5,
        data in prop::collection::vec(any::<u8>(), 0..64), cut in 0usize..200,
    ) {
        let mut bytes = file(version, &descr, "True", &shape, &data);
        bytes.truncate(cut);
        let _ = read_npy(&bytes);
    }
}

#[test]
fn truth_values_single_numbers_and_refusals() {
    let truth = read_npy(&file(1, "|b1", "False", "(3,)", &[0, 1, 1])).unwrap();
    assert_eq!(truth.data(), [0.0, 1.0, 1.0]);
    let one = read_npy(&file(1, "<f4", "False", "()", &2.5f32.to_le_bytes())).unwrap();
    assert_eq!((one.shape().rank(), one.data()), (0, &[2.5f32][..]));
    for descr in ["<c8", "|O", "<U4", "<f2", "<M8[ns]"] {
        let error = read_npy(&file(1, descr, "False", "(1,)", &[0; 64])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{descr}: {error}");
    }
    let short = read_npy(&file(1, "<f8", "False", "(4,)", &[0; 31])).unwrap_err();
    assert!(short.message().contains("31 bytes of 32"), "{short}");
}

#[test]
fn both_precisions_are_written_exactly() {
    let folder = std::env::temp_dir().join(format!("voxplain-npy-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("a.npy");
    write_npy(&path, &Tensor::new(&[1, 2], vec![0.1f64, -3.0]).unwrap()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((bytes.len() - 16) % 64, 0, "NumPy aligns data to 64 bytes");
    assert!(
        String::from_utf8_lossy(&bytes[10..80]).contains("'<f8', 'fortran_order': False, 'shape': (1, 2)")
    );
    assert_eq!(bytes[bytes.len() - 16..][..8], 0.1f64.to_le_bytes());
    write_npy(&path, &Tensor::new(&[2], vec![0.1f32, -3.0]).unwrap()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(String::from_utf8_lossy(&bytes[10..80]).contains("'<f4', 'fortran_order': False, 'shape': (2,)"));
    assert_eq!(read_npy(&bytes).unwrap().data(), [0.1, -3.0]);
    std::fs::remove_dir_all(folder).unwrap();
}
