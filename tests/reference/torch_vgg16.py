"""VGG16 as torchvision writes it, and its input as torchvision's transforms make it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn


def torch_vgg16() -> Any:
    """Configuration D as torchvision writes it: ``features``, ``avgpool``, ``classifier``."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        if width:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2, 2))
    linear = [nn.Linear(512 * 7 * 7, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)]
    model = nn.Module()
    model.features = nn.Sequential(*layers)
    model.classifier = nn.Sequential(linear[0], nn.ReLU(), nn.Dropout(), linear[1], nn.ReLU(), nn.Dropout(), linear[2])
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.normal_(module.bias, 0, 0.05)
    return model.eval()


def torch_scores(model: Any, pictures: np.ndarray) -> np.ndarray:
    """(N, 224, 224, 3) uint8 RGB to (N, 1000) probabilities: to 0..1, minus mean, by deviation, channels first."""
    mean, deviation = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        logits = model.classifier(torch.flatten(model.features((x - mean) / deviation), 1))
        return np.asarray(torch.softmax(logits, 1).numpy())
