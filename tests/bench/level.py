"""How sure a label must be to be told in place of its group, chosen on half of some photos and judged by the rest.

Its outcome is in ``RESULTS.md``. ``python -m tests.bench.level`` with STREAMTAG_TEST_DATA, the folder of real material.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from streamtag.core.bundle import Bundle
from streamtag.core.groups import Groups
from streamtag.core.job import Sampling
from streamtag.core.options import SmoothingSettings
from streamtag.networks import loading
from streamtag.settings import EngineSettings, ModelSettings, Settings
from streamtag.tools.classify import Classifier
from streamtag.tools.dataset import LabelledItem
from streamtag.tools.evaluation import pictures, streams
from streamtag.tools.evaluation.intervals import Figure
from streamtag.tools.evaluation.level import figures_of, level_of, told_of
from streamtag.tools.evaluation.level_choice import choose_level
from streamtag.tools.evaluation.streams import Clip

from tests.support.bundles import WEIGHT_FILES

SEEDS = 20
WANTED = 0.95
CLIPS = {"intel_bottle-detection.mp4": "water_bottle", "imageio_cockatoo.mp4": "sulphur-crested_cockatoo"}
SHOWN = (0.0, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def scored(name: str, data: Path) -> tuple[Bundle, np.ndarray, np.ndarray, list[Clip]]:
    """A network, its scores of the photos with their truth, and the clips."""
    weights = str(data / "weights" / WEIGHT_FILES[name]) if name in WEIGHT_FILES else ""
    settings = Settings(
        model=ModelSettings(name=name, weights=weights),
        engine=EngineSettings(name="tf_graph", precision="float32", buckets=[16]),
    )
    network = loading.load(settings)
    bundle = network.bundle
    photos = pictures.labelled(data / "images" / "imagenet_sample", None, Path(name), bundle.labels)
    classes = Classifier(settings, replace(network, bundle=replace(bundle, groups=Groups())))
    found = pictures.evaluate(classes, photos, bundle.labels, Sampling(), lambda done: None)
    classifier = Classifier(settings, network)
    spans = [LabelledItem(data / "videos" / video, label, video, 0.0, 60.0) for video, label in CLIPS.items()]
    clips = streams.read_clips(classifier, bundle, spans, Sampling(fps=5), lambda done: None)
    return bundle, found.scores, found.truth, clips


def halves(bundle: Bundle, scores: np.ndarray, truth: np.ndarray) -> None:
    """Chosen on one half and told of the other, both ways; each photo is of a class of its own."""
    chosen: Counter[float] = Counter()
    rows = []
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(truth))
        for first, second in (np.split(order, 2), np.split(order, 2)[::-1]):
            names = first.astype(str)
            choice = choose_level(scores[first], truth[first], names, bundle, SmoothingSettings(), WANTED)
            assert choice is not None
            exact = 1.0 if choice.exact is None else choice.exact.value  # where no share is enough, the most careful
            chosen[exact] += 1
            told = told_of(bundle.groups.extend(scores[second]), replace(bundle, exact=exact), SmoothingSettings())
            found = figures_of(told, truth[second], bundle)
            rows.append((found.told.value, found.true.value, found.bits.value))
    _say("chosen: " + ", ".join(f"{share:g} {count} times" for share, count in sorted(chosen.items())))
    for name, values in zip(("told", "true", "bits"), np.array(rows).T, strict=True):
        low, high = np.quantile(values, (0.025, 0.975))
        _say(f"on the other half: {name} {values.mean():.3f} ({low:.3f} to {high:.3f})")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _of(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def footage(bundle: Bundle, clips: list[Clip]) -> None:
    """What each share does to the clips, and what there is without groups."""
    settings = SmoothingSettings()
    ways = {f"at {share:g}": replace(bundle, exact=share) for share in SHOWN}
    for way, own in (ways | {"without groups": replace(bundle, level="leaf")}).items():
        told = [streams.predicted_labels(clip, settings, own) for clip in clips]
        both = streams.measure(clips, told, "ema", {}, own)
        apart = [streams.measure([clip], [one], "ema", {}, own).accuracy for clip, one in zip(clips, told, strict=True)]
        each = ", ".join(f"{one:.3f}" for one in apart)
        _say(f"clips {way}: right {both.accuracy:.3f} ({each}), {both.flips_per_min:.1f} changes a minute")


def main() -> None:
    """Print all of it."""
    data, settings = Path(os.environ["STREAMTAG_TEST_DATA"]), SmoothingSettings()
    for name in ("mobilenetv2", "efficientnet-lite0", "squeezenet"):
        bundle, scores, truth, clips = scored(name, data)
        _say(f"--- {name}")
        level = level_of(scores, truth, bundle, settings)
        assert level is not None
        _say(f"at {level.exact:g}: told {_of(level.told)}, true {_of(level.true)}, bits {_of(level.bits)}")
        _say(f"best group: {_of(level.groups)}")
        halves(bundle, scores, truth)
        folds = choose_level(scores, truth, np.arange(len(truth)).astype(str), bundle, settings, WANTED)
        assert folds is not None
        share = _of(folds.exact) if folds.exact else "none"
        _say(f"five folds: {share}; told {_of(folds.told)}, true {_of(folds.true)}, bits {_of(folds.bits)}")
        footage(bundle, clips)


if __name__ == "__main__":
    main()
