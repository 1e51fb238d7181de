# syntax=docker/dockerfile:1
# Three images of one source: `api` answers and decides, `worker-cpu` and `worker-gpu` carry out runs. What is in each is told by
# /opt/autodl/sbom.cdx.json (CycloneDX).
#   docker build --target api -t autodl/api .
# The base is pinned by digest; docs/decisions/0035 tells where it comes from and how it is renewed.
ARG PYTHON_IMAGE=python:3.12.12-slim-bookworm@sha256:593bd06efe90efa80dc4eee3948be7c0fde4134606dd40d8dd8dbcade98e669c

FROM ${PYTHON_IMAGE} AS builder
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never PIP_NO_CACHE_DIR=1
RUN pip install --disable-pip-version-check uv==0.9.26 \
    && python -m venv --without-pip /opt/autodl
WORKDIR /src

# What the API needs: no TensorFlow, no table library.
FROM builder AS api-builder
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
COPY requirements-api.lock ./
# Of the largest packages what nobody here uses stays away: what reads examples, a second client, languages without pages, services of
# Amazon, symbols of debuggers, and the source of the largest client beside its bytecode.
RUN uv pip install --python /opt/autodl/bin/python --no-deps --require-hashes -r requirements-api.lock \
    && uv pip uninstall --python /opt/autodl/bin/python numpy pillow \
    && rm -rf /opt/autodl/lib/python3*/site-packages/kubernetes/aio \
    && find /opt/autodl/lib/python3*/site-packages/babel/locale-data -name '*.dat' \
        ! -name 'root.dat' ! -name 'en*.dat' ! -name 'fr*.dat' ! -name 'zh*.dat' -delete \
    && find /opt/autodl/lib/python3*/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
        ! -name s3 ! -name sts ! -name 'sso*' -exec rm -rf {} + \
    && find /opt/autodl/lib -depth -type d -name tests -exec rm -rf {} + \
    && find /opt/autodl/lib -name '*.so' ! -path '*.libs/*' -exec strip --strip-unneeded {} + \
    && /opt/autodl/bin/python -m compileall -q -b /opt/autodl/lib/python3*/site-packages/kubernetes \
    && find /opt/autodl/lib/python3*/site-packages/kubernetes -name '*.py' -delete \
    && /opt/autodl/bin/python -m compileall -q /opt/autodl/lib
COPY . .
RUN uv pip install --python /opt/autodl/bin/python --no-deps --compile-bytecode . \
    && uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py environment --output-reproducible \
        --output-file /opt/autodl/sbom.cdx.json /opt/autodl/bin/python

# Everything that the lock has: the solution, its weights, the decoders.
FROM builder AS worker-builder
COPY requirements.lock ./
RUN uv pip install --python /opt/autodl/bin/python --no-deps --require-hashes --compile-bytecode -r requirements.lock
COPY . .
RUN uv pip install --python /opt/autodl/bin/python --no-deps --compile-bytecode . \
    && /opt/autodl/bin/autodl solution verify \
    && uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py environment --output-reproducible \
        --output-file /opt/autodl/sbom.cdx.json /opt/autodl/bin/python

# TensorFlow for NVIDIA's GPUs brings CUDA as packages, in place of the build for processors.
FROM worker-builder AS worker-gpu-builder
RUN uv pip uninstall --python /opt/autodl/bin/python tensorflow-cpu \
    && uv pip install --python /opt/autodl/bin/python --compile-bytecode "tensorflow[and-cuda]>=2.21,<2.22" \
    && uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py environment --output-reproducible \
        --output-file /opt/autodl/sbom.cdx.json /opt/autodl/bin/python

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
