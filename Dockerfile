# Two images, for CPUs and for NVIDIA GPUs (docs/docker.md):
#   docker build --target cpu -t harness:cpu .
#   docker build --target cuda -t harness:cuda .
# Indexes and certificates for pip come from its own configuration: the base image's /etc/pip.conf, or
# --secret id=pip,src=pip.conf, which stays out of the image.

# Debian 12, for Python 3.11; another Debian or Ubuntu by --build-arg BASE=...
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS system
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
       bubblewrap ca-certificates git python3 python3-venv util-linux \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/harness \
    && useradd --create-home --uid 10001 harness \
    && chmod 1777 /home/harness \
    && install --directory --owner harness --mode 1777 /work
# Also for `docker run --user UID:GID` with an id that has no name.
ENV PATH=/opt/harness/bin:$PATH HOME=/home/harness USER=harness LANG=C.UTF-8 PYTHONUNBUFFERED=1

FROM system AS wheel
WORKDIR /build
COPY . .
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip wheel --quiet --no-cache-dir --no-deps --wheel-dir /wheel .

# The packages first: a change of our own files does not install them again.
FROM system AS cpu
WORKDIR /build
COPY pyproject.toml constraints.txt README.md ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip install --quiet --no-cache-dir --constraint constraints.txt '.[all,cpu]'
COPY --from=wheel /wheel /wheel
RUN pip install --quiet --no-cache-dir --no-deps --no-index --force-reinstall /wheel/*.whl \
    && python -m harness.install.setup_environment
USER 10001
WORKDIR /work
ENTRYPOINT ["harness"]
CMD ["doctor"]

# torch and vLLM bring CUDA's libraries, the NVIDIA container toolkit the driver; Triton compiles
# its kernels with a C compiler.
FROM system AS cuda
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ python3-dev \
    && rm -rf /var/lib/apt/lists/*
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /build
COPY pyproject.toml constraints.txt README.md ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip install --quiet --no-cache-dir --constraint constraints.txt '.[all,gpu]'
COPY --from=wheel /wheel /wheel
RUN pip install --quiet --no-cache-dir --no-deps --no-index --force-reinstall /wheel/*.whl \
    && python -m harness.install.setup_environment
USER 10001
WORKDIR /work
ENTRYPOINT ["harness"]
CMD ["doctor"]
