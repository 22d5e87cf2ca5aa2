"""Smoothing on the flicker set and on stored results."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from streamtag.client import Client
from streamtag.core.job import Sampling
from streamtag.core.options import SmoothingSettings
from streamtag.core.segments import Segment
from streamtag.networks import loading
from streamtag.settings import ModelSettings, Settings
from streamtag.tools.classify import Classifier
from streamtag.tools.dataset import LabelledItem
from streamtag.tools.demo import flicker
from streamtag.tools.demo.drawing import frames, plan, write_clip, write_frames
from streamtag.tools.evaluation import streams

from tests.support import Worker, json_lines, run_cli


@pytest.mark.long
def test_the_defaults_reach_the_goal_on_the_flicker_set(tmp_path: Path) -> None:
    """At least 90 % fewer changes than the raw argmax, a better segment F1, a median onset of 0.6 s at most."""
    settings = Settings(model=ModelSettings(name="demo"))
    network = loading.load(settings)
    items = [
        LabelledItem(path, one.label, str(path), one.start_s, one.end_s)
        for path, segments in flicker.write_set(tmp_path)
        for one in segments
    ]
    classifier = Classifier(settings, network)
    clips = streams.read_clips(classifier, network.bundle, items, Sampling(fps=5), lambda done: None)
    raw = streams.measure(
        clips, [streams.predicted_labels(clip, None, network.bundle) for clip in clips], "argmax", {}, network.bundle
    )
    now = streams.measure(
        clips,
        [streams.predicted_labels(clip, SmoothingSettings(), network.bundle) for clip in clips],
        "ema",
        {},
        network.bundle,
    )
    assert raw.flips_per_min > 60, "the set flickers"
    assert now.flips_per_min <= 0.1 * raw.flips_per_min
    assert now.f1 > max(0.9, raw.f1)
    assert now.onset_p50_s <= 0.6
    assert now.accuracy > raw.accuracy
    assert now.missed == 0


@pytest.mark.long
def test_clips_of_ones_own_are_measured_by_the_command(tmp_path: Path, settings: Settings) -> None:
    segments = plan(10.0, 12)  # the grid takes some seconds for each ten of them
    write_clip(tmp_path / "a.mp4", segments, 12)
    rows = [f"a.mp4,{one.start_s},{one.end_s},{one.label}" for one in segments]
    (tmp_path / "spans.csv").write_text("video,start_s,end_s,label\n" + "\n".join(rows))
    plot = tmp_path / "plot.png"
    command = ["evaluate-stream", str(tmp_path / "spans.csv"), "--fewer", "0", "--plot", str(plot)]
    ran = run_cli(settings, *command, "--json")
    assert ran.returncode in (0, 1), ran.stderr
    content = json_lines(ran.stdout)[0]
    assert (content["clips"], content["samples"], content["segments"]) == (1, 50, 4 - ("nothing" in str(rows)))
    assert content["raw"]["accuracy"] > 0.9
    assert {row["method"] for row in content["rows"]} == {"none", "ema", "majority", "sticky"}
    assert cv2.imread(str(plot)) is not None
    (tmp_path / "spans.csv").write_text("video,start_s,end_s,label\na.mp4,0,2,star\na.mp4,1,3,ring\n")
    ran = run_cli(settings, *command)
    assert ran.returncode == 2
    assert "overlap" in ran.stderr


@pytest.mark.long
def test_a_job_is_replayed_exactly_where_everything_is_stored(tmp_path: Path, settings: Settings) -> None:
    write_clip(tmp_path / "a.mp4", [Segment("star", 0, 3), Segment("ring", 3, 6), Segment("nothing", 6, 8)], 31)
    worker = Worker(settings, "worker.top_k=7").ready()
    try:
        with Client(settings=settings) as client:
            client.submit(str(tmp_path / "a.mp4"), job_id="again")
            assert client.wait("again", 90).status == "done"
            events = [event for event in client.events("again") if event.kind in ("enter", "exit")]
            client.submit(str(tmp_path / "a.mp4"), job_id="watched", watch=["ring"])
            assert client.wait("watched", 90).status == "done"
    finally:
        worker.kill()
    *segments, summary = json_lines(run_cli(settings, "replay", "again", "--json").stdout)
    assert summary["enters"] == summary["enters_stored"] == len(segments) == 2
    stored = [(event.kind, event.content["label"]["name"], event.content["since_pts_s"]) for event in events]
    for segment in segments:
        assert ("enter", segment["label"], pytest.approx(segment["start_s"])) in stored
        assert ("exit", segment["label"], pytest.approx(segment["end_s"])) in stored
    *watched, summary = json_lines(run_cli(settings, "replay", "watched", "--json").stdout)
    assert [segment["label"] for segment in watched] == ["ring"]
    assert summary["enters"] == summary["enters_stored"] == 1
    ran = run_cli(settings, "replay", "again", "--smoothing", "method=none,enter=1.0,exit=1.0", "--json")
    assert json_lines(ran.stdout)[-1]["smoothing"]["method"] == "none"
    ran = run_cli(settings, "replay", "again", "--smoothing", "tau=1")
    assert ran.returncode == 2
    assert "tau" in ran.stderr
    assert run_cli(settings, "replay", "nobody").returncode == 1


@pytest.mark.long
def test_what_is_there_all_the_time_enters_and_exits_once_in_a_film_of_a_sample_each_ten_seconds(
    tmp_path: Path, settings: Settings
) -> None:
    """And whoever asks afterwards hears the same: a replay, an export, and the classification without a queue."""
    film, size = tmp_path / "slow.mp4", (320, 180)
    write_frames(film, frames([Segment("star", 0, 65)], 31, size), size)
    patient = ["--set", "smoothing.min_on_s=5"]
    worker = Worker(settings, "worker.top_k=7", "smoothing.min_on_s=5").ready()
    try:
        with Client(settings=settings) as client:
            client.submit(str(film), job_id="slow", fps=0.1)
            assert client.wait("slow", 90).status == "done"
            events = [event for event in client.events("slow") if event.kind in ("enter", "exit")]
    finally:
        worker.kill()
    told = [(event.kind, event.content["label"]["name"], event.content["since_pts_s"]) for event in events]
    assert told == [("enter", "star", 0.0), ("exit", "star", 60.0)]
    star, summary = json_lines(run_cli(settings, "replay", "slow", "--json", *patient).stdout)
    assert (star["label"], star["start_s"], star["end_s"], star["entered_s"]) == ("star", 0.0, 60.0, 10.0)
    assert summary["enters"] == summary["enters_stored"] == 1
    cues = run_cli(settings, "export", "slow", "--format", "vtt").stdout
    assert cues == "WEBVTT\n\n1\n00:00:10.000 --> 00:01:10.000\nstar\n"
    ran = run_cli(settings, "classify", str(film), "--fps", "0.1", "--json", *patient)
    assert json_lines(ran.stdout)[0]["segments"] == [star]
