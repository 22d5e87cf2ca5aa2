# The worker, and what runs beside it: exporter, page, notifier. Needs neither BuildKit nor a daemon: docker build, podman
# build and buildah from 1.28 on make it.
#
#   VARIANT=cuda   for NVIDIA's cards; VARIANT=cpu (the default) is a third of its size
#   WEIGHTS=xception    bakes in the weights of these networks; efficientnet-lite0's are always there
ARG BASE=docker.io/library/debian:bookworm-slim

# hadolint ignore=DL3006
FROM ${BASE} AS build
# The versions are those of the base's Debian, which has security mends and no old ones.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/streamtag
ENV PATH=/opt/streamtag/bin:$PATH
WORKDIR /source
ARG VARIANT=cpu
COPY requirements requirements
RUN pip install --no-cache-dir --no-compile --no-deps --require-hashes --only-binary :all: \
        --requirement "requirements/$VARIANT-$(uname -m).txt" \
    # Headers and symbols that only those want who build against these packages or debug them (260 MB), and everybody's tests;
    # of OpenVINO what is for devices that the image has no drivers for, and for networks of other frameworks (80 MB); of
    # TensorFlow what builds StableHLO by hand, and operations that its own library has as well (30 MB); of Pygments how
    # languages other than Python are coloured (7 MB).
    && rm -rf /opt/streamtag/lib/python3*/site-packages/*/include \
        /opt/streamtag/lib/python3*/site-packages/tensorflow/compiler/mlir/stablehlo \
        /opt/streamtag/lib/python3*/site-packages/tensorflow/compiler/tf2xla/ops/_xla_ops.so \
    && find /opt/streamtag/lib -path '*/openvino/*' -regextype posix-extended \
        -regex '.*/(cache\.json|(libopenvino_intel_[gn]pu_plugin|(libopenvino|py)_(gguf|jax|onnx|paddle|pytorch|tensorflow_lite)_frontend)[^/]*)' \
        -delete \
    && find /opt/streamtag/lib -path '*/pygments/lexers/*.py' -not -name '__init__.py' -not -name '_mapping.py' \
        -not -name 'python.py' -not -name 'special.py' -delete \
    && find /opt/streamtag/lib \( -name '*.a' -o -name '*.pyi' \) -delete \
    && find /opt/streamtag/lib -type d -name tests -prune -exec rm -rf {} + \
    # Libraries that were changed after they were linked, as tools for wheels do with what they bring along, stay as they are.
    && find /opt/streamtag/lib -name '*.so*' -type f -not -path '*.libs/*' -not -path '*/openvino/*' \
        -exec strip --strip-unneeded {} + \
    # A remote profiler of 21 MB, which every import of TensorFlow loads and nothing here asks.
    && for plugin in /opt/streamtag/lib/python3*/site-packages/tensorflow/python/profiler/internal/_pywrap_profiler_plugin.so; do \
        rm "$plugin" && echo '"""The remote profiler is left out of this image."""' > "${plugin%.so}.py"; done \
    # A start that had to compile the bytecode anew, as there is nowhere to write it, would take three times the CPU. It is
    # taken as it is, since time stamps say nothing after a copy.
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/streamtag/lib
COPY pyproject.toml README.md LICENSE ./
COPY worker worker
ARG WEIGHTS=
# setuptools is among the requirements, so the worker is built with what is locked. Weights come while there is still a pip.
RUN pip install --no-cache-dir --no-compile --no-deps --no-build-isolation . \
    && mkdir /weights \
    && if [ -n "$WEIGHTS" ]; then STREAMTAG_MODEL__CACHE=/weights streamtag models fetch $WEIGHTS; fi \
    && pip uninstall --yes --quiet setuptools wheel pip \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/streamtag/lib/python3*/site-packages/streamtag

# hadolint ignore=DL3006
FROM ${BASE}
# tini, as the first process of a container is sent no signal that it does not handle yet, and inherits orphans.
# libseccomp is half of a decoder's cage.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libseccomp2 python3 tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    && groupadd --gid 10001 streamtag \
    && useradd --uid 10001 --gid streamtag --home-dir /tmp --no-create-home --shell /usr/sbin/nologin streamtag
COPY --from=build /opt/streamtag /opt/streamtag
COPY --from=build --chown=10001:10001 /weights /weights
# HOME for whatever keeps something there; the weights' folder is a volume, so the rest can be read-only.
ENV PATH=/opt/streamtag/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    STREAMTAG_HTTP__HOST=0.0.0.0 \
    STREAMTAG_MODEL__CACHE=/weights
VOLUME /weights
WORKDIR /tmp
USER 10001:10001
EXPOSE 9108 9180
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/tini", "--", "streamtag"]
CMD ["run"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="streamtag" \
      org.opencontainers.image.description="Streaming video recognition worker: jobs from Redis Streams in, steady labels out" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
