"""The network in training, as Lightning wants it: what one step does, and what validation measures."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Callable
from functools import cached_property
from typing import Any

import lightning
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from quietfield.machine import peak_memory
from quietfield.network.domain import Domain
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet

from .config import Config
from .data.pairs import Images
from .data.resident import Plan, Resident
from .data.stream import SAMPLES, Crops, cut, expose, first_crops, loader
from .learn.objectives import Batch, build_objective
from .learn.optimiser import build_optimiser
from .learn.schedule import LEFT, LOSS, MONITOR, build_schedule, monitored
from .learn.units import decentred, normalised, telling
from .measure.score import blind_score, score
from .stopwatch import Stopwatch

Array = NDArray[Any]
PICTURES = 4  # validation images whose crops are kept for the montage
CHECK_EVERY = 16  # batches between looks at the loss, each of which a GPU has to wait for


class Diverged(ValueError):
    """A loss is not a number any more.

    Parameters
    ----------
    step : int
        Of the run, from 1.
    name : str
        Which loss.
    found : float
        What it is.
    """

    def __init__(self, step: int, name: str, found: float) -> None:
        super().__init__(
            f"step {step}: the {name} is {found}; the last good checkpoint, if there is one, is as it was: begin "
            "another run with a lower --lr or --clip 1 (--initial starts from that checkpoint's weights), or look at "
            "the data"
        )
        self.step = step


class Restoration(lightning.LightningModule):
    """Trains a `UNet` on `Images`.

    Parameters
    ----------
    config : Config
        What to train.
    steps : int
        Optimiser steps of the whole run.
    images : Images
        What to learn from and to measure on.
    normalisation : Normalisation
        Brings crops into network units.
    workers : int
        Processes that draw crops ahead, of what is not resident.
    resident : bool, optional
        Keep all images on the device, and cut the crops there; without, on a GPU if they suit and fit.
    compiled : bool
        Have torch compile the network for training.

    Attributes
    ----------
    first_batch : int
        Number of the batch to start with: 0, or where the run stopped that is resumed.
    measured : dict
        What was measured since the validation before.
    pictures : list of (str, ndarray, ndarray, ndarray)
        Name, frame, answer and ground truth, or None, of a few validation images, (Y, X).
    """

    def __init__(
        self,
        config: Config,
        steps: int,
        images: Images,
        normalisation: Normalisation,
        *,
        workers: int = 0,
        resident: bool | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.steps, self.images, self.normalisation = config, steps, images, normalisation
        self.workers, self.keep_resident, self.compile_network = workers, resident, compiled
        self.resident: Resident | None = None
        self.compiled: Callable[[Tensor], Tensor] | None = None
        self.network = build(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective = build_objective(config)
        self.first_batch, self.stopwatch = 0, Stopwatch()
        self.losses: list[Tensor] = []
        self.measured: dict[str, float] = {}
        self.pictures: list[tuple[str, Array, Array, Array | None]] = []
        # Of the validation images, and of those with synthetic noise.
        self.sums = torch.zeros(2, 4, dtype=torch.float64)

    def configure_optimizers(self) -> Any:
        """Optimiser and scheduler by their names in the configuration."""
        optimiser = build_optimiser(self.config, self.network)
        return {"optimizer": optimiser, "lr_scheduler": build_schedule(self.config, optimiser, self.steps)}

    def train_dataloader(self) -> DataLoader[Crops]:
        """The stream of batches, from where the run stands."""
        if self._resides():
            self.resident = Resident(self.images, self.device)
        # A GPU need not wait for plans, which are cheap to hand over.
        workers = max(self.workers, int(self.resident is not None and self.device.type == "cuda"))
        return loader(self.images, self.config, self.first_batch, workers, self.resident is not None)

    def _resides(self) -> bool:
        suits = Resident.suits(self.config, self.images)
        if self.keep_resident is not None or self.device.type != "cuda" or not suits:
            return bool(self.keep_resident) and suits
        return Resident.size(self.images) < torch.cuda.mem_get_info(self.device)[0] / 4

    def val_dataloader(self) -> DataLoader[int]:
        """Numbers of the validation images, this process's share of them."""
        count = len(self.images.validation) + len(self.images.drawn)
        mine: Any = range(self.global_rank, count, self.trainer.world_size)
        return DataLoader(mine, batch_size=None)

    def on_train_start(self) -> None:
        """Start the clocks, and have the network compiled when it is first used."""
        if self.compile_network:
            self.compiled = torch.compile(self.network.forward, dynamic=False)
        self.stopwatch.start()

    def on_train_batch_start(self, batch: Crops, batch_idx: int) -> None:
        """Take the time spent waiting for data."""
        self.stopwatch.has_data()

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Crops where they are needed; those that are planned are cut there."""
        if isinstance(batch, Plan) and self.resident:
            return cut(batch, self.resident, self.config)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def training_step(self, batch: Crops, batch_idx: int) -> Tensor:
        """The loss of one batch; each process has its share of the crops."""
        # A step's noise, augmentation and dropout follow from its number alone.
        torch.manual_seed((self.config.seed << 40) + batch.index * self.trainer.world_size + self.global_rank)
        with torch.autocast(self.device.type, enabled=False):
            mine = slice(self.global_rank, None, self.trainer.world_size)
            noisy, truth = (t[mine] for t in expose(batch, self.config))
            x, target = normalised(noisy, truth, self.normalisation)
            if self.config.synthetic and self.config.match and self.config.scale == 1:
                x, target = telling(x, target)
        number = batch.index * self.trainer.world_size + self.global_rank
        generator = self._generator(number)
        if self.config.decentred:
            x, target = decentred(x, target, self.config.decentred, generator)
        crops = Batch(noisy, x, target, batch.camera[mine])
        loss = self.objective(self._answer, crops, generator)
        self.losses.append(loss.detach())
        return loss

    def _answer(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        try:
            y: Tensor = (self.compiled or self.network)(x)
        except RuntimeError as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            raise ValueError(
                f"compile: expected torch to compile the network, found that it cannot ({str(error).splitlines()[0]}): "
                "leave --compile out, or install what it needs (a C++ compiler; on a GPU triton)"
            ) from error
        return y.float()

    def _generator(self, number: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed((self.config.seed << 40) + number)

    def on_train_batch_end(self, outputs: Any, batch: Crops, batch_idx: int) -> None:
        """Look at the loss now and then."""
        if len(self.losses) % CHECK_EVERY == 0 or not batch_idx:
            self.check()
        self.stopwatch.has_stepped()

    def check(self) -> float:
        """The mean loss since the last validation, over all processes.

        Raises
        ------
        Diverged
            If one was not finite.
        """
        if not self.losses:
            return math.nan
        everyone = self.trainer.strategy.reduce(torch.stack(self.losses), reduce_op="mean")
        bad = (~torch.isfinite(everyone)).nonzero()
        if len(bad):
            batch = self.trainer.fit_loop.epoch_loop.total_batch_idx + 1 - len(self.losses) + int(bad[0])
            raise Diverged(batch // self.config.accumulate + 1, "loss", float(everyone[bad[0]]))
        return float(everyone.mean())

    def on_validation_epoch_start(self) -> None:
        """Measure what training did, then begin to add up."""
        speed, waiting = self.stopwatch.lap(self.config.batch * len(self.losses))
        self.measured = {"loss": self.check(), "crops_per_second": speed, "waiting": waiting}
        self.losses = []
        self.sums, self.pictures = torch.zeros(2, 4, dtype=torch.float64), []

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Restore a whole image, through the very pipeline of the container."""
        real = len(self.images.validation)
        pair = self.images.validation[batch] if batch < real else self.images.drawn[batch - real]
        denoiser = Denoiser(self.network, self.normalisation, self.device)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            if self.config.supervised:
                found = score(denoiser, pair)
            else:
                found = blind_score(denoiser, pair, self._answer, self.objective, self._generator(batch))
        self.sums[int(batch >= real)] += torch.tensor([found.quality, found.loss, found.left, 1.0], dtype=torch.float64)
        if batch < PICTURES:
            self.pictures.append((pair.name, found.frame, found.answer, found.truth))

    def on_validation_epoch_end(self) -> None:
        """The means over all images of all processes."""
        sums = self.trainer.strategy.reduce(self.sums.to(self.device), reduce_op="sum")
        quality, loss, left, _ = (sums[0] / sums[0, 3]).tolist()
        if not math.isfinite(loss):
            raise Diverged(self.trainer.global_step, "validation loss", loss)
        self.measured = {
            "step": self.trainer.global_step,
            "minutes": self.stopwatch.minutes,
            "lr": self.trainer.optimizers[0].param_groups[0]["lr"],
            "loss": self.measured["loss"],
            LOSS: loss,
            **({MONITOR: quality} if self.config.supervised else {}),
            **({LEFT: left} if math.isfinite(left) else {}),
            **({"drawn_si_psnr": float(sums[1, 0] / sums[1, 3])} if self.images.drawn else {}),
            "crops_per_second": self.measured["crops_per_second"],
            "waiting": self.measured["waiting"],
            "peak_mib": peak_memory(self.device) / 2**20,
        }
        name, _ = monitored(self.config)
        if isinstance(scheduler := self.lr_schedulers(), ReduceLROnPlateau):
            scheduler.step(self.measured[name])
        self.log(name, self.measured[name], sync_dist=True)

    def on_validation_end(self) -> None:
        """Validation is not waiting for data."""
        self.stopwatch.goes_on()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the whole configuration, the split, and what the model card says of the run."""
        checkpoint["run"] = {
            **self.record(),
            "step": self.trainer.global_step,
            "batches": self.trainer.fit_loop.epoch_loop.total_batch_idx + 1,
            "seconds": 60 * self.stopwatch.minutes,
            MONITOR: self.measured.get(MONITOR, math.nan),
        }

    def record(self) -> dict[str, Any]:
        """What decides a run, in plain types."""
        return {
            "config": dataclasses.asdict(self.config),
            "normalisation": dataclasses.asdict(self.normalisation),
            **self.images.split,
            "source": self.images.source,
            "domain": self.domain.ranges,
            "device": str(self.device),
            **versions(),
        }

    @cached_property
    def domain(self) -> Domain:
        """Of the whole frames, and of the first crops of the stream if its synthetic noise is unlike theirs."""
        images: list[Array] = [p.frames[0] for p in self.images.training[:SAMPLES]]
        if self.config.synthetic or (self.config.redraw and self.config.levels != (1.0, 1.0)):
            images += [crop[0].numpy() for noisy, _ in first_crops(self.images, self.config) for crop in noisy]
        return Domain.of(images)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the clock of the run that is resumed."""
        self.stopwatch.seconds = checkpoint["run"]["seconds"]


def versions() -> dict[str, str]:
    """Of what computes."""
    return {"torch": str(torch.__version__), "lightning": lightning.__version__, "python": platform.python_version()}


def build(config: Config) -> UNet:
    """The network of a configuration; without biases they are zero, and stay so."""
    network = UNet(**config.network)
    if not config.biases:
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.requires_grad_(False).zero_()
    return network
