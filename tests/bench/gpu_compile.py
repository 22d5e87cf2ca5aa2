"""Networks compiled for a card that is not here: ``make gpu-compile``, rows for ``GPU.md``.

What comes out tells the structure of the program, not its speed: kernels, types, layouts, bytes. It ends with 1 where a
program does in every call what could be done once, or leaves a convolution apart from its bias and activation.
"""

from __future__ import annotations

import os

# Before Keras and JAX are imported. The card is only described: nothing is tuned by trying it.
os.environ.update(
    KERAS_BACKEND="jax",
    JAX_PLATFORMS="cpu",
    XLA_FLAGS="--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false",
)

import argparse
import re
import sys
import time
from pathlib import Path

import jax
import keras
from jax.experimental import topologies
from streamtag.networks.building import build
from streamtag.networks.engines.folding import fold_batch_norm
from streamtag.networks.engines.jax_engine import Served
from streamtag.networks.registry import resolve
from streamtag.networks.specs import SPECS
from streamtag.settings import ModelSettings

from tests.bench import hlo

HEADINGS = (
    "network | precision | batch | kernels | fused of all convolutions | kernels of weights alone | transposes | "
    "MB a call | bound, images/s | compiled in"
)


def main() -> int:
    """Compile what was asked for; a row of each as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="the card's configuration, as XLA publishes it (.txtpb)")
    parser.add_argument("--networks", nargs="+", default=list(SPECS))
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64])
    asked = parser.parse_args()
    target = asked.target.read_text()
    device = topologies.get_topology_desc(platform="cuda", topology="1x1x1", target_config=target).devices[0]
    bandwidth = re.search(r"memory_bandwidth: *([0-9]+)", target)
    assert bandwidth is not None, "the configuration does not tell the bandwidth of the card's memory"
    print(f"{device.device_kind}\n\n| {HEADINGS} |\n|{'---|' * (HEADINGS.count('|') + 1)}")  # noqa: T201
    faults: list[str] = []
    for name in asked.networks:
        bundle = resolve(ModelSettings(name=name, weights="random"))
        model = build(bundle)
        for precision in asked.precisions:
            served = Served(model, bundle, precision)
            for batch in asked.batches:
                began_s = time.monotonic()
                text = served.lower(batch, jax.sharding.SingleDeviceSharding(device)).compile().as_text()
                program, seconds = hlo.read(text), time.monotonic() - began_s
                row = _row(program, batch, int(bandwidth.group(1)))
                print(f"| {name} | {precision} | {batch} | {row} | {seconds:.0f} s |", flush=True)  # noqa: T201
                faults += [f"{name} {precision} {batch}: {fault}" for fault in _faults(program, model, precision)]
    for fault in faults:
        print(fault, file=sys.stderr)  # noqa: T201
    return 1 if faults else 0


def _row(program: hlo.Program, batch: int, bytes_per_s: int) -> str:
    moved = program.bytes_moved
    return (
        f"{len(program.kernels)} | {len(program.fused_convolutions)} of {len(program.convolutions)} | "
        f"{len(program.weight_kernels)} | {len(program.transposes)} | {moved / 1e6:.0f} | "
        f"{batch * bytes_per_s / moved:,.0f}"
    )


def _faults(program: hlo.Program, model: keras.Model, precision: str) -> list[str]:
    faults = []
    whole = sum(isinstance(layer, keras.layers.Conv2D | keras.layers.SeparableConv2D) for layer in _layers(model))
    if len(program.fused_convolutions) < whole:
        faults.append(f"{len(program.fused_convolutions)} fused convolutions, the network has {whole}")
    if precision != "float32" and any(step.kind == "f32" for step in program.convolutions):
        faults.append("convolutions in float32")
    if program.weight_kernels:
        faults.append(f"{len(program.weight_kernels)} kernels touch nothing but weights")
    if program.transposes:
        faults.append(f"{len(program.transposes)} kernels only lay activations out anew")
    return faults


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = fold_batch_norm(model).layers
    return layers


if __name__ == "__main__":
    sys.exit(main())
