"""Files that mean harm: each ends with a clear reason, within its limits, and shows nothing of any other file."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamtag.core.job import Sampling
from streamtag.core.stream_state import OutcomeKind
from streamtag.settings import SourceSettings

from tests.support.stream_reading import Heard, PeakMemory, read

QUICK = SourceSettings(backoff_s=0.05, attempts=1)


def refused(source: str | Path, settings: SourceSettings = QUICK) -> str:
    """The reason for which a source was rejected without one sample."""
    found = read(source, settings=settings)
    assert found.outcome is not None
    assert (found.outcome.kind, len(found.samples)) == (OutcomeKind.REJECTED, 0), (found.outcome, found.samples)
    return found.outcome.reason


def no_sample(found: Heard) -> str:
    """Why the only picture of a source could not be read."""
    assert not found.samples
    (event,) = found.unclassified
    assert not event.dropped
    return event.detail


@pytest.fixture
def fenced(tmp_path: Path, clip: Path) -> tuple[Path, Path]:
    """A folder that jobs may read, and a clip outside of it that they may not."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    shutil.copy(clip, outside / "secret.mp4")
    return inside, outside / "secret.mp4"


REFERENCES = {
    "ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "relative ffconcat": "ffconcat version 1.0\nfile link.mp4\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
    "hls with a byte order mark": "\ufeff#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?>\n<MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>',
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "playlist": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
}


@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "txt"])
@pytest.mark.parametrize("kind", REFERENCES)
def test_a_file_that_names_others_is_refused_by_its_first_bytes(
    fenced: tuple[Path, Path], kind: str, suffix: str
) -> None:
    inside, secret = fenced
    (inside / "link.mp4").symlink_to(secret)
    path = inside / f"list.{suffix}"
    path.write_text(REFERENCES[kind].format(target=secret), encoding="utf-8")
    assert "refers to other" in refused(path)


def test_a_format_that_refers_elsewhere_is_refused_also_where_its_first_bytes_are_not_known(
    fenced: tuple[Path, Path],
) -> None:
    """FFmpeg's own whitelist stands behind ours: this list begins with a line that we do not look for."""
    inside, secret = fenced
    path = inside / "list.mp4"
    path.write_text(f"# a remark\nffconcat version 1.0\nfile '{secret}'\n")
    assert "not a video" in refused(path)


def test_links_devices_pipes_and_the_kernels_files_are_told_apart(fenced: tuple[Path, Path], tmp_path: Path) -> None:
    inside, secret = fenced
    rooted = QUICK.model_copy(update={"file_roots": [inside]})
    link = inside / "link.mp4"
    link.symlink_to(secret)
    assert "source.file_roots" in refused(link, rooted)
    assert "source.file_roots" in refused(f"{inside}/../outside/secret.mp4", rooted)
    loop = inside / "loop.mp4"
    loop.symlink_to(loop)
    assert "loop.mp4" in refused(loop)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "no regular file" in refused(tmp_path / "pipe.mp4")
    assert "no regular file" in refused("/dev/zero")
    for kernel in ("/proc/self/environ", "/proc/kcore", "/sys/kernel/notes"):
        assert "kernel" in refused(kernel)


@pytest.mark.parametrize(
    "name",
    [
        "quote'\"`$(id).mp4",
        "100%d.mp4",
        "concat:a|b.mp4",
        "semi;colon|bar.mp4",
        "brack[et]{0}.mp4",
    ],
)
def test_a_name_may_have_any_letters_and_is_read_as_a_name(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copy(clip, tmp_path / name)
    assert len(read(tmp_path / name, Sampling(every=100)).samples) == 2
    monkeypatch.chdir(tmp_path)  # a relative name must not become one of FFmpeg's protocols or patterns
    assert "no such file" in refused("concat:secret.mp4")
    assert "no such file" in refused("subfile,,start,0,end,0,,:secret.mp4")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb_png(path: Path, side: int) -> Path:
    """A small file that says it is side x side pixels, and is: all black."""
    row = b"\0" * (1 + 3 * side)
    packer = zlib.compressobj(1)
    content = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", content) + _chunk(b"IEND", b""))
    return path


def test_a_picture_that_unpacks_to_gigabytes_is_refused_by_its_header(tmp_path: Path) -> None:
    """20000 x 20000 pixels in 1.2 MB took 2.3 GB before they were counted."""
    bomb = bomb_png(tmp_path / "bomb.png", 20_000)
    memory = PeakMemory()
    found = read(bomb, settings=QUICK, meddle=memory)
    assert "20000 x 20000 pixels is more than source.max_pixels" in no_sample(found)
    assert memory.peak_bytes < 500 * 1024**2


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif", "ppm", "pgm", "avif", "jp2", "gif"])
def test_the_header_of_every_picture_format_is_read_before_its_pixels(tmp_path: Path, suffix: str) -> None:
    shape = (60, 80) if suffix == "pgm" else (60, 80, 3)
    path = tmp_path / f"picture.{suffix}"
    assert cv2.imwrite(str(path), np.full(shape, 90, np.uint8))
    assert len(read(path).samples) == 1
    limited = SourceSettings(max_pixels=80 * 60 - 1)
    assert "80 x 60 pixels is more than source.max_pixels" in no_sample(read(path, settings=limited))


def test_a_picture_under_the_name_of_a_video_is_bounded_too(tmp_path: Path) -> None:
    bomb = bomb_png(tmp_path / "bomb.png", 9_000)
    renamed = bomb.rename(tmp_path / "film.mp4")
    assert "9000 x 9000 pixels is more than source.max_pixels" in no_sample(read(renamed, settings=QUICK))


def test_one_bad_entry_of_a_folder_costs_one_picture(tmp_path: Path) -> None:
    """A pipe, a folder, a broken link, a name that is not UTF-8: each is named, and the others are read."""
    for name in ("a.png", "z.png"):
        cv2.imwrite(str(tmp_path / name), np.full((20, 20, 3), 90, np.uint8))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    shutil.copy(tmp_path / "a.png", os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/na\xefve\n.png"))).write_bytes(b"not a picture")
    found = read(f"{tmp_path}/")
    assert found.outcome is not None
    assert (found.outcome.kind, len(found.samples)) == (OutcomeKind.ENDED, 3)
    details = sorted(event.detail for event in found.unclassified)
    assert len(details) == 4
    assert all(detail.isprintable() for detail in details)
