# The default base brings torch built for CUDA 12.6, which the platform's drivers can run.
# BASE_IMAGE=python:3.11-slim-bookworm gives a CPU image.
ARG BASE_IMAGE=pytorch/pytorch:2.13.0-cuda12.6-cudnn9-runtime
FROM ${BASE_IMAGE}

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_BREAK_SYSTEM_PACKAGES=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /opt/app
COPY requirements.txt ./
RUN torch="$(grep '^torch==' requirements.txt)" \
 && { python -c 'import torch' 2>/dev/null || pip install "${torch}+cpu" || pip install "${torch}"; } \
 && pip install -r requirements.txt \
 && useradd --create-home --uid 1000 user
COPY inference.py ./
COPY denoiser ./denoiser
COPY resources ./resources
USER user
ENTRYPOINT ["python", "inference.py"]
