"""What is told of a stream's past: few enough points to be drawn, the peaks in them, and from when to when was what."""

from __future__ import annotations

from typing import Any

from streamtag.queue.seen import Seen, read_seen
from streamtag.view.history import LIVE_S, MAX_POINTS, History


def sample(*active: str, raw: float = 0.5, region: str = "", name: str = "dog") -> Seen:
    return Seen(0.0, region, ((name, raw, raw / 2),), (), active)


def told(history: History) -> dict[str, Any]:
    return history.to_dict()


def test_a_long_film_is_told_whole_and_its_one_peak_is_kept() -> None:
    history = History(live=False)
    for index in range(20_000):
        history.take(sample(raw=0.9 if index == 12_345 else 0.1), index / 5)
    content = told(history)
    assert MAX_POINTS / 2 <= len(content["points"]) <= MAX_POINTS
    assert (content["begin"], content["end"], content["samples"]) == (0.0, 19_999 / 5, 20_000)
    (peak,) = [number for number, scores in content["points"] if scores[0] > 0.5]
    assert abs(peak * content["width"] - 12_345 / 5) <= content["width"]
    assert {tuple(scores) for _, scores in content["points"]} == {(0.1, 0.05), (0.9, 0.45)}


def test_of_a_live_stream_the_last_hour_is_told() -> None:
    history = History(live=True)
    began_s = 1_700_000_000.0
    for second in range(0, 3 * int(LIVE_S), 2):
        history.take(sample(*(["dog"] if second % 600 < 100 else [])), began_s + second)
    content = told(history)
    assert len(content["points"]) <= 1.1 * MAX_POINTS
    assert content["end"] - content["begin"] <= 1.2 * LIVE_S
    assert all(end_s >= content["end"] - LIVE_S for _, _, end_s, _ in content["spans"])


def test_a_label_is_told_from_when_to_when_and_that_it_still_is() -> None:
    history = History(live=False)
    for second in range(10):
        history.take(sample(*(["dog"] if 2 <= second < 5 else []), *(["cat"] if second >= 7 else [])), float(second))
    assert told(history)["spans"] == [["dog", 2.0, 5.0, False], ["cat", 7.0, 9.0, True]]


def test_what_was_seen_before_a_break_is_not_told_of_the_break() -> None:
    history = History(live=False)
    for second in (0, 1, 2, 60, 61):
        history.take(sample("dog"), float(second))
    assert told(history)["spans"] == [["dog", 0.0, 2.0, False], ["dog", 60.0, 61.0, True]]


def test_a_sample_before_a_break_is_told_of_its_own_time_at_the_very_start_too() -> None:
    history = History(live=False, step_s=0.2)
    for second in (0, 10, 40):
        history.take(sample("dog"), float(second))
    assert told(history)["spans"] == [["dog", 0.0, 0.0, False], ["dog", 10.0, 10.0, False], ["dog", 40.0, 40.0, True]]


def test_a_stream_of_a_sample_each_ten_seconds_has_no_breaks_between_them() -> None:
    history = History(live=False, step_s=10.0)
    for second in range(0, 50, 10):
        for region in ("door", "yard"):
            history.take(sample(f"{region}:dog", region=region), float(second))
    assert told(history)["spans"] == [["door:dog", 0.0, 40.0, True], ["yard:dog", 0.0, 40.0, True]]


def test_regions_do_not_end_each_other_s_labels() -> None:
    history = History(live=False)
    for second in range(4):
        history.take(sample("door:dog", region="door"), float(second))
        history.take(sample(*(["yard:dog"] if second > 1 else []), region="yard"), float(second))
    assert told(history)["spans"] == [["door:dog", 0.0, 3.0, True], ["yard:dog", 2.0, 3.0, True]]


def test_the_labels_that_were_seen_most_are_told() -> None:
    history = History(live=False)
    for index in range(200):
        history.take(sample(name=f"rare {index}", raw=0.3), float(index))
        history.take(sample(name="usual", raw=0.6), float(index))
    content = told(history)
    assert content["labels"][0] == "usual"
    assert len(content["labels"]) == 8


def test_times_that_no_camera_has_are_borne() -> None:
    history = History(live=False)
    for at_s in (-1e12, 0.0, 1e300, 5.0, *(10.0**power for power in range(300))):
        history.take(sample("dog"), at_s)
    assert history.samples == 304


def test_of_what_no_worker_writes_nothing_is_seen() -> None:
    for content in (
        b"",
        b"[]",
        b"{}",
        b'{"pts_s":"x","labels":[],"active":[]}',
        b'{"pts_s":1,"labels":[1],"active":[]}',
    ):
        assert read_seen(content) is None
    wild = b'{"pts_s":1,"labels":[{"name":"a\\u0007b","score":7,"smoothed":-3}],"active":["\\u202ex"]}'
    seen = read_seen(wild)
    assert seen is not None
    assert (seen.labels, seen.active) == ((("a?b", 1.0, 0.0),), ("?x",))
