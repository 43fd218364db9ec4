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
"$ENGINE" save "$IMAGE" | "$(command -v pigz || echo gzip)" -c >"$archive.part"
mv "$archive.part" "$archive"
tar -C "${MODEL:-resources}" -czf runs/model.tar.gz .
ls -lh "$archive" runs/model.tar.gz

# The platform's limits, in bytes.
size=$(wc -c <"$archive") unverified=2000000000 most=10000000000
gigabytes() { printf '%d.%02d GB' $(($1 / 1000000000)) $(($1 / 10000000 % 100)); }
for limit in "$unverified:an unverified account may upload" "$most:an image may have"; do
  bytes=${limit%%:*} words=${limit#*:}
  if [ "$size" -le "$bytes" ]; then verdict=fits; else verdict="TOO LARGE"; fi
  echo "$(gigabytes "$size") compressed; $words $(gigabytes "$bytes"): $verdict"
done
[ "$size" -le "$unverified" ] || echo "The image without CUDA is smaller: TORCH=2.13.0+cpu ./do_save.sh, see docs/container.md"
