"""Cameras whose streams are unusual: with B-frames, open groups of pictures, no key frames, a clock that is slow."""

from __future__ import annotations

import socket

import pytest
from streamtag.core.job import Sampling
from streamtag.ingest import decoder, live
from streamtag.ingest.request import Request
from streamtag.ingest.slots import SlotMemory
from streamtag.settings import SourceSettings

from tests.support.odd_camera import age_s, damage, film, film_of_squares, odd_camera
from tests.support.watching import watch

GROUP_S = 2.0
B_FRAMES = "bframes=3:b-adapt=0:scenecut=0:rc-lookahead=5:keyint=20:min-keyint=20"


@pytest.mark.parametrize("fps", [1 / GROUP_S, 5], ids=["key frames", "any frame"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("H264", {"x264-params": B_FRAMES}),
        ("H264", {"x264-params": f"{B_FRAMES}:open-gop=1"}),
        ("H265", {"x265-params": f"{B_FRAMES}:open-gop=0:log-level=none"}),
        ("H265", {"x265-params": f"{B_FRAMES}:open-gop=1:log-level=none"}),
    ],
    ids=["H.264", "H.264 open", "H.265", "H.265 open"],
)
def test_the_picture_of_a_stream_with_b_frames_is_the_sample_s_own(
    codec: str, options: dict[str, str], fps: float
) -> None:
    """With key frames only it was that of the one before, or none at all."""
    with odd_camera(film("libx" + codec[1:], options), codec) as camera:
        heard = watch(camera.url, Sampling(fps=fps), lambda heard: len(heard.samples) >= 4)
    assert heard.unclassified == []
    ages_s = [
        age_s(picture, sample.captured_unix_s) for picture, sample in zip(heard.pictures, heard.samples, strict=True)
    ]
    assert max(ages_s) < 0.75 * GROUP_S, ages_s


def test_a_stream_with_b_frames_is_sampled_as_evenly_as_any() -> None:
    """Its packets come in another order than they are shown in: of five samples asked for a second there were three."""
    with odd_camera(film("libx264", {"x264-params": B_FRAMES})) as camera:
        heard = watch(camera.url, Sampling(fps=5), lambda heard: len(heard.samples) >= 30)
    times = [sample.pts_s for sample in heard.samples[5:]]
    assert times[-1] - times[0] == pytest.approx((len(times) - 1) / 5, rel=0.1)
    shown_s = heard.samples[-1].captured_unix_s - heard.samples[5].captured_unix_s
    assert times[-1] - times[0] == pytest.approx(shown_s, abs=0.3)


SEI = 6
BIT_BY_BIT = {"tune": "zerolatency", "x264-params": "intra-refresh=1:keyint=10"}


def decode_impatiently(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """A decoder that soon takes a stream for one without key frames."""
    live.NO_KEY_S = 3.0
    decoder.main(request, parent, memory)


@pytest.mark.parametrize("without", [[], [SEI]], ids=["it says so", "it says nothing"])
def test_a_stream_that_is_renewed_bit_by_bit_gives_whole_pictures_only(without: list[int]) -> None:
    """Half of them were grey in parts, or none came at all where the camera does not say what it does."""
    with odd_camera(film_of_squares("libx264", BIT_BY_BIT, 1000), without=without, begin=15) as camera:
        heard = watch(camera.url, Sampling(fps=5), lambda heard: len(heard.samples) >= 15, decode=decode_impatiently)
    assert heard.unclassified == []
    assert max(map(damage, heard.pictures)) < 12


AT_ONCE = {"tune": "zerolatency", "x264-params": "keyint=20:min-keyint=20:scenecut=0"}


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("H264", AT_ONCE),
        ("H264", {"x264-params": f"{B_FRAMES}:open-gop=1"}),
        ("H265", {"x265-params": f"{B_FRAMES}:open-gop=0:log-level=none"}),
    ],
    ids=["H.264", "H.264 open", "H.265"],
)
def test_a_picture_of_which_packets_were_lost_fails_and_so_do_those_that_need_it(
    codec: str, options: dict[str, str]
) -> None:
    """The codec conceals what is missing, and a third of the pictures were labelled as if they were whole."""
    with odd_camera(film_of_squares("libx" + codec[1:], options, 200), codec, lose=37) as camera:
        heard = watch(camera.url, Sampling(fps=5), lambda heard: len(heard.unclassified) >= 6 < len(heard.samples))
    reasons = {(one.reason, one.detail) for one in heard.unclassified}
    assert reasons == {("corrupt", "packets of it were lost on their way")}
    assert max(map(damage, heard.pictures)) < 12


def test_a_picture_that_came_damaged_fails_and_so_do_those_that_need_it() -> None:
    """No packet is missing, so only the codec knows."""
    units = film_of_squares("libx264", AT_ONCE, 200)
    for place in range(5, len(units), 20):
        slices = units[place].nals
        slices[-1] = slices[-1][: len(slices[-1]) // 2]
    with odd_camera(units) as camera:
        heard = watch(camera.url, Sampling(fps=5), lambda heard: len(heard.unclassified) >= 6 < len(heard.samples))
    assert {one.reason for one in heard.unclassified} == {"corrupt"}
    assert max(map(damage, heard.pictures)) < 12


def test_a_stream_that_does_not_tell_its_size_beforehand_is_sampled_at_the_usual_rate() -> None:
    """It was taken for a folder of pictures, of which each is a sample: 25 a second in place of 2."""
    units = film_of_squares("libx264", {"tune": "zerolatency", "x264-params": "keyint=10"}, 200)
    with odd_camera(units, begin=1, described=False) as camera:
        heard = watch(camera.url, Sampling(), lambda heard: len(heard.samples) >= 8)
    times = [sample.pts_s for sample in heard.samples]
    assert times[-1] - times[0] == pytest.approx((len(times) - 1) / 2, rel=0.2)


def test_a_camera_whose_clock_is_slow_and_that_sends_each_frame_at_once_is_not_late() -> None:
    """It was later and later by its own clock, as never all was read, and in the end each sample was dropped."""
    budget_s, speed, samples = 1.5, 0.8, 60
    units = film_of_squares("libx264", {"tune": "zerolatency", "x264-params": "keyint=1"}, 200)
    with odd_camera(units, speed=speed) as camera:
        settings = SourceSettings(lag_budget_s=budget_s)
        heard = watch(camera.url, Sampling(fps=5), lambda heard: len(heard.samples) >= samples, settings)
    assert samples / 5 * (1 - speed) > budget_s
    assert heard.unclassified == []
    lags_s = [taken - sample.captured_unix_s for taken, sample in zip(heard.taken_unix_s, heard.samples, strict=True)]
    assert max(lags_s[len(lags_s) // 2 :]) < budget_s / 2, lags_s


SLICES = {"tune": "zerolatency", "x264-params": "keyint=10:min-keyint=10:scenecut=0:slices=4:sliced-threads=0"}


@pytest.mark.parametrize("marks_all", [False, True], ids=["marks pictures", "marks slices"])
@pytest.mark.parametrize("pause_s", [0.0, 0.07], ids=["at once", "with a pause"])
def test_a_picture_of_several_slices_is_whole_wherever_its_camera_pauses(marks_all: bool, pause_s: float) -> None:
    """Where a camera that marks each slice pauses between two, the first picture is taken for one that has ended."""
    units = film_of_squares("libx264", SLICES, 200)
    assert len(units[1].nals) >= 4
    with odd_camera(units, marks_all=marks_all, pause_s=pause_s) as camera:
        heard = watch(camera.url, Sampling(fps=10), lambda heard: len(heard.samples) >= 30)
    misled = 10 if marks_all and pause_s else 0  # as far as the next key frame
    assert max(map(damage, heard.pictures[misled:])) < 12
    assert heard.unclassified[misled:] == []
