# syntax=docker/dockerfile:1
# Three images of one source: `api` answers and decides, `worker-cpu` and `worker-gpu` carry out runs.
#   docker build --target api -t autodl/api .
# Pin the base by digest for a release: --build-arg PYTHON_IMAGE=python:3.12.12-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.12.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never PIP_NO_CACHE_DIR=1
RUN pip install --disable-pip-version-check uv==0.9.26 \
    && python -m venv --without-pip /opt/autodl
WORKDIR /src

# What the API needs: no TensorFlow, no table library.
FROM builder AS api-builder
COPY requirements-api.lock ./
RUN uv pip install --python /opt/autodl/bin/python --no-deps --require-hashes --compile-bytecode -r requirements-api.lock
COPY . .
RUN uv pip install --python /opt/autodl/bin/python --no-deps --compile-bytecode .

# Everything that the lock has: the solution, its weights, the decoders.
FROM builder AS worker-builder
COPY requirements.lock ./
RUN uv pip install --python /opt/autodl/bin/python --no-deps --require-hashes --compile-bytecode -r requirements.lock
COPY . .
RUN uv pip install --python /opt/autodl/bin/python --no-deps --compile-bytecode . \
    && /opt/autodl/bin/autodl solution verify

# TensorFlow for NVIDIA's GPUs brings CUDA as packages, in place of the build for processors.
FROM worker-builder AS worker-gpu-builder
RUN uv pip uninstall --python /opt/autodl/bin/python tensorflow-cpu \
    && uv pip install --python /opt/autodl/bin/python --compile-bytecode "tensorflow[and-cuda]>=2.21,<2.22"

FROM ${PYTHON_IMAGE} AS base
RUN groupadd --gid 10001 autodl \
    && useradd --uid 10001 --gid autodl --home-dir /var/lib/autodl --create-home --shell /usr/sbin/nologin autodl
ENV PATH=/opt/autodl/bin:$PATH PYTHONUTF8=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    AUTODL_DATA=/var/lib/autodl AUTODL_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/autodl
LABEL org.opencontainers.image.title="AutoDL Self-Service" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM base AS api
COPY --from=api-builder /opt/autodl /opt/autodl
ENV AUTODL_HOST=0.0.0.0
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["autodl"]
CMD ["serve"]

FROM base AS worker-cpu
COPY --from=worker-builder /opt/autodl /opt/autodl
# A cluster names the program (service.worker.pod); on one machine this image is the whole service.
HEALTHCHECK NONE
ENTRYPOINT []
CMD ["autodl", "serve"]

FROM worker-cpu AS worker-gpu
COPY --from=worker-gpu-builder /opt/autodl /opt/autodl
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
