"""Fitting a head to features, and the last blocks of a network to pictures."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from streamtag.core.bundle import Mode
from streamtag.logs import quiet_stderr
from streamtag.networks.building import head
from streamtag.networks.engines.normalising import normalise
from streamtag.networks.graph import graph_of
from streamtag.tools.training.features import Examples

BATCH = 32
LEAST_STEPS = 16  # an epoch: with few pictures, batches are smaller
OnEpoch = Callable[[str, int, int, dict[str, float]], None]  # phase, epoch, of how many, figures


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fit."""

    units: tuple[int, ...] = (100, 100, 100)
    epochs: int = 100
    patience: int = 10  # epochs without a better held-out loss
    learning_rate: float = 1e-3
    flip: bool = True
    crops: int = 0
    balance: bool = True  # rare classes weigh more
    fine_tune_epochs: int = 10
    fine_tune_rate: float = 1e-5


@dataclass(slots=True)
class History:
    """Figures of each epoch, head first, fine-tuning after it."""

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    head_epochs: int = 0
    fine_tuned: bool = False  # and better for it
    interrupted: bool = False

    def add(self, figures: dict[str, list[float]]) -> None:
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            getattr(self, name).extend(float(value) for value in figures.get(name, []))


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Tells of each epoch, and stops at the end of a batch when asked to."""

    def __init__(self, phase: str, on_epoch: OnEpoch, stopping: list[bool]) -> None:
        super().__init__()
        self._phase, self._on_epoch, self._stopping = phase, on_epoch, stopping

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self._stopping:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._on_epoch(self._phase, epoch + 1, int(self.params["epochs"]), dict(logs or {}))


@contextmanager
def stop_on_sigint() -> Iterator[list[bool]]:
    """The first Ctrl-C ends the training with the best so far, the second one ends the program."""
    stopping: list[bool] = []
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: Any) -> None:
        if stopping:
            raise KeyboardInterrupt
        stopping.append(True)

    signal.signal(signal.SIGINT, ask)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGINT, before)


@quiet_stderr()
def fit_head(
    recipe: Recipe,
    classes: int,
    train: Examples,
    held: Examples,
    history: History,
    on_epoch: OnEpoch,
    stopping: list[bool],
) -> keras.Model:
    """A head for the features: (N, f) to (N, classes). Its weights are those of the best held-out loss."""
    model = head(train.views.shape[2], classes, recipe.units)
    model.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    features, labels = train.augmented(recipe.flip)
    fitted = model.fit(
        features,
        labels,
        batch_size=min(BATCH, max(8, len(features) // LEAST_STEPS)),
        epochs=recipe.epochs,
        validation_data=(held.features, held.classes),
        class_weight=_weights(train.classes, classes) if recipe.balance else None,
        callbacks=[_patience(recipe), _Watch("head", on_epoch, stopping)],
        verbose=0,
    )
    history.add(fitted.history)
    history.head_epochs = len(history.loss)
    return model


@quiet_stderr()
def fine_tune(
    recipe: Recipe,
    model: keras.Model,
    names: Sequence[str],
    mode: Mode,
    train: tuple[np.ndarray, np.ndarray],
    held: tuple[np.ndarray, np.ndarray],
    seed: int,
    history: History,
    on_epoch: OnEpoch,
    stopping: list[bool],
) -> None:
    """Train some layers of a whole network on, in place, unless that makes the held-out loss worse.

    Normalisation keeps the statistics that it has.

    Args:
        names: layers to train, with the head.
        train: (n, H, W, 3) uint8 RGB and (n,) int64.
    """
    for layer in model.layers:
        # Statistics of a few pictures would spoil those of ImageNet (Keras's guide to transfer learning).
        frozen = isinstance(layer, keras.layers.BatchNormalization) or layer.name not in names
        layer.trainable = not frozen
    model.compile(
        optimizer=keras.optimizers.Adam(recipe.fine_tune_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    classes = model.output_shape[-1]
    before = model.get_weights()
    # Measured by this very model: the engine that computed the features may round otherwise.
    loss_before = float(model.evaluate(_Pictures(*held, mode, None), verbose=0)[0])
    fitted = model.fit(
        _Pictures(*train, mode, seed if recipe.flip else None),
        epochs=recipe.fine_tune_epochs,
        validation_data=_Pictures(*held, mode, None),
        class_weight=_weights(train[1], classes) if recipe.balance else None,
        callbacks=[_patience(recipe), _Watch("fine-tuning", on_epoch, stopping)],
        verbose=0,
    )
    history.add(fitted.history)
    history.fine_tuned = min(fitted.history.get("val_loss", [np.inf])) < loss_before
    if not history.fine_tuned:
        model.set_weights(before)


class _Pictures(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Normalised batches of pictures; with a seed, mirrored at random and in another order each epoch."""

    def __init__(self, pictures: np.ndarray, classes: np.ndarray, mode: Mode, seed: int | None) -> None:
        super().__init__()
        self._pictures, self._classes, self._mode = pictures, classes, mode
        self._random = None if seed is None else np.random.default_rng(seed)
        self._order = np.arange(len(pictures))
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._pictures) // BATCH)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._order[index * BATCH : (index + 1) * BATCH]
        pictures = self._pictures[rows]
        if self._random is not None:
            mirrored = self._random.random(len(rows)) < 0.5
            pictures[mirrored] = pictures[mirrored][:, :, ::-1]
        return np.asarray(normalise(pictures, self._mode)), self._classes[rows]

    def on_epoch_end(self) -> None:
        if self._random is not None:
            self._random.shuffle(self._order)


def _patience(recipe: Recipe) -> keras.callbacks.Callback:
    return keras.callbacks.EarlyStopping("val_loss", patience=recipe.patience, restore_best_weights=True)


def _weights(labels: np.ndarray, classes: int) -> dict[int, float]:
    present = np.unique(labels)
    weights = compute_class_weight("balanced", classes=present, y=labels)
    return dict.fromkeys(range(classes), 1.0) | dict(zip(present.tolist(), weights.tolist(), strict=True))


def last_blocks(model: keras.Model, count: int) -> list[str]:
    """Layers of the last blocks of a backbone.

    A block ends where the whole network passes through one tensor that branches were joined into, or that a pool made
    smaller: that is what papers call a block, whatever the layers are named.
    """
    if count == 0:
        return []
    order = {layer.name: at for at, layer in enumerate(model.layers)}
    last_use = dict.fromkeys(order, -1)
    joins: dict[str, bool] = {}
    graph = graph_of(model)
    for layer in model.layers:
        sources = graph.sources(layer.name)
        joins[layer.name] = len(sources) > 1 or isinstance(layer, keras.layers.MaxPooling2D)
        for source in sources & last_use.keys():
            last_use[source] = max(last_use[source], order[layer.name])
    ends, reach = [], -1
    names = list(order)
    for at, name in enumerate(names):
        if joins[name] and reach <= at:
            ends.append(at)
        reach = max(reach, last_use[name])
    last = len(names) - 1
    starts = [-1, *[end for end in ends if end < _last_weights(model)]]
    return names[starts[-min(count, len(starts))] + 1 : last + 1]


def _last_weights(model: keras.Model) -> int:
    return max(at for at, layer in enumerate(model.layers) if layer.weights)
