"""From labelled pictures to a bundle: split, features, head, fine-tuning, record."""

from __future__ import annotations

import functools
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
from streamtag.networks.building import build, cut, load_features, save_weights, with_head
from streamtag.networks.bundles import sha256, write_bundle
from streamtag.networks.loading import LoadStep, build_model, compile_model
from streamtag.redaction import printable
from streamtag.settings import Settings
from streamtag.tools.bundle_folder import HISTORY, staged
from streamtag.tools.dataset import Dataset, LabelledItem, by_item, split
from streamtag.tools.frames import Reading, Unreadable
from streamtag.tools.split_record import with_copies_together, write_split
from streamtag.tools.training.choosing import Choice, Material, choose
from streamtag.tools.training.drawing import draw_history
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
    auto: bool = False  # the head is chosen, in place of the recipe's


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training gave."""

    bundle: Path
    accuracy: float  # of the held-out samples, by the weights that were kept
    train_samples: int
    held_samples: int
    history: History
    unreadable: tuple[tuple[str, str], ...]  # path and reason
    choice: Choice | None = None  # of the head


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
    kept, held = split(with_copies_together(plan.dataset.items), plan.held_out, plan.seed)
    backbone, whole = _backbone(plan, settings, listener)
    seen = backbone if whole is None else _with_answers(backbone, whole)
    outputs = seen.output_shape[-1]
    engine = compile_model(seen, plan.backbone, settings.engine, listener.on_step, outputs).engine
    reading = Reading(settings, plan.backbone.preprocessing, engine.buckets[-1])
    fingerprint = sha256(Path(plan.backbone.weights)) if plan.backbone.weights != "random" else f"{plan.seed:064d}"
    folder = cache / f"{fingerprint[:16]}-{engine.name}-{engine.precision}{'' if whole is None else '-top'}"
    store = FeatureStore(folder, engine, plan.backbone.preprocessing, reading, plan.sampling, plan.recipe.crops)
    classes = plan.dataset.classes
    train_examples, held_examples = (
        store.examples(items, classes, functools.partial(listener.on_pictures, phase, len(items)))
        for phase, items in (("training pictures", kept), ("held-out pictures", held))
    )
    _check_classes({"training": train_examples, "held-out": held_examples}, classes)
    sides = (train_examples, held_examples)
    history = History()
    with stop_on_sigint() as stopping:
        model, choice, accuracy = _headed(plan, backbone, whole, sides, history, listener, stopping)
        if plan.unfreeze and not stopping:
            own = [layer.name for layer in model.layers if layer.name.startswith("head_")]
            names = [*last_blocks(backbone, plan.unfreeze), *(name for name in own if name != "head_groups")]
            train_pictures, held_pictures = (
                _pictures(reading, items, classes, plan.sampling) for items in (kept, held)
            )
            mode, told = plan.backbone.preprocessing.mode, listener.on_epoch
            pictures = (train_pictures, held_pictures)
            fine_tune(plan.recipe, model, names, mode, *pictures, plan.seed, history, told, stopping)
        history.interrupted = bool(stopping)
    accuracy = _after_fine_tuning(history, accuracy)
    with staged(out) as new:
        write_split(new, kept, held)
        draw_history(history, choice, new / HISTORY)
        _write(plan, model, choice, whole, history, accuracy, fingerprint, out, new)
    return Outcome(
        out,
        accuracy,
        len(train_examples.classes),
        len(held_examples.classes),
        history,
        train_examples.unreadable + held_examples.unreadable,
        choice,
    )


def _backbone(plan: Plan, settings: Settings, listener: Listener) -> tuple[keras.Model, keras.Model | None]:
    """The network without its classifier, and with it where a head may ask that.

    Its weights may be without a classifier, or those of a part of another network.

    Raises:
        ConfigError: they fit in neither way.
    """
    bundle = plan.backbone
    try:
        whole = build_model(bundle, settings.engine, listener.on_step)
        asked = plan.auto and "head" not in bundle.arguments
        return cut(whole, bundle.architecture), whole if asked else None
    except ConfigError as error:
        if bundle.weights == "random":
            raise
        try:
            return load_features(bundle), None
        except ConfigError:
            raise error from None


def _check_classes(sides: Mapping[str, Examples], classes: Sequence[str]) -> None:
    for side, examples in sides.items():
        absent = [name for number, name in enumerate(classes) if number not in examples.classes]
        if absent:
            why = f"; the first fault: {': '.join(examples.unreadable[0])}" if examples.unreadable else ""
            raise ConfigError(f"no readable {side} picture of {', '.join(absent)}{why}")


def _with_answers(backbone: keras.Model, whole: keras.Model) -> keras.Model:
    """(N, H, W, 3) to the features and then the probabilities of the backbone's own classifier."""
    return keras.Model(backbone.inputs[0], keras.layers.Concatenate()([backbone.outputs[0], whole.outputs[0]]))


def _headed(
    plan: Plan,
    backbone: keras.Model,
    whole: keras.Model | None,
    sides: tuple[Examples, Examples],
    history: History,
    listener: Listener,
    stopping: list[bool],
) -> tuple[keras.Model, Choice | None, float]:
    """The network with its head, how that was chosen, and its accuracy on the held-out side."""
    (train_side, held), classes, recipe = sides, plan.dataset.classes, plan.recipe
    if not plan.auto:
        head = fit_head(recipe, len(classes), train_side, held, history, listener.on_epoch, stopping)
        model = with_head(backbone, len(classes), recipe.units)
        for layer in head.layers:
            if layer.weights:
                model.get_layer(layer.name).set_weights(layer.get_weights())
        return model, None, _share_right(np.asarray(head(held.features, training=False)), held)
    top = 0 if whole is None else whole.output_shape[-1]
    said = plan.backbone.groups
    material = Material(train_side.chosen(recipe.flip), train_side.classes, train_side.groups, top, said)
    choice = choose(material, classes, plan.seed, functools.partial(_tell_trials, listener))
    form, units = choice.candidate.form, choice.candidate.units
    model = with_head(backbone, len(classes), units, form, whole, len(said))
    names = [*(f"head_{number}" for number in range(1, len(units) + 1)), "head_predictions"]
    for name, (kernel, bias) in zip(names, choice.layers, strict=True):
        model.get_layer(name).set_weights([kernel, bias])
    if form == "power+top" and said:
        model.get_layer("head_groups").set_weights([said.matrix])
    return model, choice, _share_right(choice.scores(material, held.features), held)


def _tell_trials(listener: Listener, done: int, total: int) -> None:
    listener.on_pictures("comparing heads", total, done)


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


def _share_right(scores: np.ndarray, held: Examples) -> float:
    return float((scores.argmax(axis=1) == held.classes).mean())


def _after_fine_tuning(history: History, accuracy: float) -> float:
    if not history.fine_tuned:
        return accuracy
    return history.val_accuracy[int(np.argmin(history.val_loss[history.head_epochs :])) + history.head_epochs]


def _write(
    plan: Plan,
    model: keras.Model,
    choice: Choice | None,
    whole: keras.Model | None,
    history: History,
    accuracy: float,
    fingerprint: str,
    out: Path,
    into: Path,
) -> None:
    preprocessing = plan.backbone.preprocessing
    bundle = Bundle(
        name=printable((out.resolve() if out.name in ("", "..") else out).name) or "bundle",
        architecture=plan.backbone.architecture,
        labels=plan.dataset.classes,
        preprocessing=preprocessing,
        arguments=plan.backbone.arguments | _head_arguments(plan, choice, whole),
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
        "heads": choice.table() if choice else [],
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
    weights = into / "network.weights.h5"
    # A copy that was never compiled: the optimiser's state would triple the file.
    bare = build(replace(bundle, weights="random"))
    bare.set_weights(model.get_weights())
    save_weights(bare, weights)
    write_bundle(into, bundle, weights, record)


def _head_arguments(plan: Plan, choice: Choice | None, whole: keras.Model | None) -> dict[str, Any]:
    """What building the network again needs to know of its head."""
    if choice is None:
        return {"head": list(plan.recipe.units)}
    arguments: dict[str, Any] = {"head": list(choice.candidate.units), "head_inputs": choice.candidate.form}
    if choice.candidate.form == "power+top" and whole is not None:
        arguments["top"] = [whole.output_shape[-1], len(plan.backbone.groups)]
    return arguments
