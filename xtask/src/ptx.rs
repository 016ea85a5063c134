//! The compiled kernels: makes `crates/cuda/images` from `kernels/*.cu` with compilers from pinned wheels, which need no
//! GPU, or checks that what is there is what the sources give, byte for byte; and that no kernel spills registers.

use crate::shell;
use std::path::{Path, PathBuf};

/// The most registers of a thread: with 256 threads a block, two blocks then fit on a multiprocessor.
const REGISTERS: u32 = 128;
const ENDS: [&str; 2] = ["ptx", "sm_90.cubin"];

/// Makes the images, or with `check` compares them; whether all is well.
pub fn run(check: bool) -> bool {
    match images(check) {
        Ok(said) => {
            println!("ptx: {said}");
            true
        }
        Err(error) => {
            println!("ptx: {error}");
            false
        }
    }
}

fn images(check: bool) -> Result<String, String> {
    let wheels = wheels()?;
    let (kernels, committed) = (shell::root().join("kernels"), shell::root().join("crates/cuda/images"));
    let made = if check { scratch()?.join("images") } else { committed.clone() };
    std::fs::create_dir_all(&made).map_err(|e| format!("{}: {e}", made.display()))?;
    let stems = stems(&kernels)?;
    let nvrtc = wheels.join("nvidia/cuda_nvrtc/lib");
    let script = kernels.join("compile.py");
    let paths = [&script, &nvrtc, &kernels, &made].map(|p| p.display().to_string());
    let mut words = vec!["python3"];
    words.extend(paths.iter().chain(&stems).map(String::as_str));
    print!("{}", shell::output(&words)?);
    let (kernels, most) = costs(&wheels.join("nvidia/cuda_nvcc/bin/ptxas"), &made, &stems)?;
    if check {
        compare(&stems, &made, &committed)?;
    }
    let verb = if check { "are what the sources give" } else { "made" };
    let files = stems.len();
    Ok(format!("images of {files} files {verb}; {kernels} kernels, {most} registers at most, no spills"))
}

fn scratch() -> Result<PathBuf, String> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), PathBuf::from);
    let folder = target.join("kernels");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(folder)
}

/// The folder with the unpacked wheels; they are fetched once, and again when the list of them changed.
fn wheels() -> Result<PathBuf, String> {
    let list = shell::root().join("kernels/requirements.txt");
    let wanted = std::fs::read_to_string(&list).map_err(|e| format!("{}: {e}", list.display()))?;
    let folder = scratch()?.join("wheels");
    let stamp = folder.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(folder);
    }
    let (list, target) = (list.display().to_string(), folder.display().to_string());
    let words = ["python3", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--upgrade"];
    shell::output(&[&words[..], &["--target", &target, "-r", &list]].concat())?;
    std::fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))?;
    Ok(folder)
}

fn stems(kernels: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(kernels).map_err(|e| format!("{}: {e}", kernels.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut stems: Vec<String> = names.filter_map(|n| n.strip_suffix(".cu").map(String::from)).collect();
    stems.sort();
    Ok(stems)
}

fn compare(stems: &[String], made: &Path, committed: &Path) -> Result<(), String> {
    let mut expected = 0;
    for stem in stems {
        for end in ENDS {
            let name = format!("{stem}.{end}");
            let read = |folder: &Path| std::fs::read(folder.join(&name)).unwrap_or_default();
            if read(made).is_empty() || read(made) != read(committed) {
                return Err(format!(
                    "crates/cuda/images/{name} is not what the sources give: run `cargo xtask ptx`"
                ));
            }
            expected += 1;
        }
    }
    let there = std::fs::read_dir(committed).map_or(0, Iterator::count);
    if there != expected {
        return Err(format!("crates/cuda/images has {there} files, the kernels give {expected}"));
    }
    Ok(())
}

/// The number of kernels and the most registers; an error if one spills or takes too many. Every second file on a thread of
/// its own: the assembler takes its time.
fn costs(ptxas: &Path, images: &Path, stems: &[String]) -> Result<(usize, u32), String> {
    let some = |first: usize| -> Vec<&String> { stems.iter().skip(first).step_by(2).collect() };
    let (even, odd) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| costs_of(ptxas, images, &some(1)));
        (costs_of(ptxas, images, &some(0)), odd.join())
    });
    let ((here, most), (there, more)) = (even?, odd.map_err(|_| "ptxas: reading its report failed")??);
    Ok(((here + there) / 2, most.max(more)))
}

/// As [`costs`] for some files, each kernel counted once for each target.
fn costs_of(ptxas: &Path, images: &Path, stems: &[&String]) -> Result<(usize, u32), String> {
    let (mut kernels, mut most) = (0, 0);
    for stem in stems {
        for target in ["sm_80", "sm_90"] {
            let input = images.join(format!("{stem}.ptx")).display().to_string();
            let program = ptxas.display().to_string();
            let arch = format!("-arch={target}");
            let report = shell::errors(&[&program, "-v", &arch, &input, "-o", "/dev/null"])?;
            for (kernel, registers, spilled) in reports(&report) {
                if spilled > 0 || registers > REGISTERS {
                    let cost =
                        format!("{registers} registers ({REGISTERS} at most) and spills {spilled} bytes");
                    return Err(format!("{stem}.cu, {kernel} on {target}: {cost}"));
                }
                (kernels, most) = (kernels + 1, most.max(registers));
            }
        }
    }
    Ok((kernels, most))
}

/// Name, registers and spilled bytes of every kernel in what `ptxas -v` says.
fn reports(text: &str) -> Vec<(String, u32, u32)> {
    let mut found: Vec<(String, u32, u32)> = Vec::new();
    let before = |line: &str, words: &str| -> u32 {
        let at = line.find(words).unwrap_or(0);
        line[..at].split_whitespace().next_back().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            found.push((rest.split('\'').next().unwrap_or("").into(), 0, 0));
        } else if let Some(last) = found.last_mut() {
            if line.contains("bytes spill stores") {
                last.2 += before(line, "bytes spill stores") + before(line, "bytes spill loads");
            } else if line.contains(" registers") {
                last.1 = before(line, "registers");
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_read() {
        let text = "ptxas info    : 0 bytes gmem\n\
                    ptxas info    : Compiling entry function 'conv' for 'sm_80'\n\
                    ptxas info    : Function properties for conv\n\
                    \x20   0 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads\n\
                    ptxas info    : Used 47 registers, 472 bytes cmem[0]\n";
        assert_eq!(reports(text), [(String::from("conv"), 47, 12)]);
    }
}
