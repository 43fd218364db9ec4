"""Noise2Void 2 by CAREamics: a network for each set of images, which learns from these noisy images alone.

What it needs is in an environment of its own (`make compare FULL=1`).
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.results import slug
from compare.sets import W2S

Image = NDArray[np.float64]
FEW = 3.0  # minutes of processor time for a set of ten images or less
MANY = 46.0  # for the training fields of W2S, as long as our own recipes without ground truth
NOTE = f"trained for {FEW:g} minutes on each set, for {MANY:g} on the training fields of W2S"
PATCH, BATCH = 64, 16  # as CAREamics's guides have them
MULTIPLE = 4  # pixels: two levels are pooled
STEPS = 50  # between looks at the validation patches, by which the learning rate falls
EPOCHS = 10_000  # never reached: the time ends it


def learn(name: str, images: list[Image], folder: Path) -> Any:
    """A trained `careamics.CAREamist`; that of `folder` if it is there.

    Parameters
    ----------
    name : str
        Of the set.
    images : list of ndarray
        Its noisy planes, (Y, X), of any sizes.
    folder : Path
        Gets the checkpoints of all sets.
    """
    from careamics import CAREamist
    from careamics.config.factories import create_advanced_n2v_config

    work = folder / f"noise2void-{slug(name)}"
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    if (trained := work / "trained.ckpt").is_file():
        return CAREamist(checkpoint_path=trained, work_dir=work, enable_progress_bar=False)
    config = create_advanced_n2v_config(
        experiment_name=slug(name),
        data_type="array",
        axes="YX",
        patch_size=[PATCH, PATCH],
        batch_size=BATCH,
        num_epochs=EPOCHS,
        num_steps=STEPS,
        use_n2v2=True,
        num_workers=0,
        seed=1,
        trainer_params={"accelerator": "cpu"},
    )
    work.mkdir(parents=True, exist_ok=True)
    callbacks = [_stopper(MANY if name == W2S else FEW)]
    careamist = CAREamist(config, work_dir=work, callbacks=callbacks, enable_progress_bar=False)
    careamist.train(train_data=[image.astype(np.float32) for image in images])
    careamist.trainer.save_checkpoint(trained)
    return careamist


def parameters(careamist: Any) -> int:
    """Of the network."""
    return sum(p.numel() for p in careamist.model.parameters())


def run(image: Image, careamist: Any) -> Image:
    """Denoise one plane, whole; mirrored at its ends to sides that the network takes."""
    height, width = image.shape
    padded = np.pad(image, ((0, -height % MULTIPLE), (0, -width % MULTIPLE)), mode="reflect")
    answers, _ = careamist.predict(padded.astype(np.float32), num_workers=0)
    return np.asarray(answers[0], dtype=np.float64).reshape(padded.shape)[:height, :width]


def _stopper(minutes: float) -> Any:
    """Lightning's `Timer`, but of processor time."""
    from lightning.pytorch.callbacks import Callback

    class Stopper(Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            self.end = time.process_time() + 60 * minutes

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            trainer.should_stop = time.process_time() > self.end

    return Stopper()
