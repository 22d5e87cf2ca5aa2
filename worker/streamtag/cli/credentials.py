"""``--credential`` where there is no worker that would check it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from streamtag.core.job import Job, explain
from streamtag.errors import ConfigError
from streamtag.settings import Settings


def check_credential(credential: str, chosen: Sequence[str], settings: Settings, drawn: bool) -> None:
    """See that there is something that it is for, by the rules of a job.

    Args:
        drawn: whether the sources are to be drawn on, for which they are read again.

    Raises:
        ConfigError: it is no name, or for none of these sources, or there is no folder of credentials.
    """
    if drawn:
        raise ConfigError(
            "--annotate and --plot read their sources again, without a credential; leave --credential out"
        )
    if settings.source.credentials is None:
        raise ConfigError("--credential: name the folder that has it: --set source.credentials=FOLDER")
    addresses = [source for source in chosen if "://" in source]
    if not addresses:
        raise ConfigError("--credential is for sources on the network, and none of these is one")
    for source in addresses:
        try:
            Job("classify", source, credential=credential)
        except ValidationError as error:
            raise ConfigError(explain(error).replace("job.credential", "--credential")) from None
