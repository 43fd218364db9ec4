"""The network in training, as Lightning wants it: what one step does, and what validation measures."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Callable
from functools import cached_property
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

import quietfield
from quietfield.machine import peak_memory
from quietfield.network.domain import Domain
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet, own_plane

from .config import Config
from .data.pairs import Images
from .data.resident import Plan, Resident
from .data.stream import SAMPLES, Crops, cut, expose, first_crops, loader
from .learn.objectives import Batch, build_objective
from .learn.optimiser import build_optimiser
from .learn.schedule import LEFT, LOSS, MONITOR, build_schedule, monitored
from .learn.units import decentred, normalised, telling
from .measure.baselines import NOISY, SHIPPED_NETWORK, START, Baselines
from .measure.score import Score, blind_score, score
from .pictures import Picture
from .stopwatch import Stopwatch
from .timetable import Timetable

Array = NDArray[Any]
PICTURES = 4  # validation images whose crops are kept for the montage
CHECK_EVERY = 16  # batches between looks at the loss, each of which a GPU has to wait for
EXPLODED = 100.0  # times the loss of the first batch, or of an answer of zeros: no network that learns is there
COMPARED = (15.0, 120.0)  # seconds, least and most, that the shipped network may take for the validation images
OF_PLAN = 0.1  # of a plan by time that it may take


class Diverged(ValueError):
    """A loss is not a number any more, or grows without bounds.

    Parameters
    ----------
    step : int
        Of the run, from 1.
    name : str
        Which loss.
    found : float
        What it is.
    usual : float, optional
        What it was before, if it is still a number.
    """

    def __init__(self, step: int, name: str, found: float, usual: float | None = None) -> None:
        before = "" if usual is None else f" and was {usual:.3g} or less at the start"
        super().__init__(
            f"step {step}: the {name} is {found:g}{before}; the last good checkpoint, if there is one, is as it was: "
            "begin another run with a lower --lr or --clip 1 (--initial starts from that checkpoint's weights), or "
            "look at the data"
        )
        self.step = step


class Restoration(lightning.LightningModule):
    """Trains a `UNet` on `Images`.

    Parameters
    ----------
    config : Config
        What to train.
    plan : Timetable
        How long the run is.
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
    initial, finetuned : str, bool
        Where the weights are from that the run began with, if it did not begin from nothing; whether it is to stay
        close to them, and is for images like its own alone.
    before : float
        What these weights were worth on the validation images, of a run that is resumed.
    baselines : dict
        Mean SI-PSNR in dB of the noisy validation images and of the shipped network's answers, by what they are.
    pictures : list of Picture
        Of a few validation images.
    """

    def __init__(
        self,
        config: Config,
        plan: Timetable,
        images: Images,
        normalisation: Normalisation,
        *,
        workers: int = 0,
        resident: bool | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.plan, self.images, self.normalisation = config, plan, images, normalisation
        self.workers, self.keep_resident, self.compile_network = workers, resident, compiled
        self.resident: Resident | None = None
        self.compiled: Callable[[Tensor], Tensor] | None = None
        self.network = build(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective = build_objective(config)
        self.first_batch, self.stopwatch = 0, Stopwatch()
        self.losses: list[Tensor] = []
        self.usual: float | None = None  # what no loss of a sane network is far above
        self.measured: dict[str, float] = {}
        self.initial, self.finetuned, self.before = "", False, math.nan
        self.baselines: dict[str, float] = {}
        self.pictures: list[Picture] = []
        self.shipped: dict[int, Array | None] | None = None  # answers of the shipped network, by number of the image
        self.compared: Baselines | None = None
        # Of the validation images, and of those with synthetic noise; and what the baselines are worth.
        self.sums = torch.zeros(2, 6, dtype=torch.float64)

    def configure_optimizers(self) -> Any:
        """Optimiser and scheduler by their names in the configuration."""
        optimiser = build_optimiser(self.config, self.network)
        return {"optimizer": optimiser, "lr_scheduler": build_schedule(self.config, optimiser, self.plan)}

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

    def on_fit_start(self) -> None:
        """Start the clocks."""
        self.stopwatch.start()

    def on_train_start(self) -> None:
        """Have the network compiled when it is first used."""
        if self.compile_network:
            self.compiled = torch.compile(self.network.forward, dynamic=False)
        self.stopwatch.goes_on()

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
            If one was not finite, or most of the last are far above what they were at first.
        """
        if not self.losses:
            return math.nan
        everyone = self.trainer.strategy.reduce(torch.stack(self.losses), reduce_op="mean")
        first = self.trainer.fit_loop.epoch_loop.total_batch_idx + 1 - len(self.losses)
        if len(bad := (~torch.isfinite(everyone)).nonzero()):
            raise Diverged((first + int(bad[0])) // self.config.accumulate + 1, "loss", float(everyone[bad[0]]))
        if self.usual is None:
            self.usual = max(1.0, float(everyone[0]))
        if (recent := float(everyone[-CHECK_EVERY:].median())) > EXPLODED * self.usual:
            raise Diverged(self.trainer.global_step, "loss", recent, self.usual)
        return float(everyone.mean())

    def on_validation_epoch_start(self) -> None:
        """Measure what training did, then begin to add up."""
        speed, waiting = self.stopwatch.lap(self.config.batch * len(self.losses))
        self.measured = {"loss": self.check(), "crops_per_second": speed, "waiting": waiting}
        self.losses = []
        self.sums, self.pictures = torch.zeros(2, 6, dtype=torch.float64), []
        self.compared = self._baselines() if self.shipped is None else None

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
            compared = self._compare(batch, found)
        values = [found.quality, found.loss, found.left, 1.0, *compared]
        self.sums[int(batch >= real)] += torch.tensor(values, dtype=torch.float64)
        if batch < PICTURES:
            shipped = (self.shipped or {}).get(batch)
            self.pictures.append(Picture(pair.name, found.frame, shipped, found.answer, found.truth))

    def _baselines(self) -> Baselines:
        """What is measured once, at the first validation."""
        seconds = max(COMPARED[0], min(COMPARED[1], OF_PLAN * 60 * self.plan.minutes))
        looked_at = self.images.validation if self.config.supervised else self.images.validation[:PICTURES]
        self.shipped = {}
        return Baselines(str(self.device), looked_at, seconds)

    def _compare(self, number: int, found: Score) -> tuple[float, float]:
        """SI-PSNR of the baselines, when they are measured; their answers are kept for the montage."""
        shown = self.shipped is not None and number < PICTURES
        if not self.compared or number >= len(self.images.validation) or not (shown or self.config.supervised):
            return math.nan, math.nan
        whole = self.images.validation[number].whole
        noisy, shipped, answer = self.compared.look(found.frame, found.truth, shown, whole)
        if shown and self.shipped is not None:
            self.shipped[number] = answer
        return noisy, shipped

    def on_validation_epoch_end(self) -> None:
        """The means over all images of all processes."""
        sums = self.trainer.strategy.reduce(self.sums.to(self.device), reduce_op="sum")
        quality, loss, left, _, noisy, shipped = (sums[0] / sums[0, 3]).tolist()
        if not math.isfinite(loss):
            raise Diverged(self.trainer.global_step, "validation loss", loss)
        if self.compared:
            before = quality if self.initial and not self.first_batch else self.before
            found = {NOISY: noisy, SHIPPED_NETWORK: shipped, START: before}
            self.baselines = {name: value for name, value in found.items() if math.isfinite(value)}
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
        if not self.trainer.sanity_checking and isinstance(scheduler := self.lr_schedulers(), ReduceLROnPlateau):
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
            "baselines": self.baselines,
            "plan": self.plan.record(),
        }

    def record(self) -> dict[str, Any]:
        """What decides a run, in plain types."""
        return {
            "config": dataclasses.asdict(self.config),
            "normalisation": dataclasses.asdict(self.normalisation),
            **self.images.split,
            "patterns": list(self.images.patterns),
            "source": self.images.source,
            "counts": self.counts,
            "initial": self.initial,
            "finetuned": self.finetuned,
            "domain": self.domain.ranges,
            "device": str(self.device),
            **versions(),
        }

    @property
    def counts(self) -> dict[str, int]:
        """Of the images, and of the parameters of the network."""
        images = self.images
        return {
            "training_images": len(images.training),
            "validation_images": len(images.validation),
            "clean_images": len(images.clean),
            "parameters": sum(p.numel() for p in self.network.parameters()),
        }

    @cached_property
    def domain(self) -> Domain:
        """Of the whole frames, and of the first crops of the stream if its synthetic noise is unlike theirs."""
        images: list[Array] = [p.frames[0] for p in self.images.training[:SAMPLES]]
        drawn = self.config.synthetic or (self.config.redraw and self.config.levels != (1.0, 1.0))
        if drawn and not self.finetuned:
            drawn_on = (own_plane(noisy)[:, 0].numpy() for noisy, _ in first_crops(self.images, self.config))
            images += [crop for batch in drawn_on for crop in batch]
        return Domain.of(images)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the clock of the run that is resumed."""
        run = checkpoint["run"]
        self.stopwatch.seconds = run["seconds"]
        self.before = run.get("baselines", {}).get(START, math.nan)


def versions() -> dict[str, str]:
    """Of what computes."""
    return {
        "quietfield": quietfield.__version__,
        "torch": str(torch.__version__),
        "lightning": lightning.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def build(config: Config) -> UNet:
    """The network of a configuration; without biases they are zero, and stay so."""
    network = UNet(**config.network)
    if not config.biases:
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.requires_grad_(False).zero_()
    return network
