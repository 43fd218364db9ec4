"""The network: a residual U-Net in one file that imports only torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each followed by a ReLU; keeps Y and X."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    """Predict the noise-free image from a normalised noisy one.

    A contracting path of max-pooled double convolutions, an expanding path of 2x2 transposed
    convolutions, concatenated skip connections, and a residual output: what the last
    convolution gives is added to the input.

    Parameters
    ----------
    channels : tuple of int
        Feature channels of each level, finest first; at least two levels.
    unshuffle : int
        Side of the pixel blocks that become channels at the entrance (and pixels again at the
        exit): 1 works at full resolution, 2 at half with four input channels.

    Attributes
    ----------
    multiple : int
        Pooling grid in pixels. Tiles must start on it to see what the whole image sees.
    halo : int
        Half-width of the receptive field in pixels, rounded up to `multiple`: an output pixel
        depends on no input pixel further away than this, in Y or in X.

    Raises
    ------
    ValueError
        With fewer than two levels, or a width or an unshuffle below one.
    """

    def __init__(self, channels: tuple[int, ...] = (16, 32, 64, 128, 256), unshuffle: int = 1) -> None:
        super().__init__()
        if len(channels) < 2 or min(channels) < 1 or unshuffle < 1:
            raise ValueError(
                "UNet: expected at least two channel counts and an unshuffle, all positive, "
                f"found channels={tuple(channels)}, unshuffle={unshuffle}"
            )
        self.unshuffle = unshuffle
        self.multiple = unshuffle << (len(channels) - 1)
        self.halo = _halo(len(channels) - 1, unshuffle, self.multiple)
        pixels = unshuffle * unshuffle
        widths = (pixels, *channels)
        self.down = nn.ModuleList(DoubleConv(a, b) for a, b in zip(widths[:-1], channels, strict=True))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(channels[i + 1], channels[i], 2, stride=2) for i in range(len(channels) - 1)
        )
        self.merge = nn.ModuleList(DoubleConv(2 * a, a) for a in channels[:-1])
        self.out = nn.Conv2d(channels[0], pixels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Denoise a batch.

        Parameters
        ----------
        x : Tensor
            Floating point, (N, 1, Y, X), normalised; any Y and X from 1 up.

        Returns
        -------
        Tensor
            The same shape and normalised units.
        """
        height, width = x.shape[-2], x.shape[-1]
        # Sides that the pooling does not divide are extended here, so that callers need not care.
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        x = functional.pad(x, padding, mode="replicate")
        y = functional.pixel_unshuffle(x, self.unshuffle)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            if level > 0:
                y = functional.max_pool2d(y, 2)
            y = block(y)
            skips.append(y)
        for level in range(len(self.up) - 1, -1, -1):
            y = self.merge[level](torch.cat([skips[level], self.up[level](y)], dim=1))
        z: Tensor = x + functional.pixel_shuffle(self.out(y), self.unshuffle)
        return z[..., :height, :width]


class StandardisedUNet(UNet):
    """A `UNet` that takes and gives the image's own intensity units, as packages of it are used.

    Each image of the batch is brought to zero mean and unit standard deviation, and the answer back,
    as `denoiser.normalise` does it for planes. A constant image stays what it is.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Denoise a batch.

        Parameters
        ----------
        x : Tensor
            float32, (N, 1, Y, X), intensity units; any Y and X from 1 up.

        Returns
        -------
        Tensor
            The same shape and intensity units.
        """
        centre = x.mean(dim=(1, 2, 3), keepdim=True)
        contrast = x - centre
        scale = contrast.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        # What rounding leaves of a constant image is not contrast.
        flat = scale <= 1e-6 * centre.abs()
        z: Tensor = super().forward(contrast / scale.masked_fill(flat, 1.0))
        return z * scale.masked_fill(flat, 0.0) + centre


def _halo(depth: int, unshuffle: int, multiple: int) -> int:
    """Receptive half-width in pixels, rounded up to `multiple`.

    At each level a pixel is `scale` input pixels wide. Two convolutions down and two up see two
    pixels each to a side, a pooling one more; the deepest level has two convolutions.
    """
    reach = unshuffle - 1
    for level in range(depth):
        reach += 5 * (unshuffle << level)
    reach += 2 * multiple
    return -(-reach // multiple) * multiple
