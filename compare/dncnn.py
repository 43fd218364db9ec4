"""DnCNN (Zhang et al., 2017), to compare with: seventeen convolutions in a row that answer with the noise."""

from __future__ import annotations

from torch import Tensor, nn

LAYERS, WIDTH = 17, 64


class DnCNN(nn.Module):
    """3x3 convolutions, batch norm between all but the first and the last, ReLU; the input less their answer.

    It has what `quietfield.network.predict.Denoiser` asks of a network, and any Y and X will do.
    """

    multiple, halo, scale = 1, LAYERS, 1

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, WIDTH, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(LAYERS - 2):
            convolution = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True)]
        self.noise = nn.Sequential(*layers, nn.Conv2d(WIDTH, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, Y, X) to the same, normalised units."""
        y: Tensor = x - self.noise(x)
        return y
