#!/usr/bin/env bash
# Saves the image as NAME_DATE.tar.gz for upload, and the model as model.tar.gz for the platform's
# separate model upload (it unpacks that to /opt/ml/model, where inference.py looks first).
set -euo pipefail
cd "$(dirname "$0")"
. tools/engine.sh
[ -n "${NO_BUILD:-}" ] || ./do_build.sh # NO_BUILD=1 takes the image that is there
mkdir -p runs
archive=runs/${IMAGE}_$(date +%Y%m%d_%H%M%S).tar.gz
trap 'rm -f "$archive.part"' EXIT
"$ENGINE" save "$IMAGE" | gzip -c >"$archive.part"
mv "$archive.part" "$archive"
tar -C resources -czf runs/model.tar.gz .
ls -lh "$archive" runs/model.tar.gz
