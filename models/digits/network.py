"""The network behind the digits model: small enough to train in a minute on one core."""

from torch import Tensor, nn


class DigitsNet(nn.Module):
    """Tells the ten digits apart on 8 by 8 pixels.

    Takes floats of shape ``(n, 1, 8, 8)``, ink near 1 and paper 0, and returns logits of shape
    ``(n, 10)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            # Each image by its own mean and spread, so that pale ink and grey paper do not matter.
            nn.InstanceNorm2d(1),
            *_convolution(1, 32),
            *_convolution(32, 32),
            nn.MaxPool2d(2),
            *_convolution(32, 64),
            *_convolution(64, 64),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64 * 2 * 2, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


def _convolution(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    return (
        # The normalisation that follows has a bias of its own.
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )
