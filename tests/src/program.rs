//! Running the built program as a user would.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use voxplain::imaging::{Phantom, PhantomOptions};

/// The built program: beside the test binary's folder, made once.
pub fn program() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf();
        let release = folder.ends_with("release");
        let mut build = Command::new(cargo);
        // Of the whole workspace, as the tests themselves were: with the features of one package alone, the libraries
        // would be compiled once more.
        build.args(["build", "--quiet", "--workspace", "--bin", "voxplain"]);
        if release {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
        folder.join(format!("voxplain{}", std::env::consts::EXE_SUFFIX))
    })
}

/// Runs it with these words.
pub fn run(words: &[&str]) -> Output {
    Command::new(program()).args(words).output().unwrap()
}

/// A new empty folder for one test.
pub fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("voxplain-program-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The demo network and a phantom patient in `folder`.
pub fn patient(folder: &Path) -> (PathBuf, PathBuf) {
    let model = folder.join("model.safetensors");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/demo.safetensors"), &model).unwrap();
    let options =
        PhantomOptions { dims: [24, 20, 22], orientation: "LPS".into(), ..PhantomOptions::default() };
    Phantom::generate(&options).unwrap().write(folder, "patient").unwrap();
    (model, folder.join("patient"))
}

/// Fails with this exit code and one sentence that contains `part`; nothing is left in `out`.
pub fn refused(words: &[&str], code: i32, part: &str) {
    let output = run(words);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {message}");
    assert!(message.contains(part), "{words:?}: {message}");
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(
        message.matches("voxplain: ").count(),
        usize::from(!message.starts_with("error:")),
        "{message}"
    );
}
