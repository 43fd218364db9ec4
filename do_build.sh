#!/usr/bin/env bash
# Builds the container image. BASE_IMAGE=python:3.11-slim-bookworm makes the CPU image.
set -euo pipefail
cd "$(dirname "$0")"
. tools/engine.sh
"$ENGINE" build --platform linux/amd64 ${BASE_IMAGE:+--build-arg "BASE_IMAGE=$BASE_IMAGE"} -t "$IMAGE" .
