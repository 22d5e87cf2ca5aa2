"""HLS playlists and their segments."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.support.films import write_film


def write_hls(folder: Path, seconds: float, fmp4: bool = False, key_url: str = "") -> Path:
    """A finished playlist ``index.m3u8`` of segments of one second.

    Args:
        fmp4: segments of MP4 with a map, in place of MPEG-TS.
        key_url: encrypt them, and name this address for the key ``key.bin`` beside the playlist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = {"hls_time": "1", "hls_playlist_type": "vod"}
    if fmp4:
        options["hls_segment_type"] = "fmp4"
    if key_url:
        (folder / "key.bin").write_bytes(b"0123456789abcdef")
        (folder / "key.info").write_text(f"{key_url}\n{folder / 'key.bin'}\n")
        options["hls_key_info_file"] = str(folder / "key.info")
    return write_film(folder / "index.m3u8", seconds, "hls", **options)


class LivePlaylist:
    """A playlist ``live.m3u8`` beside the segments of a finished one, that moves on by a segment each second."""

    WINDOW = 4

    def __init__(self, finished: Path) -> None:
        lines = finished.read_text().splitlines()
        self._segments = [line for line in lines if line and not line.startswith("#")]
        self._path = finished.parent / "live.m3u8"
        self._stop = threading.Event()
        self._finished = ""
        self._first = 0
        self._write(0)

    def __enter__(self) -> LivePlaylist:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()

    def _run(self) -> None:
        for first in range(self._first + 1, len(self._segments) - self.WINDOW):
            if self._stop.wait(1.0):
                return
            self._write(first)

    def finish(self) -> None:
        """Mark it as finished, with what it shows now."""
        self._finished = "#EXT-X-ENDLIST\n"
        self._stop.set()
        self._write(self._first)

    def go_on(self) -> None:
        """Show what is new, and more of it each second."""
        self._finished = ""
        self._stop.clear()
        threading.Thread(target=self._run, daemon=True).start()

    def _write(self, first: int) -> None:
        self._first = first
        head = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
        shown = self._segments[first : first + self.WINDOW]
        new = self._path.with_suffix(".new")
        new.write_text(head + "".join(f"#EXTINF:1.0,\n{segment}\n" for segment in shown) + self._finished)
        new.replace(self._path)
