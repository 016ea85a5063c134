//! `cargo xtask arm`: the CPU kernels compiled for aarch64 and tested, NEON included, under an emulator.
//!
//! Only Debian's packages are needed, no other Rust toolchain: its cross compiler, its standard library for arm64, its
//! linker and QEMU's user mode. Packages of two architectures cannot be installed side by side, so those of the compiler
//! are unpacked into a folder.

use crate::shell;
use std::path::Path;
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Unpacks the compiler into `$1` unless it is there.
const RECIPE: &str = r#"
set -eu
dir=$1
command -v qemu-aarch64-static >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null && [ -x "$dir/rustc" ] && exit 0
dpkg --add-architecture arm64
apt-get update -qq || true
apt-get install -y -qq --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
mkdir -p "$dir" && cd "$dir"
version=$(apt-cache madison libstd-rust-web-dev:arm64 | awk 'NR == 1 { print $3 }')
minor=$(echo "$version" | cut -d. -f1,2)
llvm=$(apt-cache show "libstd-rust-web-$minor:amd64" | grep -o 'libllvm[0-9]*' | head -n 1)
apt-get download -q "rustc-web=$version" "libstd-rust-web-dev:amd64=$version" "libstd-rust-web-$minor:amd64=$version" \
    "libstd-rust-web-dev:arm64=$version" "$llvm:amd64"
for package in ./*.deb; do dpkg -x "$package" root; rm "$package"; done
{
    echo '#!/bin/sh'
    echo "export LD_LIBRARY_PATH=$dir/root/usr/lib/x86_64-linux-gnu:$dir/root/usr/lib"
    echo "exec $dir/root/usr/bin/rustc --sysroot $dir/root/usr \"\$@\""
} > rustc
chmod +x rustc
"#;

/// Installs what is missing and runs the tests of the CPU kernels; whether they passed. Needs a Debian and its root user.
pub fn run() -> bool {
    let folder = shell::root().join("target").join("arm-toolchain");
    let installed = Command::new("sh").args(["-c", RECIPE, "sh"]).arg(&folder).status();
    if !installed.is_ok_and(|status| status.success()) {
        eprintln!("the aarch64 toolchain could not be installed; it needs Debian's packages and root");
        return false;
    }
    tests(&folder.join("rustc"))
}

fn tests(rustc: &Path) -> bool {
    // Doc tests need a rustdoc of the same version, which the packages do not hold.
    let words = ["test", "--target", TARGET, "-p", "voxplain-cpu", "--lib", "--tests"];
    let mut command = Command::new("cargo");
    command.args(words).current_dir(shell::root()).env("RUSTC", rustc);
    command.env("CARGO_TARGET_DIR", shell::root().join("target").join("arm"));
    command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    command.env("VOXPLAIN_EMULATED", "1");
    let emulator = "qemu-aarch64-static -L /usr/aarch64-linux-gnu";
    command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", emulator);
    command.status().is_ok_and(|status| status.success())
}
