"""The rules of the house that can be counted (CONTRIBUTING.md): sizes, names, and a summary line on what is public."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "worker" / "streamtag"
FILES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")])

MAX_FILE_LINES = 320
MAX_FUNCTION_LINES = 60
VAGUE = {"utils", "util", "helpers", "helper", "manager", "misc", "stuff"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """Classes and functions that other modules may use. A method's name often says enough, inside its class."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            yield from public([one for one in node.body if isinstance(one, ast.ClassDef)], f"{prefix}{node.name}.")
        elif isinstance(node, Function) and not node.name.startswith("_"):
            yield node.name, node


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def test_no_file_is_long() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_long(trees: dict[Path, ast.Module]) -> None:
    lengths = {
        f"{name(path)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in trees.items()
        for node in functions(tree)
    }
    assert {function for function, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == set()


def test_no_module_has_a_vague_name() -> None:
    assert [name(path) for path in FILES if VAGUE & set(path.stem.split("_"))] == []


def test_what_is_public_opens_with_one_summary_line(trees: dict[Path, ast.Module]) -> None:
    bare = [
        f"{name(path)}: {label}"
        for path, tree in trees.items()
        if path.is_relative_to(PACKAGE)
        for label, node in public(tree.body)
        if not opens_with_a_sentence(ast.get_docstring(node))
    ]
    assert bare == []


def opens_with_a_sentence(text: str | None) -> bool:
    first = (text or "").partition("\n")[0]
    return first.rstrip("`'\")").endswith((".", ":", "?")) and first not in ("Args:", "Returns:", "Raises:")
