"""The boundary of a job: whatever goes wrong about one job ends that job, with its reason, and nothing else.

Every loop of the worker draws it around what it does for one job: claims around an entry, intake around a stream,
inference around a sample, commits around a run. What gets through ends the worker, and should: it is about the worker
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamtag.errors import QueueUnavailable


@contextmanager
def job_boundary(end_job: Callable[[Exception], None]) -> Iterator[None]:
    """Turn an exception within into the end of the job.

    Args:
        end_job: ends the job for that reason.

    Raises:
        QueueUnavailable: Redis gives no answer, which is no job's fault; the loop waits for it.
        MemoryError: there is none left for any job.
    """
    try:
        yield
    except (QueueUnavailable, MemoryError):
        raise
    except Exception as error:
        end_job(error)
