# The two commands a newcomer needs: `make demo` and `make test`. Both prepare what they lack.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 4
RERUNS ?= 0
# What the tests need from Debian: a Redis, GStreamer's RTSP server with its Python bindings and an H.264 encoder, a
# browser to open reports in, a font with more than Latin letters, and Prometheus with its Alertmanager.
SYSTEM := redis-server gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly chromium chromium-driver fontconfig fonts-droid-fallback prometheus \
	prometheus-alertmanager wordnet-base mosquitto

# What builds and runs images without a daemon, and what makes a base image of Debian's packages.
CONTAINERS := podman runc buildah netavark aardvark-dns catatonit iptables mmdebstrap

# The name of the image, and what builds it.
IMAGE ?= streamtag:$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' worker/streamtag/__init__.py)
ENGINE ?= $(firstword $(notdir $(shell command -v docker podman buildah)))

# Twenty minutes of everything that goes wrong, or SOAK_S seconds; its outcome is in tests/faults/RESULTS.md.
SOAK_S ?= 1200

# What is in an image of that name, by name and version (CycloneDX).
SBOM ?= streamtag.cdx.json

.PHONY: demo test soak bench-live bench-fleet alert-test previews image image-sbom image-test check lint types imports setup system clean

demo: $(VENV)/.demo
	$(BIN)/streamtag demo

# LONG=yes runs the tests marked `long` too, as CI does: every architecture in every engine. TESTS names a few. JOBS files
# run side by side, JOBS=0 one after the other. RERUNS is how often one that failed is tried again.
test: setup system
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --reruns $(RERUNS) \
		$(TESTS) $(if $(LONG),,-m "not long")

soak: setup system
	$(BIN)/python -m tests.faults.soak --seconds $(SOAK_S)

# What live cameras get, measured; what it gave is in tests/bench/RESULTS.md.
bench-live: setup system
	$(BIN)/python -m tests.bench.live
	$(BIN)/python -m tests.bench.overload
	$(BIN)/python -m tests.bench.crowded

# A fleet of five hundred workers and ten thousand jobs, simulated on real Redis servers; docs/scale.md says what it means.
bench-fleet: setup system
	$(BIN)/python -m tests.bench.fleet

# Networks compiled for a card that is not here, and what their programs do; its outcome is in tests/bench/GPU.md. TARGET is
# the card's configuration as XLA publishes it (gpu_specs/*.txtpb). Needs 6 GB: not in CI.
NETWORKS ?= inceptionv3 xception mobilenetv2 squeezenet efficientnet-lite0

.PHONY: gpu-compile
gpu-compile: EXTRAS := gpu-compile
gpu-compile: | $(BIN)/python
	@test -n "$(TARGET)" || { echo "give the card: make gpu-compile TARGET=h100_sxm.txtpb"; exit 1; }
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	PYTHONPATH=. $(BIN)/python -m tests.bench.gpu_compile $(TARGET) --networks $(NETWORKS)

# Real alerts: a camera, a worker and Redis go, and somebody is told; then they come back.
alert-test: setup system
	$(BIN)/python -m pytest tests/alerts

# The pictures of the dashboards in docs/dashboards, from a worker and cameras that run for two minutes.
previews: setup system
	$(BIN)/python -m tests.alerts.previews

# The pictures of the page in docs/page, of planted streams with drawn pictures; and what it costs its server and a browser.
.PHONY: screenshots bench-page
screenshots: setup system
	$(BIN)/python -m tests.bench.screenshots

bench-page: setup system
	$(BIN)/python -m tests.bench.page


# VARIANT=cuda for NVIDIA's cards; WEIGHTS="xception vgg16" bakes in weights; BASE= another Debian 12.
image:
	$(ENGINE) build --tag $(IMAGE) --build-arg VERSION=$(lastword $(subst :, ,$(IMAGE))) \
		--build-arg REVISION=$(shell git rev-parse HEAD) $(foreach name,BASE VARIANT WEIGHTS,$(if $($(name)),--build-arg $(name)="$($(name))")) .

image-sbom: setup
	scripts/image-sbom $(ENGINE) $(IMAGE) $(SBOM)

# The real Dockerfile, built without a daemon, and what was built at work. As root; keeps 4 GB in ~/.cache/streamtag/image.
image-test: setup system
	@scripts/system-packages $(CONTAINERS)
	$(BIN)/python -m pytest tests/image

check: lint types imports

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

setup: $(VENV)/.dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || scripts/system-packages python3-venv
	$(PYTHON) -m venv $(VENV)

# What a stamp names is installed, in the versions of constraints.txt.
$(VENV)/.demo $(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

$(VENV)/.demo: EXTRAS := demo,view
$(VENV)/.dev: EXTRAS := demo,dev,export,jax,notify,quantise,train,view

system: $(BIN)/kubectl
	@scripts/system-packages $(SYSTEM) $(if $(LONG),$(CONTAINERS))

$(BIN)/kubectl: | $(BIN)/python
	@scripts/get-kubectl $(BIN)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
