"""EfficientNet-Lite0, in the layout of its published weights.

Sources: M. Tan and Q. V. Le, https://arxiv.org/abs/1905.11946; the Lite variant, without
squeeze-and-excitation and with ReLU6, is described at
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

from typing import Final, NamedTuple

from torch import Tensor, nn

_BATCH_NORM_EPSILON: Final = 1e-3  # TensorFlow's, with which the weights were trained
_STEM_CHANNELS: Final = 32
_HEAD_CHANNELS: Final = 1280
_CLASSES: Final = 1000


class _Stage(NamedTuple):
    """A row of blocks; only the first of them has the stride."""

    blocks: int
    kernel_px: int
    stride: int
    expansion: int
    channels: int


_STAGES: Final = (
    _Stage(blocks=1, kernel_px=3, stride=1, expansion=1, channels=16),
    _Stage(blocks=2, kernel_px=3, stride=2, expansion=6, channels=24),
    _Stage(blocks=2, kernel_px=5, stride=2, expansion=6, channels=40),
    _Stage(blocks=3, kernel_px=3, stride=2, expansion=6, channels=80),
    _Stage(blocks=3, kernel_px=5, stride=1, expansion=6, channels=112),
    _Stage(blocks=4, kernel_px=5, stride=2, expansion=6, channels=192),
    _Stage(blocks=1, kernel_px=3, stride=1, expansion=6, channels=320),
)


class EfficientNetLite0(nn.Module):
    """Classifies photographs into ImageNet's 1000 classes.

    Takes floats of shape ``(n, 3, height, width)``, whose sides are multiples of 32 (it was
    trained at 224), and returns logits of shape ``(n, 1000)``.
    """

    def __init__(self) -> None:
        super().__init__()
        # The names of attributes are those in the published state dict.
        self._conv_stem = _convolution(3, _STEM_CHANNELS, kernel_px=3, stride=2)
        self._bn0 = _normalisation(_STEM_CHANNELS)
        self._blocks = nn.ModuleList(_blocks())
        self._conv_head = _convolution(_STAGES[-1].channels, _HEAD_CHANNELS)
        self._bn1 = _normalisation(_HEAD_CHANNELS)
        self._fc = nn.Linear(_HEAD_CHANNELS, _CLASSES)
        self._activation = nn.ReLU6()

    def forward(self, images: Tensor) -> Tensor:
        features = self._activation(self._bn0(self._conv_stem(images)))
        for block in self._blocks:
            features = block(features)
        features = self._activation(self._bn1(self._conv_head(features)))
        logits: Tensor = self._fc(features.mean(dim=(2, 3)))
        return logits


class _Block(nn.Module):
    """Widens, filters each channel by itself, and narrows: an inverted residual."""

    def __init__(self, stage: _Stage, channels_in: int, stride: int) -> None:
        super().__init__()
        wide = channels_in * stage.expansion
        self._is_wider = stage.expansion > 1
        if self._is_wider:
            self._expand_conv = _convolution(channels_in, wide)
            self._bn0 = _normalisation(wide)
        self._depthwise_conv = _convolution(
            wide, wide, kernel_px=stage.kernel_px, stride=stride, groups=wide
        )
        self._bn1 = _normalisation(wide)
        self._project_conv = _convolution(wide, stage.channels)
        self._bn2 = _normalisation(stage.channels)
        self._activation = nn.ReLU6()
        self._is_residual = stride == 1 and channels_in == stage.channels

    def forward(self, images: Tensor) -> Tensor:
        features = images
        if self._is_wider:
            features = self._activation(self._bn0(self._expand_conv(features)))
        features = self._activation(self._bn1(self._depthwise_conv(features)))
        narrow: Tensor = self._bn2(self._project_conv(features))
        return narrow + images if self._is_residual else narrow


class _PaddedAsInTensorFlow(nn.Conv2d):
    """A convolution of stride 2 with the padding that TensorFlow calls SAME, for even sides.

    It pads one pixel less at the left and at the top than ``nn.Conv2d`` can.
    """

    def forward(self, images: Tensor) -> Tensor:  # of nn.Conv2d
        total = self.kernel_size[0] - self.stride[0]
        before, after = total // 2, total - total // 2
        padded = nn.functional.pad(images, (before, after, before, after))
        return super().forward(padded)


def _blocks() -> list[_Block]:
    blocks: list[_Block] = []
    channels = _STEM_CHANNELS
    for stage in _STAGES:
        for number in range(stage.blocks):
            stride = stage.stride if number == 0 else 1
            blocks.append(_Block(stage, channels, stride))
            channels = stage.channels
    return blocks


def _convolution(
    channels_in: int, channels_out: int, *, kernel_px: int = 1, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    # The normalisation that follows has a bias of its own.
    if stride == 1:
        return nn.Conv2d(
            channels_in,
            channels_out,
            kernel_px,
            padding=kernel_px // 2,
            groups=groups,
            bias=False,
        )
    return _PaddedAsInTensorFlow(
        channels_in, channels_out, kernel_px, stride=stride, groups=groups, bias=False
    )


def _normalisation(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BATCH_NORM_EPSILON)
