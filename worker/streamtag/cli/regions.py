"""Regions of the frames, as people write them: one, or several by name."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError

from streamtag.cli.common import SAMPLING
from streamtag.core.job import Job, Region, explain
from streamtag.errors import ConfigError

Roi = Annotated[
    list[str] | None,
    typer.Option(
        "--roi",
        metavar="[NAME=]X,Y,WIDTH,HEIGHT",
        help="Region of each frame to look at, in fractions of the frame. Several by name, given one by one, are "
        "each a stream of results of its own.",
        rich_help_panel=SAMPLING,
    ),
]

Regions = dict[str, Region | None]  # by name; None is all of the frame


def regions_of(texts: list[str] | None) -> Region | dict[str, Region] | None:
    """The region that was given, or those by name.

    Raises:
        ConfigError: they are not four numbers, or several lack a name, or have the same one.
    """
    if not texts:
        return None
    named: dict[str, Region] = {}
    for text in texts:
        name, given, numbers = text.rpartition("=")
        if not given:
            if len(texts) > 1:
                raise ConfigError(f"--roi {text}: of several regions each has a name, as in door=0.5,0,0.5,1")
            return _region(text, text)
        if name in named:
            raise ConfigError(f"--roi {text}: there is another region {name!r}")
        named[name] = _region(text, numbers)
    return named


def named_regions(texts: list[str] | None) -> Regions:
    """The same by name, where no job checks them: all of each frame where none was given.

    Raises:
        ConfigError: they are not regions of a frame.
    """
    roi = regions_of(texts)
    try:
        return Job("classify", "classify", roi=roi).regions
    except ValidationError as error:
        raise ConfigError(explain(error).replace("job.roi", "--roi")) from None


def _region(text: str, numbers: str) -> Region:
    try:
        x, y, width, height = (float(part) for part in numbers.split(","))
    except ValueError:
        raise ConfigError(
            f"--roi {text}: give four numbers from 0 to 1, as in 0.5,0,0.5,1 for the right half"
        ) from None
    return x, y, width, height


def check_region(job: Job, region: str) -> None:
    """See that a job has a region of that name.

    Raises:
        ConfigError: it has none.
    """
    if region not in job.regions:
        names = ", ".join(filter(None, job.regions))
        raise ConfigError(f"--region {region!r}: {job.job_id} has {f'the regions {names}' if names else 'none'}")
