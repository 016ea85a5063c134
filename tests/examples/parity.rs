//! Compares networks with PyTorch: every `NAME.pt2` and `NAME.onnx` of a folder that has a `NAME.check.safetensors`
//! beside it (`python bench/models.py --out FOLDER`). Prints a row of docs/MODELS.md for each.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use voxplain::cpu::Cpu;
use voxplain::models::{Constant, read_tensors};
use voxplain::{Error, Model, Result};
use voxplain_oracle::Oracle;
use voxplain_tests::parity::{compare, completeness};
use voxplain_tests::values;

/// The row of one file, and whether PyTorch agrees.
fn row(path: &Path, check: &Path) -> Result<(String, bool)> {
    let start = Instant::now();
    let model = Model::open(path)?;
    let took = start.elapsed().as_secs_f64();
    let bytes = std::fs::read(check).map_err(|e| Error::invalid(format!("{}: {e}", check.display())))?;
    let check = read_tensors(&bytes)?.0;
    let parity = compare(&model, &check, &Cpu::best())?;
    // Saving must keep the network, too.
    let again = Model::from_bytes(&model.to_bytes()?)?;
    let saved = compare(&again, &check, &Cpu::best())?;
    let same = saved.output == parity.output && saved.gradient == parity.gradient;
    // Where a rectifier stands within rounding of its kink, single precision may take the other side, as PyTorch's does
    // for other inputs; double precision then decides whether the gradient is right.
    let double = (parity.gradient > 1e-4).then(|| compare(&model, &check, &Oracle)).transpose()?;
    let in_double = double.map_or_else(String::new, |p| format!("{:.1e}", p.gradient));
    let right = double.map_or(parity.gradient, |p| p.gradient) < 1e-4;
    let [lift, path] = completeness(&model, &check, &Cpu::best())?;
    let text = format!(
        "{} | {:.1} | {:.1e} | {:.1e} | {:.1e} | {:.1e} | {in_double} | {lift:.1e} | {path:.1e} | {took:.2} s{} |",
        model.graph.nodes().len(),
        model.graph.parameter_count() as f64 / 1e6,
        parity.output,
        peer(&check, 0),
        parity.gradient,
        peer(&check, 1),
        if same { "" } else { ", changed by saving" }
    );
    Ok((text, parity.output < 1e-4 && right && same))
}

/// The largest error of PyTorch in single precision: of the output (0) or the gradient (1).
fn peer(check: &BTreeMap<String, Constant>, part: usize) -> f64 {
    let all = check.iter().filter(|(key, _)| key.ends_with("/peer")).map(|(_, c)| values(c));
    all.filter_map(|v| v.get(part).copied()).fold(0.0, f64::max)
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        println!("usage: parity FOLDER");
        return ExitCode::from(2);
    };
    let all = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        all.filter(|p| p.extension().is_some_and(|e| e == "pt2" || e == "onnx")).collect();
    files.sort();
    println!(
        "| network | door | nodes | weights (M) | output error | PyTorch's in single precision | gradient error | \
         PyTorch's in single precision | gradient error in double precision | DeepLift completeness | IG completeness | \
         read in |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut failed = 0;
    for path in files {
        let check = path.with_extension("check.safetensors");
        if !check.is_file() {
            continue;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let door = path.extension().unwrap_or_default().to_string_lossy();
        let (text, agrees) = row(&path, &check).unwrap_or_else(|e| (format!("refused: {e}"), false));
        failed += usize::from(!agrees);
        println!("| {stem} | {door} | {text}{}", if agrees { "" } else { " **differs**" });
    }
    println!("\n{failed} differ");
    ExitCode::from(u8::from(failed > 0))
}
