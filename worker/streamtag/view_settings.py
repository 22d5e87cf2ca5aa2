"""The settings of what people look at: the page (``streamtag view``), and the pictures that workers leave for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from streamtag.core.options import Group, Positive

MIN_TOKEN = 16


class ViewSettings(Group):
    """The page to look at, and what workers leave for it."""

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address of the page. Who reaches it sees all: for others, put a proxy with a log-in before it.",
    )
    port: int = Field(9180, ge=0, le=65535, description="Its port; 0: any free one, named in the log.")
    hosts: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")]] = Field(
        [], description="Names by which browsers may ask for it, beside localhost and addresses in numbers."
    )
    allow_changes: bool = Field(
        False, description="true: who has view.token may submit jobs there, cancel them and queue them again."
    )
    token: SecretStr = Field(
        SecretStr(""), description="What is typed in there to change something, 16 characters at least. Secret."
    )
    thumbnails: bool = Field(
        False,
        description="true: workers keep small pictures of each job in Redis, as the network sees it: the newest, and "
        "some of what was seen. Whoever may read results may then see them.",
    )
    thumbnail_px: int = Field(160, ge=32, le=320, description="Longer side of such a picture; a few kB each at 160.")
    thumbnail_every_s: Positive = Field(2.0, description="Seconds from one newest picture of a job to the next.")
    pictures: int = Field(
        64,
        ge=0,
        le=1000,
        description="Pictures kept of a job beside the newest: of labels that entered, and of a film half of them at "
        "even distances all over it. 0: none.",
    )

    @model_validator(mode="after")
    def _changes_need_a_token(self) -> ViewSettings:
        token = self.token.get_secret_value()
        # Letters that every header can carry as they are.
        if self.allow_changes and not (len(token) >= MIN_TOKEN and token.isascii() and token.isprintable()):
            raise ValueError(f"view.allow_changes needs a view.token of {MIN_TOKEN} plain characters (ASCII) at least")
        return self
