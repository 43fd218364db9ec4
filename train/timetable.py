"""How long a run is, and when it validates: by its steps, or by the clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

FIRST = 30.0  # seconds of training before the first validation by the clock, and the least between two
RARER = 1 / 3  # of the time so far, at least, lies between two validations
DEARER = 10.0  # times what one takes, at least, too
SETTLE, SHARE = 20.0, 0.05  # seconds, and share of the time, of which the shorter tells the pace
ROOM = 0.96  # of the steps that there seems to be time for are planned
SLACK = 0.05  # of the run that the clock may be ahead of the steps, at its beginning, before the schedule follows it
WARMUP, AVERAGE = 0.1, 0.2  # of the steps, at most, are warm-up, and are averaged over


@dataclass
class Timetable:
    """So many steps; or so many minutes, and then as many steps as the pace of the first of them has room for.

    With minutes, the schedule follows the steps as long as they keep the pace, and else the clock, so that it comes
    to its end in time.

    Attributes
    ----------
    steps : int
        Optimiser steps of the whole run; those of a plan by time are an estimate until it is `settled`.
    minutes : float
        Wall time of the whole run, its validations included; infinite if the steps are the plan.
    every : int
        Steps between validations; 0 is by the clock.
    settled : bool
        Whether the steps are fixed.
    first, began : int, float
        The step that the pace is measured from, and its time in seconds of the run; 0 and NaN before.
    now, next, cost, paused, pace : float
        Seconds of the run: so far, at the next validation, that the last one took, that all took since `began`, and
        that a step took when the steps were settled.
    """

    steps: int
    minutes: float = math.inf
    every: int = 0
    settled: bool = True
    first: int = 0
    began: float = math.nan
    now: float = 0.0
    next: float = math.nan
    cost: float = 0.0
    paused: float = 0.0
    pace: float = 0.0

    @property
    def timed(self) -> bool:
        """Whether the time is the plan."""
        return self.minutes < math.inf

    @property
    def end(self) -> float:
        """Seconds of the run at which the last validation has to begin."""
        return 60 * self.minutes - self.cost

    @property
    def crowded(self) -> bool:
        """Whether validations take more of the time than the steps."""
        return self.settled and self.steps * self.pace < 30 * self.minutes

    def follow(self, step: int, seconds: float) -> bool:
        """Take note of when a step was done; True if that settles how many there are.

        Parameters
        ----------
        step : int
            Number of steps done.
        seconds : float
            Of the run so far.
        """
        self.now = seconds
        if math.isnan(self.next):
            self.next = seconds + FIRST
        if not self.timed or self.settled:
            return False
        if math.isnan(self.began):  # the first step is slow: it is no part of the pace
            self.first, self.began = step, seconds
            return False
        spent = max(seconds - self.began - self.paused, 1e-6)
        self.pace = spent / max(1, step - self.first)
        self.steps = max(step + 1, step + int(ROOM * self._room()))
        self.settled = spent >= min(SETTLE, SHARE * 60 * self.minutes)
        return self.settled

    def _room(self) -> float:
        """Steps that there is time for beside the validations."""
        left = self.end - self.now
        if self.every:
            return max(0.0, left) / (self.pace + self.cost / self.every)
        at = self.next
        while at < self.end:
            left, at = left - self.cost, at + self._gap(at)
        return max(0.0, left) / self.pace

    def _gap(self, seconds: float) -> float:
        """Seconds from one validation to the next."""
        return max(FIRST, RARER * seconds, DEARER * self.cost)

    def validated(self, seconds: float, cost: float) -> None:
        """Take note of a validation: when it was done, in seconds of the run, and how long it took."""
        self.now, self.cost = seconds, cost
        if not math.isnan(self.began):
            self.paused += cost
        if not math.isnan(self.next):  # the one before the first step is none by the clock
            self.next = seconds + self._gap(seconds)

    def due(self, step: int) -> bool:
        """Whether to validate after this step, and there is time for more steps after that."""
        due = step % self.every == 0 if self.every else self.now >= self.next
        return due and self.now + self.cost < self.end

    def over(self, step: int) -> bool:
        """Whether this step is the last."""
        done = step >= self.steps and (self.settled or not self.timed)
        return done or self.now >= self.end

    def position(self, step: int) -> float:
        """The step that the schedule is at: this one, or where it should be by now if the pace was not kept."""
        if not self.timed or math.isnan(self.began):
            return step
        share = min(1.0, (self.now - self.began) / max(self.end - self.began, 1e-6))
        return max(step, self.steps * max(0.0, share - SLACK * (1 - share)))

    def warmup(self, steps: int) -> float:
        """Steps of warm-up, which a plan by time may cut short."""
        return min(steps, WARMUP * self.steps) if self.timed else steps

    def decay(self, decay: float) -> float:
        """Decay of the average of the weights, which a plan by time may lower."""
        return min(decay, max(0.0, 1 - 1 / (AVERAGE * self.steps))) if self.timed else decay

    def left(self, step: int, pace: float) -> float:
        """Seconds that are left after this step, at so many seconds for each."""
        by_steps = max(0, self.steps - step) * pace if self.settled else math.inf
        return min(by_steps, max(0.0, 60 * self.minutes - self.now))

    def record(self) -> dict[str, Any]:
        """What a checkpoint keeps of a plan by time; nothing of another."""
        names = ("steps", "minutes", "settled", "first", "began", "cost", "paused", "pace")
        return {name: getattr(self, name) for name in names} if self.timed else {}

    def at(self, step: int) -> str:
        """Where a run stands, and of how many steps if that is known yet."""
        return f"step {step} of {self.steps}" if self.settled else f"step {step}"

    def __str__(self) -> str:
        if not self.timed:
            return f"{self.steps} steps"
        steps = f"{self.steps} steps" if self.settled else "as many steps as the pace of the first has room for"
        return f"planned for {self.minutes:g} min: {steps}"
