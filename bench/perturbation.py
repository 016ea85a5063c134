"""Seconds of perturbation methods, ours and PyTorch + Captum's, on the same networks, weights, inputs and regions.

  python bench/perturbation.py                      the volumes with a background of zeros; prints a table in Markdown
  python bench/perturbation.py --worst              GeneNet without background, regions of scattered voxels
  python bench/perturbation.py --networks genenet --methods Occlusion
  python bench/perturbation.py --tiny               every row on small networks and images: whether it runs, not how fast

Captum takes hours for what is measured here. It is called as a user calls it on two slices of different sizes, which tell
what an evaluation costs and what a call costs beside (Captum's Shapley sampling goes through every voxel in Python for every
order); the evaluations are counted in the network. Both are scaled by the exact numbers that the whole takes. Ours runs to
its end. On an idle machine, after `cargo build --release -p voxplain-bench`, in a Python with torch, torchvision, captum,
monai, scikit-learn and numpy (`bench/speed.py --environment DIR` makes it), the rows and the minutes to expect on 2
cores, peers included:

  python bench/perturbation.py --networks genenet --methods Occlusion                  9
  python bench/perturbation.py --networks genenet --methods FeatureAblation            2
  python bench/perturbation.py --networks genenet --methods FeaturePermutation         2
  python bench/perturbation.py --networks genenet --methods KernelShap Lime            6
  python bench/perturbation.py --networks genenet --methods ShapleyValueSampling --fast 9
  python bench/perturbation.py --networks resnet18 --fast                              1
  python bench/perturbation.py --networks triplemrnet                                 15
  python bench/perturbation.py --worst --methods FeatureAblation KernelShap Lime      10
  python bench/perturbation.py --worst --methods Occlusion                            20
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from speed import ROOT, build, export, settle

# Sizes and steps along all axes behind the first, as the study has them for volumes and stacks of slices.
WINDOWS = {
    "genenet": ((1, 11, 11, 11), (1, 5, 5, 5)),
    "resnet18": ((3, 16, 16), (3, 8, 8)),
    "triplemrnet": ((5, 3, 11, 11), (5, 3, 5, 5)),
}
METHODS = {
    "genenet": ["FeatureAblation", "FeaturePermutation", "KernelShap", "Lime", "ShapleyValueSampling", "Occlusion"],
    "resnet18": ["Occlusion"],
    "triplemrnet": ["Occlusion"],
}
ORDERS, KERNEL_ROWS, LIME_ROWS = 25, 300, 500
REGIONS = 50
# Seconds that tell enough of a slice of Captum's occlusion.
LEAST = 3.0


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


def small(name):
    """A network of the same kind and the shapes of its inputs, on which every row takes seconds."""
    from architectures import GeneNet
    if name == "genenet":
        return GeneNet(4, (4, 8, 8), (1, 2, 2), 32, 16, 2), [(1, 4, 32, 32, 32)]
    model, shapes, _ = build(name)
    return model, [(*s[:2], 64, 64) if name == "resnet18" else (1, 2, 3, 96, 96) for s in shapes]


def case(name, worst, tiny=False):
    """The network, inputs of one example, and masks: of single channels, and joint over them."""
    import torch
    generator = torch.Generator().manual_seed(1)
    model, shapes = small(name) if tiny else build(name)[:2]
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
        # Captum refuses windows that are larger than an input.
        sizes, steps = [tuple(map(min, of, x.shape[1:])) for of in (size, stride)]
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


class Counted:
    """A network that counts the examples that go through it, and the seconds that they take."""

    def __init__(self, model):
        self.model, self.rows, self.seconds = model, 0, 0.0

    def __call__(self, *x):
        import torch
        self.rows += x[0].shape[0]
        start = time.perf_counter()
        with torch.no_grad():
            result = self.model(*x)
        self.seconds += time.perf_counter() - start
        return result


def measured(model, call):
    """Seconds of a call of Captum's on a network, how many examples went through it, and the seconds in it for each."""
    counted = Counted(model)
    start = time.perf_counter()
    call(counted)
    return time.perf_counter() - start, counted.rows, counted.seconds / max(counted.rows, 1)


def peer(name, method, model, inputs, own, joint):
    """Seconds that the whole of a method takes Captum, how many evaluations it is, and from what that is scaled."""
    import captum.attr as ca
    import torch
    data = tuple(inputs) if len(inputs) > 1 else inputs[0]
    if method == "Occlusion":
        counts, shapes, strides = windows(inputs, *WINDOWS[name])
        whole = sum(counts) + 1
        part = min(12 * len(inputs), whole)
        seconds = occlusion_part(model, inputs, shapes, strides, part)
        if seconds < LEAST:
            # The first evaluations cost more than others.
            part = min(int(part * LEAST / seconds), whole)
            seconds = occlusion_part(model, inputs, shapes, strides, part)
        return seconds / part * whole, whole, f"{part} in {seconds:.1f} s"
    features, shared = [len(torch.unique(mask)) for mask in (own, joint)]
    batch = torch.cat([data, data.flip(2)])
    calls = {
        "FeatureAblation": lambda f, k: ca.FeatureAblation(f).attribute(data, target=0, feature_mask=few(own, k)),
        "FeaturePermutation": lambda f, k: ca.FeaturePermutation(f).attribute(batch, target=0, feature_mask=few(joint, k)),
        "ShapleyValueSampling": lambda f, k: ca.ShapleyValueSampling(f).attribute(
            data, target=0, feature_mask=few(own, k), n_samples=1),
        "KernelShap": lambda f, k: ca.KernelShap(f).attribute(data, target=0, feature_mask=joint, n_samples=k + 3),
        "Lime": lambda f, k: ca.Lime(f).attribute(data, target=0, feature_mask=own, n_samples=k + 3),
    }
    # How often the whole pays for a call, and its evaluations.
    times, whole = {
        "FeatureAblation": (1, features + 1),
        "FeaturePermutation": (1, 2 * (shared + 1)),
        "ShapleyValueSampling": (ORDERS, ORDERS * features + 2),
        "KernelShap": (1, KERNEL_ROWS),
        "Lime": (1, LIME_ROWS),
    }[method]
    # An order costs Captum's Shapley sampling so much beside its evaluations that a few of these would be lost in the scatter.
    slices = (3, 48) if method == "ShapleyValueSampling" else (3, 12)
    (few_s, few_n, _), (more_s, more_n, inside) = [measured(model, lambda f: calls[method](f, k)) for k in slices]
    # No evaluation takes less than the network alone, however the two calls scatter.
    each = max((more_s - few_s) / (more_n - few_n), inside)
    beside = max(few_s - few_n * each, 0.0)
    scaled = times * beside + whole * each
    return scaled, whole, f"{few_n} in {few_s:.1f} s and {more_n} in {more_s:.1f} s"


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
    size, stride = [",".join(map(str, of)) for of in WINDOWS[name]]
    masks = [str(folder / f"{m}.npy") if (folder / f"{m}.npy").exists() else "-" for m in ("own", "joint")]
    files = sorted(str(p) for p in folder.glob("x*.npy"))
    words = [program, folder / "model.pt2", str(threads), mode, ",".join(methods), f"{size}/{stride}", *masks, *files]
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {r["method"]: r for r in map(json.loads, output.splitlines())}


def measure(name, methods, options, folder):
    threads, worst, tiny, fast = options.threads, options.worst, options.tiny, options.fast
    import numpy as np
    import torch
    torch.set_num_threads(threads)
    model, inputs, own, joint = case(name, worst, tiny)
    export(model, inputs, folder / "model.pt2")
    for i, x in enumerate(inputs):
        np.save(folder / f"x{i}.npy", x.numpy())
    for mask, labels in (("own", own), ("joint", joint)):
        if labels is not None:
            np.save(folder / f"{mask}.npy", labels.numpy().astype(np.float32))
    runs = [ours(folder, name, methods, threads, mode) for mode in (("parts", "fast") if fast else ("parts",))]
    title = "no background, scattered regions" if worst else "background of zeros, compact regions"
    print(f"\n### {name}, {threads} threads, {title if own is not None else 'random images'}\n")
    print("| method | evaluations, voxplain and Captum | PyTorch + Captum, s (scaled from) | voxplain, s | ratio |"
          + " `--fast`, s | ratio |" * fast)
    print("|---|---|---|---|---|" + "---|---|" * fast)
    for method in methods:
        scaled, whole, source = peer(name, method, model, inputs, own, joint)
        ratios = "".join(f" {r[method]['seconds']:.1f} | {scaled / r[method]['seconds']:.1f} |" for r in runs)
        evaluations = runs[0][method]["evaluations"]
        print(f"| {method} | {evaluations}, {whole} | {scaled:.0f} ({source}) |{ratios}", flush=True)
    print(f"\nPeak memory of the process: voxplain {max(r['peak_mb'] for run in runs for r in run.values()):.0f} MB.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(METHODS))
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--worst", action="store_true", help="no background of zeros, regions of scattered voxels")
    parser.add_argument("--tiny", action="store_true", help="small networks and images: whether every row runs")
    parser.add_argument("--fast", action="store_true", help="ours with `--fast`'s filtering too")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--keep", help="a folder for networks and inputs, which stay there")
    arguments = parser.parse_args()
    import captum
    import torch
    print(f"torch {torch.__version__}, captum {captum.__version__}, {torch.backends.cpu.get_cpu_capability()}", flush=True)
    # Without regions and background there is no worse case.
    networks = arguments.networks or (["genenet"] if arguments.worst else list(METHODS))
    for name in networks:
        methods = [m for m in METHODS[name] if m in (arguments.methods or METHODS[name])]
        if not methods:
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(arguments.keep or folder)
            folder.mkdir(exist_ok=True)
            measure(name, methods, arguments, folder)


if __name__ == "__main__":
    main()
