"""Writes the small files of crates/models/tests/data: every trap of the format in a few kilobytes.

    python bench/tiny.py --neutral --out crates/models/tests/data conv gates norms pools two_inputs in_place in_place_view
    python bench/tiny.py --neutral --dynamic --out crates/models/tests/data free_batch
    python bench/tiny.py --neutral --strict --out crates/models/tests/data baked
    python bench/tiny.py --neutral --onnx dynamo --external --out crates/models/tests/data picks
    python bench/tiny.py --neutral --onnx torchscript --out crates/models/tests/data script
"""

import torch
from models import NETWORKS, main, network
from torch import nn

NETWORKS.clear()


class Block(nn.Module):
    def __init__(self, *parts):
        super().__init__()
        self.op = nn.Sequential(*parts)

    def forward(self, x):
        return self.op(x)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.relu = nn.BatchNorm2d(2), nn.ReLU(inplace=True)
        self.main, self.shortcut = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)

    def forward(self, x):
        x = self.norm(x)
        y = self.main(self.relu(x))
        z = self.shortcut(x)
        nn.functional.leaky_relu(z, 0.3, inplace=True)
        y += z
        return self.relu(y)


@network((1, 2, 4, 4, 4))
def conv():
    class Net(nn.Module):
        """A literal batch of 1, a layer called conv6.op.0, a head that nothing uses, an activation used twice."""

        def __init__(self):
            super().__init__()
            self.conv6 = Block(nn.Conv3d(2, 3, 3, padding=1, bias=False), nn.BatchNorm3d(3), nn.ReLU(inplace=True))
            self.pool = nn.MaxPool3d(2, ceil_mode=True)
            self.act = nn.LeakyReLU(0.2)
            self.dropout = nn.Dropout()
            self.hidden, self.fc, self.dead = nn.Linear(24, 5), nn.Linear(5, 2), nn.Linear(24, 4)

        def forward(self, x):
            x = self.act(self.pool(self.conv6(x))).view([1, -1])
            self.dead(x)
            return self.fc(self.dropout(self.act(self.hidden(x))))

    return Net()


@network((1, 1, 5, 6), (1, 4, 1, 5, 6))
def two_inputs():
    class Net(nn.Module):
        """An image and a stack of slices that are the batch of the same encoder; the maximum over slices counts."""

        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Conv2d(1, 3, (3, 4), padding="same", dilation=(1, 1)), nn.Softplus(beta=2), nn.AdaptiveAvgPool2d(1)
            )
            self.fc = nn.Linear(6, 3)

        def forward(self, image, slices):
            a = self.encoder(image).flatten(1)
            b = self.encoder(torch.squeeze(slices, dim=0)).view(4, -1)
            b = torch.max(b, 0, keepdim=True)[0]
            return torch.log_softmax(self.fc(torch.cat((a, b), 1)), dim=-1)

    return Net()


@network((1, 2, 4, 5, 4))
def norms():
    class Net(nn.Module):
        """A segmentation network in small."""

        def __init__(self):
            super().__init__()
            self.down = nn.Conv3d(2, 4, 3, stride=2, padding=1)
            self.norm = nn.InstanceNorm3d(4)
            self.act = nn.PReLU(4, init=0.3)
            self.up = nn.ConvTranspose3d(4, 4, 2, stride=2, groups=2)
            self.group = nn.GroupNorm(2, 4)
            self.out = nn.Conv3d(4, 2, 1)

        def forward(self, x):
            y = self.act(self.norm(self.down(x)))
            y = nn.functional.pad(self.up(y), (0, 0, 0, 1, 1, 0), mode="replicate")
            y = nn.functional.interpolate(y, scale_factor=(0.8, 1, 2), mode="trilinear", align_corners=False)
            z = nn.functional.interpolate(x, size=(4, 7, 8), mode="nearest")
            return self.out(self.group(y)) - torch.sub(z, z.tanh(), alpha=0.5)

    return Net()


@network((1, 4, 6, 6))
def gates():
    class Net(nn.Module):
        """Activations, a squeeze-excitation gate, a channels-last block as in ConvNeXt, a product over positions."""

        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.GroupNorm(2, 4), nn.SiLU())
            self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.Hardswish(), nn.Conv2d(2, 4, 1))
            self.norm = nn.LayerNorm(4)
            self.expand, self.reduce = nn.Linear(4, 8), nn.Linear(8, 4)
            self.scale = nn.Parameter(torch.tensor([0.5, 1.0, -0.5, 2.0]).view(4, 1, 1))
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            x = self.stem(x)
            x = x * torch.sigmoid(self.gate(x))
            y = self.reduce(nn.functional.gelu(self.expand(self.norm(x.permute(0, 2, 3, 1)))))
            x = x + y.permute(0, 3, 1, 2) * self.scale
            a = x.reshape(1, 4, 16)
            weights = torch.softmax(a.transpose(1, 2) @ a / 4, dim=-1)
            return 1 - self.fc(torch.bmm(a, weights).mean(dim=2)) * torch.tensor([1.0, 2.0, 3.0])

    return Net()


@network((1, 2, 8, 7))
def pools():
    class Net(nn.Module):
        """Poolings with irregular windows, pieces of tensors, reductions."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 2)

        def forward(self, x):
            f = nn.functional
            x = f.relu6(self.conv(f.pad(x, (1, 0, 0, 0), value=0.5)) * 3)
            a, b = f.adaptive_avg_pool2d(x, (3, 5)).chunk(2, dim=1)
            c = f.adaptive_max_pool2d(x, (3, 5))[:, 1:3]
            d = f.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False)[:, :2, :3]
            d = d.repeat(1, 1, 1, 2)[..., :5].flip(3)
            x = torch.stack([a, b, c, d.clamp(min=0.1)], dim=1)
            return x.amin(dim=(3, 4)).sum(dim=2) + x[:, :, 0, 1, -1].pow(2)

    return Net()


@network((1, 3, 8, 7))
def picks():
    class Net(nn.Module):
        """What the dynamo exporter takes apart: adaptive poolings whose windows are irregular, overlap or repeat entries,
        and picked, split and repeated entries."""

        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.pool = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d((3, 5))
            self.most = nn.MaxPool2d((4, 5), 4)
            self.fc = nn.Linear(12, 3)

        def forward(self, x):
            f = nn.functional
            x = f.silu(self.norm(self.conv(x)))
            a = self.pool(x)
            b = f.adaptive_avg_pool2d(self.most(x), (3, 5))
            c = f.adaptive_avg_pool2d(x[:, :, :, :6], (7, 5))[:, [2, 0, 1, 1], 4:]
            y, z = (a * b + c.clamp(max=0.7)).split([1, 3], dim=1)
            y = torch.cat([z, y.repeat(1, 1, 1, 2)[..., 3:8]], 1).pow(2).amin(dim=3)
            return self.fc(y.flatten(1))

    return Net()


@network((1, 2, 4, 6, 5))
def script():
    class Net(nn.Module):
        """What the older exporter writes: shapes by arithmetic, constants as nodes, activations and norms in parts."""

        def __init__(self):
            super().__init__()
            self.down = nn.Sequential(nn.Conv3d(2, 4, 3, stride=2, padding=1), nn.GroupNorm(2, 4), nn.GELU())
            self.gate = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Conv3d(4, 4, 1), nn.Softplus())
            self.up = nn.ConvTranspose3d(4, 2, 2, stride=2)
            self.fc = nn.Linear(10, 3)

        def forward(self, x):
            y = self.down(x)
            y = self.up(y * self.gate(y))
            y = nn.functional.interpolate(y, size=x.shape[2:], mode="trilinear", align_corners=True) + x
            y = y[:, [1, 0, 1]][:, :2].expand(x.shape[0], -1, -1, -1, -1)
            y = y.view(y.shape[0], 2, -1, x.shape[-1])
            return self.fc(nn.functional.mish(y.amax(2)).reshape(y.shape[0], -1))

    return Net()


@network((1, 2, 5, 5))
def in_place():
    class Net(nn.Module):
        """A value whose name means something else once an operator has changed it."""

        def __init__(self):
            super().__init__()
            self.block = Residual()

        def forward(self, x):
            return self.block(x).flatten(1)

    return Net()


@network((1, 2, 5))
def in_place_view():
    class Net(nn.Module):
        """A change that reaches a value through another one."""

        def forward(self, x):
            x = x * 2
            x.transpose(1, 2).relu_()
            return x.sum(2)

    return Net()


@network((1, 2, 6))
def baked():
    class Net(nn.Module):
        """As MONAI's shortcut of type A: what the export stores is the value for the example input."""

        def forward(self, x):
            y = nn.functional.avg_pool1d(x, 2)
            return (torch.cat([y.data, torch.zeros(1, 1, 3)], dim=1) * x[:, :1, :3]).sum(2)

    return Net()


@network((1, 3, 5))
def free_batch():
    class Net(nn.Module):
        """Sizes computed from the input, weights in another order in memory, one weight under two names, a constant."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(3, 4, 3, padding=1)
            self.conv.weight.data = self.conv.weight.data.permute(2, 1, 0).contiguous().permute(2, 1, 0)
            self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 5)
            self.b.weight = self.a.weight
            self.register_buffer("shift", torch.linspace(-1, 1, 5), persistent=False)

        def forward(self, x):
            x = self.conv(x).relu()
            x = self.b(self.a(x.view(x.shape[0] * 4, 5)).tanh()) + self.shift
            return x.view(-1, 4 * 5).unflatten(1, (4, 5)).expand(x.shape[0] // 4, 4, 5).sum(2)

    return Net()


if __name__ == "__main__":
    main()
