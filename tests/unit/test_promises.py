"""The page of promises names tests that are there: a test that was renamed or removed takes its row along."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "promises.md"
ROW = re.compile(r"^\|(?!---)(?! promise \|)(.*)\|$", re.MULTILINE)
TEST = re.compile(r"^`(tests/[\w/]+\.py)::(test_\w+)`$")


def rows() -> list[list[str]]:
    return [[cell.strip() for cell in row.split("|")] for row in ROW.findall(PAGE.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[-1].strip("`").rpartition("::")[2])
def test_a_promise_names_a_test_that_is_there_and_runs(row: list[str]) -> None:
    promise, fault, lost, _, named = row
    assert promise
    assert fault
    assert lost
    found = TEST.match(named)
    assert found, f"{promise}: no test is named"
    path, name = found.groups()
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert name in functions, f"{path} has no {name}"
    marks = [ast.unparse(mark) for mark in functions[name].decorator_list]
    # Where a fault takes root to make, the test may be left out elsewhere, and the row says so.
    assert not [mark for mark in marks if "xfail" in mark or re.search(r"\bskip\b", mark)]
    assert "(needs root)" in fault or not [mark for mark in marks if "skipif" in mark]


def test_the_page_covers_what_may_happen() -> None:
    assert len(rows()) > 40
