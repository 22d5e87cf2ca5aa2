"""Groups of labels on the command line: told, watched, shown and classified."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamtag.networks.registry import DEMO_BUNDLE
from streamtag.settings import Settings

from tests.support import NULL, Worker, json_lines, run_cli, start_worker

SHAPES = [label for label in json.loads((DEMO_BUNDLE / "bundle.json").read_text())["labels"] if label != "nothing"]


@pytest.fixture
def groups(tmp_path: Path) -> str:
    path = tmp_path / "groups.json"
    path.write_text(json.dumps({"shape": SHAPES}))
    return f"model.groups={path}"


def test_a_job_hears_of_the_group_that_it_watches_and_of_nothing_else(
    settings: Settings, workers: list[Worker], clip: Path, groups: str
) -> None:
    start_worker(workers, settings, *NULL, groups)
    ran = run_cli(settings, "submit", str(clip), "--watch", "shape", "--id", "w", "--fps", "2", "--wait", "--json")
    assert ran.returncode == 0, ran.stderr
    results = json_lines(run_cli(settings, "tail", "w", "--json").stdout)
    assert all(result["labels"] for result in results)
    assert {name for result in results for name in result["active"]} == {"shape"}
    told = [result["groups"][0] for result in results if result["groups"]]
    assert {(one["name"], one["group"]) for one in told} == {("shape", True)}
    events = json_lines(run_cli(settings, "tail", "w", "--events", "--json").stdout)
    labels = [event["label"] for event in events if event["kind"] in ("enter", "exit")]
    assert labels[:1] == [{"name": "shape", "group": True}]
    assert {label["name"] for label in labels} == {"shape"}
    ran = run_cli(settings, "submit", str(clip), "--watch", "shapes", "--id", "typo", "--wait", "--json")
    (typo,) = json_lines(ran.stdout)
    assert typo["status"] == "failed"
    assert "no label 'shapes'; did you mean 'shape'?" in typo["reason"]


def test_a_worker_that_is_to_tell_what_it_does_not_know_does_not_start(settings: Settings) -> None:
    ran = run_cli(settings, "run", "--set", "engine.name=null", "--set", 'smoothing.labels=["squares"]')
    assert ran.returncode == 2
    assert "'squares' is no label of demo; did you mean 'square'?" in ran.stderr


def test_the_groups_of_a_network_are_shown_as_a_tree(settings: Settings, groups: str) -> None:
    rows = {row["name"]: row for row in json_lines(run_cli(settings, "models", "groups", "xception", "--json").stdout)}
    assert (rows["dog"]["parent"], len(rows["dog"]["classes"])) == ("mammal", 118)
    told = run_cli(settings, "models", "groups", "demo", "--set", groups).stdout
    assert told.startswith("shape  circle, square, triangle, star, cross, ring")


def test_a_file_of_groups_names_those_of_wordnet(settings: Settings, tmp_path: Path) -> None:
    def shown(content: object, model: str = "xception") -> dict[str, list[str]]:
        path = tmp_path / "own.json"
        path.write_text(json.dumps(content))
        ran = run_cli(settings, "models", "groups", model, "--json", "--set", f"model.groups={path}")
        assert "Traceback" not in ran.stderr
        return {row["name"]: row["classes"] for row in json_lines(ran.stdout)} | {"": ran.stderr.splitlines()[-1:]}

    own = shown({"dog": "wordnet", "pet": ["wordnet:dog", "wordnet:cat", "hamster"], "terrier": ["cairn"]})
    assert list(own) == ["pet", "dog", "terrier", ""]
    assert (len(own["dog"]), len(own["pet"])) == (118, 118 + 5 + 1)
    everyday = shown({"*": "wordnet", "dog": ["cairn"]})
    assert len(everyday) > 100
    assert everyday["dog"] == ["cairn"], "a group of the file is its own"
    (told,) = shown({"dgo": "wordnet"})[""]
    assert told.endswith("WordNet's groups have no 'dgo'; did you mean 'dog'?")
    (told,) = shown({"pet": ["dog"]})[""]
    assert told.endswith("write 'wordnet:dog' for WordNet's group")
    (told,) = shown({"*": "wordnet"}, "demo")[""]
    assert told.endswith("are of ImageNet's classes, and this network has others")


def test_classify_tells_groups_beside_labels(settings: Settings, clip: Path, groups: str, tmp_path: Path) -> None:
    table = tmp_path / "samples.csv"
    command = ("classify", str(clip), "--model", "demo", "--set", "engine.name=null", "--set", groups)
    (video,) = json_lines(run_cli(settings, *command, "--json", "--csv", str(table)).stdout)
    assert [set(group) for group in video["groups"]] == [{"name", "score"}]
    assert len(video["labels"]) == 5
    assert {"shape", *SHAPES} >= {segment["label"] for segment in video["segments"]} - {"nothing"}
    assert table.read_text().count("\n") > 40


def test_a_bundle_is_shown_without_a_sign_of_python(settings: Settings) -> None:
    shown = run_cli(settings, "models", "show", "demo").stdout
    assert not set("{}'") & set(shown), shown
    assert "circle 0.6 / 0.3, square 0.6 / 0.3" in shown
    assert "intact       yes" in shown
    assert "quantised" not in shown, "what it does not have is left out"
    narrow = run_cli(settings, "models", "list", env={"COLUMNS": "40"}).stdout
    assert "pictures (`models show` names the source).\n" in narrow, "a pipe has room for a sentence"
    none = run_cli(settings, "models", "groups", "demo", "--json")
    assert (none.returncode, none.stdout) == (0, "")
    assert "no groups" in none.stderr, "nothing at all would look like a mistake"
