"""Which clip the demo plays with which network: the real world where its material is at hand, else drawn shapes."""

from __future__ import annotations

from dataclasses import dataclass

from streamtag.errors import ConfigError
from streamtag.networks.registry import ensure_weights, resolve
from streamtag.networks.weights.fetching import FetchFailed
from streamtag.settings import Settings
from streamtag.tools.demo.clips import Clip, DrawnClip
from streamtag.tools.demo.film import Film, MaterialMissing


@dataclass(frozen=True, slots=True)
class Choice:
    """A clip, and the settings of the worker that is to know it."""

    clip: Clip
    settings: Settings
    reason: str = ""  # why it is not the film


def choose(settings: Settings, wants_drawn: bool, named_network: bool) -> Choice:
    """The film for every network that knows its labels, the drawn clip for the demo network.

    Args:
        wants_drawn: a person asked for the drawn clip.
        named_network: a person named a network, so that another one would not do in its place.

    Raises:
        ConfigError: the network that was named knows neither clip.
        MaterialMissing, FetchFailed: the film or the weights cannot be had for the network that was named.
    """
    drawn = DrawnClip()
    if wants_drawn:
        return Choice(drawn, _with_demo_network(settings))
    bundle = resolve(settings.model)
    if drawn.labels <= set(bundle.labels):
        return Choice(drawn, settings)
    if not Film.labels <= set(bundle.labels):
        raise ConfigError(
            f"demo: {settings.model.name} knows neither what the film shows nor the drawn shapes; give --source FILE"
        )
    try:
        film = Film()
        ensure_weights(bundle, settings.model)
    except (MaterialMissing, FetchFailed) as error:
        if named_network:
            raise
        return Choice(drawn, _with_demo_network(settings), str(error))
    return Choice(film, settings)


def _with_demo_network(settings: Settings) -> Settings:
    model = settings.model.model_copy(update={"name": "demo", "weights": "", "labels": None})
    return settings.model_copy(update={"model": model})
