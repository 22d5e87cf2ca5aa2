"""Weights of other frameworks into our networks: TF-slim checkpoints, PyTorch state dicts, plain arrays.

Only tensors are read. A file that holds anything else is refused: unpickling it could run what its author wrote.
"""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from streamtag.errors import ConfigError, in_words
from streamtag.networks.graph import graph_of
from streamtag.networks.weights import torch_layers
from streamtag.networks.weights.state_dict import read_state_dict

Read = Callable[[str], np.ndarray]  # tensor name to its value; KeyError if there is none

# The scopes of TF-slim's InceptionV3 in the order in which Keras creates its convolutions.
_A, _B = "Conv2d_0a_1x1", "Conv2d_0b_1x1"
_BLOCK_5 = ("0/" + _A, "1/" + _A, "1/Conv2d_0b_5x5", "2/" + _A, "2/Conv2d_0b_3x3", "2/Conv2d_0c_3x3", "3/" + _B)
_SEVENS_1 = ("1/" + _A, "1/Conv2d_0b_1x7", "1/Conv2d_0c_7x1")
_SEVENS_2 = ("2/" + _A, "2/Conv2d_0b_7x1", "2/Conv2d_0c_1x7", "2/Conv2d_0d_7x1", "2/Conv2d_0e_1x7")
_BLOCK_6 = ("0/" + _A, *_SEVENS_1, *_SEVENS_2, "3/" + _B)
_DOUBLE_3 = ("2/" + _A, "2/Conv2d_0b_3x3", "2/Conv2d_0c_1x3", "2/Conv2d_0d_3x1")
_INCEPTION_V3 = {
    # Two names of the checkpoint are slips of its authors that became part of the format.
    "Mixed_5b": _BLOCK_5,
    "Mixed_5c": (_BLOCK_5[0], "1/Conv2d_0b_1x1", "1/Conv_1_0c_5x5", *_BLOCK_5[3:]),
    "Mixed_5d": _BLOCK_5,
    "Mixed_6a": ("0/Conv2d_1a_1x1", "1/" + _A, "1/Conv2d_0b_3x3", "1/Conv2d_1a_1x1"),
    **{f"Mixed_6{letter}": _BLOCK_6 for letter in "bcde"},
    "Mixed_7a": ("0/" + _A, "0/Conv2d_1a_3x3", *_SEVENS_1, "1/Conv2d_1a_3x3"),
    "Mixed_7b": ("0/" + _A, "1/" + _A, "1/Conv2d_0b_1x3", "1/Conv2d_0b_3x1", *_DOUBLE_3, "3/" + _B),
    "Mixed_7c": ("0/" + _A, "1/" + _A, "1/Conv2d_0b_1x3", "1/Conv2d_0c_3x1", *_DOUBLE_3, "3/" + _B),
}
_INCEPTION_V3_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")

FOREIGN = (".npz", ".pth", ".pt", ".ckpt", ".tar.gz", ".tgz")


def is_foreign(path: Path) -> bool:
    """Whether a file is of another framework, by its name."""
    return path.name.endswith(FOREIGN) or path.with_name(path.name + ".index").is_file()


def import_weights(model: keras.Model, architecture: str, path: Path) -> None:
    """Fill a network with the tensors of a foreign file.

    Raises:
        ConfigError: it cannot be read safely, is of another network, or there is no importer for this architecture.
    """
    if path.suffix == ".npz":
        with _arrays(path) as read:
            _fill(model, _npz_tensors(model, read), path)
    elif path.suffix in (".pth", ".pt"):
        if architecture not in torch_layers.LAYERS:
            raise ConfigError(
                f"weights {path}: a PyTorch state dict can be imported for vgg16-torch and efficientnet-lite0 only"
            )
        _fill(model, torch_layers.LAYERS[architecture](read_state_dict(path)), path)
    else:
        if architecture not in ("InceptionV3", "InceptionV4"):
            raise ConfigError(
                f"weights {path}: a TF-slim checkpoint can be imported for inceptionv3 and inceptionv4 only"
            )
        with _checkpoint(path) as read:
            _fill(model, _slim_tensors(model, architecture, read), path)


def slim_scopes(model: keras.Model, architecture: str) -> dict[str, str]:
    """Name of each convolution of the model to its scope in the TF-slim checkpoint, classifier not included."""
    convolutions = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    if architecture == "InceptionV4":
        return {name: "InceptionV4/" + _with_slashes(name) for name in convolutions}
    # Keras numbers the layers as it creates them: conv2d, conv2d_1, ...; another number where it made some before.
    convolutions.sort(key=lambda name: int(name.rpartition("_")[2]) if name[-1].isdigit() and "_" in name else 0)
    scopes = [f"InceptionV3/{name}" for name in _INCEPTION_V3_STEM]
    scopes += [f"InceptionV3/{block}/Branch_{name}" for block, names in _INCEPTION_V3.items() for name in names]
    return dict(zip(convolutions, scopes, strict=True))


def _with_slashes(name: str) -> str:
    """``Mixed_5b_Branch_0_Conv2d_0a_1x1`` as slim writes it: ``Mixed_5b/Branch_0/Conv2d_0a_1x1``."""
    return name.replace("_Branch_", "/Branch_").replace("_Conv2d_", "/Conv2d_")


def _slim_tensors(model: keras.Model, architecture: str, read: Read) -> Iterator[tuple[str, list[np.ndarray]]]:
    graph = graph_of(model)
    for name, scope in slim_scopes(model, architecture).items():
        yield name, [read(f"{scope}/weights")]
        (norm,) = graph.consumers(name)
        yield norm, [read(f"{scope}/BatchNorm/{part}") for part in ("beta", "moving_mean", "moving_variance")]
    logits = "InceptionV4/Logits/Logits" if architecture == "InceptionV4" else "InceptionV3/Logits/Conv2d_1c_1x1"
    kernel, bias = read(f"{logits}/weights"), read(f"{logits}/biases")
    classifier = model.layers[-1]
    kernel = kernel.reshape(-1, kernel.shape[-1])
    if len(bias) == classifier.units + 1:
        # Class 0 of slim's networks is "background", which ImageNet has no picture of. Without it the others keep
        # their proportions.
        kernel, bias = kernel[:, 1:], bias[1:]
    yield classifier.name, [kernel, bias]


def _npz_tensors(model: keras.Model, read: Read) -> Iterator[tuple[str, list[np.ndarray]]]:
    """``<layer>/kernel`` and ``<layer>/bias``, under our names or those of the authors' Caffe definition."""
    theirs = {"squeeze": "conv1x1_1", "expand1x1": "conv1x1_2", "expand3x3": "conv3x3_2"}
    for layer in model.layers:
        if not layer.weights:
            continue
        fire, _, part = layer.name.partition("_")
        names = [layer.name, f"{fire}/{theirs[part]}"] if part in theirs else [layer.name]
        if layer.name == "conv10":
            names.append("conv_final")
        for name in names:
            try:
                yield layer.name, [read(f"{name}/kernel"), read(f"{name}/bias")]
                break
            except KeyError:
                if name == names[-1]:
                    raise


def _fill(model: keras.Model, tensors: Iterator[tuple[str, list[np.ndarray]]], path: Path) -> None:
    filled = set()
    try:
        for name, values in tensors:
            layer = model.get_layer(name)
            shapes = [tuple(weight.shape) for weight in layer.weights]
            if [value.shape for value in values] != shapes:
                given = ", ".join(str(value.shape) for value in values)
                raise ConfigError(f"weights {path}: {name} is {given} there, {', '.join(map(str, shapes))} is expected")
            layer.set_weights(values)
            filled.add(name)
    except KeyError as error:
        wanted = str(error.args[0]).removesuffix(" is not a file in the archive")  # numpy's words
        raise ConfigError(f"weights {path}: holds no tensor {wanted}; is it of another network?") from None
    missing = [layer.name for layer in model.layers if layer.weights and layer.name not in filled]
    if missing:
        raise ConfigError(
            f"weights {path}: nothing in it for {', '.join(missing[:3])} and {len(missing)} layers in all"
        )


@contextmanager
def _arrays(path: Path) -> Iterator[Read]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield lambda name: archive[name]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"weights {path}: not an archive of plain arrays: {in_words(error)}") from None


@contextmanager
def _checkpoint(path: Path) -> Iterator[Read]:
    import tensorflow as tf  # noqa: PLC0415 - only for checkpoints of TensorFlow

    with tempfile.TemporaryDirectory() as folder:
        if path.name.endswith((".tar.gz", ".tgz")):
            path = _unpacked(path, Path(folder))
        try:
            reader = tf.train.load_checkpoint(str(path))
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise ConfigError(f"weights {path}: not a TensorFlow checkpoint: {str(error)[:200]}") from None
        names = set(reader.get_variable_to_shape_map())

        def read(name: str) -> np.ndarray:
            if name not in names:
                raise KeyError(name)
            return np.asarray(reader.get_tensor(name))

        yield read


def _unpacked(path: Path, folder: Path) -> Path:
    """The checkpoint of a .tar.gz as its authors publish it. Files that would land elsewhere are refused."""
    try:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ConfigError(f"weights {path}: cannot be unpacked: {in_words(error)}") from None
    checkpoints = sorted(folder.rglob("*.ckpt")) + [one.with_suffix("") for one in sorted(folder.rglob("*.index"))]
    if not checkpoints:
        raise ConfigError(f"weights {path}: no .ckpt in it")
    return checkpoints[0]
