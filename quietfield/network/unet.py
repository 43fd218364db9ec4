"""The network: a residual U-Net in one file that imports only torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCKS = ("plain", "residual")
NORMS = ("none", "batch")
SKIPS = ("concatenated", "added")
# Of averages of planes: how far, in logarithms, another one may be off to count by half; and whether that is counted
# from the one that is most alike.
BELIEFS = ((1.0, False), (3.0, False), (2.0, True))
NEAR, AROUND = 3, 9  # pixels of a side, after unshuffling, in which planes are compared
TINY = 1e-6  # of a plane's variance, that noise has at least
FAR = 16.0  # standard deviations of a plane, beyond which another one has nothing to do with it
WINDOW = 4  # pixels of the deepest level, the side of an attention window


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each followed by a batch norm if asked for and a ReLU; keeps Y and X."""

    def __init__(self, inputs: int, outputs: int, norm: str = "none") -> None:
        layers: list[nn.Module] = []
        for width in (inputs, outputs):
            layers.append(nn.Conv2d(width, outputs, 3, padding=1))
            if norm == "batch":
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class ResidualConv(nn.Module):
    """A `DoubleConv` that is added to a 1x1 convolution of what it is given (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, norm: str = "none") -> None:
        super().__init__()
        self.body = DoubleConv(inputs, outputs, norm)
        self.short = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.short(x)
        y += self.body(x)  # in place: a new array of this size costs as much as a small convolution
        return y

    def into(self, out: nn.Conv2d, x: Tensor) -> Tensor:
        """`out` of the sum, for a 1x1 convolution with few outputs.

        Taken of each addend, for less time: the product of two 1x1 convolutions is one.
        """
        weight = out.weight.flatten(1) @ self.short.weight.flatten(1)
        bias = None if self.short.bias is None else out.weight.flatten(1) @ self.short.bias
        y = functional.conv2d(x, weight[..., None, None], bias)
        y += out(self.body(x))
        return y


class WindowAttention(nn.Module):
    """Self-attention among the pixels of each window of a fixed grid, added to the input.

    Attention over the whole image would see other pixels in a tile than in the image; windows on the
    pooling grid see the same (Liu et al., 2021, without the shifts).

    Parameters
    ----------
    channels : int
        Of the input; four heads share them.
    """

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, Y, X) to the same, where `WINDOW` divides Y and X."""
        n, c, height, width = x.shape
        rows, columns = height // WINDOW, width // WINDOW
        y = self.query_key_value(x).view(n, 3, self.heads, c // self.heads, rows, WINDOW, columns, WINDOW)
        # To (3, N, rows, columns, heads, pixels of the window, channels of the head).
        y = y.permute(1, 0, 4, 6, 2, 5, 7, 3).reshape(3, n * rows * columns, self.heads, WINDOW * WINDOW, -1)
        y = functional.scaled_dot_product_attention(y[0], y[1], y[2])
        y = y.view(n, rows, columns, self.heads, WINDOW, WINDOW, c // self.heads)
        y = y.permute(0, 3, 6, 1, 4, 2, 5).reshape(n, c, height, width)
        z: Tensor = x + self.project(y)
        return z


class Fusion(nn.Module):
    """Give planes that follow each other to a network: as they are, and averaged where they show the same.

    Around each pixel, the square of how far another plane is off, and the square of the mean of that, are compared with
    the plane's own noise. One average believes in little, one in more, and one in whatever plane is most alike, as
    where neighbouring pixels share noise. Nothing here is learnt: the network sees all, and decides what to take.

    Parameters
    ----------
    planes : int
        Odd. Two on either side of the one in the middle are single planes, the next ones are means of 2, 4, 8, ...
    pixels : int
        Channels of each plane: 4 for squares of 2 x 2 pixels.

    Attributes
    ----------
    outputs : int
        Channels of what comes out: the plane in the middle, the averages, the logarithms of how many planes each is the
        mean of, and how far the other planes are off.
    """

    def __init__(self, planes: int, pixels: int) -> None:
        super().__init__()
        self.pixels, self.outputs = pixels, (planes + len(BELIEFS)) * pixels + len(BELIEFS)
        far = [1.0 if i < 2 else 2.0 ** (i - 1) for i in range(planes // 2)]
        self.frames = [*reversed(far), *far]

    def forward(self, y: Tensor) -> Tensor:
        """(N, planes * pixels, Y, X) to (N, outputs, Y, X)."""
        n, _, height, width = y.shape
        others = len(self.frames)
        y = y.view(n, others + 1, self.pixels, height, width)
        own = y[:, others // 2]
        beyond = torch.cat([y[:, : others // 2], y[:, others // 2 + 1 :]], dim=1) - own[:, None]
        beyond = beyond.clamp(-FAR, FAR)
        frames = torch.tensor(self.frames, dtype=y.dtype, device=y.device).view(1, -1, 1, 1)
        unlike = self._unlike(own, beyond, frames)
        least = unlike.amin(dim=1, keepdim=True).clamp(min=0)
        averages, counts = [], []
        for belief, relative in BELIEFS:
            weight = frames * torch.sigmoid(belief - (unlike - least if relative else unlike))
            total = 1 + weight.sum(dim=1, keepdim=True)
            averages.append(own + (weight[:, :, None] * beyond).sum(dim=1) / total)
            counts.append(torch.log(total))
        return torch.cat([own, *averages, *counts, beyond.flatten(1, 2)], dim=1)

    def _unlike(self, own: Tensor, beyond: Tensor, frames: Tensor) -> Tensor:
        """How far the others (N, S, pixels, Y, X) are off, (N, S, Y, X): logarithms, 0 where noise explains it."""
        expected = 1 + 1 / frames  # variance of a difference, in that of the noise
        square = _box(beyond.square().mean(dim=2) / expected, NEAR)
        mean = beyond.mean(dim=2) / expected.sqrt()
        near, around = (self.pixels * side**2 * _box(mean, side).square() for side in (NEAR, AROUND))
        signs = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=own.dtype, device=own.device).view(1, -1, 1, 1)
        noise = _box((own * signs).sum(dim=1, keepdim=True).square() / self.pixels, AROUND)
        return sum(
            (torch.log((part + TINY) / (noise + TINY)) for part in (square, near, around)), torch.zeros_like(square)
        )


def _box(x: Tensor, side: int) -> Tensor:
    """Mean of squares around each pixel."""
    rows = functional.avg_pool2d(x, (side, 1), 1, (side // 2, 0), count_include_pad=False)
    return functional.avg_pool2d(rows, (1, side), 1, (0, side // 2), count_include_pad=False)


class UNet(nn.Module):
    """Predict the noise-free image from a normalised noisy one.

    A contracting path of max-pooled double convolutions, an expanding path of 2x2 transposed
    convolutions, skip connections, and a residual output: what the last convolution gives is added
    to the input.

    Parameters
    ----------
    channels : tuple of int
        Feature channels of each level, finest first; at least two levels.
    unshuffle : int
        Side of the pixel blocks that become channels at the entrance (and pixels again at the
        exit): 1 works at full resolution, 2 at half with four input channels.
    block : str
        "plain" double convolutions or "residual" ones.
    norm : str
        "none", or "batch" for a batch norm behind each 3x3 convolution.
    residual : bool
        Learn what to add to the input; else the image itself.
    attention : bool
        Self-attention in windows at the deepest level.
    dropout : float
        Share of the deepest level's channels that are dropped in training.
    scale : int
        1 denoises; 2 gives an image of twice as many pixels in Y and in X.
    skips : str
        "concatenated" with what comes up from below, or "added" to it, which takes a fifth less time.
    planes : int
        Odd: how many planes that follow each other in time or depth it is given; the one in the middle is denoised.

    Attributes
    ----------
    multiple : int
        Pooling grid in input pixels. Tiles must start on it to see what the whole image sees.
    halo : int
        Half-width of the receptive field in input pixels, rounded up to `multiple`: an output
        pixel depends on no input pixel further away than this, in Y or in X.

    Raises
    ------
    ValueError
        With fewer than two levels, a width or an unshuffle below one, a name that is not known, or an even number of
        planes.
    """

    def __init__(
        self,
        channels: tuple[int, ...] = (16, 32, 64, 128, 256),
        unshuffle: int = 1,
        block: str = "plain",
        norm: str = "none",
        *,
        residual: bool = True,
        attention: bool = False,
        dropout: float = 0.0,
        scale: int = 1,
        skips: str = "concatenated",
        planes: int = 1,
    ) -> None:
        super().__init__()
        if planes < 1 or planes % 2 == 0:
            raise ValueError(f"UNet: expected an odd number of planes, found planes={planes}")
        if len(channels) < 2 or min(channels) < 1 or unshuffle < 1:
            raise ValueError(
                "UNet: expected at least two channel counts and an unshuffle, all positive, "
                f"found channels={tuple(channels)}, unshuffle={unshuffle}"
            )
        if block not in BLOCKS or norm not in NORMS or skips not in SKIPS:
            raise ValueError(
                f"UNet: expected a block of {BLOCKS}, a norm of {NORMS} and skips of {SKIPS}, "
                f"found block={block!r}, norm={norm!r}, skips={skips!r}"
            )
        if planes > 1 and unshuffle != 2:
            raise ValueError(f"UNet: expected an unshuffle of 2 for several planes, found {unshuffle}")
        if scale not in (1, 2) or not 0 <= dropout < 1:
            raise ValueError(
                "UNet: expected a scale of 1 or 2 and a dropout from 0 to below 1, "
                f"found scale={scale}, dropout={dropout}"
            )
        if attention and channels[-1] % 4:
            raise ValueError(f"UNet: expected a last width that 4 heads divide, found channels={tuple(channels)}")
        self.unshuffle, self.scale, self.residual, self.planes = unshuffle, scale, residual, planes
        depth = len(channels) - 1
        self.multiple = (unshuffle << depth) * (WINDOW if attention else 1)
        self.halo = _halo(depth, unshuffle, attention, scale, self.multiple, planes > 1)
        convolutions = ResidualConv if block == "residual" else DoubleConv
        pixels = unshuffle * unshuffle
        self.fusion = Fusion(planes, pixels) if planes > 1 else None
        widths = (self.fusion.outputs if self.fusion else pixels, *channels)
        self.down = nn.ModuleList(convolutions(a, b, norm) for a, b in zip(widths[:-1], channels, strict=True))
        self.middle = nn.Sequential()
        if attention:
            self.middle.append(WindowAttention(channels[-1]))
        if dropout > 0:
            self.middle.append(nn.Dropout2d(dropout))
        self.up = nn.ModuleList(nn.ConvTranspose2d(channels[i + 1], channels[i], 2, stride=2) for i in range(depth))
        self.skips = skips
        joined = 2 if skips == "concatenated" else 1
        self.merge = nn.ModuleList(convolutions(joined * a, a, norm) for a in channels[:-1])
        self.enlarge = nn.Sequential()
        if scale > 1:
            # Repeated pixels and convolutions: transposed ones would leave a checkerboard.
            self.enlarge.append(nn.Upsample(scale_factor=scale, mode="nearest"))
            self.enlarge.append(convolutions(channels[0], channels[0], norm))
        self.out = nn.Conv2d(channels[0], pixels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Denoise a batch.

        Parameters
        ----------
        x : Tensor
            Floating point, (N, planes, Y, X), normalised; any Y and X from 1 up. In place of planes that a stack lacks
            the one in the middle.

        Returns
        -------
        Tensor
            (N, 1, scale * Y, scale * X), the same normalised units.
        """
        height, width = x.shape[-2], x.shape[-1]
        # Sides that the pooling does not divide are extended here, so that callers need not care.
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        x = functional.pad(x, padding, mode="replicate")
        y = functional.pixel_unshuffle(x, self.unshuffle)
        if self.fusion is not None:
            y = self.fusion(y)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            if level > 0:
                y = functional.max_pool2d(y, 2)
            y = block(y)
            skips.append(y)
        y = self.middle(y)
        skips.pop()
        for level in range(len(self.up) - 1, -1, -1):
            y, skip = self.up[level](y), skips.pop()
            if self.skips == "added":
                y += skip
            else:
                y = torch.cat([skip, y], dim=1)
            if level > 0:
                y = self.merge[level](y)
        *others, last = self.merge[0], *self.enlarge
        for layer in others:
            y = layer(y)
        y = last.into(self.out, y) if isinstance(last, ResidualConv) else self.out(last(y))
        z: Tensor = functional.pixel_shuffle(y, self.unshuffle)
        if self.residual:
            x = own_plane(x)
            if self.scale > 1:
                x = functional.interpolate(x, scale_factor=float(self.scale), mode="bicubic", align_corners=False)
            z = x + z
        return z[..., : self.scale * height, : self.scale * width]


def own_plane(x: Tensor) -> Tensor:
    """The plane in the middle of windows (N, planes, Y, X), (N, 1, Y, X): the one that is denoised."""
    own = x.shape[1] // 2
    return x[:, own : own + 1]


class StandardisedUNet(UNet):
    """A `UNet` that takes and gives the image's own intensity units, as packages of it are used.

    Each image of the batch is brought to zero mean and unit standard deviation, and the answer back,
    as `quietfield.network.normalise` does it for planes. A constant image stays what it is. Of several planes, the
    one in the middle tells mean and standard deviation.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Denoise a batch.

        Parameters
        ----------
        x : Tensor
            float32, (N, planes, Y, X), intensity units; any Y and X from 1 up.

        Returns
        -------
        Tensor
            (N, 1, scale * Y, scale * X), the same intensity units.
        """
        # Row by row first: some runtimes add up a million numbers one after the other, in float32.
        centre = own_plane(x).mean(dim=3, keepdim=True).mean(dim=2, keepdim=True)
        contrast = x - centre
        spread = own_plane(contrast).square().mean(dim=3, keepdim=True).mean(dim=2, keepdim=True).sqrt()
        # What rounding leaves of a constant image is not contrast.
        flat = spread <= 1e-6 * centre.abs()
        z: Tensor = super().forward(contrast / spread.masked_fill(flat, 1.0))
        return z * spread.masked_fill(flat, 0.0) + centre


def _halo(depth: int, unshuffle: int, attention: bool, scale: int, multiple: int, fusion: bool = False) -> int:
    """Receptive half-width in input pixels, rounded up to `multiple`.

    At each level a pixel is `unshuffle << level` input pixels wide. Two convolutions down and two up see
    two pixels each to a side, a pooling one more; the deepest level has two convolutions.
    """
    deepest = unshuffle << depth
    reach = unshuffle - 1
    for level in range(depth):
        reach += 5 * (unshuffle << level)
    reach += 2 * deepest
    if fusion:
        reach += AROUND // 2 * unshuffle
    if attention:
        reach += (WINDOW - 1) * deepest
    if scale > 1:  # two convolutions of half pixels, and the bicubic's taps beside
        reach += 2 * unshuffle
    return -(-reach // multiple) * multiple
