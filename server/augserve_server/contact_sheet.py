"""A picture of what a pipeline does to an image: the original, then samples, each labelled with its seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines.transforms import Normalize

PAPER = "#ffffff"
INK = "#24292f"
FAINT = "#6e7781"
MARGIN = 16
GAP = 10
TITLE_HEIGHT = 34
LABEL_HEIGHT = 22


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of the sheet and the line under it."""

    label: str
    picture: Image.Image


def draw_sheet(
    pipeline: Pipeline, image: Tensor, seeds: Sequence[int], columns: int, size: int, device: torch.device
) -> Image.Image:
    """A contact sheet of ``image`` [C, H, W] uint8 and of its samples under ``seeds``, ``size`` pixels to a side."""
    samples = pipeline([image] * len(seeds), seeds, device=device)
    pictures = [to_picture(sample.cpu(), pipeline) for sample in samples]
    cells = [Cell("original", to_picture(image, pipeline))]
    cells += [Cell(f"seed {seed}", picture) for seed, picture in zip(seeds, pictures, strict=True)]
    return lay_out(cells, pipeline.name, pipeline.description, min(columns, len(cells)), size)


def lay_out(cells: Sequence[Cell], title: str, subtitle: str, columns: int, size: int) -> Image.Image:
    """Cells on white paper, row by row under a title; a larger picture is scaled down into its cell, never up."""
    font, title_font = ImageFont.load_default(size=13), ImageFont.load_default(size=18)
    step_x, step_y = size + GAP, size + LABEL_HEIGHT + GAP
    rows = -(-len(cells) // columns)
    width, height = 2 * MARGIN + columns * step_x - GAP, 2 * MARGIN + TITLE_HEIGHT + rows * step_y - GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN + 18), title, INK, title_font, anchor="ls")
    draw.text((MARGIN + draw.textlength(f"{title}  ", title_font), MARGIN + 18), subtitle, FAINT, font, anchor="ls")
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        left, top = MARGIN + column * step_x, MARGIN + TITLE_HEIGHT + row * step_y
        picture = cell.picture.copy()
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
        sheet.paste(picture, (left + (size - picture.width) // 2, top + (size - picture.height) // 2))
        draw.text((left + size // 2, top + size + 4), cell.label, FAINT, font, anchor="ma")
    return sheet


def to_picture(sample: Tensor, pipeline: Pipeline) -> Image.Image:
    """A sample [C, H, W] as a person wants to see it: floats are taken back to 0..255 first."""
    pixels = sample if sample.dtype == torch.uint8 else _to_uint8(_denormalized(sample.float(), pipeline))
    channels = pixels[:3] if pixels.shape[0] >= 3 else pixels[:1].expand(3, -1, -1)
    return Image.fromarray(channels.permute(1, 2, 0).contiguous().numpy())


def _denormalized(sample: Tensor, pipeline: Pipeline) -> Tensor:
    """Undo the pipeline's last Normalize, where it has one at the top and the channels agree."""
    for transform in reversed(pipeline.transforms):
        if isinstance(transform, Normalize):
            mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (transform.mean, transform.std))
            return sample * std + mean if mean.shape[0] in (1, sample.shape[0]) else sample
    return sample


def _to_uint8(sample: Tensor) -> Tensor:
    """Floats to 0..255: those of 0..1 by 255, with room for rounding; any others by their own range."""
    low, high = float(sample.min()), float(sample.max())
    if low < -0.01 or high > 1.01:
        sample = (sample - low) / max(high - low, 1e-12)
    return (sample * 255).round().clamp(0, 255).to(torch.uint8)
