"""Exports the networks that voxplain is measured on, with what PyTorch says about two inputs of each.

For every network: `NAME.pt2` (torch.export.save) and `NAME.check.safetensors` with, for two random inputs that are not
the tracing input, the inputs (`0/input/x`), the first output (`0/output`), the weights of a random linear functional of
it (`0/cotangent`) and the functional's gradient (`0/gradient/x`), computed in double precision, and how far PyTorch in
single precision is from them (`0/peer`: output, gradient). Weights are random but repeatable, the statistics of batch
normalisation too: with the defaults (mean 0, variance 1) a reader that mixed them up would not be noticed.

    python bench/models.py --out FOLDER                 all networks
    python bench/models.py --out FOLDER resnet18 unet3d  some of them
    python bench/models.py --list

With `--onnx dynamo` or `--onnx torchscript` it is `NAME.onnx` instead, by the newer or the older of PyTorch's exporters.

Then `cargo run --release -p voxplain-tests --example parity -- FOLDER` prints the table of docs/MODELS.md.
"""

import argparse
import sys
import time
import traceback
from pathlib import Path

import torch
from torch import nn

NETWORKS = {}


def network(*shapes):
    """Registers a function that makes a network for inputs of these shapes."""

    def register(make):
        NETWORKS[make.__name__] = (make, shapes)
        return make

    return register


def vision(name, *, size=64, key=None, **options):
    def make():
        import torchvision.models as models

        return getattr(models, name)(weights=None, **options)

    NETWORKS[key or name] = (make, ((1, 3, size, size),))


vision("alexnet", num_classes=10)
vision("vgg11_bn", num_classes=10)
# At the size of its training the adaptive pooling changes nothing, and every exporter takes it.
vision("alexnet", size=224, key="alexnet_224", num_classes=10)
vision("vgg16_bn", num_classes=10)
vision("resnet34", num_classes=10)
for plain in ["resnet18", "resnet50", "resnext50_32x4d", "densenet121", "mobilenet_v2", "mobilenet_v3_large"]:
    vision(plain, num_classes=10)
for plain in ["efficientnet_b0", "efficientnet_v2_s", "convnext_tiny", "shufflenet_v2_x1_0", "squeezenet1_1"]:
    vision(plain, num_classes=10)
for plain in ["mnasnet1_0", "regnet_y_400mf", "regnet_x_400mf"]:
    vision(plain, num_classes=10)
vision("googlenet", num_classes=10, init_weights=False)
vision("inception_v3", size=96, num_classes=10, init_weights=False)


@network((1, 3, 4, 32, 32))
def r3d_18():
    import torchvision.models.video as video

    return video.r3d_18(weights=None, num_classes=5)


@network((1, 3, 4, 32, 32))
def r2plus1d_18():
    import torchvision.models.video as video

    return video.r2plus1d_18(weights=None, num_classes=5)


@network((1, 1, 32, 32, 32))
def resnet10_3d():
    from monai.networks.nets import resnet10

    return resnet10(spatial_dims=3, n_input_channels=1, num_classes=2, shortcut_type="B")


@network((1, 1, 32, 32, 32))
def resnet50_3d():
    from monai.networks.nets import resnet50

    return resnet50(spatial_dims=3, n_input_channels=1, num_classes=2, shortcut_type="B")


@network((1, 1, 32, 32, 32))
def densenet121_3d():
    from monai.networks.nets import DenseNet121

    return DenseNet121(spatial_dims=3, in_channels=1, out_channels=2)


@network((1, 1, 32, 32, 32))
def efficientnet_b0_3d():
    from monai.networks.nets import EfficientNetBN

    return EfficientNetBN("efficientnet-b0", spatial_dims=3, in_channels=1, num_classes=2, pretrained=False)


@network((1, 1, 32, 32, 32))
def seresnet50_3d():
    from monai.networks.nets import SEResNet50

    return SEResNet50(spatial_dims=3, in_channels=1, num_classes=2)


@network((1, 2, 16, 16, 16))
def unet3d():
    from monai.networks.nets import UNet

    return UNet(3, 2, 3, channels=(4, 8, 16), strides=(2, 2), num_res_units=2)


@network((1, 2, 32, 32, 32))
def basic_unet3d():
    from monai.networks.nets import BasicUNet

    return BasicUNet(3, 2, 3, features=(4, 4, 8, 8, 16, 4))


@network((1, 2, 20, 20, 20))
def basic_unet3d_odd():
    from monai.networks.nets import BasicUNet

    return BasicUNet(3, 2, 3, features=(4, 4, 8, 8, 16, 4), norm="batch", upsample="nontrainable")


@network((1, 2, 16, 16, 16))
def segresnet3d():
    from monai.networks.nets import SegResNet

    return SegResNet(spatial_dims=3, init_filters=8, in_channels=2, out_channels=3)


@network((1, 2, 16, 16, 16))
def dynunet3d():
    from monai.networks.nets import DynUNet

    kernels, strides = [3, 3, 3], [1, 2, 2]
    return DynUNet(3, 2, 3, kernels, strides, strides[1:], filters=[4, 8, 16], deep_supervision=False)


@network((1, 2, 16, 16, 16))
def attention_unet3d():
    from monai.networks.nets import AttentionUnet

    return AttentionUnet(3, 2, 3, channels=(4, 8, 16), strides=(2, 2))


@network((1, 1, 32, 32, 32))
def vnet3d():
    from monai.networks.nets import VNet

    return VNet(spatial_dims=3, in_channels=1, out_channels=2)


@network((1, 1, 32, 32, 32))
def basic_unet_plus_plus3d():
    from monai.networks.nets import BasicUNetPlusPlus

    return BasicUNetPlusPlus(3, 1, 2, features=(4, 4, 8, 8, 16, 4))


@network((1, 3, 64, 64))
def flexible_unet():
    from monai.networks.nets import FlexibleUNet

    return FlexibleUNet(in_channels=3, out_channels=2, backbone="efficientnet-b0", spatial_dims=2)


@network((1, 1, 32, 32, 32))
def segresnet_ds3d():
    from monai.networks.nets import SegResNetDS

    return SegResNetDS(spatial_dims=3, init_filters=8, in_channels=1, out_channels=2, blocks_down=(1, 1, 2))


@network((1, 1, 32, 32, 32))
def mednext3d():
    from monai.networks.nets import MedNeXt

    return MedNeXt(spatial_dims=3, init_filters=4, in_channels=1, out_channels=2, encoder_expansion_ratio=2)


@network((1, 1, 32, 32, 32))
def senet154_3d():
    from monai.networks.nets import SENet154

    return SENet154(spatial_dims=3, in_channels=1, num_classes=2)


class Segmentation(nn.Module):
    """torchvision's segmentation networks give a dictionary."""

    def __init__(self, name):
        super().__init__()
        import torchvision.models.segmentation as models

        self.net = getattr(models, name)(weights=None, weights_backbone=None, num_classes=3)

    def forward(self, x):
        return self.net(x)["out"]


@network((1, 3, 64, 64))
def deeplabv3_mobilenet():
    return Segmentation("deeplabv3_mobilenet_v3_large")


@network((1, 3, 64, 64))
def lraspp_mobilenet():
    return Segmentation("lraspp_mobilenet_v3_large")


@network((1, 1, 16, 16, 16))
def highresnet3d():
    from monai.networks.nets import HighResNet

    return HighResNet(spatial_dims=3, in_channels=1, out_channels=3)


class Encoder(nn.Sequential):
    """Two convolutions of a modality."""

    def __init__(self, channels=1):
        super().__init__(
            nn.Conv3d(channels, 4, 3, padding="same", bias=False),
            nn.BatchNorm3d(4),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Conv3d(4, 8, 3, stride=2, padding=1, dilation=1),
            nn.LeakyReLU(0.1),
        )


@network(*[(1, 1, 8, 8, 8)] * 4)
def late_fusion():
    class LateFusion(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoders = nn.ModuleList(Encoder() for _ in range(4))
            self.head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))

        def forward(self, t1, t1ce, t2, flair):
            parts = zip(self.encoders, [t1, t1ce, t2, flair], strict=True)
            return self.head(torch.cat([encoder(x).mean(dim=(2, 3, 4)) for encoder, x in parts], dim=1))

    return LateFusion()


@network((1, 4, 64, 64, 64))
def genenet():
    from architectures import GeneNet

    class OneExample(GeneNet):
        """As its authors wrote it: every batch is one example."""

        def forward(self, x):
            for i in range(self.blocks):
                x = getattr(self, f"conv{i + 1}").op(x)
            return self.dense(x.view([1, -1]))

    return OneExample(4, (16, 32, 64, 128, 128, 128), (1, 2, 2, 2, 2, 2), 64, 4096, 2)


def triple_mrnet(backbone):
    def make():
        from architectures import TripleMRNet

        return TripleMRNet(backbone)

    NETWORKS[f"triplemrnet_{backbone}"] = (make, ((1, 6, 3, 64, 64), (1, 5, 3, 64, 64), (1, 4, 3, 64, 64)))


triple_mrnet("alexnet")
triple_mrnet("resnet18")


@network((1, 2, 16, 16, 16))
def resnet3d():
    from architectures import Resnet3D

    return Resnet3D(2, (8, 16, 16), 2)


@network((1, 1, 32, 32, 32))
def resnet18_3d_shortcut_a():
    """MONAI's shortcut A, which PyTorch cannot export as shipped, with one that autograd sees."""
    from architectures import monai_resnet

    return monai_resnet(18, "A", 1)


@network((1, 6, 3, 64, 64), (1, 5, 3, 64, 64))
def max_over_slices():
    class MaxOverSlices(nn.Module):
        """As MRNet: slices are the batch of a 2D network, and the maximum over them counts."""

        def __init__(self):
            super().__init__()
            from torchvision.models import alexnet

            self.axial, self.coronal = alexnet(weights=None).features, alexnet(weights=None).features
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.classifier = nn.Linear(512, 1)

        def forward(self, axial, coronal):
            a = self.pool(self.axial(torch.squeeze(axial, dim=0))).view(6, -1)
            c = self.pool(self.coronal(coronal.squeeze(0))).squeeze(3).squeeze(2)
            a, c = torch.max(a, 0, keepdim=True)[0], torch.max(c, 0, keepdim=True)[0]
            return self.classifier(torch.cat((a, c), 1))

    return MaxOverSlices()


@network((1, 4, 8, 8, 8))
def softmax_gate():
    class SoftmaxGate(nn.Module):
        """A weight per modality from global means, then sum and mean of gated features."""

        def __init__(self):
            super().__init__()
            self.encoders = nn.ModuleList(Encoder() for _ in range(4))
            self.gate = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
            self.norm = nn.GroupNorm(2, 8)
            self.head = nn.Sequential(nn.InstanceNorm3d(8, affine=True), nn.GELU(approximate="tanh"))
            self.classifier = nn.Linear(8, 3)

        def forward(self, x):
            weights = torch.softmax(self.gate(x.mean(dim=[2, 3, 4])), dim=1)
            parts = [encoder(x[:, i : i + 1]) for i, encoder in enumerate(self.encoders)]
            stacked = torch.stack(parts, dim=1)
            mixed = (stacked * weights[:, :, None, None, None, None]).sum(dim=1)
            y = self.head(self.norm(mixed)) + 0.5 * mixed
            return self.classifier(torch.flatten(y.amax(dim=(2, 3, 4)), 1))

    return SoftmaxGate()


@network((1, 2, 8, 8, 8))
def mean_of_softmaxes():
    class MeanOfSoftmaxes(nn.Module):
        """Decision-level fusion."""

        def __init__(self):
            super().__init__()
            self.encoders = nn.ModuleList(Encoder() for _ in range(2))
            self.heads = nn.ModuleList(nn.Linear(64, 3) for _ in range(2))

        def forward(self, x):
            parts = zip(self.encoders, self.heads, torch.chunk(x, 2, dim=1), strict=True)
            votes = [torch.softmax(head(encoder(p).reshape(1, -1)), -1) for encoder, head, p in parts]
            return torch.stack(votes).mean(0)

    return MeanOfSoftmaxes()


@network((1, 2, 6, 6, 6))
def attention_block():
    class AttentionBlock(nn.Module):
        """Channel and spatial attention (CBAM), then a non-local block."""

        def __init__(self):
            super().__init__()
            self.stem = nn.Conv3d(2, 8, 3, padding=1)
            self.mlp = nn.Sequential(nn.Conv3d(8, 2, 1), nn.ReLU(inplace=True), nn.Conv3d(2, 8, 1))
            self.spatial = nn.Conv3d(2, 1, 3, padding=1, padding_mode="replicate")
            self.theta, self.phi, self.g = (nn.Conv3d(8, 4, 1) for _ in range(3))
            self.out = nn.Conv3d(4, 8, 1)
            self.fc = nn.Linear(8, 2)

        def forward(self, x):
            x = torch.nn.functional.softplus(self.stem(x))
            mean = self.mlp(nn.functional.adaptive_avg_pool3d(x, 1))
            most = self.mlp(nn.functional.adaptive_max_pool3d(x, 1))
            x = x * torch.sigmoid(mean + most)
            maps = torch.cat([x.max(dim=1, keepdim=True).values, x.mean(1, keepdim=True)], dim=1)
            x = x * self.spatial(maps).sigmoid()
            b, c = x.shape[0], 4
            theta, phi, g = (f(x).view(b, c, -1) for f in (self.theta, self.phi, self.g))
            attention = torch.softmax(theta.transpose(1, 2) @ phi / 2.0, dim=-1)
            y = torch.bmm(g, attention.permute(0, 2, 1)).view(b, c, *x.shape[2:])
            return self.fc((self.out(y) + x).mean((2, 3, 4)))

    return AttentionBlock()


@network((1, 2, 9, 10, 11))
def operator_zoo(irregular=True):
    class OperatorZoo(nn.Module):
        """The operators that no other network here has."""

        def __init__(self):
            super().__init__()
            self.first = nn.Conv3d(2, 6, (3, 1, 2), stride=(1, 2, 1), padding="valid", groups=2)
            self.prelu = nn.PReLU(6, init=0.3)
            self.norm = nn.InstanceNorm3d(6, track_running_stats=True)
            self.up = nn.ConvTranspose3d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2)
            self.layer = nn.LayerNorm([4, 4], elementwise_affine=False)
            self.register_buffer("scale", torch.tensor([0.5, 1.5, -1.0, 2.0]).view(1, 4, 1, 1, 1))
            self.fc = nn.Linear(4, 5)

        def forward(self, x):
            f = nn.functional
            x = self.norm(self.prelu(self.first(x)))
            x = f.avg_pool3d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False)
            x = f.elu(self.up(x), 0.7) * self.scale
            x = f.pad(x, (1, 2, 0, 1, 0, 0), mode="constant", value=0.25)
            x = f.interpolate(x, size=(5, 7, 6), mode="trilinear", align_corners=True)
            x = f.interpolate(x, scale_factor=(1.5, 1.3, 2.0), mode="trilinear", align_corners=False)
            x = f.interpolate(x, scale_factor=0.7, mode="nearest")
            if irregular:
                x = f.adaptive_avg_pool3d(x, (3, 4, 4)) + f.adaptive_max_pool3d(x, (3, 4, 1))
            else:
                x = f.avg_pool3d(x, (2, 3, 5), 1)
            x = f.mish(self.layer(x)) - f.selu(x) / 3 + torch.sub(x, x.tanh(), alpha=2)
            x = f.hardtanh(x, -2.0, 3.0) + f.hardswish(x) + f.hardsigmoid(x) + f.relu6(x * 4) + f.silu(x)
            x = 1 - torch.clamp(x, min=-3) + x.flip(2) + x.pow(2) * 0.1 + torch.exp(-x.abs())
            a, b = x.split([1, 3], dim=1)
            x = torch.cat([b, a.expand(-1, 1, -1, -1, -1)], 1)
            x = torch.max_pool3d(x, 2, 1, 0, 2, True)
            x = x.unflatten(1, (2, 2)).flatten(1, 2).repeat(1, 1, 2, 1, 1)
            x = x.permute(0, 2, 3, 4, 1).contiguous()
            x = f.log_softmax(self.fc(x), dim=-1)
            return x.amin(dim=1).sum(dim=(1, 2)) + x[:, 0, 0, 0] * torch.zeros(5).add(2.0)

    return OperatorZoo()


@network((1, 2, 9, 10, 11))
def operator_zoo_onnx():
    """Without the poolings that PyTorch's ONNX exporters refuse."""
    return operator_zoo(irregular=False)


@network((1, 3, 14))
def one_dimension():
    class OneDimension(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv1d(3, 4, 3, padding="same", dilation=2), nn.BatchNorm1d(4), nn.SiLU(), nn.MaxPool1d(2)
            )
            self.up = nn.ConvTranspose1d(4, 4, 2, stride=2)
            self.pool = nn.AdaptiveAvgPool1d(5)
            self.fc = nn.Sequential(nn.Flatten(), nn.Linear(20, 3))

        def forward(self, x):
            x = nn.functional.interpolate(self.up(self.features(x)), scale_factor=2.0, mode="linear")
            return self.fc(self.pool(nn.functional.pad(x, (2, 1), mode="reflect")))

    return OneDimension()


def randomise(module, seed):
    """Statistics and scales that are not the defaults."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.running_mean is not None:
            uniform(part.running_mean, -0.2, 0.2)
            uniform(part.running_var, 0.6, 1.6)
        if isinstance(part, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm):
            if part.weight is not None:
                uniform(part.weight, 0.6, 1.4)
                uniform(part.bias, -0.2, 0.2)


def check(model, shapes, names, seed):
    """What PyTorch says about two inputs."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for row in range(2):
        inputs = [torch.randn(shape, generator=generator) for shape in shapes]
        shape = first(model.float()(*inputs)).shape
        cotangent = torch.randn(shape, generator=generator)
        single, peers = run(model.float(), inputs, cotangent)
        output, gradients = run(model.double(), [value.double() for value in inputs], cotangent)
        peer = [error(single, output), max(map(error, peers, gradients))]
        tensors |= {f"{row}/output": output, f"{row}/cotangent": cotangent, f"{row}/peer": torch.tensor(peer)}
        tensors |= {f"{row}/input/{name}": value for name, value in zip(names, inputs, strict=True)}
        tensors |= {f"{row}/gradient/{name}": value for name, value in zip(names, gradients, strict=True)}
    return {name: value.detach().contiguous() for name, value in tensors.items()}


def first(output):
    return output[0] if isinstance(output, tuple | list) else output


def run(model, inputs, cotangent):
    """The first output, and the gradients of its product with the cotangent."""
    inputs = [value.clone().requires_grad_() for value in inputs]
    output = first(model(*inputs))
    return output.detach(), torch.autograd.grad((output * cotangent.to(output.dtype)).sum(), inputs)


def error(got, expected):
    """max |got - expected| / max |expected|."""
    return ((got.double() - expected).abs().max() / expected.abs().max()).item()


def without_paths(program):
    """Every node of the graph says where in whose files it was made; committed files must not."""
    for node in program.graph.nodes:
        if "stack_trace" in node.meta:
            node.meta["stack_trace"] = 'File "network.py", line 1, in forward'


def without_metadata(path):
    """As above, for ONNX."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    for part in [model, model.graph, *model.graph.node]:
        kept = [p for p in part.metadata_props if p.key == "pkg.torch.onnx.name_scopes"]
        del part.metadata_props[:]
        part.metadata_props.extend(kept)
    for node in model.graph.node:
        node.doc_string = ""
    path.write_bytes(model.SerializeToString())


def export(name, folder, arguments):
    from safetensors.torch import save_file

    make, shapes = NETWORKS[name]
    seed = sum(name.encode())
    torch.manual_seed(seed)
    model = make().eval()
    randomise(model, seed)
    start = time.time()
    options = {"strict": arguments.strict}
    if arguments.dynamic:
        # Two examples, because a size of 1 is never taken as free.
        options["dynamic_shapes"] = tuple({0: torch.export.Dim.DYNAMIC} for _ in shapes)
    examples = tuple(torch.zeros((2 if arguments.dynamic else 1, *shape[1:])) for shape in shapes)
    program = torch.export.export(model, examples, **options)
    if arguments.neutral:
        without_paths(program)
    names = program.graph_signature.user_inputs
    path = folder / (f"{name}.onnx" if arguments.onnx else f"{name}.pt2")
    if arguments.onnx:
        dialect = {"external_data": arguments.external} if arguments.onnx == "dynamo" else {}
        torch.onnx.export(
            model, examples, str(path), dynamo=arguments.onnx == "dynamo", input_names=list(names), verbose=False, **dialect)
        if arguments.neutral:
            without_metadata(path)
    else:
        torch.export.save(program, path)
    took = time.time() - start
    save_file(check(model, shapes, names, seed), folder / f"{name}.check.safetensors")
    size = path.stat().st_size
    print(f"{name}: {len(program.graph.nodes)} nodes, {size / 1e6:.1f} MB, exported in {took:.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="the networks; all without names")
    parser.add_argument("--out", type=Path, help="the folder for the files")
    parser.add_argument("--onnx", choices=["dynamo", "torchscript"], help="write NAME.onnx by this exporter instead")
    parser.add_argument("--external", action="store_true", help="ONNX by dynamo: the weights in a file of their own")
    parser.add_argument("--dynamic", action="store_true", help="export with a free batch size")
    parser.add_argument("--strict", action="store_true", help="export by way of Dynamo")
    parser.add_argument("--neutral", action="store_true", help="no paths of this machine in the files")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NETWORKS]
    if unknown:
        sys.exit(f"no network {unknown[0]!r}; --list prints the names")
    if arguments.list:
        print("\n".join(NETWORKS))
        return
    if arguments.out is None:
        sys.exit("--out FOLDER says where the files go")
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in arguments.names or NETWORKS:
        try:
            export(name, arguments.out, arguments)
        except Exception:
            failed += 1
            print(f"{name}: FAILED\n{traceback.format_exc(limit=3)}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
