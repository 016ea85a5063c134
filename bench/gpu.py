"""Seconds of every method on a GPU, ours and PyTorch + Captum's, on GeneNet with the same weights and input, in one run.

  python gpu.py --program ./voxplain --device cuda:0 --out RESULTS-gpu.md

The settings are those of Jin et al., except that occlusion's windows lie side by side (steps of 11 voxels instead of 5)
unless --full is given, for both sides. PyTorch runs as a user writes it, with its default of tf32 convolutions; ours runs in
single precision, in tf32 and in f16. A time is the median of three attributions after one that warms up, without loading the
network and planning, with all copies; gradient methods get inputs that are not those of the attribution before; feature
permutation runs on two patients, who exchange features. The last row is the sum of the methods that ran.
`--device cpu --size 64 --trial` (the least that GeneNet takes) tries the script on a machine without a GPU, where all three of
ours are single precision.
"""

import argparse
import json
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from architectures import GeneNet  # noqa: E402

LAYER = "conv6.op.6"
REPEATS = 3
# What our program is asked for beside single precision.
MODES = {"voxplain": [], "voxplain tf32": ["--tf32"], "voxplain f16": ["--f16"]}
# As `methods` names what a request of the program would not measure: it knows the inputs from the request before, and runs
# no second forward pass on them.
GRADIENTS = {
    "saliency": "Gradient", "input_x_gradient": "InputXGradient", "guided_backprop": "GuidedBackprop",
    "deconvolution": "Deconvolution", "gradcam": "GradCAM", "guided_gradcam": "GuidedGradCAM", "deeplift": "DeepLift",
    "integrated_gradients": "IG50", "gradient_shap": "GradientShap5", "smoothgrad": "SmoothGrad10",
}
# The method whose patients exchange features.
PERMUTATION = "feature_permutation"


def write_safetensors(path, tensors):
    """The format is a length, a header in JSON, and the data."""
    header, at = {}, 0
    for name, x in tensors.items():
        kind = {"float32": "F32", "int64": "I64"}[str(x.dtype)]
        header[name] = {"dtype": kind, "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(np.ascontiguousarray(x).tobytes() for x in tensors.values()))


def network(size, generator):
    torch.manual_seed(0)
    model = GeneNet(4, (16, 32, 64, 128, 128, 128), (1, 2, 2, 2, 2, 2), size, 4096, 2)
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(torch.rand(2, 4, size, size, size, generator=generator))
    return model.eval()


def windows(arguments):
    """The size and the steps of occlusion's windows along every axis."""
    if arguments.trial:
        return arguments.size // 2, arguments.size // 2
    return min(11, arguments.size), min(5 if arguments.full else 11, arguments.size)


def blocks(size, side):
    """Features: blocks of every modality apart, numbered from 0."""
    at = torch.arange(size) // side
    count = int(at[-1]) + 1
    one = (at[:, None, None] * count + at[None, :, None]) * count + at[None, None, :]
    return torch.stack([one + m * count**3 for m in range(4)])[None]


def table(size, windows, part):
    """Our name, parameters, Captum's call, and whether both compute the same map; `part` is that of the draws to take.

    Along Integrated Gradients' path units of this untrained network switch within rounding, and its output hardly differs from
    that of the baseline: Captum in single precision is up to a hundredth of the largest value from itself in double precision.
    Nor does its output change by more than a millionth where parts of the input are taken away: there it is two hundredths.
    """
    # Fewer rows than these cannot tell the 32 features of a trial apart.
    shapley, kernel, lime = (max(least, round(n * part)) for n, least in ((25, 1), (300, 40), (500, 40)))
    window, step = windows
    path = {"n_steps": 50, "quadrature": "gausslegendre"}
    mask = {"mask": {"x": "mask/x"}}

    def captum(name, model, x, mask):
        import captum.attr as ca

        layer = dict(model.named_modules())[LAYER]
        calls = {
            "saliency": lambda: ca.Saliency(model).attribute(x, target=0, abs=False),
            "input_x_gradient": lambda: ca.InputXGradient(model).attribute(x, target=0),
            "guided_backprop": lambda: ca.GuidedBackprop(model).attribute(x, target=0),
            "deconvolution": lambda: ca.Deconvolution(model).attribute(x, target=0),
            "gradcam": lambda: ca.LayerAttribution.interpolate(ca.LayerGradCam(model, layer).attribute(x, target=0), x.shape[2:]),
            "guided_gradcam": lambda: ca.GuidedGradCam(model, layer).attribute(x, target=0),
            "deeplift": lambda: ca.DeepLift(model).attribute(x, target=0),
            "integrated_gradients": lambda: ca.IntegratedGradients(model).attribute(x, target=0, n_steps=50, internal_batch_size=10),
            "gradient_shap": lambda: ca.GradientShap(model).attribute(x, torch.zeros_like(x), target=0, n_samples=5, stdevs=0.0),
            "smoothgrad": lambda: ca.NoiseTunnel(ca.Saliency(model)).attribute(
                x, target=0, nt_type="smoothgrad", nt_samples=10, nt_samples_batch_size=5, stdevs=0.1),
            "occlusion": lambda: ca.Occlusion(model).attribute(
                x, (1, window, window, window), strides=(1, step, step, step), target=0, perturbations_per_eval=5),
            "feature_ablation": lambda: ca.FeatureAblation(model).attribute(x, target=0, feature_mask=mask, perturbations_per_eval=5),
            PERMUTATION: lambda: ca.FeaturePermutation(model).attribute(x, target=0, feature_mask=mask),
            "shapley_sampling": lambda: ca.ShapleyValueSampling(model).attribute(
                x, target=0, feature_mask=mask, n_samples=shapley, perturbations_per_eval=5),
            "kernel_shap": lambda: ca.KernelShap(model).attribute(x, target=0, feature_mask=mask, n_samples=kernel),
            "lime": lambda: ca.Lime(model).attribute(x, target=0, feature_mask=mask, n_samples=lime),
        }
        return calls[name]

    rows = {
        "saliency": ({"abs": False}, True),
        "input_x_gradient": ({}, True),
        "guided_backprop": ({}, True),
        "deconvolution": ({}, True),
        "gradcam": ({"layer": LAYER, "interpolate": "nearest"}, False),
        "guided_gradcam": ({"layer": LAYER, "interpolate": "nearest"}, True),
        "deeplift": ({}, False),
        "integrated_gradients": (path, True),
        "gradient_shap": ({"draws": 5, "seed": 1}, False),
        "smoothgrad": ({"draws": 10, "sigma": 0.1, "base_params": {"abs": True}}, False),
        "occlusion": ({"window": {"x": [1, window, window, window]}, "strides": {"x": [1, step, step, step]}}, True),
        "feature_ablation": (mask, True),
        PERMUTATION: ({**mask, "draws": 1, "seed": 1}, False),
        "shapley_sampling": ({**mask, "draws": shapley, "seed": 1}, False),
        "kernel_shap": ({**mask, "mode": "captum", "draws": kernel, "seed": 1}, False),
        "lime": ({**mask, "draws": lime, "seed": 1}, False),
    }
    return rows, captum


def ours(program, folder, device, name, params, extra, repeats):
    """Median seconds and the map of one method, or why there is none."""
    requests = [{"id": f"r{k}", "method": name, "params": params, "target": 0, "expected": {"x": f"r{k}/x"}} for k in range(repeats + 1)]
    (folder / "case.json").write_text(json.dumps({"name": "gpu", "output_reduction": None, "methods": requests}))
    out = folder / "out"
    words = [program, "explain", folder / "model.safetensors", "--request", folder / "case.json"]
    tensors = "pair.safetensors" if name == PERMUTATION else "inputs.safetensors"
    words += ["--tensors", folder / tensors, "--out", out, "--format", "npy", "--device", device, "--json", "--force", *extra]
    made = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if made.returncode != 0:
        return None, None, made.stderr.strip().splitlines()[-1:]
    seconds = [json.loads(line)["seconds"] for line in made.stdout.splitlines() if '"seconds"' in line][1:]
    found = sorted((out / "r1").rglob("*.npy"))
    return statistics.median(seconds), np.load(found[0]) if found else None, None


def gradients(program, folder, device, extra, repeats):
    """Median seconds of the methods of few passes, by our name for them."""
    factors = extra[0].lstrip("-") if extra else "single"
    where = f"{device},{factors}" if device.startswith("cuda") else "0"
    words = [Path(program).with_name("methods"), folder / "model.safetensors", LAYER, repeats, where, folder / "x.npy"]
    made = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    lines = [json.loads(line) for line in made.stdout.splitlines()]
    known = {line["method"]: line["seconds"] for line in lines}
    return {name: known.get(theirs) for name, theirs in GRADIENTS.items()}, made.stderr.strip().splitlines()[-1:]


def theirs(call, device, repeats):
    """Median seconds and the map of one Captum call, or why there is none."""
    seconds = []
    try:
        for _ in range(repeats + 1):
            start = time.perf_counter()
            map_ = call()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[1:]), map_.detach().cpu().numpy(), None
    except (RuntimeError, AssertionError) as error:
        # Out of memory is one of these, and what Captum asserts of its arguments; the other rows are still worth having.
        return None, None, str(error).strip().splitlines()[:1]
    finally:
        # What PyTorch keeps for itself is not free for our program.
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def difference(a, b):
    if a is None or b is None or a.size != b.size:
        return None
    return float(np.abs(a.ravel() - b.ravel()).max() / max(np.abs(b).max(), 1e-30))


def measure(arguments, folder):
    device = arguments.device.replace("auto", "cuda:0")
    generator = torch.Generator().manual_seed(1)
    model = network(arguments.size, generator)
    x = torch.rand(1, 4, arguments.size, arguments.size, arguments.size, generator=generator)
    mask = blocks(arguments.size, max(1, arguments.size // (2 if arguments.trial else 4)))
    example = torch.cat([x, x])
    torch.export.save(torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)), folder / "model.pt2")
    words = [arguments.program, "import", folder / "model.pt2", "-o", folder / "model.safetensors"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    # Another patient, and features that are the same blocks in all modalities.
    pair, joint = torch.cat([x, x.flip(2)]), mask[:, :1].expand_as(mask).contiguous()
    write_safetensors(folder / "inputs.safetensors", {"input/x": x.numpy(), "mask/x": mask.numpy().astype(np.float32)})
    write_safetensors(folder / "pair.safetensors", {"input/x": pair.numpy(), "mask/x": joint.numpy().astype(np.float32)})
    repeats, part = (1, 0.1) if arguments.trial else (REPEATS, 1)
    np.save(folder / "x.npy", x.numpy())
    rows, captum = table(arguments.size, windows(arguments), part)
    known = [gradients(arguments.program, folder, device, extra, repeats) for extra in MODES.values()]
    model, data, mask = model.to(device), x.to(device), mask.to(device)
    for name, (params, same) in rows.items():
        if arguments.methods and name not in arguments.methods:
            continue
        found = [ours(arguments.program, folder, arguments.device, name, params, extra, repeats) for extra in MODES.values()]
        if name in GRADIENTS:
            found = [(fast[name], made[1], made[2] or error) for made, (fast, error) in zip(found, known)]
        given = (pair.to(device), joint.to(device)) if name == PERMUTATION else (data.clone().requires_grad_(), mask)
        peer = theirs(captum(name, model, *given), device, repeats)
        yield name, [peer, *found], difference(found[0][1], peer[1]) if same else None


def row(name, measured, apart):
    """A line of the table: seconds or why there are none."""
    peer = measured[0][0]
    words = [f"{peer:.4f}" if peer else f"failed: {measured[0][2]}"]
    for seconds, _, error in measured[1:]:
        words += [f"{seconds:.4f}" if seconds else f"failed: {error}", f"{peer / seconds:.1f}" if peer and seconds else ""]
    return f"| {name} | {' | '.join(words)} | {'' if apart is None else f'{apart:.1e}'} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # Absolute, so that what lies beside it is found too: a path loses the `./` that the system asks for.
    parser.add_argument("--program", default="voxplain", type=lambda path: Path(path).resolve())
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--methods", nargs="*")
    parser.add_argument("--trial", action="store_true", help="a tenth of the draws, large features, nothing repeated")
    parser.add_argument("--out", type=Path, default=Path("RESULTS-gpu.md"))
    arguments = parser.parse_args()
    import captum

    gpu = torch.cuda.get_device_name(0) if arguments.device.startswith("cuda") else "no GPU"
    window, step = windows(arguments)
    lines = ["**A trial, whose times mean nothing.**", ""] if arguments.trial else []
    lines += [
        f"{gpu}; torch {torch.__version__}, captum {captum.__version__}; GeneNet, 1 x 4 x {arguments.size}^3,",
        f"occlusion's windows of {window} and steps of {step}.",
        "Median seconds of three attributions; PyTorch with its default of tf32 convolutions. The last column is the largest",
        "difference of our single-precision map from Captum's, as a part of its largest entry, where both compute the same.",
        "",
        "| method | PyTorch + Captum | " + " | ratio | ".join(MODES) + " | ratio | difference |",
        "|---" * (3 + 2 * len(MODES)) + "|",
    ]
    sums = [0.0] * (1 + len(MODES))
    with tempfile.TemporaryDirectory() as folder:
        for name, measured, apart in measure(arguments, Path(folder)):
            sums = [None if s is None or m[0] is None else s + m[0] for s, m in zip(sums, measured)]
            lines.append(row(name, measured, apart))
            print(lines[-1], flush=True)
            # What was measured so far is kept whatever comes.
            arguments.out.write_text("\n".join(lines) + "\n")
    lines.append(row("all of these", [(s, None, "a method above") for s in sums], None))
    arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
