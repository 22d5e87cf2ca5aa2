"""HLS playlists and their segments, written by PyAV from drawn pictures."""

from __future__ import annotations

from pathlib import Path

import av
from streamtag.tools.demo.drawing import CLIP_FPS, frames, plan

SIZE = (160, 90)


def write_hls(folder: Path, seconds: float, fmp4: bool = False, key_url: str = "") -> Path:
    """A finished playlist ``index.m3u8`` of segments of one second, ``CLIP_FPS`` frames each.

    Args:
        fmp4: segments of MP4 with a map, in place of MPEG-TS.
        key_url: encrypt them, and name this address for the key ``key.bin`` beside the playlist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = {"hls_time": "1", "hls_playlist_type": "vod"}
    coding = {"g": str(round(CLIP_FPS)), "preset": "ultrafast"}
    if fmp4:
        options["hls_segment_type"] = "fmp4"
    if key_url:
        (folder / "key.bin").write_bytes(b"0123456789abcdef")
        (folder / "key.info").write_text(f"{key_url}\n{folder / 'key.bin'}\n")
        options["hls_key_info_file"] = str(folder / "key.info")
    path = folder / "index.m3u8"
    with av.open(str(path), "w", format="hls", options=options) as container:
        stream = container.add_stream("libx264", rate=round(CLIP_FPS), options=coding)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(frames(plan(seconds, 1), 1, SIZE)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
