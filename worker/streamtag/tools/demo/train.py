"""Train the demo network on drawn clips and write its bundle: ``python -m streamtag.tools.demo.train``.

About 10 minutes on 2 cores. The held-out scenes come from seeds that training never saw.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import keras
import numpy as np
import structlog

from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.ingest.geometry import fit
from streamtag.networks.architectures.narrow_xception import narrow_xception
from streamtag.networks.bundles import write_bundle
from streamtag.networks.registry import DEMO_BUNDLE
from streamtag.tools.demo.drawing import LABELS, NOTHING, SHAPES, Scene

SIZE = 96
WIDTH = 24
FRAMES_PER_SCENE = 4
HELD_OUT_SEED = 10_000_000
THRESHOLDS = (0.6, 0.3)  # enter, exit
NOTE = "It knows six drawn shapes and nothing else: of a photo it says one of them."
log = structlog.get_logger()


def draw_set(scenes: int, first_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures as a decoder would hand them over, and their classes.

    Returns:
        (n, SIZE, SIZE, 3) uint8 RGB and (n,) int64.
    """
    preprocessing = Preprocessing(SIZE)
    pictures = np.empty((scenes * FRAMES_PER_SCENE, SIZE, SIZE, 3), np.uint8)
    classes = np.arange(scenes).repeat(FRAMES_PER_SCENE) % len(LABELS)
    for number in range(scenes):
        seed = first_seed + number
        generator = np.random.default_rng(seed)
        size = [(320, 180), (640, 360), (240, 240)][int(generator.integers(3))]
        scene = Scene(LABELS[number % len(LABELS)], seed, size)
        for view in range(FRAMES_PER_SCENE):
            picture = scene.frame(float(generator.uniform(0, 6)))
            # What a video codec does to a picture, near enough.
            quality = int(generator.integers(30, 95))
            jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            picture = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
            fit(picture, preprocessing, pictures[number * FRAMES_PER_SCENE + view])
    return pictures, classes


def train(out: Path, scenes: int, epochs: int, seed: int) -> float:
    """Train, write the bundle, and return the share of held-out frames that are right."""
    keras.utils.set_random_seed(seed)
    pictures, classes = draw_set(scenes, seed)
    held_pictures, held_classes = draw_set(700, HELD_OUT_SEED)
    log.info("drawn", training=len(pictures), held_out=len(held_pictures))
    network = narrow_xception(SIZE, len(LABELS), WIDTH)
    batch = 64
    steps = epochs * (len(pictures) // batch)
    network.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    network.fit(
        pictures.astype(np.float32) / 127.5 - 1,
        classes,
        batch_size=batch,
        epochs=epochs,
        validation_data=(held_pictures.astype(np.float32) / 127.5 - 1, held_classes),
        verbose=2,
    )
    right = float(network.evaluate(held_pictures.astype(np.float32) / 127.5 - 1, held_classes, verbose=0)[1])
    record = {"seed": seed, "scenes": scenes, "epochs": epochs, "held_out_accuracy": round(right, 4)}
    _save(out, network, record | {"parameters": network.count_params()})
    log.info("trained", held_out_accuracy=right, parameters=network.count_params(), bundle=str(out))
    return right


def _save(out: Path, network: keras.Model, record: dict[str, float]) -> None:
    # A copy that was never compiled: the optimiser's state would triple the file.
    bare = narrow_xception(SIZE, len(LABELS), WIDTH)
    bare.set_weights(network.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "network.weights.h5"
        bare.save_weights(weights)
        background = frozenset([LABELS.index(NOTHING)])
        # Measured: `streamtag evaluate-stream`. It is surer of itself than networks of a thousand classes are.
        thresholds = {LABELS.index(shape): THRESHOLDS for shape in SHAPES}
        bundle = Bundle(
            "demo",
            "narrow_xception",
            LABELS,
            Preprocessing(SIZE),
            arguments={"width": WIDTH},
            background=background,
            thresholds=thresholds,
            note=NOTE,
        )
        write_bundle(out, bundle, weights, record)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEMO_BUNDLE)
    parser.add_argument("--scenes", type=int, default=5600)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    train(arguments.out, arguments.scenes, arguments.epochs, arguments.seed)
