"""From labelled pictures to a bundle: split, features, head, fine-tuning, record."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from streamtag import __version__
from streamtag.core.bundle import WHOLE, Bundle
from streamtag.core.job import Sampling
from streamtag.errors import ConfigError
from streamtag.networks.building import build, cut, with_head
from streamtag.networks.bundles import sha256, write_bundle
from streamtag.networks.loading import LoadStep, build_model, compile_model
from streamtag.settings import Settings
from streamtag.tools.dataset import Dataset, LabelledItem, by_item, split
from streamtag.tools.drawing import charts
from streamtag.tools.frames import Reading, Unreadable
from streamtag.tools.split_record import write_split
from streamtag.tools.training.features import Examples, FeatureStore
from streamtag.tools.training.fitting import History, Recipe, fine_tune, fit_head, last_blocks, stop_on_sigint


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides what comes out."""

    backbone: Bundle  # with its weights as a file
    dataset: Dataset
    recipe: Recipe
    held_out: float
    seed: int
    unfreeze: int
    sampling: Sampling
    command: tuple[str, ...]  # the options, for the record


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training gave."""

    bundle: Path
    accuracy: float  # of the held-out samples, by the weights that were kept
    train_samples: int
    held_samples: int
    history: History
    unreadable: tuple[tuple[str, str], ...]  # path and reason


class Listener(Protocol):
    """Who is told how far a training is."""

    def on_step(self, step: LoadStep) -> None:
        """The backbone is being loaded."""

    def on_pictures(self, phase: str, total: int, done: int) -> None:
        """So many items have their features."""

    def on_epoch(self, phase: str, epoch: int, total: int, figures: dict[str, float]) -> None:
        """An epoch has ended with these figures."""


def train(plan: Plan, settings: Settings, cache: Path, out: Path, listener: Listener) -> Outcome:
    """Train and write the bundle, with ``history.png`` and ``split.csv`` beside it.

    Args:
        cache: folder of features; a folder in it for each backbone.

    Raises:
        ConfigError: too little that can be read, or classes that cannot be split.
    """
    if plan.backbone.architecture == WHOLE:
        raise ConfigError(f"{plan.backbone.name}: a .keras file cannot be a backbone; name a network of the registry")
    keras.utils.set_random_seed(plan.seed)
    # The same seed gives the same weights, at some cost in speed.
    tf.config.experimental.enable_op_determinism()
    kept, held = split(plan.dataset.items, plan.held_out, plan.seed)
    whole = build_model(plan.backbone, settings.engine, listener.on_step)
    backbone = cut(whole, plan.backbone.architecture)
    outputs = backbone.output_shape[-1]
    engine = compile_model(backbone, plan.backbone, settings.engine, listener.on_step, outputs).engine
    reading = Reading(settings, plan.backbone.preprocessing, engine.buckets[-1])
    fingerprint = sha256(Path(plan.backbone.weights)) if plan.backbone.weights != "random" else f"{plan.seed:064d}"
    folder = cache / f"{fingerprint[:16]}-{engine.name}-{settings.engine.precision}"
    store = FeatureStore(folder, engine, plan.backbone.preprocessing, reading, plan.sampling, plan.recipe.crops)
    classes = plan.dataset.classes
    train_examples, held_examples = (
        store.examples(items, classes, functools.partial(listener.on_pictures, phase, len(items)))
        for phase, items in (("training pictures", kept), ("held-out pictures", held))
    )
    _check_classes({"training": train_examples, "held-out": held_examples}, classes)
    history = History()
    with stop_on_sigint() as stopping:
        head = fit_head(plan.recipe, len(classes), train_examples, held_examples, history, listener.on_epoch, stopping)
        model = with_head(backbone, len(classes), plan.recipe.units)
        _copy_head(head, model)
        if plan.unfreeze and not stopping:
            names = [*last_blocks(backbone, plan.unfreeze), *(layer.name for layer in head.layers)]
            train_pictures, held_pictures = (
                _pictures(reading, items, classes, plan.sampling) for items in (kept, held)
            )
            mode, told = plan.backbone.preprocessing.mode, listener.on_epoch
            sides = (train_pictures, held_pictures)
            fine_tune(plan.recipe, model, names, mode, *sides, plan.seed, history, told, stopping)
        history.interrupted = bool(stopping)
    accuracy = _accuracy(head, held_examples, history)
    _write(plan, model, history, accuracy, fingerprint, out)
    write_split(out, kept, held)
    _draw_history(history, out / "history.png")
    return Outcome(
        out,
        accuracy,
        len(train_examples.classes),
        len(held_examples.classes),
        history,
        train_examples.unreadable + held_examples.unreadable,
    )


def _check_classes(sides: Mapping[str, Examples], classes: Sequence[str]) -> None:
    for side, examples in sides.items():
        absent = [name for number, name in enumerate(classes) if number not in examples.classes]
        if absent:
            why = f"; the first fault: {': '.join(examples.unreadable[0])}" if examples.unreadable else ""
            raise ConfigError(f"no readable {side} picture of {', '.join(absent)}{why}")


def _copy_head(head: keras.Model, model: keras.Model) -> None:
    for layer in head.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())


def _pictures(
    reading: Reading, items: Sequence[LabelledItem], classes: Sequence[str], sampling: Sampling
) -> tuple[np.ndarray, np.ndarray]:
    """(n, H, W, 3) uint8 RGB and (n,) int64 of what can be read."""
    pictures, labels = [], []
    for item, event in by_item(items, lambda paths: reading.frames(paths, sampling)):
        if not isinstance(event, Unreadable):
            pictures.append(event.picture)
            labels.append(classes.index(item.label))
    return np.stack(pictures), np.array(labels, np.int64)


def _accuracy(head: keras.Model, held: Examples, history: History) -> float:
    if history.fine_tuned:
        best = int(np.argmin(history.val_loss[history.head_epochs :])) + history.head_epochs
        return history.val_accuracy[best]
    scores = np.asarray(head(held.features, training=False))
    return float((scores.argmax(axis=1) == held.classes).mean())


def _write(plan: Plan, model: keras.Model, history: History, accuracy: float, fingerprint: str, out: Path) -> None:
    preprocessing = plan.backbone.preprocessing
    bundle = Bundle(
        name=out.name,
        architecture=plan.backbone.architecture,
        labels=plan.dataset.classes,
        preprocessing=preprocessing,
        arguments=plan.backbone.arguments | {"head": list(plan.recipe.units)},
    )
    record: dict[str, Any] = {
        "command": list(plan.command),
        "backbone": plan.backbone.name,
        "backbone_sha256": fingerprint,
        "seed": plan.seed,
        "held_out": plan.held_out,
        "unfreeze": plan.unfreeze,
        "recipe": asdict(plan.recipe) | {"units": list(plan.recipe.units)},
        "items": plan.dataset.counts(),
        "sampling": asdict(plan.sampling),
        "held_out_accuracy": round(accuracy, 6),
        "fine_tuned": history.fine_tuned,
        "interrupted": history.interrupted,
        "history": {
            name: [round(value, 6) for value in getattr(history, name)]
            for name in ("loss", "accuracy", "val_loss", "val_accuracy")
        },
        "versions": {"streamtag": __version__, "keras": keras.__version__, "tensorflow": tf.__version__},
    }
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "network.weights.h5"
        # A copy that was never compiled: the optimiser's state would triple the file.
        bare = build(replace(bundle, weights="random"))
        bare.set_weights(model.get_weights())
        bare.save_weights(weights)
        write_bundle(out, bundle, weights, record)


def _draw_history(history: History, path: Path) -> None:
    epochs = range(1, len(history.loss) + 1)
    with charts.figure("", 9, 3.6) as drawn:
        for axis, name, title in zip(
            drawn.subplots(1, 2), ("loss", "accuracy"), ("Loss (cross-entropy)", "Accuracy"), strict=True
        ):
            axis.plot(epochs, getattr(history, name), color=charts.BLUE, label="training")
            axis.plot(epochs, getattr(history, f"val_{name}"), color=charts.ORANGE, label="held out")
            best = int(np.argmin(history.val_loss)) + 1 if history.val_loss else 1
            axis.axvline(best, color=charts.GREY, linestyle=":", label=f"best, epoch {best}")
            if 0 < history.head_epochs < len(history.loss):
                axis.axvline(history.head_epochs + 0.5, color="black", linewidth=0.8, label="fine-tuning from here")
            axis.set_title(title, fontsize=10)
            axis.set_xlabel("epoch")
            axis.legend(fontsize=8, frameon=False)
        charts.save(drawn, path)
