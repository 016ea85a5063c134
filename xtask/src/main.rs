//! The project's chores. `cargo xtask tidy` checks what the compiler cannot, `cargo xtask ci` runs what CI runs once
//! its tools are installed, `cargo xtask fuzz` runs the fuzz targets, `cargo xtask ptx` compiles the CUDA kernels,
//! `cargo xtask arm` tests the CPU kernels under an emulator, `cargo xtask bench` measures, `cargo xtask axioms` makes the table of
//! methods and axioms, `cargo xtask gpu` prepares a
//! folder for a host with a GPU and without Rust. Nothing beyond the standard library.

mod arm;
mod axioms;
mod bench;
mod ci;
mod fuzz;
mod gpu;
mod ptx;
mod shell;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy | ci | fuzz [--seconds N] [TARGET] | ptx [--check] | arm | bench [--peers] | gpu | axioms";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ok = match words.split_first() {
        Some((&"tidy", [])) => tidy::run(),
        Some((&"ci", [])) => ci::run(),
        Some((&"fuzz", rest)) => fuzz::run(rest),
        Some((&"arm", [])) => arm::run(),
        Some((&"axioms", [])) => axioms::run(),
        Some((&"bench", [])) => bench::run(false),
        Some((&"bench", ["--peers"])) => bench::run(true),
        Some((&"gpu", [])) => gpu::run(),
        Some((&"ptx", [])) => ptx::run(false),
        Some((&"ptx", ["--check"])) => ptx::run(true),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
