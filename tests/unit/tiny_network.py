"""A folder of a model whose network is as small as can be: light or dark."""

from typing import Final

NETWORK: Final = """
import torch

class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 2)

    def forward(self, images):
        return self.linear(images.flatten(1))
"""
DESCRIPTION: Final = """
architecture = "network:Tiny"
weights = "{weights}"
labels = ["dark", "light"]

[preprocessing]
mode = "L"
resize = [2, 2]
mean = [0.0]
std = [1.0]
"""
