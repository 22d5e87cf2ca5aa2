"""What the documents name is there: links, files, settings, commands, options, metrics; and each command is in one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from streamtag.cli.catalogue import command_line
from streamtag.settings import Settings
from streamtag.tools.metrics_page import exporter_families, notifier_families, worker_families
from typer.core import TyperGroup
from typer.main import get_command

ROOT = Path(__file__).parents[2]
# The change log tells of what was, too.
FOLDERS = ("config", "docs", "k8s", "tests", "worker")
DOCUMENTS = sorted({*ROOT.glob("*.md"), *(path for name in FOLDERS for path in ROOT.joinpath(name).rglob("*.md"))})
DOCUMENTS.remove(ROOT / "CHANGELOG.md")
MANIFESTS = sorted([ROOT / "compose.yaml", *ROOT.glob("config/**/*.yaml"), *ROOT.glob("k8s/**/*.yaml")])
# Written as settings are, and something else: a host with the namespace of Kubernetes behind it.
NO_SETTINGS = {"redis.data"}

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def code(document: Path) -> str:
    """What stands in code blocks and between backticks."""
    text = document.read_text(encoding="utf-8")
    return "\n".join([*FENCE.findall(text), *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))])


def anchors(document: Path) -> set[str]:
    """Those that GitHub gives the headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def options() -> dict[tuple[str, ...], set[str]]:
    """Of each command, by the words that name it."""
    tree = get_command(command_line())
    found: dict[tuple[str, ...], set[str]] = {}
    todo: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    while todo:
        words, command = todo.pop()
        names = chain.from_iterable((*one.opts, *one.secondary_opts) for one in command.params)
        found[words] = {*names, "--help"}
        if isinstance(command, TyperGroup):
            todo += [((*words, name), child) for name, child in command.commands.items()]
    return found


OPTIONS = options()


def typed(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Each ``streamtag COMMAND …`` of a text: the words that name the command, and those behind."""
    for line in re.findall(r"(?:^|[\s/])streamtag ([a-z][^\n#|;&]*)", text.replace("\\\n", " "), re.MULTILINE):
        words = line.split()
        command: tuple[str, ...] = ()
        while words and (*command, words[0].rstrip(".,:)")) in OPTIONS:
            command = (*command, words.pop(0).rstrip(".,:)"))
        if command:
            yield command, words


@each_document
def test_a_link_leads_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if not link.startswith(("http://", "https://")):
            path, _, anchor = link.partition("#")
            target = (document.parent / path).resolve() if path else document
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@each_document
def test_a_file_that_is_named_is_there(document: Path) -> None:
    tops = "|".join(("config", "dashboards", "docs", "k8s", "requirements", "scripts", "tests", "worker"))
    named = re.findall(rf"(?:^|[\s\"(])((?:{tops})/[\w./-]*\w)", code(document), re.MULTILINE)
    assert [path for path in named if not ROOT.joinpath(path).exists()] == []


@pytest.mark.parametrize("document", [*DOCUMENTS, *MANIFESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_setting_that_is_named_is_one(document: Path) -> None:
    known = {
        f"{group}.{name}" for group, field in Settings.model_fields.items() for name in type(field.default).model_fields
    }
    text = document.read_text(encoding="utf-8")
    variables = re.findall(r"STREAMTAG_([A-Z]+)__([A-Z0-9_]*[A-Z0-9])", text)
    named = {f"{group}.{name}".lower() for group, name in variables}
    if document.suffix == ".md":
        groups = "|".join(Settings.model_fields)
        dotted = re.findall(rf"(?<![\w./{{-])((?:{groups})\.[a-z]\w*)(?![\w/.(])", code(document))
        named |= {name for name in dotted if name.rpartition(".")[2] not in ("acl", "json", "md", "py", "yaml")}
    assert named - known - NO_SETTINGS == set()


@each_document
def test_a_metric_that_is_named_is_exported(document: Path) -> None:
    families = [*worker_families(), *exporter_families(), *notifier_families()]
    known = {sample.name for family in families for sample in family.samples} | {family.name for family in families}
    assert set(re.findall(r"\bstreamtag_[a-z0-9_]+", document.read_text(encoding="utf-8"))) - known == set()


@each_document
def test_a_command_that_is_named_has_the_options_that_stand_behind_it(document: Path) -> None:
    for command, words in typed(code(document)):
        asked = {found[0] for word in words if (found := re.match(r"--[a-z][a-z-]*[a-z]", word))}
        of_group = [names for words, names in OPTIONS.items() if words[:-1] == command]  # streamtag bench NAME …
        assert asked <= OPTIONS[command].union(*of_group), " ".join(("streamtag", *command))


@each_document
def test_a_target_of_make_that_is_named_is_one(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", ROOT.joinpath("Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|\$ )make ([a-z][a-z-]*)", code(document), re.MULTILINE)) - targets == set()


def test_every_command_has_a_line_on_the_page_of_running_with_options_of_its_own() -> None:
    text = ROOT.joinpath("docs", "running.md").read_text(encoding="utf-8")
    table = text.partition("| command | |\n|---|---|\n")[2].partition("\n\n")[0]
    explained: set[tuple[str, ...]] = set()
    for row in table.splitlines():
        first, _, rest = row.strip("|").replace("\\|", "/").partition("|")
        commands: list[tuple[str, ...]] = []
        for name in re.findall(r"`([^`]+)`", first):
            words = tuple(word for word in name.split() if word[0] not in "-0123456789")
            commands.append(words if words in OPTIONS else (*commands[0][:-1], *words))
        assert set(commands) <= set(OPTIONS), first
        known = set().union(*(OPTIONS[command] for command in commands))
        assert set(re.findall(r"`(?:\w+ )*(--[a-z][a-z-]*)", rest)) <= known, first
        explained |= set(commands)
    groups = {words[:-1] for words in OPTIONS if words}
    assert set(OPTIONS) - groups - explained == set()
