"""Seconds of perturbation methods, ours and PyTorch + Captum's, on the same networks, weights, inputs and regions.

  python bench/perturbation.py                      the volumes with a background of zeros; prints a table in Markdown
  python bench/perturbation.py --worst              no background, regions of scattered voxels
  python bench/perturbation.py --networks genenet --methods Occlusion

Captum takes hours for what is measured here, so it is timed on a part of each method's evaluations, called as a user calls
it, and scaled by the number that the whole takes. Ours runs to its end. Run it on an idle machine:
`cargo build --release -p voxplain-bench` first.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from speed import ROOT, build, export, settle

WINDOWS = {"genenet": (11, 5), "resnet18": (16, 8), "triplemrnet": (32, 16)}
METHODS = {
    "genenet": ["FeatureAblation", "FeaturePermutation", "KernelShap", "Lime", "ShapleyValueSampling", "Occlusion"],
    "resnet18": ["Occlusion"],
    "triplemrnet": ["Occlusion"],
}
ORDERS, KERNEL_ROWS, LIME_ROWS = 25, 300, 500
REGIONS = 50


def head(shape):
    """An ellipsoid of about a fifth of a volume."""
    import torch
    axes = [torch.linspace(-1, 1, n) for n in shape]
    grids = torch.meshgrid(*axes, indexing="ij")
    return sum((g / r) ** 2 for g, r in zip(grids, (0.62, 0.78, 0.64))) < 1


def regions(inside, count, scattered, generator):
    """Region numbers from 1, compact (nearest of some points) or scattered; 0 outside."""
    import torch
    labels = torch.zeros(inside.shape, dtype=torch.int64)
    places = inside.nonzero()
    if scattered:
        labels[inside] = torch.randint(1, count + 1, (len(places),), generator=generator)
        return labels
    points = places[torch.randperm(len(places), generator=generator)[:count]]
    nearest = [torch.cdist(part.float(), points.float()).argmin(1) for part in places.split(100_000)]
    labels[inside] = torch.cat(nearest) + 1
    return labels


def case(name, worst):
    """The network, inputs of one example, and masks: of single channels, and joint over them."""
    import torch
    generator = torch.Generator().manual_seed(1)
    model, shapes, _ = build(name)
    shapes = [(1, *s[1:]) if name == "resnet18" else s for s in shapes]
    inputs = [torch.rand(s, generator=generator) for s in shapes]
    if name != "genenet":
        return settle(model, inputs), inputs, None, None
    shape = shapes[0][2:]
    inside = torch.ones(shape, dtype=torch.bool) if worst else head(shape)
    inputs = [(inputs[0] + 0.1) * inside]
    labels = regions(inside, REGIONS, worst, generator)
    channels = inputs[0].shape[1]
    joint = labels.expand(1, channels, *shape).contiguous()
    own = torch.stack([torch.where(labels > 0, labels + c * REGIONS, 0) for c in range(channels)])[None]
    return settle(model, inputs), inputs, own, joint


def windows(inputs, size, stride):
    """How many there are over each input, and Captum's parameters."""
    counts, shapes, strides = [], [], []
    for x in inputs:
        channels = 1 if x.dim() == 5 else x.shape[1]
        sizes = (channels, *[size] * (x.dim() - 2))
        steps = (channels, *[stride] * (x.dim() - 2))
        count = 1
        for n, w, s in zip(x.shape[1:], sizes, steps):
            count *= max(0, -(-(n - w) // s)) + 1
        counts.append(count)
        shapes.append(sizes)
        strides.append(steps)
    return counts, tuple(shapes), tuple(strides)


def few(labels, count):
    """Masks of the first regions alone."""
    import torch
    return torch.where(labels <= count, labels, 0)


def peer(name, method, model, inputs, own, joint):
    """Seconds of some evaluations of Captum's, how many they were, and how many the whole takes."""
    import captum.attr as ca
    import torch
    data = tuple(inputs) if len(inputs) > 1 else inputs[0]
    size, stride = WINDOWS[name]
    if method == "Occlusion":
        counts, shapes, strides = windows(inputs, size, stride)
        part = 12 * len(inputs)
        return occlusion_part(model, inputs, shapes, strides, part), part, sum(counts) + 1
    count = int(own.max())
    calls = {
        "FeatureAblation": (lambda: ca.FeatureAblation(model).attribute(data, target=0, feature_mask=few(own, 12)), 13, count + 1),
        "FeaturePermutation": (
            lambda: ca.FeaturePermutation(model).attribute(torch.cat([data, data.flip(2)]), target=0, feature_mask=few(joint, 4)),
            2 * 6, 2 * (int(joint.max()) + 2)),
        "ShapleyValueSampling": (
            lambda: ca.ShapleyValueSampling(model).attribute(data, target=0, feature_mask=few(own, 12), n_samples=1),
            14, ORDERS * (count + 1) + 1),
        "KernelShap": (
            lambda: ca.KernelShap(model).attribute(data, target=0, feature_mask=few(joint, 12), n_samples=15), 15, KERNEL_ROWS),
        "Lime": (lambda: ca.Lime(model).attribute(data, target=0, feature_mask=few(own, 12), n_samples=15), 15, LIME_ROWS),
    }
    call, part, whole = calls[method]
    start = time.perf_counter()
    call()
    return time.perf_counter() - start, part, whole


def occlusion_part(model, inputs, shapes, strides, part):
    """Seconds of the first evaluations of Captum's occlusion, which does the same work for every window."""
    import captum.attr as ca
    import torch

    class Enough(Exception):
        pass

    left = part

    def forward(*x):
        nonlocal left
        if left == 0:
            raise Enough
        left -= 1
        with torch.no_grad():
            return model(*x)

    one = (lambda t: t) if len(inputs) > 1 else (lambda t: t[0])
    start = time.perf_counter()
    try:
        ca.Occlusion(forward).attribute(
            one(tuple(inputs)), sliding_window_shapes=one(shapes), strides=one(strides), target=0)
    except Enough:
        pass
    return time.perf_counter() - start


def ours(folder, name, methods, threads, mode):
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    program = Path(target) / "release" / "perturbation"
    size, stride = WINDOWS[name]
    masks = [str(folder / f"{m}.npy") if (folder / f"{m}.npy").exists() else "-" for m in ("own", "joint")]
    files = sorted(str(p) for p in folder.glob("x*.npy"))
    words = [program, folder / "model.pt2", str(threads), mode, ",".join(methods), f"{size}/{stride}", *masks, *files]
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {r["method"]: r for r in map(json.loads, output.splitlines())}


def measure(name, methods, threads, worst, folder):
    import numpy as np
    import torch
    torch.set_num_threads(threads)
    model, inputs, own, joint = case(name, worst)
    export(model, inputs, folder / "model.pt2")
    for i, x in enumerate(inputs):
        np.save(folder / f"x{i}.npy", x.numpy())
    for mask, labels in (("own", own), ("joint", joint)):
        if labels is not None:
            np.save(folder / f"{mask}.npy", labels.numpy().astype(np.float32))
    mine = ours(folder, name, methods, threads, "parts")
    title = "no background, scattered regions" if worst else "background of zeros, compact regions"
    print(f"\n### {name}, {threads} threads, {title if own is not None else 'random images'}\n")
    print("| method | evaluations | voxplain, s | PyTorch + Captum, s (scaled from) | ratio |")
    print("|---|---|---|---|---|")
    for method in methods:
        seconds, part, whole = peer(name, method, model, inputs, own, joint)
        scaled, got = seconds / part * whole, mine[method]
        print(f"| {method} | {got['evaluations']} | {got['seconds']:.1f} | {scaled:.0f} ({part} in {seconds:.1f} s) "
              f"| {scaled / got['seconds']:.1f} |", flush=True)
    print(f"\nPeak memory of the process: voxplain {max(r['peak_mb'] for r in mine.values()):.0f} MB.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(METHODS))
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--worst", action="store_true", help="no background of zeros, regions of scattered voxels")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--keep", help="a folder for networks and inputs, which stay there")
    arguments = parser.parse_args()
    import captum
    import torch
    print(f"torch {torch.__version__}, captum {captum.__version__}, {torch.backends.cpu.get_cpu_capability()}", flush=True)
    for name in arguments.networks:
        methods = arguments.methods or METHODS[name]
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(arguments.keep or folder)
            folder.mkdir(exist_ok=True)
            measure(name, methods, arguments.threads, arguments.worst, folder)


if __name__ == "__main__":
    main()
