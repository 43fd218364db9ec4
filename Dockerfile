# BASE_IMAGE  brings Python and perhaps torch. Its torch is kept, whatever its version, if it passes the self-test.
# TORCH       the torch that is installed otherwise. 2.10.0 is the newest that pip's default index has for CUDA 12;
#             2.13.0+cpu makes the small CPU image, where pip can find it (docs/container.md says how).
# API         exec: the container runs once for each job. invoke: it serves HTTP, and is asked for each job.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}
ARG TORCH=2.10.0
# Further indexes for pip, such as PyTorch's own; only during the build.
ARG PIP_EXTRA_INDEX_URL
SHELL ["/bin/sh", "-euc"]

LABEL org.opencontainers.image.title="quietfield" \
      org.opencontainers.image.description="U-Net denoiser for fluorescence microscopy, AI4Life denoising challenge" \
      org.opencontainers.image.licenses="MIT"
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# An environment that sees the base's packages: what it lacks, and other versions, are put before them, and nothing of
# the base is taken away. Some bases lack ensurepip, so pip is the base's. The user may be there already.
RUN python -m venv --system-site-packages --without-pip /opt/venv; \
    getent passwd 1000 >/dev/null || useradd --create-home --uid 1000 user
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /opt/app
RUN --mount=type=cache,target=/root/.cache/pip \
    if python -c 'import torch' 2>/dev/null; then echo "torch: the base image's"; \
    elif ! python -m pip install "torch==$TORCH"; then \
      echo "pip does not find torch $TORCH. PyTorch's own indexes hold the builds whose version has a '+', such as +cpu:" \
           "set PIP_EXTRA_INDEX_URL to the one that 'Get started' on PyTorch's pages names, and build again." >&2; \
      exit 1; \
    fi
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    sed '/^torch==/d' requirements.txt > /tmp/others.txt; python -m pip install -r /tmp/others.txt; rm /tmp/others.txt
COPY inference.py ./
COPY quietfield ./quietfield
COPY resources ./resources
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m quietfield.selftest || { \
      echo "torch: the base image's does not pass; installing $TORCH" >&2; \
      python -m pip install "torch==$TORCH"; python -m quietfield.selftest; }
ARG API=exec
RUN case "$API" in exec|invoke) ;; *) echo "API: expected exec or invoke, found '$API'" >&2; exit 1;; esac
LABEL org.grand-challenge.api-method="$API"
ENV QUIETFIELD_API=$API
USER 1000
ENTRYPOINT ["python", "inference.py"]
