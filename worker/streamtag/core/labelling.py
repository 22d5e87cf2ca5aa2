"""Which labels a stream may get: by the level of the settings, by what was asked for, by the bundle."""

from __future__ import annotations

from collections.abc import Sequence

from streamtag.core.bundle import Bundle
from streamtag.core.options import SmoothingSettings
from streamtag.core.smoothing import Smoother
from streamtag.errors import ConfigError, did_you_mean


def make_smoother(
    bundle: Bundle, settings: SmoothingSettings, wanted: Sequence[str] = (), step_s: float | None = None
) -> Smoother:
    """The smoother of one stream of a network's scores.

    Args:
        wanted: labels and groups that may become active, in place of those of the settings; none means all.
        step_s: between two samples, as they are asked for; None where the frames of the stream decide.

    Raises:
        ConfigError: the network has no such label.
    """
    wanted = wanted or settings.labels
    # Who names a label wants it, whatever the level.
    never = bundle.background | (_unwanted(bundle, wanted) if wanted else _of_other_levels(bundle))
    if bundle.exact is not None:
        settings = settings.model_copy(update={"exact": bundle.exact})
    return Smoother(settings, len(bundle.outputs), bundle.thresholds, never, bundle.groups, step_s)


def _of_other_levels(bundle: Bundle) -> frozenset[int]:
    classes = range(bundle.classes)
    groups = range(bundle.classes, len(bundle.outputs))
    match bundle.level:
        case "leaf":
            return frozenset(groups)
        case "group":  # what no group has is told by its class
            return frozenset(classes) & {class_id for group in bundle.groups.all for class_id in group.classes}
    return frozenset()


def _unwanted(bundle: Bundle, wanted: Sequence[str]) -> frozenset[int]:
    known = set(bundle.outputs)
    for name in wanted:
        if name not in known:
            raise ConfigError(f"{bundle.name} has no label {name!r}{did_you_mean(name, sorted(known))}")
    names = set(wanted)
    return frozenset(output for output, name in enumerate(bundle.outputs) if name not in names)
