"""Train a small network on batches that an augserve server augments; stop it at any time, and it goes on where it was.

    augserve serve &
    python examples/train.py --images photographs --checkpoint run.pt

``photographs`` has a folder of images for each class; without it, noise in two colours is made. The loader asks for the
next batches while the network trains on one. Where the server goes away, the same pipeline runs in this process, with
the same seeds and the same pixels (this needs augserve[server]).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from augserve import Client
from augserve.torch import AugmentedLoader, Augmenter
from augserve_pipelines import Pipeline
from augserve_server.in_process import InProcess

Pairs = list[tuple[Path, int]]
SUFFIXES = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tiff", ".webp"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    options = parser().parse_args(arguments)
    with TemporaryDirectory() as folder, Client(options.server) as client:
        pairs = found(options.images) if options.images else made(Path(folder))
        details = client.describe(options.pipeline)
        fallback = InProcess(Pipeline.loads(details.yaml, details.name))
        augmenter = Augmenter(client, options.pipeline, wire="uint8" if details.wire else None, fallback=fallback)
        loader = AugmentedLoader(
            pairs, augmenter, batch_size=options.batch_size, shuffle=True, seed=options.seed, prefetch=options.prefetch
        )
        torch.manual_seed(options.seed)
        run = Run(network(1 + max(label for _, label in pairs)), loader, options.checkpoint)
        run.resume()
        run.train(options.epochs, options.steps)


class Run:
    """A network, what it learns from, and the file that both are kept in."""

    def __init__(self, model: nn.Module, loader: AugmentedLoader, checkpoint: Path) -> None:
        self.model, self.loader, self.checkpoint = model, loader, checkpoint
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        self.steps = 0

    def resume(self) -> None:
        """Go on where the checkpoint was written, if there is one."""
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.loader.load_state_dict(state["loader"])
            self.steps = state["steps"]
            print(f"resumed after {self.steps} steps, in epoch {self.loader.epoch}")

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loader": self.loader.state_dict(),
            "steps": self.steps,
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.checkpoint)

    def train(self, epochs: int, most_steps: int | None) -> None:
        """Train until so many epochs are done, or so many steps altogether."""
        while self.loader.epoch < epochs:
            epoch, images_done, start = self.loader.epoch, 0, time.perf_counter()
            for images, labels in self.loader:
                loss = self.step(images, labels)
                images_done += len(images)
                if self.steps == most_steps:
                    self.save()
                    print(f"stopped after {self.steps} steps")
                    return
            rate = images_done / (time.perf_counter() - start)
            print(f"epoch {epoch}: {images_done} images, {rate:.0f} images/s, loss {loss:.4f}")
            self.save()

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """One step of gradient descent; the loss before it."""
        loss = F.cross_entropy(self.model(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        return loss.item()


def network(classes: int) -> nn.Module:
    """A convolution that sees little, so that the loader is what takes the time."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.LazyLinear(classes)
    )


def found(folder: Path) -> Pairs:
    """Every image below the folders of a folder, and the number of the folder that it is in."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    return [
        (path, label)
        for label, inside in enumerate(classes)
        for path in sorted(inside.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]


def made(folder: Path, count: int = 256) -> Pairs:
    """Noise, red or blue, in files of many sizes."""
    chance = np.random.default_rng(0)
    pairs = []
    for i in range(count):
        pixels = chance.integers(0, 160, (*chance.integers(200, 400, 2), 3), np.uint8)
        pixels[..., 2 * (i % 2)] += 80
        pairs.append((folder / f"{i}.jpg", i % 2))
        Image.fromarray(pixels).save(pairs[-1][0])
    return pairs


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a small network on batches from an augserve server.")
    parser.add_argument("--server", default="http://127.0.0.1:8000", help="its address")
    parser.add_argument("--pipeline", default="imagenet_train", help="one of the pipelines that it serves")
    parser.add_argument("--images", type=Path, help="a folder with a folder of images for each class")
    parser.add_argument("--checkpoint", type=Path, default=Path("train.pt"), help="what to resume from and write to")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--prefetch", type=int, default=4, help="batches asked for ahead of the one trained on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, help="stop, and write the checkpoint, after so many steps altogether")
    parser.add_argument("--seed", type=int, default=0, help="of the network, the order and all augmentation")
    return parser


if __name__ == "__main__":
    main()
