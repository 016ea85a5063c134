//! Files of a patient under the names of several data sets.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use voxplain_imaging::{Channel, find_case};

/// An empty folder with these empty files.
fn folder(name: &str, files: &[&str]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("voxplain-case-{}", std::process::id())).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for file in files {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, []).unwrap();
    }
    folder
}

fn brats() -> Vec<Channel> {
    ["t1", "t1ce", "t2", "flair"].map(|n| Channel::new(n, &[])).to_vec()
}

fn planes() -> Vec<Channel> {
    ["axial", "coronal", "sagittal"].map(|n| Channel::new(n, &[])).to_vec()
}

fn found(folder: &Path, channels: &[Channel]) -> Vec<String> {
    let files = find_case(folder, channels).unwrap();
    files.iter().map(|f| f.strip_prefix(folder).unwrap().to_string_lossy().into_owned()).collect()
}

fn message(folder: &Path, channels: &[Channel]) -> String {
    find_case(folder, channels).unwrap_err().message().to_string()
}

#[test]
fn names_of_several_data_sets() {
    let sets: [(&str, Vec<Channel>, &[&str]); 6] = [
        ("2018", brats(), &["B_1_t1.nii.gz", "B_1_t1ce.nii.gz", "B_1_t2.nii.gz", "B_1_flair.nii.gz"]),
        ("2023", brats(), &["B-1-t1n.nii.gz", "B-1-t1c.nii.gz", "B-1-t2w.nii.gz", "B-1-t2f.nii.gz"]),
        ("plain", brats(), &["t1.nii", "t1ce.nii", "t2.nii", "flair.nii"]),
        ("nnunet", brats(), &["c_0000.nii.gz", "c_0001.nii.gz", "c_0002.nii.gz", "c_0003.nii.gz"]),
        ("knee", planes(), &["axial.npy", "coronal.npy", "sagittal.npy"]),
        ("mrnet", planes(), &["axial/0007.npy", "coronal/0007.npy", "sagittal/0007.npy"]),
    ];
    for (name, channels, files) in sets {
        let mut there = files.to_vec();
        // None of these is a modality.
        there.extend([
            "B_1_seg.nii.gz",
            "label.txt",
            "._B_1_t1.nii.gz",
            "other/t1.nii.gz",
            "old_t1/x.nii.gz",
        ]);
        assert_eq!(found(&folder(name, &there), &channels), files, "{name}");
    }
}

#[test]
fn a_missing_modality_is_named_with_what_was_looked_for() {
    let at = folder("sub-012", &["x_t1.nii.gz", "x_t2.nii.gz", "x_flair.nii.gz"]);
    assert_eq!(
        message(&at, &brats()),
        "sub-012: 3 of 4 modalities found (t1, t2, flair); t1ce missing. Looked for *_t1ce.nii.gz, *-t1c.nii.gz in \
         sub-012. Pass t1ce=FILE."
    );
    let empty = message(&folder("empty", &[]), &brats());
    assert!(empty.contains("0 of 4 modalities found (none)") && empty.contains("*_0000.nii.gz"), "{empty}");
    assert!(message(Path::new("no/such/folder"), &brats()).contains("give the folder"));
}

#[test]
fn two_candidates_are_listed_and_never_guessed() {
    let at = folder("two", &["a_t1.nii.gz", "b_t1.nii.gz", "a_t1ce.nii.gz", "a_t2.nii.gz", "a_flair.nii.gz"]);
    let text = message(&at, &brats());
    assert!(text.contains("2 files could be t1: a_t1.nii.gz, b_t1.nii.gz. Pass t1=FILE."), "{text}");
    let many: Vec<String> = (0..50).map(|i| format!("axial/{i:04}.npy")).collect();
    let text = message(&folder("many", &many.iter().map(String::as_str).collect::<Vec<_>>()), &planes());
    assert!(text.contains("50 files could be axial") && text.contains("axial/0005.npy, ..."), "{text}");
}
