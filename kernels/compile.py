"""Compiles kernels with NVRTC, without CUDA on the machine: python compile.py NVRTC_FOLDER KERNELS OUT STEM...

For every stem it writes OUT/STEM.ptx (compute capability 8.0) and OUT/STEM.sm_90.cubin. Called by `cargo xtask ptx`.
"""

import concurrent.futures
import ctypes
import os
import pathlib
import sys

TARGETS = {"ptx": "compute_80", "sm_90.cubin": "sm_90"}


def load(folder):
    # NVRTC finds its built-in headers only if their library is loaded already.
    ctypes.CDLL(str(next(folder.glob("libnvrtc-builtins.so.*"))), ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(next(folder.glob("libnvrtc.so.*"))))


def check(code, what):
    if code != 0:
        sys.exit(f"NVRTC: {what} failed with code {code}")


def text(nvrtc, program, name):
    size = ctypes.c_size_t()
    check(getattr(nvrtc, f"nvrtcGet{name}Size")(program, ctypes.byref(size)), name)
    made = ctypes.create_string_buffer(size.value)
    check(getattr(nvrtc, f"nvrtcGet{name}")(program, made), name)
    return made.raw


def compiled(nvrtc, stem, source, target):
    program = ctypes.c_void_p()
    made = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, f"{stem}.cu".encode(), 0, None, None)
    check(made, "creating a program")
    options = [f"--gpu-architecture={target}", "--std=c++17"]
    words = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    code = nvrtc.nvrtcCompileProgram(program, len(options), words)
    log = text(nvrtc, program, "ProgramLog").rstrip(b"\0").decode().strip()
    if log:
        print(log)
    check(code, f"{stem}.cu for {target}")
    if target.startswith("sm"):
        return text(nvrtc, program, "CUBIN")
    # Without the blanks at the ends of lines, which our own checks refuse.
    lines = text(nvrtc, program, "PTX").rstrip(b"\0").splitlines()
    return b"".join(line.rstrip() + b"\n" for line in lines)


def main():
    folder, kernels, out = map(pathlib.Path, sys.argv[1:4])
    nvrtc = load(folder)
    headers = {p.name: p.read_text() for p in kernels.glob("*.cuh")}

    def inlined(source, seen):
        """The source with our headers in place: then no path of the machine can reach the result."""
        lines = []
        for line in source.splitlines():
            name = line.split('"')[1] if line.startswith('#include "') else None
            if name is None:
                lines.append("" if line.startswith("#pragma once") else line)
            elif name not in seen:
                seen.add(name)
                lines.append(inlined(headers[name], seen))
        return "\n".join(lines)

    def written(stem):
        source = inlined((kernels / f"{stem}.cu").read_text(), set()).encode()
        for end, target in TARGETS.items():
            (out / f"{stem}.{end}").write_bytes(compiled(nvrtc, stem, source, target))

    # NVRTC may be called by several threads, and a call does not hold Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(written, sys.argv[4:]))


main()
