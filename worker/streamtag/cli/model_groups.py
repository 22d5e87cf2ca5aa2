"""``streamtag models groups``: the groups of a network's labels, as a tree."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from streamtag.cli.common import Config, Json, Overrides, err, out, print_json, settings_from
from streamtag.core.bundle import Bundle
from streamtag.core.groups import Groups
from streamtag.networks.registry import resolve
from streamtag.redaction import printable

SHOWN = 6  # classes of a group, for people


def groups(
    name: Annotated[str, typer.Argument(help="A network of `streamtag models list`, or the folder of a bundle.")],
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """The unions of classes that are labels, too, each below the smallest that holds it."""
    bundle = resolve(settings_from(config, name, None, overrides).model)
    if not bundle.groups:
        (err if json else out).print(
            "it has no groups; give some with --set model.groups=FILE", markup=False, soft_wrap=True
        )
    parents = _parents(bundle.groups)
    _show(bundle, parents, None, 0, json)


def _show(bundle: Bundle, parents: dict[int, int | None], parent: int | None, depth: int, json: bool) -> None:
    """The groups right below one, each followed by those below it."""
    for number, above in parents.items():
        if above != parent:
            continue
        group = bundle.groups.all[number]
        members = [bundle.labels[class_id] for class_id in group.classes]
        if json:
            named = None if above is None else bundle.groups.all[above].name
            print_json({"name": group.name, "parent": named, "classes": members})
        else:
            more = f", … {len(members)} in all" if len(members) > SHOWN else ""
            line = Text("  " * depth).append(printable(group.name), "bold")
            out.print(line.append(f"  {printable(', '.join(members[:SHOWN]))}{more}", "dim"), soft_wrap=True)
        _show(bundle, parents, number, depth + 1, json)


def _parents(groups: Groups) -> dict[int, int | None]:
    """Number of each group to that of the smallest that holds it and more."""
    members = [frozenset(group.classes) for group in groups.all]
    found: dict[int, int | None] = {}
    for number, one in enumerate(members):
        wider = [other for other, some in enumerate(members) if one < some]
        found[number] = min(wider, key=lambda other: len(members[other]), default=None)
    return found
