"""The boundary of a job: whatever goes wrong about one job ends that job, with its reason, and nothing else.

Every loop of the worker draws it around what it does for one job: claims around an entry, intake around a stream,
inference around a sample, commits around a run. What gets through ends the worker, and should: it is about the worker
itself.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from streamtag.errors import QueueUnavailable


class JobBoundary:
    """A context manager that turns an exception within into the end of the job.

    ``QueueUnavailable`` gets through, since an answer that Redis does not give is no job's fault and the loop waits for
    it, and so does ``MemoryError``: there is none left for any job.

    Args:
        end_job: ends the job for that reason.
    """

    # A class and no generator, which cost four times as much, for each sample.
    __slots__ = ("_end_job",)

    def __init__(self, end_job: Callable[[Exception], None]) -> None:
        self._end_job = end_job

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, QueueUnavailable | MemoryError):
            return False
        self._end_job(error)
        return True
