"""``engine.name: auto``: each engine of this machine is measured with the network once, and the best one is kept.

It is measured in processes of their own (``measuring.py``), so that the time is bounded whatever an engine does, and so
that the worker's memory holds one engine and not all.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from statistics import median
from types import TracebackType
from typing import Any

from streamtag.core.bundle import Bundle
from streamtag.core.engine_choice import Agreement, EngineChoice, EngineFigure, choose
from streamtag.logs import log
from streamtag.networks.engine_choices import EngineChoices
from streamtag.networks.engines.candidates import candidates, default_engine, precision_of
from streamtag.networks.engines.machine import Machine
from streamtag.settings import EngineSettings, ModelSettings, Settings

COMMAND = (sys.executable, "-m", "streamtag.networks.measuring")
ROUNDS = 3
ROUND_S = 0.7  # of each engine in a round
IN_THE_RUNNING = (
    0.4  # of the fastest at first sight, which another process may disturb; slower ones are not timed again
)
NO_TIME = "no time was left for it (engine.measure_s)"
OnCandidate = Callable[[str, int, int], None]  # what is measured, how many were, of how many


class Overrun(Exception):
    """An engine took longer than there was time, or ended its process, or the network cannot be had for it."""


def choice_of(
    settings: Settings, bundle: Bundle, weights_digest: Callable[[], str], measure: bool, on_candidate: OnCandidate
) -> EngineChoice:
    """The engine for a network, measured if nobody did so here before.

    Args:
        bundle: with its weights as a file of this machine.
        weights_digest: SHA-256 of that file; asked only where the engine is ours to choose.
        measure: take the time for it, as far as the settings allow that.
    """
    engine = settings.engine
    if engine.name != "auto":
        return EngineChoice(engine.name, precision_of(engine), "named", "named by engine.name")
    choices = EngineChoices(settings.model, engine, bundle, weights_digest())
    kept = choices.read()
    if kept is not None:
        return kept
    default = EngineChoice(
        default_engine(choices.machine, engine), engine.precision, "default", "not measured here yet"
    )
    if not measure or not engine.measure_s:
        return default
    with choices.locked(engine.measure_s):
        kept = choices.read()  # another worker may have measured in the meantime
        if kept is not None:
            return kept
        figures = _measure(settings, bundle, choices.machine, on_candidate)
        chosen = choose(figures, agreement(engine))
        if chosen is None:
            # It may be OpenVINO that took all the time.
            return replace(default, engine="auto", why=_why_none(figures, engine))
        choices.keep(chosen)
    return chosen


def _why_none(figures: list[EngineFigure], settings: EngineSettings) -> str:
    if not figures:
        return f"there is no engine to measure in {settings.precision} here"
    faults = {figure.fault for figure in figures} - {NO_TIME, ""}
    told = f": {min(faults)}" if faults else ""
    return f"no engine was measured within {settings.measure_s:g} s{told}"


def agreement(settings: EngineSettings) -> Agreement:
    """What is asked of engines that are not exact. Who names a precision has chosen it, whatever it does to labels."""
    if settings.precision != "auto":
        return Agreement(0.0, 0.0)
    return Agreement(settings.agreement_16bit, settings.agreement_int8)


def _measure(settings: Settings, bundle: Bundle, machine: Machine, on_candidate: OnCandidate) -> list[EngineFigure]:
    """Figures of all engines, the fastest ones timed in turns: what else the machine does then disturbs all alike."""
    until_s = time.monotonic() + settings.engine.measure_s
    with _Bench(settings, until_s) as bench:
        on_candidate("", 0, 0)
        pairs = candidates(machine, bundle, settings.engine, bench.gpu())
        reference: list[int] = []
        figures: list[EngineFigure] = []
        for done, (engine, precision) in enumerate(pairs):
            on_candidate(f"{engine} {precision}", done, len(pairs))
            try:
                answer = bench.ask("compile", engine, precision)
            except Overrun as error:
                figures.append(EngineFigure(engine, precision, fault=str(error)))
                continue
            if "fault" in answer:
                figures.append(EngineFigure(engine, precision, fault=answer["fault"]))
                continue
            reference = reference or answer["best"]
            same = [one == other for one, other in zip(answer["best"], reference, strict=False)]
            share = sum(same) / len(same)
            if precision == "int8" and bundle.quantised is not None:
                share = bundle.quantised.agreement  # of real pictures: drawn ones say nothing of rounding so coarse
            figures.append(EngineFigure(engine, precision, round(answer["images_per_s"], 2), round(share, 4)))
            _drop_slow(figures, bench)
        return _in_turns(figures, bench, lambda text: on_candidate(text, len(pairs), len(pairs)))


def _drop_slow(figures: list[EngineFigure], bench: _Bench) -> None:
    """Free the memory of engines that will not be timed any further."""
    *_, last = figures
    fastest = max(figure.images_per_s for figure in figures)
    for figure in figures:
        slow = figure.images_per_s < IN_THE_RUNNING * fastest
        if not figure.fault and slow and (figure is last or last.images_per_s == fastest):
            with suppress(Overrun):
                bench.ask("drop", figure.engine, figure.precision)


def _in_turns(figures: list[EngineFigure], bench: _Bench, on_round: Callable[[str], None]) -> list[EngineFigure]:
    fastest = max((figure.images_per_s for figure in figures), default=0.0)
    rates: dict[EngineFigure, list[float]] = {
        figure: [] for figure in figures if not figure.fault and figure.images_per_s >= IN_THE_RUNNING * fastest
    }
    if len(rates) < 2:
        return figures
    for number in range(ROUNDS):
        on_round(f"round {number + 1} of {ROUNDS}")
        for figure, measured in rates.items():
            try:
                answer = bench.ask("time", figure.engine, figure.precision, seconds=ROUND_S)
            except Overrun:
                answer = {}
            if "images_per_s" not in answer:
                # Rounds that not all of them had would compare what cannot be compared.
                return [_median(one, rates.get(one, [])[:number]) for one in figures]
            measured.append(answer["images_per_s"])
    return [_median(one, rates.get(one, [])) for one in figures]


def _median(figure: EngineFigure, rates: list[float]) -> EngineFigure:
    return replace(figure, images_per_s=round(median(rates), 2)) if rates else figure


class _Bench:
    """The measuring processes: one for TensorFlow and what converts from it, one for JAX, each begun when asked."""

    def __init__(self, settings: Settings, until_s: float) -> None:
        self._settings = settings
        self._until_s = until_s
        self._processes: dict[str, _Process] = {}

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._processes.values():
            process.end()

    def gpu(self) -> bool:
        """Whether TensorFlow can use one."""
        try:
            return bool(self._process("tf_graph").first.get("gpu"))
        except Overrun:
            return False

    def ask(self, do: str, engine: str, precision: str, **more: float) -> dict[str, Any]:
        """Have one thing done.

        Raises:
            Overrun: the time is up, or the process ended.
        """
        command = {"do": do, "engine": engine, "precision": precision} | more
        process = self._process(engine)
        try:
            return process.ask(command, self._until_s)
        except Overrun:
            # What comes next gets a new one, as far as there is time.
            self._processes = {name: other for name, other in self._processes.items() if other is not process}
            process.end()
            raise

    def _process(self, engine: str) -> _Process:
        framework = "jax" if engine == "jax" else "tf_graph"
        if framework not in self._processes:
            if time.monotonic() >= self._until_s:
                raise Overrun(NO_TIME)
            chosen = self._settings.engine.model_copy(update={"name": framework, "precision": "float32"})
            self._processes[framework] = _Process(self._settings.model, chosen, self._until_s)
        return self._processes[framework]


class _Process:
    def __init__(self, model: ModelSettings, engine: EngineSettings, until_s: float) -> None:
        # A session of its own: Ctrl-C ends us, and its standard input ends it.
        self._child = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self.first = self.ask(
                {"model": model.model_dump(mode="json"), "engine": engine.model_dump(mode="json")}, until_s
            )
            if "fault" in self.first:  # there is no network to measure with
                raise Overrun(str(self.first["fault"]))
        except BaseException:
            self.end()
            raise

    def ask(self, command: dict[str, Any], until_s: float) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(command).encode() + b"\n")
            self._child.stdin.flush()
        except OSError:
            raise Overrun("its process had ended before") from None
        if not select.select([self._child.stdout], [], [], max(0.0, until_s - time.monotonic()))[0]:
            raise Overrun(NO_TIME)
        line = self._child.stdout.readline()
        if not line:
            raise Overrun(f"it ended its process (code {self._child.wait(10)})")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise Overrun("its process ended within an answer") from None
        if "fault" in answer:
            log.debug("engine cannot be measured", **command, fault=answer["fault"])
        return answer

    def end(self) -> None:
        self._child.kill()
        self._child.wait(10)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
