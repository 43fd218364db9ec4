"""The front door for Python: load a model once, denoise any number of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import torch
from numpy.typing import NDArray

from quietfield.adapt.plan import Adaptation, Options
from quietfield.files.arrays import ArrayStack
from quietfield.machine import choose_device
from quietfield.network.model import Model, find_model, load_model
from quietfield.network.predict import Denoiser
from quietfield.pipeline import check_channels, check_memory, denoise_stack, with_contrast
from quietfield.report import Report
from quietfield.work import silent

HERE = Path(__file__).resolve().parent
# In an installed package; in a checkout.
SHIPPED = (HERE / "resources", HERE.parent / "resources")

Progress = Callable[[int, int], None]


class ImageDenoiser:
    """A model that is ready to denoise arrays; `quietfield.load` makes it.

    It may be used from several threads at once.

    Attributes
    ----------
    model : Model
        Its networks, and what is written about them.
    denoiser : Denoiser
        The networks on their device.
    """

    def __init__(self, model: Model, device: torch.device | str | None = None) -> None:
        self.model = model
        self.denoiser = Denoiser.of(model, choose_device() if device is None else device)

    @overload
    def denoise(
        self,
        image: Any,
        axes: str | None = ...,
        *,
        neighbours: str = ...,
        adapt: str | float = ...,
        channels: Sequence[int] | None = ...,
        outliers: str = ...,
        progress: Progress | None = ...,
        report: Literal[False] = ...,
    ) -> NDArray[Any]: ...

    @overload
    def denoise(
        self,
        image: Any,
        axes: str | None = ...,
        *,
        neighbours: str = ...,
        adapt: str | float = ...,
        channels: Sequence[int] | None = ...,
        outliers: str = ...,
        progress: Progress | None = ...,
        report: Literal[True],
    ) -> tuple[NDArray[Any], Report]: ...

    def denoise(
        self,
        image: Any,
        axes: str | None = None,
        *,
        neighbours: str = "auto",
        adapt: str | float = "auto",
        channels: Sequence[int] | None = None,
        outliers: str = "auto",
        progress: Progress | None = None,
        report: bool = False,
    ) -> NDArray[Any] | tuple[NDArray[Any], Report]:
        """Denoise an image or a stack.

        Parameters
        ----------
        image : array-like
            (Y, X), or more axes, which `axes` names; real numbers of any type, in any intensity units. A numpy
            array, a torch tensor, or what numpy makes an array of. NaN and infinities stay as they are.
        axes : str, optional
            A letter for each axis, such as "TCYX"; needed for more than two axes.
        neighbours : str
            "auto": the planes of a stack help each other where they show the same scene. "off": they do not.
        adapt : str or float
            "auto": remove row and column stripes if present. A number: also use test-time augmentation and
            fine-tuning, up to so many minutes. "off": the network alone.
        channels : sequence of int, optional
            Numbers of the channels to denoise, from 0; the others are copied. All by default.
        outliers : str
            Isolated outliers, such as hot pixels. "auto": replaced. "keep": put back unchanged. "off": not looked for.
        progress : callable, optional
            Called with the number of planes done, and of all planes.
        report : bool
            Also return what was seen and done.

        Returns
        -------
        ndarray
            float32, the shape and the intensity units of the image (twice the pixels along Y and X from a network
            that doubles them). float64 where only that can hold the contrast beside an offset, such as 1e9.
        Report
            Only with `report=True`.

        Raises
        ------
        ValueError
            If the image holds no real numbers, or the axes or an option make no sense.
        MemoryError
            If the memory does not suffice.

        Examples
        --------
        >>> import numpy, quietfield
        >>> model = quietfield.load()
        >>> noisy = numpy.random.default_rng(0).poisson(20, (3, 64, 80))
        >>> clean, report = model.denoise(noisy, axes="ZYX", report=True)
        >>> clean.shape, clean.dtype
        ((3, 64, 80), dtype('float32'))
        >>> report.plan.neighbours
        'off: structure repeats in 0 of 1 steps'
        """
        array, scale = ArrayStack(image, axes), self.denoiser.network.scale
        options = Options(Adaptation.of(adapt), neighbours, None if channels is None else tuple(channels), outliers)
        check_channels("image", array.stack, options, scale)
        array.stack = with_contrast("image", array.stack)
        check_memory(self.denoiser, "image", array.stack)
        found, planes = denoise_stack(self.denoiser, array.stack, options, progress or silent)
        answer = array.array_of(planes, scale)
        return (answer, found) if report else answer

    def __repr__(self) -> str:
        names = [part.record.get("name", "without a name") for part in self.model.parts]
        return f"<quietfield model: {', '.join(names)}; on {self.denoiser.device}>"


def load(model: str | Path | None = None, device: torch.device | str | None = None) -> ImageDenoiser:
    """Load a model.

    Parameters
    ----------
    model : path, optional
        Folder with `model.json`; by default the networks that are shipped.
    device : torch.device or str, optional
        Where to compute, such as "cpu" or "cuda:1"; by default a GPU that works, else the CPU.

    Raises
    ------
    ValueError
        If there is no model, or a damaged one; the message says what was found.

    Examples
    --------
    >>> import quietfield
    >>> quietfield.load(device="cpu")
    <quietfield model: W2S network, general network; on cpu>
    """
    return ImageDenoiser(load_model(find_model([Path(model)] if model else list(SHIPPED))), device)


def denoise(image: Any, axes: str | None = None, **options: Any) -> NDArray[Any]:
    """Denoise one image with the shipped networks; `load` once to denoise many.

    Parameters
    ----------
    image, axes, **options
        As for `ImageDenoiser.denoise`.

    Examples
    --------
    >>> import numpy, quietfield
    >>> noisy = numpy.random.default_rng(0).poisson(20, (64, 80))
    >>> quietfield.denoise(noisy).shape
    (64, 80)
    """
    answer: NDArray[Any] = load().denoise(image, axes, **options)
    return answer
