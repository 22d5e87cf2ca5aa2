"""Unions of classes: their scores, what is said of them, and the everyday ones of ImageNet."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from streamtag.core.bundle import Bundle, Level, Preprocessing
from streamtag.core.groups import Groups, LabelGroup
from streamtag.core.job import Job
from streamtag.core.labelling import make_smoother
from streamtag.core.options import SmoothingSettings
from streamtag.core.recording import record_batch
from streamtag.core.records import Checkpoint, Claim, Sample
from streamtag.core.track import Track
from streamtag.errors import ConfigError, RejectJob
from streamtag.networks.bundles import read_bundle, write_bundle
from streamtag.networks.groups import choose_groups, imagenet_classes, make_groups, read_groups, wordnet_groups
from streamtag.networks.registry import resolve
from streamtag.settings import ModelSettings

LABELS = ("pug", "beagle", "tabby", "bottle")
GROUPS = Groups((LabelGroup("dog", (0, 1)), LabelGroup("pet", (0, 1, 2))), 4)
PUG, BEAGLE, DOG, PET = 0, 1, 4, 5
ROOT = Path(__file__).parents[2]


def bundle(level: Level = "auto", groups: Groups = GROUPS) -> Bundle:
    return Bundle("four", "none", LABELS, Preprocessing(32), groups=groups, level=level)


def play(one: Bundle, rows: list[list[float]], wanted: tuple[str, ...] = (), **settings: Any) -> list[str]:
    """What enters and leaves, a sample a second."""
    options = SmoothingSettings.model_validate(
        {"method": "none", "exit": 0.4, "min_off_s": 0.0, "exact": 0.8, "exact_s": 0.0, **settings}
    )
    smoother, said = make_smoother(one, options, wanted), []
    for second, scores in enumerate(one.groups.extend(np.array(rows, np.float32))):
        _, changes = smoother.update(float(second), scores)
        said += [
            f"{second}:{'+' if change.kind == 'enter' else '-'}{one.outputs[change.class_id]}" for change in changes
        ]
    return said + [f"end:-{one.outputs[change.class_id]}" for change in smoother.close()]


SURE, HALF, CAT, NOTHING = (
    [0.8, 0.1, 0.05, 0.05],
    [0.35, 0.3, 0.1, 0.25],
    [0.05, 0.05, 0.85, 0.05],
    [0.1, 0.0, 0.1, 0.1],
)


def test_a_group_has_the_sum_of_its_classes_and_never_more_than_one() -> None:
    scores = np.array([SURE, [0.9, 0.8, 0.1, 0.0]], np.float32)
    extended = GROUPS.extend(scores)
    assert extended[:, :4].tolist() == scores.tolist()
    assert extended[:, 4:] == pytest.approx(np.array([[0.9, 0.95], [1.0, 1.0]]))


def test_without_groups_scores_stay_what_they_are() -> None:
    scores = np.array([SURE], np.float32)
    assert Groups().extend(scores) is scores


def test_the_most_exact_label_is_told_and_changes_with_what_is_known() -> None:
    said = play(bundle(), [HALF, SURE, HALF, CAT, NOTHING])
    assert said == ["0:+dog", "1:-dog", "1:+pug", "2:-pug", "2:+dog", "3:-dog", "3:+tabby", "4:-tabby"]


def test_a_label_without_enough_of_its_group_is_not_told_in_its_place() -> None:
    """As likely a beagle as a pug it is a dog; what is told already needs a little less to stay."""
    alike, most, less = [0.45, 0.42, 0.03, 0.1], [0.9, 0.03, 0.02, 0.05], [0.77, 0.17, 0.01, 0.05]
    assert play(bundle(), [alike, most, less, alike, most]) == [
        "0:+dog", "1:-dog", "1:+pug", "3:-pug", "3:+dog", "4:-dog", "4:+pug", "end:-pug"
    ]  # fmt: skip
    assert play(bundle(), [most, less, alike], exact=0.0) == ["0:+pug", "2:+beagle", "end:-pug", "end:-beagle"]
    assert play(bundle(), [less], exact=0.85) == ["0:+dog", "end:-dog"]


def test_a_label_is_told_in_place_of_its_group_once_it_has_stayed() -> None:
    """A breed for a moment leaves the dog a dog; where nothing was told, the breed is told at once."""
    assert play(bundle(), [HALF, SURE, HALF, SURE, SURE, SURE], exact_s=2.0) == [
        "0:+dog", "5:-dog", "5:+pug", "end:-pug"
    ]  # fmt: skip
    assert play(bundle(), [NOTHING, SURE, HALF], exact_s=2.0) == ["1:+pug", "2:-pug", "2:+dog", "end:-dog"]
    assert play(bundle(), [HALF, SURE, CAT], exact_s=2.0) == ["0:+dog", "2:-dog", "2:+tabby", "end:-tabby"]


def test_a_label_that_waits_goes_on_waiting_elsewhere() -> None:
    options = SmoothingSettings(method="none", exact=0.8, exact_s=2.0)
    one, other = make_smoother(bundle(), options), make_smoother(bundle(), options)
    rows = GROUPS.extend(np.array([HALF, SURE, SURE, SURE], np.float32))
    for second in (0, 1):
        one.update(float(second), rows[second])
    other.load(one.dump())
    assert other.update(2.0, rows[2])[1] == []
    assert [(change.kind, change.class_id) for change in other.update(3.0, rows[3])[1]] == [
        ("exit", DOG),
        ("enter", PUG),
    ]


def test_a_change_of_what_is_told_alone_has_the_time_at_which_it_was_seen() -> None:
    smoother = make_smoother(bundle(), SmoothingSettings(method="none", exact=0.8, exact_s=0.0))
    rows = GROUPS.extend(np.array([[0.45, 0.42, 0.03, 0.1], [0.9, 0.03, 0.02, 0.05]], np.float32))
    smoother.update(3.0, rows[0])
    _, changes = smoother.update(4.0, rows[1])
    assert [(one.kind, one.class_id, one.pts_s, one.since_s) for one in changes] == [
        ("exit", DOG, 4.0, 4.0),
        ("enter", PUG, 4.0, 4.0),
    ]
    assert [one.score for one in changes] == pytest.approx([0.93, 0.9])


def test_at_the_level_of_leaves_no_group_is_told_and_at_that_of_groups_no_class_of_one() -> None:
    rows = [HALF, SURE, [0.05, 0.05, 0.05, 0.85]]
    assert play(bundle("leaf"), rows) == ["1:+pug", "2:-pug", "2:+bottle", "end:-bottle"]
    assert play(bundle("group"), rows) == ["0:+dog", "2:-dog", "2:+bottle", "end:-bottle"]


def test_what_is_watched_alone_becomes_active_at_whatever_level() -> None:
    rows = [HALF, SURE, CAT]
    assert play(bundle(), rows, ("dog",)) == ["0:+dog", "2:-dog"]
    assert play(bundle("leaf"), rows, ("dog", "tabby")) == ["0:+dog", "2:-dog", "2:+tabby", "end:-tabby"]
    assert play(bundle(), rows, labels=["tabby"]) == ["2:+tabby", "end:-tabby"]
    assert play(bundle(), rows, ("pet",), labels=["tabby"]) == [
        "0:+pet",
        "end:-pet",
    ]  # the job's own, not the settings'


def test_a_label_that_there_is_not_is_named_with_the_one_it_may_be() -> None:
    with pytest.raises(ConfigError, match=r"four has no label 'dgo'; did you mean 'dog'\?"):
        make_smoother(bundle(), SmoothingSettings(), ("dgo",))


def test_at_a_gap_what_was_told_leaves_and_what_is_there_enters() -> None:
    smoother = make_smoother(bundle(), SmoothingSettings(exact=0.8), step_s=0.5)
    sure = GROUPS.extend(np.array([SURE], np.float32))[0]
    smoother.update(0.0, sure)
    _, changes = smoother.update(100.0, sure)
    assert [(change.kind, change.class_id) for change in changes] == [("exit", PUG), ("enter", PUG)]


@pytest.mark.parametrize("method", ["ema", "majority", "sticky", "none"])
def test_each_method_gives_a_group_what_its_classes_add_up_to_and_goes_on_from_a_state(method: str) -> None:
    options = SmoothingSettings.model_validate({"method": method})
    rows = GROUPS.extend(np.random.default_rng(0).dirichlet(np.ones(4), 12).astype(np.float32))
    whole, first = make_smoother(bundle(), options), make_smoother(bundle(), options)
    said = []
    for number, scores in enumerate(rows[:6]):
        smoothed, _ = whole.update(number * 0.2, scores)
        assert smoothed[DOG] == pytest.approx(smoothed[PUG] + smoothed[BEAGLE], abs=1e-5)
        first.update(number * 0.2, scores)
    second = make_smoother(bundle(), options)
    second.load(first.dump())
    assert second.active == whole.active
    for number, scores in enumerate(rows[6:], start=6):
        one, other = whole.update(number * 0.2, scores), second.update(number * 0.2, scores)
        assert one[0] == pytest.approx(other[0], abs=1e-6)
        said += [one[1] == other[1]]
    assert all(said)


def test_what_was_told_goes_on_from_a_state_also_between_the_two_shares() -> None:
    """0.77 of 0.94 is told by who told it before, and by nobody else."""
    settings = SmoothingSettings(method="none", exact=0.85)
    most, less = GROUPS.extend(np.array([[0.9, 0.03, 0.02, 0.05], [0.77, 0.17, 0.01, 0.05]], np.float32))
    first, second = make_smoother(bundle(), settings), make_smoother(bundle(), settings)
    first.update(0.0, most)
    second.load(first.dump())
    for smoother in (first, second):
        _, changes = smoother.update(1.0, less)
        assert (smoother.active, changes) == ([PUG], [])
    ended = make_smoother(bundle(), settings)
    ended.load(first.dump())
    assert [(one.kind, one.class_id) for one in ended.close()] == [("exit", PUG)]
    before = first.dump().replace(b',"told":[0]', b"")
    assert before != first.dump(), "what a worker of before had stored"
    third = make_smoother(bundle(), settings)
    third.load(before)
    assert third.active == [PUG]


def published(job: Job, *rows: list[float]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], tuple[str, ...]]:
    one = Track(Claim(job, "1-0", 1, 1, Checkpoint()), bundle(), SmoothingSettings(exact=0.7, exact_s=0.0))
    samples = [Sample(n, float(n), 1000.0 + n, 0, 0.0, n + 1, n + 1) for n in range(len(rows))]
    assert record_batch([one] * len(rows), samples, np.array(rows, np.float32), 2) == []
    commit = one.commit()
    return (
        [orjson.loads(body) for _, body in commit.results],
        [orjson.loads(body) for body in commit.events],
        commit.active,
    )


def test_results_have_the_groups_beside_the_labels_and_events_say_that_they_are_groups() -> None:
    results, events, active = published(Job("j", "clip.mp4"), HALF, SURE)
    assert [label["name"] for label in results[0]["labels"]] == ["pug", "beagle"]
    assert results[0]["groups"] == [
        {"name": "pet", "group": True, "score": 0.75, "smoothed": 0.75},
        {"name": "dog", "group": True, "score": pytest.approx(0.65), "smoothed": pytest.approx(0.65)},
    ]
    assert [result["active"] for result in results] == [["dog"], ["pug"]]
    assert [(event["kind"], event["label"]) for event in events] == [
        ("enter", {"name": "dog", "group": True}),
        ("exit", {"name": "dog", "group": True}),
        ("enter", {"class_id": 0, "name": "pug"}),
    ]
    assert active == ("pug",)


def test_a_job_watches_what_it_names_and_one_that_names_what_there_is_not_is_rejected() -> None:
    results, events, active = published(Job("j", "clip.mp4", watch=("pet",)), HALF, SURE, CAT)
    assert [result["active"] for result in results] == [["pet"]] * 3
    assert [event["label"]["name"] for event in events] == ["pet"]
    assert active == ("pet",)
    assert results[1]["labels"][0]["name"] == "pug"  # what is not watched has its scores nevertheless
    with pytest.raises(RejectJob, match="has no label 'hamster'"):
        published(Job("j", "clip.mp4", watch=("hamster",)), HALF)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"dog": ["pug", "collie"]}, "'collie', which is no label of the network"),
        ({"dog": []}, "has no class"),
        ({"dog": [17]}, "no class"),
        ({"bottle": ["pug"]}, "the name of a class that is not in it"),
        ({" ": ["pug"]}, "no name of a group"),
        ({"dog": [True]}, "no class"),
    ],
)
def test_groups_that_make_no_sense_are_refused_with_their_name(content: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        make_groups(content, LABELS)


def test_a_file_of_groups_is_read_and_a_wrong_one_named(tmp_path: Path) -> None:
    path = tmp_path / "groups.json"
    path.write_text('{"dog": ["pug", 1], "bottle": ["bottle"]}')
    assert read_groups(path, LABELS) == Groups((LabelGroup("dog", (0, 1)), LabelGroup("bottle", (3,))), 4)
    for text, fault in (("[1]", "lists of labels are expected"), ("{", "not valid JSON"), ('{"a": ["b"]}', "no label")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=fault):
            choose_groups(str(path), Groups(), LABELS)
    with pytest.raises(ConfigError, match="No such file"):
        choose_groups(str(tmp_path / "none.json"), Groups(), LABELS)


def test_a_bundle_keeps_its_groups_and_their_thresholds(tmp_path: Path) -> None:
    labels = ("crane", "crane", "tabby")  # as two of ImageNet's have one name
    groups = Groups((LabelGroup("bird", (1,)), LabelGroup("any", (0, 2))), 3)
    (tmp_path / "w.weights.h5").write_bytes(b"weights")
    own = Bundle("own", "none", labels, Preprocessing(32), groups=groups, thresholds={3: (0.9, 0.5), 2: (0.6, 0.3)})
    write_bundle(tmp_path, own, tmp_path / "w.weights.h5")
    assert json.loads((tmp_path / "bundle.json").read_text())["groups"] == {"bird": [1], "any": [0, "tabby"]}
    read = read_bundle(tmp_path)
    assert (read.groups, read.thresholds) == (groups, own.thresholds)
    served = resolve(ModelSettings(name=str(tmp_path)))
    assert (served.groups, served.thresholds) == (groups, own.thresholds)
    without = resolve(ModelSettings(name=str(tmp_path), groups="none", level="leaf"))
    assert (without.groups, without.thresholds, without.level) == (Groups(), {2: (0.6, 0.3)}, "leaf")


def test_imagenets_networks_have_the_everyday_groups_and_others_none() -> None:
    assert resolve(ModelSettings(name="mobilenetv2")).groups == wordnet_groups()
    assert not resolve(ModelSettings(name="mobilenetv2", groups="none")).groups
    assert not resolve(ModelSettings(name="demo")).groups
    with pytest.raises(ConfigError, match="are not ImageNet's"):
        resolve(ModelSettings(name="demo", groups="wordnet"))


def test_the_everyday_groups_are_what_people_say() -> None:
    groups, names = wordnet_groups(), [name for _, name in imagenet_classes()]
    found = {group.name: {names[number] for number in group.classes} for group in groups.all}
    assert 80 <= len(groups) <= 150
    assert len(found["dog"]) == 118
    assert found["cat"] == {"tabby", "tiger_cat", "Persian_cat", "Siamese_cat", "Egyptian_cat"}
    assert found["cup"] == {"cup", "coffee_mug", "measuring_cup"}
    assert {"wine_bottle", "beer_bottle", "water_bottle"} <= found["bottle"]
    assert found["dog"] < found["mammal"] < found["animal"]
    assert found["boat"] | found["ship"] == found["watercraft"]
    assert not found["car"] & found["truck"]
    for name in ["bird", "snake", "car", "truck", "bus", "boat", "aircraft", "bicycle", "train", "furniture", "fruit"]:
        assert len(found[name]) > 1
    # A name that a class has, too, means one thing only.
    assert [name for name in found if name in names and name not in found[name]] == []


def test_the_script_takes_what_is_below_a_noun_and_what_was_changed_by_hand() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "wordnet-groups"), run_name="not main")
    above = {"n1": [], "n2": ["n1"], "n3": ["n2"], "n4": ["n2", "n5"], "n5": []}
    table = script["derive"]("all n1 +n5\nsome n2 -n3\n", ["n3", "n4", "n5"], above)
    assert table == {"all": ["n3", "n4", "n5"], "some": ["n4"]}
    with pytest.raises(SystemExit, match="no class is a kind of n9"):
        script["derive"]("none n9", ["n3"], above)


@pytest.mark.skipif(not Path("/usr/share/wordnet/data.noun").exists(), reason="Debian's wordnet-base is not installed")
def test_the_shipped_table_is_what_the_script_makes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["wordnet-groups", "/usr/share/wordnet/data.noun"])
    runpy.run_path(str(ROOT / "scripts" / "wordnet-groups"), run_name="__main__")
    shipped = ROOT / "worker" / "streamtag" / "networks" / "wordnet_groups.txt"
    assert capsys.readouterr().out == shipped.read_text(encoding="utf-8")
