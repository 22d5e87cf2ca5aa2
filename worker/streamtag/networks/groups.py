"""The groups of a network: of its bundle, of a file, or the everyday ones of ImageNet's classes."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from streamtag.core.bundle import UNKNOWN
from streamtag.core.groups import Groups, LabelGroup
from streamtag.errors import ConfigError, did_you_mean

WORDNET = "wordnet"
NONE = "none"
MAX_GROUPS = 2000
_OF_WORDNET = f"{WORDNET}:"
_SHOWN = "; `streamtag models groups efficientnet-lite0` shows them"


def choose_groups(chosen: str, own: Groups, labels: tuple[str, ...]) -> Groups:
    """The groups of a network.

    Args:
        chosen: ``model.groups``: a file, wordnet or none; empty for the bundle's own, and the everyday groups for
            networks of ImageNet's classes.
        own: of the bundle.
        labels: its classes.

    Raises:
        ConfigError: a file that cannot be read or names what the network does not have, or wordnet for other classes.
    """
    if chosen == NONE:
        return Groups()
    if chosen and chosen != WORDNET:
        return read_groups(Path(chosen), labels)
    if not chosen and own:
        return own
    if _are_imagenet(labels):
        return Groups(wordnet_groups().all, len(labels))
    if chosen == WORDNET:
        raise ConfigError(
            f"model.groups wordnet: the {len(labels)} labels of this network are not ImageNet's; name a file of groups"
        )
    return Groups()


@functools.cache
def wordnet_groups() -> Groups:
    """The everyday groups of ImageNet's thousand classes."""
    numbers = {wnid: number for number, (wnid, _) in enumerate(imagenet_classes())}
    found = []
    for line in files("streamtag.networks").joinpath("wordnet_groups.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, *wnids = line.split()
            found.append(LabelGroup(name, tuple(numbers[wnid] for wnid in wnids)))
    return Groups(tuple(found), len(numbers))


def read_groups(path: Path, labels: Sequence[str]) -> Groups:
    """Groups of a JSON file, ``{"pet": ["dog", "cat"], …}``: of each the names or numbers of its classes.

    ImageNet's classes may be named by their WordNet ids, too, and those of an everyday group all at once:
    ``wordnet:dog``. ``"dog": "wordnet"`` is that group itself, and ``"*": "wordnet"`` are all that have no line of
    their own.

    Raises:
        ConfigError: it cannot be read, or names what the network does not have.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"model.groups {path}: {error.strerror}; give a file, wordnet or none") from None
    except ValueError as error:
        raise ConfigError(f"model.groups {path}: not valid JSON: {error}") from None
    if not isinstance(content, dict) or not all(one == WORDNET or isinstance(one, list) for one in content.values()):
        raise ConfigError(f'model.groups {path}: groups with lists of labels are expected, {{"pet": ["dog", "cat"]}}')
    try:
        return make_groups(_with_wordnet(content, labels), labels)
    except ValueError as error:
        raise ConfigError(f"model.groups {path}: {error}") from None


def _with_wordnet(content: dict[str, list[str | int] | str], labels: Sequence[str]) -> dict[str, list[str | int]]:
    """What is in a file, with the classes of WordNet's groups in the place of their names."""
    everyday = wordnet_groups().all if _are_imagenet(labels) else ()
    known: dict[str, list[str | int]] = {group.name: list(group.classes) for group in everyday}
    found: dict[str, list[str | int]] = {}
    for name, members in content.items():
        if name == "*" and members == WORDNET:
            _check_known("", known)
            found |= {other: classes for other, classes in known.items() if other not in content}
        else:
            given = [f"{_OF_WORDNET}{name}"] if isinstance(members, str) else members
            found[name] = [one for member in given for one in _classes(member, known, labels)]
    return found


def _classes(member: str | int, known: Mapping[str, list[str | int]], labels: Sequence[str]) -> Sequence[str | int]:
    if not isinstance(member, str) or not member.startswith(_OF_WORDNET) or member in labels:
        return [member]
    name = member.removeprefix(_OF_WORDNET)
    _check_known(name, known)
    return known[name]


def _check_known(name: str, known: Mapping[str, object]) -> None:
    if not known:
        raise ValueError("WordNet's groups are of ImageNet's classes, and this network has others")
    if name and name not in known:
        raise ValueError(f"WordNet's groups have no {name[:80]!r}{did_you_mean(name, known) or _SHOWN}")


def make_groups(content: Mapping[str, Sequence[str | int]], labels: Sequence[str]) -> Groups:
    """Groups by the names or numbers of their classes.

    Raises:
        ValueError: a label that there is not, or that two classes have; a group without a class, or with the name of a
            class that is not in it.
    """
    if len(content) > MAX_GROUPS:
        raise ValueError(f"{len(content)} groups are more than {MAX_GROUPS}")
    wnids = {}
    if _are_imagenet(labels):
        wnids = {wnid: number for number, (wnid, _) in enumerate(imagenet_classes())}
    found = []
    for name, members in content.items():
        if not name.strip() or len(name) > 128:
            raise ValueError(f"{name[:40]!r} is no name of a group: 1 to 128 characters are")
        numbers = sorted({_number(name, member, labels, wnids) for member in members})
        if not numbers:
            raise ValueError(f"the group {name!r} has no class")
        # Else one name would mean two things, and who watches it would not know which.
        if name in labels and not any(labels[number] == name for number in numbers):
            raise ValueError(f"the group {name!r} has the name of a class that is not in it")
        found.append(LabelGroup(name, tuple(numbers)))
    return Groups(tuple(found), len(labels))


def as_names(groups: Groups, labels: Sequence[str]) -> dict[str, list[str | int]]:
    """What ``make_groups`` makes the groups of again: names, and numbers of classes that share one."""
    return {
        group.name: [labels[number] if labels.count(labels[number]) == 1 else number for number in group.classes]
        for group in groups.all
    }


def _number(name: str, member: str | int, labels: Sequence[str], wnids: Mapping[str, int]) -> int:
    if isinstance(member, int) and 0 <= member < len(labels) and not isinstance(member, bool):
        return member
    if not isinstance(member, str):
        raise ValueError(f"the group {name!r} has {str(member)[:40]!r}, which is no class")
    if member in wnids:
        return wnids[member]
    if labels.count(member) > 1:
        raise ValueError(f"the group {name!r} has {member!r}, the name of two classes; give its WordNet id or number")
    if member not in labels:
        everyday = wnids and member in wordnet_groups().names
        remedy = f"; write '{_OF_WORDNET}{member}' for WordNet's group" if everyday else did_you_mean(member, labels)
        raise ValueError(f"the group {name!r} has {member[:80]!r}, which is no label of the network{remedy}")
    return labels.index(member)


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """(wnid, name) of the 1000 classes in the order of the networks' outputs."""
    text = files("streamtag.networks").joinpath("imagenet_labels.txt").read_text(encoding="utf-8")
    rows = [line.split(maxsplit=1) for line in text.splitlines() if not line.startswith("#")]
    return tuple((wnid, name) for wnid, name in rows)


def _are_imagenet(labels: Sequence[str]) -> bool:
    return tuple(labels) in (_imagenet_labels(), (*_imagenet_labels(), UNKNOWN))


@functools.cache
def _imagenet_labels() -> tuple[str, ...]:
    return tuple(name for _wnid, name in imagenet_classes())
