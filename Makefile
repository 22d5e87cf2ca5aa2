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
	prometheus-alertmanager

# Twenty minutes of everything that goes wrong, or SOAK_S seconds; its outcome is in tests/faults/RESULTS.md.
SOAK_S ?= 1200

.PHONY: demo test soak bench-live alert-test check lint types imports setup system clean

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

# Real alerts: a camera, a worker and Redis go, and somebody is told; then they come back.
alert-test: setup system
	$(BIN)/python -m pytest tests/alerts

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

$(VENV)/.demo: EXTRAS := demo
$(VENV)/.dev: EXTRAS := demo,dev,openvino,jax,train

system: $(BIN)/kubectl
	@scripts/system-packages $(SYSTEM)

$(BIN)/kubectl: | $(BIN)/python
	@scripts/get-kubectl $(BIN)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
