//! `cargo xtask bench`: the kernels against this machine's own peak; with `--peers` also whole methods against PyTorch and
//! Captum, in an environment of their own under `target/`. Run it on an idle machine.

use crate::shell;

const BUILD: [&str; 5] = ["cargo", "build", "--release", "-p", "voxplain-bench"];
const KERNELS: [&str; 8] =
    ["cargo", "run", "--release", "--quiet", "-p", "voxplain-bench", "--bin", "kernels"];
const PEERS: [&str; 4] = ["python3", "bench/speed.py", "--environment", "target/bench-environment"];

/// Runs the benchmarks; whether they ran.
pub fn run(peers: bool) -> bool {
    let run = |words: &[&str]| shell::succeeds(words, &[]);
    run(&BUILD) && run(&KERNELS) && (!peers || run(&PEERS))
}
