"""Where the time of a run goes."""

from __future__ import annotations

import time


class Stopwatch:
    """Tells the steps' own time from the time they wait for data.

    Attributes
    ----------
    seconds : float
        Wall time of the earlier parts of a run that is resumed.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.start()

    def start(self) -> None:
        """Begin to count, now."""
        self._started = self._ready = time.monotonic()
        self._waited = self._trained = 0.0

    def has_data(self) -> None:
        """A batch is here: what went by since the last step was waiting."""
        self._waited += time.monotonic() - self._ready

    def has_stepped(self) -> None:
        """A step is done."""
        now = time.monotonic()
        self._trained += now - self._ready
        self._ready = now

    def goes_on(self) -> None:
        """Training goes on, now: what went by was neither a step nor waiting."""
        self._ready = time.monotonic()

    def lap(self, crops: int) -> tuple[float, float]:
        """Crops per second and share of the time that was waiting, since the lap before."""
        trained, waited = self._trained, self._waited
        self._trained = self._waited = 0.0
        return (crops / trained, waited / trained) if trained else (0.0, 0.0)

    @property
    def minutes(self) -> float:
        """Wall time of the run so far, earlier parts included."""
        return (self.seconds + time.monotonic() - self._started) / 60
