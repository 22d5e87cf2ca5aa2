"""Films classified by hand: the loops that one writes with OpenCV and Keras or OpenVINO, without anything of ours.

Both read each frame, one film after the other, and resize those that are wanted as ``cv2.resize`` does by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from streamtag.core.bundle import Bundle, Mode
from streamtag.tools.bench.by_hand import converted, keras_predict

Loop = Callable[[Sequence[Path], int], int]  # films and every how many-th frame, to how many were classified

# Of the modes of ``normalising.py``: whether the channels turn around, their means, and what they are divided by.
_STEPS: dict[Mode, tuple[bool, list[float], list[float]]] = {
    "tf": (False, [127.5] * 3, [127.5] * 3),
    "lite": (False, [127.0] * 3, [128.0] * 3),
    "caffe": (True, [103.939, 116.779, 123.68], [1.0] * 3),
    "caffe-rounded": (True, [104.0, 117.0, 123.0], [1.0] * 3),
    "torch": (False, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
}


def keras_loop(model: keras.Model, bundle: Bundle, batch: int) -> Loop:
    """Batches of frames through ``model.predict``. Many a tutorial gives it one frame at a time, which is slower."""
    predict, size = keras_predict(model, bundle), bundle.preprocessing.size

    def run(films: Sequence[Path], every: int) -> int:
        count, waiting = 0, []
        for picture in _frames(films, every, size):
            waiting.append(picture)
            if len(waiting) == batch:
                count += len(predict(np.stack(waiting)))
                waiting = []
        return count + (len(predict(np.stack(waiting))) if waiting else 0)

    return run


def openvino_loop(model: keras.Model, bundle: Bundle) -> Loop:
    """As OpenVINO's documentation advises: the hint for throughput, preprocessing in the network, an AsyncInferQueue.

    Raises:
        ConfigError: OpenVINO is not installed, or cannot read the model since Keras computes with JAX.
    """
    network = converted(model, bundle, 1)
    import openvino as ov  # noqa: PLC0415 - may be absent

    size = bundle.preprocessing.size
    steps = ov.preprocess.PrePostProcessor(network)
    _normalised(steps.input(), ov, bundle.preprocessing.mode)
    compiled = ov.Core().compile_model(steps.build(), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    queue = ov.AsyncInferQueue(compiled)
    answers: list[np.ndarray] = []
    queue.set_callback(lambda request, _: answers.append(np.array(request.get_output_tensor(0).data)))

    def run(films: Sequence[Path], every: int) -> int:
        answers.clear()
        for picture in _frames(films, every, size):
            queue.start_async({0: picture[None]})
        queue.wait_all()
        return len(answers)

    return run


def _normalised(inputs: Any, ov: Any, mode: Mode) -> None:
    """uint8 in, normalised by what is compiled with the network."""
    turned, mean, scale = _STEPS[mode]
    inputs.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    inputs.model().set_layout(ov.Layout("NHWC"))
    steps = inputs.preprocess().convert_element_type(ov.Type.f32)
    if turned:
        steps = steps.reverse_channels()
    steps.mean(mean).scale(scale)


def _frames(films: Sequence[Path], every: int, size: int) -> Iterator[np.ndarray]:
    for film in films:
        capture = cv2.VideoCapture(str(film))
        number = 0
        while True:
            there, frame = capture.read()
            if not there:
                break
            if number % every == 0:
                yield cv2.cvtColor(cv2.resize(frame, (size, size)), cv2.COLOR_BGR2RGB)
            number += 1
        capture.release()
