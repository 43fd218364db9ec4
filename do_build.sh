#!/usr/bin/env bash
# Builds the container image. What the environment sets of these is handed to the Dockerfile, which explains them:
# BASE_IMAGE, TORCH, API, PIP_EXTRA_INDEX_URL. For example the small image without CUDA:
#   TORCH=2.13.0+cpu ./do_build.sh
set -euo pipefail
cd "$(dirname "$0")"
. tools/engine.sh
arguments=()
for name in BASE_IMAGE TORCH API PIP_EXTRA_INDEX_URL; do
  [ -z "${!name:-}" ] || arguments+=(--build-arg "$name=${!name}")
done
"$ENGINE" build --platform linux/amd64 "${arguments[@]}" -t "$IMAGE" .
