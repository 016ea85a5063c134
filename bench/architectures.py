"""Reference cases for the named architectures, made with PyTorch.

For every architecture that `voxplain import --arch` knows this writes, into a folder:

  CASE.safetensors           the state dict, as torchvision, MONAI or the original code name its tensors
  CASE.expected.safetensors  two examples per input (`input/NAME`), the output (`output`), a weight for every element of
                             the output (`seed`) and the gradient of sum(seed * output) (`gradient/NAME`), all computed in
                             double precision; the metadata say which architecture, sizes and settings the case needs, and
                             how far the same computation in single precision is from the double one

Weights are random, batch-normalisation statistics and affine parameters included, so nothing is the identity by accident.
MONAI's shortcut A detaches its operand (`out.data`), which makes eager autograd differ from the derivative of the function;
here the shortcut is replaced by one that does not, and the forward results are checked to be equal.

Needs torch, torchvision, monai, safetensors.

  python architectures.py OUT                  all cases
  python architectures.py OUT resnet50 unet    those whose name contains one of the words
  python architectures.py OUT --tiny           only the cases of a few kilobytes that the test suite keeps

Compare with:

  VOXPLAIN_ARCHITECTURES=OUT cargo test --release -p voxplain-models --test doors architectures -- --nocapture
"""

import json
import os
import sys
from functools import partial

import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision.models as tv
from monai.networks import nets
from monai.networks.blocks import ResidualUnit
from monai.networks.nets.resnet import ResNet, ResNetBlock, ResNetBottleneck
from safetensors.torch import save_file

CLASSES = 5
# Single precision may flip a rectifier whose input is almost 0; another draw is taken until it does not.
TRIES = 12
GOOD = 2e-5


class GeneNet(nn.Module):
    """Blocks of convolutions, normalisation and ReLU with max pooling; two linear layers (Jin et al., MethodsX 2023)."""

    def __init__(self, channels, widths, depths, edge, hidden, classes):
        super().__init__()
        for i, (width, depth) in enumerate(zip(widths, depths)):
            layers = []
            for _ in range(depth):
                layers += [nn.Conv3d(channels, width, 3, padding=1), nn.BatchNorm3d(width), nn.ReLU()]
                channels = width
            block = nn.Module()
            block.op = nn.Sequential(*layers, nn.MaxPool3d(2))
            setattr(self, f"conv{i + 1}", block)
        self.blocks = len(widths)
        volume = (edge >> len(widths)) ** 3
        self.dense = nn.Sequential(nn.Linear(channels * volume, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, classes))

    def forward(self, x):
        for i in range(self.blocks):
            x = getattr(self, f"conv{i + 1}").op(x)
        return self.dense(x.flatten(1))


class Resnet3D(nn.Module):
    """A convolution, two residual units of MONAI, a linear layer (the same code)."""

    def __init__(self, channels, widths, classes):
        super().__init__()
        first, *rest = widths
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv3d(channels, first, 3, padding=1))
        self.features.add_module("norm0", nn.BatchNorm3d(first))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool3d(2))
        for i, width in enumerate(rest):
            unit = ResidualUnit(3, first, width, subunits=2, act="relu", norm="batch")
            self.features.add_module(f"residualblock{i + 1}", unit)
            first = width
        self.class_layers = nn.Sequential()
        self.class_layers.add_module("norm", nn.AdaptiveAvgPool3d(1))
        self.class_layers.add_module("flatten", nn.Flatten(1))
        self.class_layers.add_module("class", nn.Linear(first, classes))

    def forward(self, x):
        return self.class_layers(self.features(x))


class Cbam(nn.Module):
    """Channel attention, then spatial attention (Woo et al. 2018; the 3D block of the same code)."""

    def __init__(self, channels, reduction):
        super().__init__()
        inner = channels // reduction
        self.mlp = nn.Sequential(nn.Conv3d(channels, inner, 1), nn.ReLU(), nn.Conv3d(inner, channels, 1))
        self.conv = nn.Conv3d(2, 1, 3, padding=1, bias=False)

    def forward(self, x):
        mean, most = F.adaptive_avg_pool3d(x, 1), F.adaptive_max_pool3d(x, 1)
        x = x * torch.sigmoid(self.mlp(mean) + self.mlp(most))
        both = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(both))


class NonLocal(nn.Module):
    """Attention between all places, with plain features as queries and keys (Wang et al. 2018; the same code)."""

    def __init__(self, channels, inner, subsample):
        super().__init__()
        self.g = nn.Conv3d(channels, inner, 1)
        if subsample:
            self.g = nn.Sequential(self.g, nn.MaxPool3d(2))
        self.W = nn.Sequential(nn.Conv3d(inner, channels, 1), nn.BatchNorm3d(channels))
        self.subsample = subsample

    def forward(self, x):
        keys = F.max_pool3d(x, 2) if self.subsample else x
        scores = torch.einsum("nci,ncj->nij", x.flatten(2), keys.flatten(2)).softmax(-1)
        y = torch.einsum("nij,ncj->nci", scores, self.g(x).flatten(2))
        return self.W(y.unflatten(2, x.shape[2:])) + x


class TripleMRNet(nn.Module):
    """Three planes of slices; the maximum over slices of every plane's features (the same code). Takes batches."""

    def __init__(self, backbone):
        super().__init__()
        for plane in ("axial", "sagit", "coron"):
            if backbone == "alexnet":
                net = tv.alexnet()
                # The heads are in the state dict and nothing uses them; these are smaller than the original's.
                net.classifier = nn.Sequential(nn.Dropout(), nn.Linear(9216, 4))
            else:
                net = nn.Sequential(*list(tv.resnet18().children())[:-1])
            setattr(self, f"{plane}_net", net)
        self.classifier = nn.Linear(3 * (256 if backbone == "alexnet" else 512), 1)

    def forward(self, axial, sagittal, coronal):
        parts = []
        for plane, x in (("axial", axial), ("sagit", sagittal), ("coron", coronal)):
            net = getattr(self, f"{plane}_net")
            net = getattr(net, "features", net)
            y = net(x.flatten(0, 1)).mean((2, 3))
            parts.append(y.unflatten(0, x.shape[:2]).amax(1))
        return self.classifier(torch.cat(parts, 1))


def attached(model):
    """The same MONAI ResNet with a shortcut A that autograd sees."""

    def shortcut(x, planes, stride, spatial_dims):
        pool = F.avg_pool3d if spatial_dims == 3 else F.avg_pool2d
        x = pool(x, kernel_size=1, stride=stride)
        return F.pad(x, [0] * (2 * spatial_dims) + [0, planes - x.shape[1]])

    for module in model.modules():
        down = getattr(module, "downsample", None)
        if isinstance(down, partial):
            module.downsample = partial(shortcut, **down.keywords)
    return model


def monai_resnet(depth, shortcut, channels, **more):
    """MONAI's network with a shortcut A that autograd sees; the same function, or this stops."""
    blocks = {10: [1] * 4, 18: [2] * 4, 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}[depth]
    block = ResNetBottleneck if depth == 50 else ResNetBlock
    more = {"block_inplanes": [64, 128, 256, 512], "num_classes": CLASSES} | more
    model = ResNet(block, blocks, n_input_channels=channels, shortcut_type=shortcut, **more).eval()
    x = torch.randn(1, channels, *[16] * more.get("spatial_dims", 3))
    with torch.no_grad():
        shipped = model(x)
        repaired = attached(model)(x)
    assert torch.equal(shipped, repaired), "the repaired shortcut is another function"
    return model


class Case:
    """One network: architecture, module, shapes of its inputs (without batch), sizes and settings for the importer."""

    def __init__(self, arch, make, inputs, settings=None, prefix=""):
        self.arch, self.make, self.settings, self.prefix = arch, make, settings or {}, prefix
        self.inputs = inputs if isinstance(inputs, dict) else {"x": inputs}
        first = next(iter(self.inputs.values()))
        self.spatial = [first[0], *first[2:]] if len(self.inputs) > 1 else list(first[1:])


def volume(channels, *sizes):
    return (channels, *sizes)


def planes(size):
    return {"axial": (3, 3, size, size), "sagittal": (2, 3, size, size), "coronal": (4, 3, size, size)}


def cases():
    yield "alexnet", Case("alexnet", lambda: tv.alexnet(num_classes=CLASSES), volume(3, 96, 80))
    for depth in (11, 13, 16, 19):
        for norm in ("", "_bn"):
            make = getattr(tv, f"vgg{depth}{norm}")
            yield f"vgg{depth}{norm}", Case(f"vgg{depth}{norm}", partial(make, num_classes=CLASSES), volume(3, 32, 48))
    for depth in (18, 34, 50):
        make = partial(getattr(tv, f"resnet{depth}"), num_classes=CLASSES)
        yield f"resnet{depth}", Case(f"resnet{depth}", make, volume(3, 64, 64), prefix="module." if depth == 34 else "")
    for depth in (10, 18, 34, 50):
        for kind in "AB":
            make = partial(monai_resnet, depth, kind, 2, conv1_t_stride=2)
            yield f"monai-resnet{depth}-{kind}-3d", Case(
                f"monai-resnet{depth}", make, volume(2, 24, 32, 32), {"conv1_stride": "2"})
    yield "monai-resnet18-B-2d", Case("monai-resnet18", partial(monai_resnet, 18, "B", 4, spatial_dims=2), volume(4, 48, 64))
    yield "densenet121", Case("densenet121", lambda: tv.densenet121(num_classes=CLASSES), volume(3, 64, 64))
    yield "monai-densenet121-2d", Case("monai-densenet121", lambda: nets.DenseNet121(2, 4, CLASSES), volume(4, 64, 64))
    yield "monai-densenet121-2d-elu", Case(
        "monai-densenet121", lambda: nets.DenseNet121(2, 2, CLASSES, 16, 8, act=("elu", {"alpha": 0.5})),
        volume(2, 64, 32), {"act": "elu:0.5"})
    yield "monai-densenet121-3d", Case("monai-densenet121", lambda: nets.DenseNet121(3, 2, CLASSES), volume(2, 32, 32, 32))
    yield "efficientnet_b0", Case("efficientnet_b0", lambda: tv.efficientnet_b0(num_classes=CLASSES), volume(3, 64, 64))
    for dims, shape in ((2, volume(4, 64, 64)), (3, volume(2, 32, 40, 32))):
        make = partial(nets.EfficientNetBN, "efficientnet-b0", False, spatial_dims=dims, in_channels=shape[0], num_classes=CLASSES)
        yield f"monai-efficientnet-b0-{dims}d", Case("monai-efficientnet-b0", make, shape)
    yield "seresnet50-3d", Case(
        "seresnet50", lambda: nets.SEResNet50(spatial_dims=3, in_channels=1, num_classes=CLASSES), volume(1, 32, 32, 32))
    yield "unet-3d", Case("unet", lambda: nets.UNet(3, 4, 3, (8, 16, 32, 48), (2, 2, 2), num_res_units=2), volume(4, 32, 32, 32))
    yield "unet-2d-plain", Case(
        "unet", lambda: nets.UNet(2, 4, 3, (8, 16, 32), (2, (1, 2)), kernel_size=5, act="relu", norm="batch"),
        volume(4, 32, 48), {"strides": "2,1x2", "act": "relu"})
    yield "basicunet-3d", Case("basicunet", lambda: nets.BasicUNet(3, 2, 2, (4, 4, 6, 8, 8, 4)), volume(2, 36, 32, 33))
    yield "basicunet-2d-nontrainable", Case(
        "basicunet", lambda: nets.BasicUNet(2, 4, 2, (8, 8, 16, 24, 32, 8), upsample="nontrainable"), volume(4, 48, 48))
    yield "segresnet-3d", Case("segresnet", lambda: nets.SegResNet(in_channels=4, out_channels=3, init_filters=16), volume(4, 32, 32, 24))
    yield "segresnet-2d-deconv", Case(
        "segresnet", lambda: nets.SegResNet(2, 8, 4, 3, norm=("group", {"num_groups": 4}), upsample_mode="deconv"),
        volume(4, 48, 32), {"groups": "4"})
    yield "attentionunet-3d", Case("attentionunet", lambda: nets.AttentionUnet(3, 2, 3, (8, 16, 32, 48), (2, 2, 2)), volume(2, 32, 32, 32))
    yield "dynunet-3d", Case(
        "dynunet", lambda: nets.DynUNet(3, 4, 3, [3, 3, 3, 3], [1, 2, 2, [2, 2, 1]], [2, 2, [2, 2, 1]], filters=[8, 16, 24, 32]),
        volume(4, 32, 32, 16))
    yield "dynunet-2d-res", Case(
        "dynunet", lambda: nets.DynUNet(2, 4, 3, [3, 3, 3, 3], [1, 2, 2, 2], [2, 2, 2],
                              filters=[8, 16, 24, 32], res_block=True, deep_supervision=True),
        volume(4, 32, 48))
    yield "genenet", Case("genenet", lambda: GeneNet(4, (16, 32, 64, 128, 128, 128), (1, 2, 2, 2, 2, 2), 64, 64, 2), volume(4, 64, 64, 64))
    yield "resnet3d", Case("resnet3d", lambda: Resnet3D(4, (16, 32, 64), 2), volume(4, 32, 32, 32))
    yield "cbam", Case("cbam", lambda: Cbam(16, 4), volume(16, 12, 10, 8))
    yield "non-local", Case("non-local", lambda: NonLocal(8, 4, True), volume(8, 8, 10, 6))
    for backbone in ("alexnet", "resnet18"):
        yield f"triplemrnet-{backbone}", Case(
            f"triplemrnet-{backbone}", partial(TripleMRNet, backbone), planes(96), {"slices": "3,2,4"})


def narrow(make, by, gain=1):
    """A network that has no option for its width, with every number of channels divided, for grey images. `gain` keeps the
    signal of deep networks with gates alive. Sizes that differ must still differ, or the network has other shortcuts."""
    def less(count):
        return count if count <= 8 else max(1, count // by)

    def shrunk():
        model = make()
        for module in model.modules():
            if isinstance(module, nn.modules.conv._ConvNd):
                # Only images have 1 or 3 channels.
                module.in_channels = 1 if module.in_channels in (1, 3) else less(module.in_channels)
                module.out_channels = less(module.out_channels)
                module.groups = less(module.groups) if module.groups > 1 else 1
                shape = (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
                fan = max(2, shape[1] * module.weight[0, 0].numel())
                module.weight = nn.Parameter(torch.randn(shape) * gain * (2 / fan) ** 0.5)
                if module.bias is not None:
                    module.bias = nn.Parameter(torch.zeros(module.out_channels))
            elif isinstance(module, nn.modules.batchnorm._NormBase):
                module.num_features = less(module.num_features)
                module.weight = nn.Parameter(torch.ones(module.num_features))
                module.bias = nn.Parameter(torch.zeros(module.num_features))
                module.running_mean = torch.zeros(module.num_features)
                module.running_var = torch.ones(module.num_features)
            elif isinstance(module, nn.Linear):
                module.in_features, module.out_features = less(module.in_features), less(module.out_features)
                shape = (module.out_features, module.in_features)
                module.weight = nn.Parameter(torch.randn(shape) * (2 / max(2, shape[1])) ** 0.5)
                module.bias = nn.Parameter(torch.zeros(module.out_features))
        return model

    return shrunk


def tiny():
    # Networks for images of 32 and more pixels; their widths cannot be chosen.
    for name, size, by in (
        ("alexnet", (63, 64), 64), ("vgg16_bn", (64, 33), 64), ("resnet18", (20, 17), 32), ("resnet50", (16, 17), 64),
        ("efficientnet_b0", (24, 17), 16),
    ):
        gain = 1.4 if name.startswith("efficient") else 1
        yield name, Case(name, narrow(partial(getattr(tv, name), num_classes=3), by, gain), volume(1, *size))
    yield "densenet121", Case(
        "densenet121", lambda: tv.DenseNet(1, (6, 12, 24, 16), 2, 2, num_classes=3), volume(3, 33, 32))
    yield "monai-densenet121", Case(
        "monai-densenet121", lambda: nets.DenseNet121(2, 2, 3, init_features=2, growth_rate=1, bn_size=2), volume(2, 32, 33))
    make = partial(nets.EfficientNetBN, "efficientnet-b0", False, spatial_dims=2, in_channels=1, num_classes=3)
    yield "monai-efficientnet-b0", Case("monai-efficientnet-b0", narrow(make, 16, 1.4), volume(1, 32, 40))
    make = partial(nets.SEResNet50, spatial_dims=3, in_channels=1, num_classes=3)
    yield "seresnet50", Case("seresnet50", narrow(make, 64), volume(1, 9, 10, 8))
    for backbone, size in (("alexnet", 63), ("resnet18", 16)):
        inputs = {"axial": (2, 1, size, size), "sagittal": (1, 1, size, size), "coronal": (1, 1, size, size)}
        yield f"triplemrnet-{backbone}", Case(
            f"triplemrnet-{backbone}", narrow(partial(TripleMRNet, backbone), 64), inputs, {"slices": "2,1,1"})
    small = {"block_inplanes": [2, 4, 6, 8], "num_classes": 3, "conv1_t_size": 3}
    yield "unet", Case("unet", lambda: nets.UNet(2, 2, 2, (2, 3, 4), (2, 2), num_res_units=1), volume(2, 8, 12), prefix="module.")
    yield "unet-plain", Case("unet", lambda: nets.UNet(3, 1, 2, (2, 3), (2,)), volume(1, 4, 4, 6))
    yield "basicunet", Case("basicunet", lambda: nets.BasicUNet(2, 1, 2, (2, 2, 2, 2, 2, 2)), volume(1, 37, 48))
    yield "segresnet", Case(
        "segresnet", lambda: nets.SegResNet(2, 4, 2, 2, norm=("group", {"num_groups": 2}), blocks_down=(1, 2), blocks_up=(1,)),
        volume(2, 8, 10), {"groups": "2"})
    yield "unet-ordering", Case(
        "unet", lambda: nets.UNet(2, 1, 2, (2, 4), (2,), act=("leakyrelu", {"negative_slope": 0.2}), norm=("group", {"num_groups": 2}),
                                  adn_ordering="AN"),
        volume(1, 6, 8), {"act": "leakyrelu:0.2", "norm": "group", "groups": "2", "ordering": "AN"})
    yield "unet-bare", Case(
        "unet", lambda: nets.UNet(2, 1, 2, (2, 4), (2,), act="gelu", norm=None), volume(1, 6, 8), {"act": "gelu", "norm": "none"})
    yield "basicunet-group", Case(
        "basicunet", lambda: nets.BasicUNet(2, 1, 2, (2, 2, 2, 2, 2, 2), act="elu", norm=("group", {"num_groups": 2})),
        volume(1, 32, 33), {"norm": "group", "groups": "2", "act": "elu"})
    yield "segresnet-headless", Case(
        "segresnet", lambda: nets.SegResNet(2, 2, 2, 2, norm="batch", act="swish", blocks_down=(1, 1),
                                            blocks_up=(1,), use_conv_final=False),
        volume(2, 8, 10), {"conv_final": "false", "act": "silu"})
    yield "attentionunet", Case("attentionunet", lambda: nets.AttentionUnet(2, 2, 2, (2, 4, 6), (2, 2)), volume(2, 8, 12))
    yield "dynunet", Case(
        "dynunet", lambda: nets.DynUNet(2, 2, 2, [3, 3, 3], [1, 2, 2], [2, 2], filters=[2, 3, 4], res_block=True), volume(2, 8, 12))
    for kind in "AB":
        yield f"monai-resnet10-{kind}", Case("monai-resnet10", partial(monai_resnet, 10, kind, 2, **small), volume(2, 12, 10, 9))
    stem = {"act": ("elu", {"alpha": 0.7}), "no_max_pool": True, "spatial_dims": 2}
    yield "monai-resnet10-stem", Case(
        "monai-resnet10", partial(monai_resnet, 10, "B", 1, **small, **stem), volume(1, 10, 9), {"act": "elu:0.7", "max_pool": "false"})
    yield "monai-resnet50-A", Case(
        "monai-resnet50", partial(monai_resnet, 50, "A", 1, spatial_dims=2, **small | {"block_inplanes": [1, 2, 2, 2]}), volume(1, 17, 16))
    yield "genenet", Case("genenet", lambda: GeneNet(2, (2, 3), (1, 2), 8, 4, 2), volume(2, 8, 8, 8))
    yield "resnet3d", Case("resnet3d", lambda: Resnet3D(2, (2, 3, 4), 2), volume(2, 6, 6, 4))
    yield "cbam", Case("cbam", lambda: Cbam(4, 2), volume(4, 4, 3, 5))
    yield "non-local", Case("non-local", lambda: NonLocal(3, 2, True), volume(3, 4, 4, 2))
    yield "non-local-full", Case("non-local", lambda: NonLocal(3, 2, False), volume(3, 2, 3, 2))


def randomise(model, generator):
    """Statistics and affine parameters that a freshly made network does not have."""
    def uniform(t, low, high):
        t.copy_(torch.rand(t.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.modules.batchnorm._NormBase, nn.GroupNorm)):
                around_one, around_zero = (0.6, 1.4), (-0.3, 0.3)
                ranges = {"weight": around_one, "bias": around_zero, "running_mean": around_zero, "running_var": around_one}
                for name, (low, high) in ranges.items():
                    tensor = getattr(module, name, None)
                    if tensor is not None:
                        uniform(tensor, low, high)
            elif isinstance(module, nn.PReLU):
                uniform(module.weight, 0.1, 0.4)
            elif getattr(module, "bias", None) is not None and isinstance(module.bias, torch.Tensor):
                uniform(module.bias, -0.1, 0.1)


def run(model, inputs, seed):
    """The output and the gradients of sum(seed * output)."""
    inputs = {k: v.clone().requires_grad_() for k, v in inputs.items()}
    output = model(*inputs.values())
    gradients = torch.autograd.grad((output * seed).sum(), list(inputs.values()))
    return output.detach(), dict(zip(inputs, gradients))


def error(got, expected):
    return ((got.double() - expected).abs().max() / expected.abs().max()).item()


def write(folder, name, case):
    for attempt in range(TRIES):
        generator = torch.Generator().manual_seed(1000 * attempt + len(name))
        torch.manual_seed(attempt)
        model = case.make().eval()
        randomise(model, generator)
        inputs = {k: torch.randn(2, *s, generator=generator) for k, s in case.inputs.items()}
        shape = model(*inputs.values()).shape
        seed = torch.randn(shape, generator=generator)
        single = run(model, inputs, seed)
        state = {case.prefix + k: v.clone().contiguous() for k, v in model.state_dict().items()}
        model = model.double()
        output, gradients = run(model, {k: v.double() for k, v in inputs.items()}, seed.double())
        lost = max([error(single[0], output)] + [error(single[1][k], g) for k, g in gradients.items()])
        if lost < GOOD:
            break
    metadata = {"arch": case.arch, "spatial": json.dumps(case.spatial), "settings": json.dumps(case.settings)}
    metadata["float32_error"] = f"{lost:.3e}"
    expected = {"seed": seed, "output": output, **{f"input/{k}": v for k, v in inputs.items()}}
    expected |= {f"gradient/{k}": g for k, g in gradients.items()}
    save_file(state, os.path.join(folder, f"{name}.safetensors"))
    # Single precision holds the double results to a part in ten million, far below what is compared.
    expected = {k: v.float().contiguous() for k, v in expected.items()}
    save_file(expected, os.path.join(folder, f"{name}.expected.safetensors"), metadata)
    count = sum(p.numel() for p in model.parameters())
    print(f"{name}: {count} parameters, output {tuple(shape)}, single precision {lost:.1e}", flush=True)


def main():
    folder, words = sys.argv[1], [w for w in sys.argv[2:] if not w.startswith("--")]
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(2)
    for name, case in tiny() if "--tiny" in sys.argv else cases():
        if not words or any(w in name for w in words):
            write(folder, name, case)


if __name__ == "__main__":
    main()
