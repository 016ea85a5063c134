"""Supervoxels by scikit-image, and how those made here compare.

    python bench/slic.py write crates/imaging/tests/data/slic          the small stored reference of the tests
    cargo build --release -p voxplain-imaging --example slic
    python bench/slic.py compare 128 target/release/examples/slic      both on one larger phantom, with seconds
"""

import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.segmentation import slic


def phantom(sizes, channels=1, seed=0):
    """A head: an ellipsoid of tissue with smooth lumps of other intensities; the image, the mask, the true parts."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in sizes], indexing="ij")
    mask = sum(a**2 for a in axes) < 0.85
    fields = [gaussian_filter(rng.standard_normal(sizes), min(sizes) / 9) for _ in range(3)]
    parts = np.argmax(np.stack(fields), 0) + 1
    parts[~mask] = 0
    levels = rng.permuted(np.tile([0.35, 0.6, 0.9], (channels, 1)), axis=1)
    image = np.stack([np.concatenate([[0], row])[parts] for row in levels])
    image = np.where(mask, image + 0.04 * rng.standard_normal(image.shape), 0).clip(0, 1)
    return image.astype(np.float32), mask, parts


def boundary(labels):
    """Entries whose neighbour along some axis has another label."""
    out = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        a = np.moveaxis(labels, axis, 0)
        b = np.moveaxis(out, axis, 0)
        b[:-1] |= a[:-1] != a[1:]
    return out


def recall(labels, parts, mask):
    """The share of true boundaries inside the mask with a boundary of regions within one entry."""
    near = boundary(labels)
    for axis in range(labels.ndim):
        near = near | np.roll(near, 1, axis) | np.roll(near, -1, axis)
    inside = mask.copy()
    for axis in range(labels.ndim):
        inside &= np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    true = boundary(parts) & inside
    return (true & near).sum() / true.sum()


def peer(image, mask, n, compactness, sigma, spacing):
    """scikit-image with channels last; every channel is scaled already."""
    several = image.shape[0] > 1
    data = np.moveaxis(image, 0, -1) if several else image[0]
    return slic(data, n_segments=n, compactness=compactness, sigma=sigma, mask=mask, spacing=spacing,
                start_label=1, channel_axis=-1 if several else None, convert2lab=False if several else None)


CASES = {
    # name: sizes, channels, segments, compactness, sigma, spacing, masked
    "head": ((24, 28, 20), 1, 20, 0.1, 1.0, (1, 1, 1), True),
    "anisotropic": ((24, 28, 12), 1, 16, 0.1, 1.0, (1, 1, 2.5), True),
    "joint": ((20, 24, 18), 3, 16, 0.2, 1.0, (1, 1, 1), True),
    "whole": ((20, 20, 20), 1, 27, 0.1, 0.5, (1, 1, 1), False),
    "picture": ((48, 40), 1, 24, 0.1, 1.0, (1, 1), True),
}


def describe(labels, parts, mask):
    sizes = np.bincount(labels.ravel())[1:]
    sizes = sizes[sizes > 0]
    return (f"{len(sizes)} regions of {sizes.min()} to {sizes.max()} entries, deviation {sizes.std() / sizes.mean():.2f} of the "
            f"mean, boundary recall {recall(labels, parts, mask):.3f}")


def write(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (sizes, channels, n, compactness, sigma, spacing, masked) in CASES.items():
        image, mask, parts = phantom(sizes, channels)
        if not masked:
            mask = np.ones(sizes, bool)
        labels = peer(image, mask if masked else None, n, compactness, sigma, spacing)
        print(name, describe(labels, parts, mask))
        stack = np.stack([mask, parts, labels]).astype(np.uint8)
        np.save(folder / f"{name}_image.npy", image)
        np.save(folder / f"{name}_labels.npy", stack)


def compare(size, program):
    image, mask, parts = phantom((int(size),) * 3)
    start = time.perf_counter()
    labels = peer(image, mask, 50, 0.1, 2.0, (1, 1, 1))
    print(f"scikit-image {time.perf_counter() - start:.1f} s:", describe(labels, parts, mask))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        np.save(folder / "image.npy", image)
        np.save(folder / "mask.npy", mask.astype(np.uint8))
        start = time.perf_counter()
        subprocess.run([program, folder / "image.npy", folder / "mask.npy", folder / "labels.npy"], check=True)
        seconds = time.perf_counter() - start
        labels = np.load(folder / "labels.npy").astype(int)
    print(f"voxplain {seconds:.1f} s:", describe(labels, parts, mask))


if __name__ == "__main__":
    {"write": write, "compare": compare}[sys.argv[1]](*sys.argv[2:])
