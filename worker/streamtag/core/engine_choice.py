"""Which engine runs a network: decided from what each was measured to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

REFERENCE_PRECISION = "float32"
GARBLED = 0.25  # agreement of 8 bits below which it is no rounding: the processor computes something else
AS_FAST = 0.95  # of the fastest; among engines that differ by less, noise would choose
_FINEST_FIRST = ("float32", "float16", "bfloat16", "int8")

Origin = Literal["named", "default", "measured", "kept"]


@dataclass(frozen=True, slots=True)
class EngineFigure:
    """What one engine was measured to do with a network, or why it was not."""

    engine: str
    precision: str
    images_per_s: float = 0.0
    agreement: float = 0.0  # share of the pictures whose best class is that of float32
    fault: str = ""  # why there are no figures

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """The least share of pictures whose best class must be that of float32."""

    bits_16: float
    int8: float

    def asked_of(self, precision: str) -> float:
        """The least share for a precision."""
        if precision == REFERENCE_PRECISION:
            return 0.0
        return self.int8 if precision == "int8" else self.bits_16


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine that is taken, and why."""

    engine: str
    precision: str
    origin: Origin  # named by the settings, the default, measured just now, or kept from an earlier measuring
    why: str
    figures: tuple[EngineFigure, ...] = ()


def choose(figures: Sequence[EngineFigure], least: Agreement) -> EngineChoice | None:
    """The fastest engine that agrees with float32; of those about as fast, the most precise, then the first.

    Args:
        figures: in the order of preference.

    Returns:
        None where no engine was measured.
    """
    fit = [figure for figure in figures if not figure.fault and figure.agreement >= least.asked_of(figure.precision)]
    if not fit:
        return None
    fastest = max(figure.images_per_s for figure in fit)
    as_fast = [figure for figure in fit if figure.images_per_s >= AS_FAST * fastest]
    best = min(as_fast, key=lambda figure: _FINEST_FIRST.index(figure.precision))
    return EngineChoice(best.engine, best.precision, "measured", _why(best, figures, least), tuple(figures))


def _why(best: EngineFigure, figures: Sequence[EngineFigure], least: Agreement) -> str:
    parts = [f"{best} {best.images_per_s:.3g} images/s"]
    for other in figures:
        asked = least.asked_of(other.precision)
        if other is best:
            continue
        if other.fault:
            parts.append(f"{other} left out: {other.fault}")
        elif other.agreement < asked:
            parts.append(f"{other} left out: agrees with float32 in {other.agreement:.1%} of {asked:.1%} asked")
        else:
            parts.append(f"{other} {other.images_per_s:.3g}")
    return "; ".join(parts)
