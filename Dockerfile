# The default base brings torch built for CUDA 12.6, which the platform's drivers can run.
# BASE_IMAGE=python:3.11-slim-bookworm gives a CPU image.
ARG BASE_IMAGE=pytorch/pytorch:2.13.0-cuda12.6-cudnn9-runtime
FROM ${BASE_IMAGE}

LABEL org.opencontainers.image.title="w2s-denoiser" \
      org.opencontainers.image.description="U-Net denoiser for fluorescence microscopy, AI4Life denoising challenge" \
      org.opencontainers.image.licenses="MIT"
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_BREAK_SYSTEM_PACKAGES=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /opt/app
COPY requirements.txt ./
# torch from the base image if it has one, else the CPU build if pip offers it, else pip's default.
RUN sed -n 's/^torch==.*/&+cpu/p' requirements.txt > /tmp/cpu.txt \
 && { python -c 'import torch' 2>/dev/null || pip install -r /tmp/cpu.txt || true; } \
 && pip install -r requirements.txt \
 && rm /tmp/cpu.txt \
 && useradd --create-home --uid 1000 user
COPY inference.py ./
COPY denoiser ./denoiser
COPY resources ./resources
USER 1000
ENTRYPOINT ["python", "inference.py"]
