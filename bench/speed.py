"""Seconds of every gradient-family method, ours and PyTorch + Captum's, on the same network, weights and inputs, in one run.

  python bench/speed.py                      all four networks; prints a table in Markdown
  python bench/speed.py --networks genenet   one of them
  python bench/speed.py --background         images as skull-stripped brains are: zeros outside of an ellipsoid
  python bench/speed.py --environment DIR    make the Python environment there (torch, captum, monai, torchvision from PyPI)

Two opponents: (a) PyTorch and Captum as a user writes it, and (b) PyTorch tuned by hand: batch normalisation folded into the
convolutions, channels_last. Both run single precision on as many threads as we do. We run twice, as we are and with
`--fast`. Medians; the first call is not counted.
Run it on an idle machine: `cargo build --release -p voxplain-bench` first.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["torch", "torchvision", "captum", "monai", "numpy", "safetensors", "scikit-learn"]


def in_environment(folder):
    """Runs this script again with the Python of a virtual environment, made first if need be."""
    python = Path(folder) / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    os.execv(python, [str(python), __file__, *[a for a in sys.argv[1:] if a != "--environment" and a != folder]])


def build(name):
    """The network, its input shapes, and the layer of GradCAM (as PyTorch and as we name it)."""
    import torch
    sys.path.insert(0, str(ROOT / "bench"))
    torch.manual_seed(0)
    if name == "genenet":
        from architectures import GeneNet
        model = GeneNet(4, (16, 32, 64, 128, 128, 128), (1, 2, 2, 2, 2, 2), 128, 4096, 2)
        return model, [(1, 4, 128, 128, 128)], "conv6.op.6"
    if name == "densenet121-3d":
        from monai.networks.nets import DenseNet121
        return DenseNet121(spatial_dims=3, in_channels=4, out_channels=2), [(1, 4, 96, 96, 96)], "features.norm5"
    if name == "resnet18":
        from torchvision.models import resnet18
        return resnet18(num_classes=5), [(8, 3, 224, 224)], "layer4"
    if name == "triplemrnet":
        from architectures import TripleMRNet
        return TripleMRNet("alexnet"), [(1, 25, 3, 224, 224)] * 3, None
    raise SystemExit(f"no network {name}")


def settle(model, inputs):
    """Statistics of batch normalisation that fit the data, so that activations neither vanish nor grow."""
    import torch
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(*[x[: max(1, x.shape[0])] for x in inputs])
    return model.eval()


def folded(model, inputs):
    """(b): batch normalisation folded, channels last."""
    import torch
    from torch.fx.experimental.optimization import fuse
    try:
        model = fuse(model)
    except Exception as error:  # networks that cannot be traced stay as they are
        print(f"(not folded: {type(error).__name__})", file=sys.stderr)
    form = {4: torch.channels_last, 5: torch.channels_last_3d}
    ranks = {x.dim() for x in inputs}
    if ranks <= {4} or ranks <= {5} and len(inputs) == 1:
        memory = form[max(ranks)]
        model = model.to(memory_format=memory)
        inputs = [x.contiguous(memory_format=memory) for x in inputs]
    return model, inputs


def median(repeats, call):
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[repeats // 2]


def peer_methods(model, inputs, layer):
    """The methods of Captum with the settings of the paper."""
    import captum.attr as ca
    import torch
    data = tuple(x.clone().requires_grad_() for x in inputs)
    zeros = tuple(torch.zeros_like(x) for x in inputs)
    last = dict(model.named_modules()).get(layer) if layer else None

    def gradient():
        return torch.autograd.grad(model(*data)[:, 0].sum(), data)

    calls = {
        "Gradient": (gradient, False),
        "InputXGradient": (lambda: ca.InputXGradient(model).attribute(data, target=0), False),
        "GuidedBackprop": (lambda: ca.GuidedBackprop(model).attribute(data, target=0), False),
        "Deconvolution": (lambda: ca.Deconvolution(model).attribute(data, target=0), False),
        "DeepLift": (lambda: ca.DeepLift(model).attribute(data, zeros, target=0), False),
        "IG50": (lambda: ca.IntegratedGradients(model).attribute(data, zeros, target=0, n_steps=50, internal_batch_size=1), True),
        "GradientShap5": (lambda: ca.GradientShap(model).attribute(data, zeros, target=0, n_samples=5, stdevs=0.0), True),
        "SmoothGrad10": (lambda: ca.NoiseTunnel(ca.Saliency(model)).attribute(
            data, nt_type="smoothgrad", nt_samples=10, nt_samples_batch_size=1, stdevs=0.1, target=0), True),
    }
    if last is not None:
        def grad_cam():
            cam = ca.LayerGradCam(model, last).attribute(data[0], target=0)
            return ca.LayerAttribution.interpolate(cam, data[0].shape[2:])
        calls["GradCAM"] = (grad_cam, False)
        calls["GuidedGradCAM"] = (lambda: ca.GuidedGradCam(model, last).attribute(data[0], target=0), False)
    return calls


def peer(model, inputs, layer, repeats, chosen, paths=True):
    """Seconds by method; methods that fail are left out."""
    import torch
    seconds = {}
    with torch.no_grad():
        seconds["forward"] = median(repeats, lambda: model(*inputs))
    for name, (call, slow) in peer_methods(model, inputs, layer).items():
        if (chosen and name not in chosen) or (slow and not paths):
            continue
        try:
            seconds[name] = median(1 if slow else repeats, call)
        except Exception as error:
            print(f"({name}: {type(error).__name__}: {str(error)[:120]})", file=sys.stderr)
    return seconds


def ours(folder, inputs, layer, repeats, threads, paths):
    import numpy as np
    files = []
    for i, x in enumerate(inputs):
        np.save(folder / f"x{i}.npy", x.numpy())
        files.append(str(folder / f"x{i}.npy"))
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    program = Path(target) / "release" / "methods"
    words = [program, *([] if paths else ["--no-paths"]), folder / "model.pt2", layer or "-", str(repeats), threads, *files]
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = [json.loads(line) for line in output.splitlines()]
    return {r["method"]: r["seconds"] for r in rows}, max(r["peak_mb"] for r in rows)


def export(model, inputs, path):
    import torch
    # Two examples, or the batch would be taken for a constant.
    examples = tuple(torch.cat([x[:1], x[:1]]) for x in inputs)
    free = tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs)
    program = torch.export.export(model, examples, dynamic_shapes=free)
    torch.export.save(program, path)


def brain(x):
    """Zeros outside of an ellipsoid in the middle, a fifth of a volume."""
    import torch
    sizes = x.shape[2:]
    axes = torch.meshgrid(*[(torch.arange(n) - (n - 1) / 2) / (n / 2) for n in sizes], indexing="ij")
    return x * (sum((axis / radius) ** 2 for axis, radius in zip(axes, (0.73, 0.86, 0.69))) < 1)


def measure(name, repeats, threads, paths, background):
    import torch
    torch.set_num_threads(threads)
    model, shapes, layer = build(name)
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.rand(s, generator=generator) for s in shapes]
    model = settle(model, inputs)
    if background:
        inputs = [brain(x) for x in inputs]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        export(model, inputs, folder / "model.pt2")
        mine, memory = ours(folder, inputs, layer, repeats, str(threads), paths)
        fast, _ = ours(folder, inputs, layer, repeats, f"{threads},fast", paths)
    eager = peer(model, inputs, layer, repeats, None, paths)
    tuned = peer(*folded(model, inputs), layer, repeats, {"Gradient"})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    background = ", on a background" if background else ""
    print(f"\n### {name}: {', '.join('x'.join(map(str, s)) for s in shapes)}, {threads} threads{background}\n")
    print("| method | PyTorch + Captum, s | tuned by hand, s | voxplain, s | ratio | to tuned | `--fast`, s | ratio | to tuned |")
    print("|---|---|---|---|---|---|---|---|---|")
    for method, seconds in mine.items():
        together(method, eager)
        cells = [f"{t[method]:.3f}" if method in t else "" for t in (eager, tuned)]
        for seconds in (seconds, fast[method]):
            ratios = [f"{t[method] / seconds:.1f}" if method in t else "" for t in (eager, tuned)]
            cells += [f"{seconds:.3f}", *ratios]
        print(f"| {method} | {' | '.join(cells)} |")
    print(f"\nPeak memory of the process: voxplain {memory:.0f} MB, PyTorch {peak:.0f} MB (both with weights and code).", flush=True)


def together(row, eager):
    """Methods of one request take the peer the sum of their times: it has no way to share passes."""
    single = ["Gradient", "InputXGradient", "GuidedBackprop", "Deconvolution", "GradCAM", "GuidedGradCAM", "DeepLift"]
    measured = [m for m in single if m in eager]
    if row == f"these {len(measured)} in one request":
        eager[row] = sum(eager[m] for m in measured)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["genenet", "densenet121-3d", "resnet18", "triplemrnet"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-paths", action="store_true", help="leave out IG, GradientShap and SmoothGrad: minutes")
    parser.add_argument("--background", action="store_true", help="zeros outside of an ellipsoid")
    parser.add_argument("--environment")
    arguments = parser.parse_args()
    if arguments.environment:
        in_environment(arguments.environment)
    import captum
    import torch
    print(f"torch {torch.__version__}, captum {captum.__version__}, {torch.backends.cpu.get_cpu_capability()}", flush=True)
    for name in arguments.networks:
        measure(name, arguments.repeats, arguments.threads, not arguments.no_paths, arguments.background)


if __name__ == "__main__":
    main()
