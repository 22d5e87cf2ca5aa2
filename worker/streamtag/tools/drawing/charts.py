"""Pictures of numbers, drawn by Matplotlib with no display. Labels of any script. Needs the extra ``train``."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from streamtag.errors import StreamtagError
from streamtag.extras import require
from streamtag.tools.drawing.lettering import fonts

BLUE, ORANGE, GREY = "#2563eb", "#ea580c", "#9ca3af"
SUFFIXES = (".png", ".svg", ".pdf")
Bars = Sequence[tuple[str, float]]  # label and probability, best first


@contextmanager
def figure(text: str, width: float, height: float) -> Iterator[Any]:
    """A Matplotlib figure, in inches, with fonts for the letters of a text.

    Raises:
        ConfigError: Matplotlib is not installed.
    """
    require("--plot")
    import matplotlib  # noqa: PLC0415 - an extra
    from matplotlib import font_manager  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    families = ["DejaVu Sans"]
    for font in fonts(text):
        font_manager.fontManager.addfont(font.path)
        families.append(font_manager.FontProperties(fname=font.path).get_name())
    style = {
        "font.family": families,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": False,
        "text.parse_math": False,  # a label with dollar signs is a label
    }
    with matplotlib.rc_context(style):
        yield Figure(figsize=(width, height), layout="constrained", dpi=110)


def png(drawn: Any) -> bytes:
    """(PNG) content of a figure."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png")
    return buffer.getvalue()


def save(drawn: Any, path: Path) -> None:
    """Write a figure in the format that the file's suffix names.

    Raises:
        StreamtagError: the file cannot be written, or its format is none of Matplotlib's.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path)
    except OSError as error:
        raise StreamtagError(f"{path}: cannot be written: {error.strerror}") from None
    except ValueError as error:
        raise StreamtagError(f"{path}: {str(error).splitlines()[0]}; use .png, .svg or .pdf") from None


def bars_beside_pictures(rows: Sequence[tuple[str, np.ndarray | None, Mapping[str, Bars]]], path: Path) -> None:
    """Each picture with its best labels, one column of bars for each network.

    Args:
        rows: name of the picture, (h, w, 3) uint8 RGB or None, and network to its labels.
    """
    networks = list(dict.fromkeys(name for _, _, answers in rows for name in answers))
    text = "".join(name + "".join(label for bars in answers.values() for label, _ in bars) for name, _, answers in rows)
    with figure(text, 3.2 + 4.2 * len(networks), 2.6 * len(rows)) as drawn:
        axes = drawn.subplots(len(rows), 1 + len(networks), squeeze=False, width_ratios=[3.2] + [4.2] * len(networks))
        for line, (name, picture, answers) in zip(axes, rows, strict=True):
            line[0].set_axis_off()
            line[0].set_title(_shortened(name, 40), fontsize=9)
            if picture is not None:
                line[0].imshow(picture)
            for axis, network in zip(line[1:], networks, strict=True):
                _bars(axis, answers.get(network, ()))
                axis.set_title(network if len(networks) > 1 else "", fontsize=9)
        save(drawn, path)


def _bars(axis: Any, bars: Bars) -> None:
    names = [_shortened(name, 30) for name, _ in bars]
    places = range(len(bars))
    axis.barh(places, [score for _, score in bars], color=[BLUE] + [GREY] * (len(bars) - 1), height=0.7)
    axis.set_yticks(places, names, fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.12)
    axis.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"], fontsize=8)
    for place, (_, score) in zip(places, bars, strict=True):
        axis.text(score + 0.02, place, f"{score:.1%}", va="center", fontsize=8)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
