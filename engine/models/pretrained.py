"""A torch network with its labels and preprocessing."""

from dataclasses import dataclass
from pathlib import Path

import torch

from engine.models.classifier import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """A torch network in evaluation mode, and the files that it was made from.

    Args:
        module: Takes floats of shape (n, channels, height, width), returns logits.
        spec: Its labels, its preprocessing and so on.
        sources: The files that it was made from.
        remark: What was changed in its weights, for people; empty if nothing was.
    """

    module: torch.nn.Module
    spec: ModelSpec
    sources: tuple[Path, ...]
    remark: str = ""
