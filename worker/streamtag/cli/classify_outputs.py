"""What ``classify`` may write beside its answers: the options, and whether all that is asked for can be had."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TextIO

import typer

from streamtag.cli.classify_drawing import PLOT_ROWS, make_folder
from streamtag.cli.common import OUTPUT
from streamtag.errors import ConfigError, StreamtagError
from streamtag.extras import require
from streamtag.ingest.pictures import is_one_picture
from streamtag.tools.drawing import charts

DRAWING = "Drawing"
STANDARD_OUTPUT = Path("-")


Csv = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        help="Write every sample with its --top labels, raw and smoothed: a file, or - for standard output.",
        rich_help_panel=OUTPUT,
    ),
]
Annotate = Annotated[
    Path | None,
    typer.Option(
        "--annotate",
        help="Write a copy with the label drawn on it: a file, or a folder for several.",
        rich_help_panel=DRAWING,
    ),
]
DrawTimeline = Annotated[
    Path | None,
    typer.Option(
        "--timeline",
        help="Draw the labels of a video over its time, raw against smoothed: .png, .svg, .pdf.",
        rich_help_panel=DRAWING,
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", help="Draw each picture with its labels as bars: .png, .svg, .pdf.", rich_help_panel=DRAWING
    ),
]
Show = Annotated[
    bool, typer.Option("--show", help="Open what was drawn, where a display exists.", rich_help_panel=DRAWING)
]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the answers go."""

    json: bool
    annotate: Path | None
    csv: Path | None  # "-" is standard output
    timeline: Path | None

    @property
    def silent(self) -> bool:
        """Whether standard output belongs to the table of samples."""
        return self.csv == STANDARD_OUTPUT


def check(chosen: list[str], outputs: Outputs, plot: Path | None, show: bool, compare: str | None) -> None:
    """See before the work that everything asked for can be had, and goes together."""
    if show and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError("--show: there is no display here; write files with --plot FILE.png or --annotate FOLDER")
    asked = {"--plot": plot, "--timeline": outputs.timeline}
    require(*(option for option, path in asked.items() if path is not None), *(["--show"] if show else []))
    for option, path in asked.items():
        if path is not None and path.suffix.lower() not in charts.SUFFIXES:
            raise ConfigError(f"{option} {path}: name a file that ends in {', '.join(charts.SUFFIXES)}")
    if plot is not None and len(chosen) > PLOT_ROWS:
        raise ConfigError(f"--plot: {len(chosen)} pictures do not fit one plot; give at most {PLOT_ROWS}")
    if outputs.timeline is not None and (len(chosen) != 1 or is_one_picture(chosen[0])):
        raise ConfigError("--timeline draws one video; name one, and no pictures")
    if outputs.json and outputs.silent:
        raise ConfigError("--json and --csv - both want standard output; name a file for --csv")
    if compare is not None and (outputs.annotate or outputs.csv or outputs.timeline):
        raise ConfigError("--annotate, --csv and --timeline are of one network; leave out --compare")
    if outputs.annotate is not None and len(chosen) > 1:
        make_folder(outputs.annotate)


@contextmanager
def table_file(path: Path | None) -> Iterator[TextIO | None]:
    """The file of the samples, opened before the work; None where nobody asked for one."""
    if path is None or path == STANDARD_OUTPUT:
        yield None if path is None else sys.stdout
        return
    try:
        # A name of bytes that are no text is written as it is, rather than not at all.
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            yield file
    except OSError as error:
        raise StreamtagError(f"--csv {path}: cannot be written: {error.strerror}") from None
