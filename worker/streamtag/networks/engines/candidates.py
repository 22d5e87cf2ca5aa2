"""Which engines there are for a network on a machine, and in which precisions."""

from __future__ import annotations

from streamtag.core.bundle import Bundle
from streamtag.errors import ConfigError
from streamtag.networks.engines.machine import Machine
from streamtag.settings import EngineSettings

PRECISIONS = {
    "tf_graph": ("float32", "bfloat16"),
    "tf_xla": ("float32", "bfloat16", "float16"),
    "jax": ("float32", "bfloat16", "float16"),
    "openvino": ("float32", "bfloat16", "float16", "int8"),
}
_OF_A_CARD = ("float32", "bfloat16", "float16")


def candidates(machine: Machine, bundle: Bundle, settings: EngineSettings, gpu: bool) -> list[tuple[str, str]]:
    """Engines and precisions worth measuring, what is compared with first.

    Args:
        gpu: TensorFlow can use one.
    """
    if gpu:
        engines = ["tf_xla", *(["jax"] if machine.has("jax") else [])]
        pairs = [(engine, precision) for precision in _OF_A_CARD for engine in engines]
    else:
        pairs = [("tf_graph", "float32"), *_of_a_processor(machine, bundle)]
    if settings.precision != "auto":
        pairs = [pair for pair in pairs if pair[1] == settings.precision]
    return pairs


def _of_a_processor(machine: Machine, bundle: Bundle) -> list[tuple[str, str]]:
    sixteen = ["bfloat16"] if machine.bfloat16 else []
    if not machine.has("openvino"):
        # Elsewhere XLA has never been the fastest on a processor, and takes half a minute to compile (README.md here).
        return [*(("tf_graph", precision) for precision in sixteen), ("tf_xla", "float32")]
    eight = ["int8"] if bundle.quantised else []
    return [
        *(("openvino", precision) for precision in ("float32", *eight, *sixteen)),
        *(("tf_graph", precision) for precision in sixteen),
    ]


def precision_of(settings: EngineSettings) -> str:
    """What an engine that the settings name computes in: float32 where they leave that open."""
    return "float32" if settings.precision == "auto" else settings.precision


def default_engine(machine: Machine, settings: EngineSettings) -> str:
    """What computes where nothing was measured and ``auto`` is asked for; ``auto`` is TensorFlow, by what it finds.

    Where there is no graphics card it is OpenVINO: as fast as TensorFlow or faster, and a network that was converted
    once starts in a quarter of the processor time, which is most of what one picture takes.
    """
    has = machine.has("openvino") and not machine.cards
    return "openvino" if has and precision_of(settings) == "float32" else "auto"


def is_openvino(settings: EngineSettings) -> bool:
    """Whether OpenVINO computes, with a GPU here or without: nothing else has 8 bits."""
    return settings.name == "openvino" or (settings.name == "auto" and precision_of(settings) == "int8")


def settled(settings: EngineSettings, gpu: bool) -> EngineSettings:
    """An engine and a precision where the settings leave them open and nothing was measured.

    Raises:
        ConfigError: an engine that does not compute in the precision.
    """
    name, precision = settings.name, precision_of(settings)
    if name == "auto":
        name = "openvino" if is_openvino(settings) else "tf_xla" if gpu else "tf_graph"
    if name != "null" and precision not in PRECISIONS[name]:
        raise ConfigError(f"engine {name} does not compute in {precision}; it does in {', '.join(PRECISIONS[name])}")
    return settings.model_copy(update={"name": name, "precision": precision})
