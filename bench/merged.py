"""Tells a wrong gradient from a merged weight. PyTorch's ONNX exporters merge batch normalisation into the weights of
convolutions and round the product to single precision; where a rectifier stands within that rounding of its kink, the
exported network has another gradient than the original, and no reader can help it. This evaluates the exported file
itself, by PyTorch in double precision, and counts the rectifiers that stand elsewhere.

    python bench/models.py --onnx dynamo --out FOLDER resnet50
    python bench/merged.py FOLDER/resnet50.onnx

With `--write` the expected values beside the file become those of the exported weights, for the `parity` example.
"""

import argparse
from pathlib import Path

import onnx
import torch
from models import NETWORKS, error, first, randomise
from onnx import numpy_helper
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as f


def padded(x, pads):
    """ONNX lists all beginnings, then all ends; PyTorch pairs, from the last axis."""
    half = len(pads) // 2
    pairs = [p for i in reversed(range(half)) for p in (pads[i], pads[i + half])]
    return pairs, any(pairs)


def conv(x, w, b=None, *, pads=(), strides=None, dilations=None, group=1, **_):
    n = w.dim() - 2
    pairs, any_ = padded(x, list(pads) or [0] * 2 * n)
    run = {1: f.conv1d, 2: f.conv2d, 3: f.conv3d}[n]
    return run(f.pad(x, pairs) if any_ else x, w, b, strides or 1, 0, dilations or 1, group)


def max_pool(x, *, kernel_shape, pads=(), strides=None, ceil_mode=0, dilations=None, **_):
    n = len(kernel_shape)
    pairs, any_ = padded(x, list(pads) or [0] * 2 * n)
    run = {1: f.max_pool1d, 2: f.max_pool2d, 3: f.max_pool3d}[n]
    x = f.pad(x, pairs, value=-torch.inf) if any_ else x
    return run(x, kernel_shape, strides or [1] * n, 0, dilations or 1, bool(ceil_mode))


def gemm(x, w, b=None, *, alpha=1.0, beta=1.0, transA=0, transB=0, **_):
    y = alpha * ((x.T if transA else x) @ (w.T if transB else w))
    return y if b is None else y + beta * b


def batch_norm(x, scale, bias, average, variance, *, epsilon=1e-5, **_):
    return f.batch_norm(x, average, variance, scale, bias, eps=epsilon)


def mean(x, axes=None, *, keepdims=1, **_):
    axes = range(x.dim()) if axes is None else axes.tolist()
    return x.mean(list(axes), keepdim=bool(keepdims))


def pad(x, pads, value=None, axes=None, *, mode="constant", **_):
    assert mode == "constant" and axes is None, "only constant padding of all axes is needed here"
    return f.pad(x, padded(x, pads.tolist())[0], value=0.0 if value is None else float(value))


OPERATORS = {
    "BatchNormalization": batch_norm, "Conv": conv, "MaxPool": max_pool, "Gemm": gemm, "ReduceMean": mean, "Pad": pad,
    "Add": lambda x, y: x + y, "Mul": lambda x, y: x * y, "Relu": lambda x: x.relu(), "Sigmoid": lambda x: x.sigmoid(),
    "Reshape": lambda x, shape, **_: x.reshape([x.shape[i] if s == 0 else s for i, s in enumerate(shape.tolist())]),
    "Concat": lambda *x, axis: torch.cat(x, axis),
    "GlobalAveragePool": lambda x: x.mean(tuple(range(2, x.dim())), keepdim=True),
    "Identity": lambda x: x, "Flatten": lambda x, axis=1: x.flatten(axis),
}  # fmt: skip


def evaluate(graph, inputs, signs):
    """The first output of an ONNX graph in double precision."""
    values = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    values = {name: t.double() if t.is_floating_point() else t for name, t in values.items()} | inputs
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
        if node.op_type == "Constant":
            values[node.output[0]] = torch.from_numpy(numpy_helper.to_array(attributes["value"]).copy())
            continue
        operands = [values[name] if name else None for name in node.input]
        values[node.output[0]] = OPERATORS[node.op_type](*operands, **attributes)
        if node.op_type == "Relu":
            signs.append(operands[0] > 0)
    return values[graph.output[0].name]


def original(name, inputs, signs):
    """The network as it was exported, in double precision."""
    seed = sum(name.encode())
    torch.manual_seed(seed)
    model = NETWORKS[name][0]().eval()
    randomise(model, seed)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
            module.register_forward_hook(lambda _, x, y: signs.append(x[0] > 0))
    return first(model.double()(*inputs.values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="overwrite the expected values beside the files")
    arguments = parser.parse_args()
    for path in arguments.files:
        beside = path.with_name(f"{path.stem}.check.safetensors")
        graph, check = onnx.load(path).graph, load_file(beside)
        for row in range(2):
            part = lambda kind: {k.split("/")[2]: v for k, v in check.items() if k.startswith(f"{row}/{kind}/")}  # noqa: B023, E731
            inputs = {k: v.double().requires_grad_() for k, v in part("input").items()}
            cotangent = check[f"{row}/cotangent"].double()
            before, after = [], []
            original(path.stem, inputs, before)
            output = evaluate(graph, inputs, after)
            gradients = torch.autograd.grad((output * cotangent).sum(), list(inputs.values()))
            flipped = sum((a != b).sum().item() for a, b in zip(before, after))
            total = sum(a.numel() for a in before)
            worst = max(error(g, part("gradient")[k].double()) for k, g in zip(inputs, gradients))
            away = error(output.detach(), check[f"{row}/output"].double())
            print(f"{path.stem}, input {row}: output {away:.1e} and gradient {worst:.1e} away from the original; "
                  f"{flipped} of {total} rectifiers stand elsewhere (seen {len(before)} and {len(after)} layers)")
            check[f"{row}/output"] = output.detach()
            check |= {f"{row}/gradient/{k}": g for k, g in zip(inputs, gradients)}
        if arguments.write:
            save_file(check, beside)


if __name__ == "__main__":
    main()
