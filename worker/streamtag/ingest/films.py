"""Films, of which no more is decoded than the samples need. Runs in the decoder process only.

A packet is a frame here, and says when it is shown before it is decoded. So which frames are samples is known some
packets ahead, and what no sample needs is left out: frames that no other refers to, what follows the last sample of a
group of pictures, and groups without one. The frames are those of a reader that decodes everything.

Of MP4 and Matroska with H.264 or H.265, and of all films where only key frames are wanted: OpenCV gives them at the
times of others, where a codec holds them back, and of some codecs gives all frames. All else goes by OpenCV
(``videos.py``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamtag.core.sampler import FramePlan, Planned
from streamtag.core.source import SourceKind
from streamtag.ingest.colours import Converter
from streamtag.ingest.containers import bound, open_container
from streamtag.ingest.film_packets import Entry, FilmPackets
from streamtag.ingest.nal_units import NalUnits, Picture
from streamtag.ingest.planes import Pixels
from streamtag.ingest.readers import CorruptFrame, Opened, Reader, check_size
from streamtag.ingest.videos import whitelists
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings

# In these a packet is a whole frame, and each has its time.
_MATROSKA = "matroska,webm"
_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", _MATROSKA)
_IN_PARTS = ("hls", "mpjpeg", "jpeg_pipe")  # or pictures in a row
_CODECS = ("h264", "hevc")
_PROGRESSIVE = 1  # FFmpeg's AV_FIELD_PROGRESSIVE, and 0 is unknown; of others a packet may be half a frame
# Packets after its own by which a frame is out: it waits for 16 at most that are decoded (H.264, H.265), and of each 17
# all but one may be left out.
_OVERDUE = 300
# Samples in a row that cannot be decoded, after which no more are tried. Without its key frame a whole group cannot,
# and 250 frames are usual.
_HOPELESS = 500
# By so many a duration may be off, at the rate of the whole.
_ROUNDED_FRAMES = 5


def open_film(path: Path, source: str, settings: SourceSettings, keyframes: bool = False) -> FilmReader | None:
    """A film that can be read so; None where OpenCV is to read it, or to tell why it cannot be read.

    Args:
        keyframes: the others are no frames of it.

    Raises:
        RejectJob: its pictures are too large.
    """
    opened = open_whole_frames(str(path), whitelists(SourceKind.VIDEO), settings, keyframes)
    return FilmReader(*opened, source, settings) if opened is not None else None


def open_whole_frames(
    location: str, options: dict[str, str], settings: SourceSettings, keyframes: bool
) -> tuple[InputContainer, NalUnits | None] | None:
    """FFmpeg on a film whose packets are whole frames, and what tells them apart; None where it is none such.

    Args:
        options: FFmpeg's.
        keyframes: only those are wanted, which nothing need tell apart.
    """
    try:
        container = open_container(location, options, settings)
    except av.FFmpegError:
        return None
    if _has_whole_frames(container, keyframes):
        codec = container.streams.video[0].codec_context
        units = None if keyframes else NalUnits.of(codec.name, codec.extradata or b"")
        if keyframes or units is not None:
            return container, units
    container.close()
    return None


def _has_whole_frames(container: InputContainer, keyframes: bool) -> bool:
    if container.format.name in _IN_PARTS or not container.streams.video:
        return False
    stream = container.streams.video[0]
    codec = stream.codec_context
    if codec is None:  # FFmpeg cannot decode it
        return False
    known = codec.name in _CODECS
    if known and codec.field_order > _PROGRESSIVE:
        return False
    if not known or container.format.name not in _CONTAINERS:
        return keyframes
    index = ((entry.pos, entry.is_keyframe, entry.is_discard) for entry in stream.index_entries)
    return not _is_put_together(index)


def _is_put_together(index: Iterable[tuple[int, bool, bool]]) -> bool:
    """Whether an edit list has several parts of a film follow each other, by FFmpeg's index of it.

    Where one part begins in the middle of a group of pictures, its times and those of the part before overlap.

    Args:
        index: of each packet where it lies, whether it is a key frame, and whether it is decoded but not shown.
    """
    last, shown, left, begins = -1, False, False, False
    for place, key, discarded in index:
        left = left or (shown and discarded)
        begins = begins or (left and key)
        if place < last or (begins and not discarded):
            return True
        last, shown = place, shown or not discarded
    return False


class FilmReader(Reader):
    """A film, packet by packet. What is to become of a frame is asked some frames ahead.

    Args:
        units: None where only key frames are frames.
    """

    counts_damaged = True

    def __init__(
        self, container: InputContainer, units: NalUnits | None, source: str, settings: SourceSettings
    ) -> None:
        self.name = shown_source(source)
        self._container = container
        self._units = units
        stream = self._stream = container.streams.video[0]
        codec = self._codec = stream.codec_context
        bound(codec, settings)
        codec.copy_opaque = True  # a frame knows what is planned of its packet
        check_size(self.name, codec.width, codec.height, settings.max_pixels)
        self._beginning, on_its_side = self._look_at_first()
        size = (codec.height, codec.width) if on_its_side else (codec.width, codec.height)
        self.opened = Opened.told(*size, *_rate_and_frames(container, stream), guessed=not stream.frames)
        self._packets: FilmPackets | None = None
        self._now: Entry | None = None
        self._undecodable = 0  # packets
        self._failed = 0  # samples, in a row
        self._decoded = -1  # number of the last packet that the codec got
        self._shown = -1  # index of the last frame that came from it
        self._frames: dict[int, VideoFrame] = {}  # samples to come that are decoded already, by index
        self._leaves_out = False  # the codec passes over what no other frame refers to
        self._converter = Converter(self.name, settings.max_pixels)

    @property
    def bad_packets(self) -> int:
        """That could not be read, or not decoded."""
        return self._undecodable + (self._packets.bad if self._packets else 0)

    @property
    def note(self) -> str:
        counted = self._packets.counted if self._packets else 0
        return f"key frames without times, told by how many frames come before them: {counted}" if counted else ""

    def planned(self, plan: FramePlan) -> Iterator[Planned]:
        """See ``Reader``; a picture can be retrieved only of a frame that is wanted."""
        packets = self._packets = FilmPackets(
            self._container, self._stream, self._units, plan, self.failed_to_read, self._beginning
        )
        while self._failed < _HOPELESS and (entry := packets.next_shown()) is not None:
            self._now = entry
            if entry.picture in (Picture.REFRESH, Picture.RANDOM_ACCESS):
                self._leave_out_before(packets, entry)
            while packets.too_many and (front := packets.at(0)) is not None:
                self._decode(packets, front)
            assert entry.planned is not None
            yield entry.planned

    def failed_to_read(self, error: av.FFmpegError | None, waited_s: float) -> None:
        """Told of each packet that cannot be read, or not to its end. What it raises ends the film, which else goes on.

        Args:
            error: None where it is there in part.
            waited_s: for it.
        """

    def retrieve(self) -> Pixels:
        assert self._packets is not None
        assert self._now is not None
        assert self._now.planned is not None
        index = self._now.planned.index
        self._leave_out_before(self._packets, self._now)
        self._decode_to(self._packets, self._now, index)
        frame = self._frames.pop(index, None)
        self._failed = 0 if frame else self._failed + 1
        if frame is None:
            raise CorruptFrame("the codec could not decode it")
        return self._converter.planes(frame)

    def close(self) -> None:
        self._container.close()

    def _look_at_first(self) -> tuple[list[Packet[VideoStream]], bool]:
        """What is read by then, and whether pictures lie on their side: PyAV tells that of frames alone."""
        codec = self._codec
        try:
            packets = [packet for packet in itertools.islice(self._container.demux(self._stream), 1) if packet.size]
        except av.FFmpegError:
            return [], False  # it is read again, and is told then
        try:
            # Copies: an edit list may have it that this one is not shown, and then it does not come out.
            copies = [Packet(bytes(packet)) for packet in packets]
            frames = [frame for packet in [*copies, None] for frame in codec.decode(packet)]
        except av.FFmpegError:
            frames = []
        codec.flush_buffers()
        return packets, any(frame.rotation % 180 for frame in frames)

    def _leave_out_before(self, packets: FilmPackets, entry: Entry) -> None:
        """What comes before the last place from which this one can be decoded, unless another sample needs it."""
        if entry.number <= self._decoded:
            return
        begin, place = 0, 0
        while (other := packets.at(place)) is not None:
            if packets.begins_at(place):
                begin = place
            if other is entry or other.open:
                break
            place += 1
        if begin:
            packets.drop(begin)
            self._drain()

    def _decode_to(self, packets: FilmPackets, entry: Entry, index: int) -> None:
        """Decode until a frame comes out, or is known never to: a later one comes before it, or it is overdue."""
        while index not in self._frames and self._shown < index and self._decoded < entry.number + _OVERDUE:
            if entry.number <= self._decoded and self._is_last_of_group(packets):
                self._drain()
                return
            front = packets.at(0)
            assert front is not None  # or the group would have been over
            self._decode(packets, front)

    def _is_last_of_group(self, packets: FilmPackets) -> bool:
        """Whether nothing is wanted of what is left of the group of pictures, which is then left out."""
        place = 0
        while (entry := packets.at(place)) is not None:
            if packets.begins_at(place):
                break
            if entry.open or packets.too_many:
                return False
            place += 1
        packets.drop(place)
        return True

    def _decode(self, packets: FilmPackets, front: Entry) -> None:
        packet = packets.take()
        self._decoded = front.number
        leave_out = not front.open
        if leave_out is not self._leaves_out:
            self._codec.skip_frame = "NONREF" if leave_out else "DEFAULT"
            self._leaves_out = leave_out
        packet.opaque = front.planned
        try:
            self._keep(self._codec.decode(packet))
        except av.FFmpegError:
            self._undecodable += 1

    def _drain(self) -> None:
        """Let out what the codec still holds, and make it ready to begin anew."""
        try:
            self._keep(self._codec.decode(None))
        except av.FFmpegError:
            self._undecodable += 1
        self._codec.flush_buffers()

    def _keep(self, frames: Iterable[VideoFrame]) -> None:
        for frame in frames:
            planned = frame.opaque
            if isinstance(planned, Planned) and planned.index >= 0:
                self._shown = planned.index
                if planned.wanted:
                    self._frames[planned.index] = frame


def _rate_and_frames(container: InputContainer, stream: VideoStream) -> tuple[float, int]:
    """Frames a second, and how many are shown; 0 where it is not known.

    MP4 counts those, too, that its edit list leaves out: they are missing from the duration.
    """
    rate = float(stream.average_rate or stream.guessed_rate or 0)  # as OpenCV, since times that jump go by it
    duration_s = (container.duration or 0) / 1e6
    if container.format.name == _MATROSKA:  # counts from 0, wherever its first frame is
        start_s = float((stream.start_time or 0) * (stream.time_base or 0))
        duration_s = 0.0 if stream.start_time is None else duration_s - start_s
    lasting = math.floor(duration_s * rate + 0.5)
    frames = lasting if lasting and stream.frames > lasting + _ROUNDED_FRAMES else stream.frames or lasting
    return rate, frames
