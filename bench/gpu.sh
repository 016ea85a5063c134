#!/usr/bin/env bash
# Tests and measures on a host with a GPU; `cargo xtask gpu` puts this file beside everything that it needs. The benchmark
# needs Python with torch, captum and numpy. Options go to gpu.py (--size N, --full). Ends with the first failure of the
# device suites: numbers of wrong maps are worth nothing.
set -euo pipefail
cd "$(dirname "$0")"
export VOXPLAIN_SHARED=$PWD/shared

if ! nvidia-smi -L > /dev/null 2>&1; then
    printf 'skipped: no GPU (nvidia-smi finds none), nothing was tested or measured\n' >&2
    exit 1
fi
printf '== the GPU\n'
nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv

printf '\n== the device suites: every kernel against the oracle, reference cases, parity, the same bits\n'
for suite in suites/*; do
    # A lot of work on small networks, one test at a time: they share the GPU.
    "$suite" --nocapture --test-threads 1 gpu
done | tee suite.log
if grep -q SKIPPED suite.log; then
    printf 'the suites did not run on the GPU\n' >&2
    exit 1
fi

printf '\n== every method against PyTorch + Captum\n'
python3 gpu.py --device cuda:0 --out RESULTS-gpu.md "$@"
printf '\nRESULTS-gpu.md is the part of bench/RESULTS.md on GPUs\n'
