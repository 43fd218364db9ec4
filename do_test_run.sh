#!/usr/bin/env bash
# Builds the image and runs it on test/input/interface_* as the platform does: no network, read-only
# input, a throw-away /tmp, limited memory, a GPU when there is one. Answers go to test/output/.
set -euo pipefail
cd "$(dirname "$0")"
. tools/engine.sh
[ -n "${NO_BUILD:-}" ] || ./do_build.sh # NO_BUILD=1 takes the image that is there

memory=${MEMORY:-8g} volume=$IMAGE-tmp-$$
gpu=()
if nvidia-smi >/dev/null 2>&1; then
  case $ENGINE in *podman) gpu=(--device nvidia.com/gpu=all) ;; *) gpu=(--gpus all) ;; esac
fi
run() { # FOLDER OF THE OUTPUT [option ...]
  local out=$1; shift
  "$ENGINE" run --rm --platform linux/amd64 --network none --volume "$PWD/$out:/output" "$@"
}
clean_up() {
  "$ENGINE" volume rm "$volume" >/dev/null 2>&1 || true
  # What the container's user wrote becomes ours; the same image does it.
  run test/output --user 0 --entrypoint chown "$IMAGE" -R "$(id -u):$(id -g)" /output || true
}
mkdir -p test/output
trap clean_up EXIT

for input in test/input/interface_*; do
  output=test/output/${input##*/}
  rm -rf "$output" && mkdir -p "$output" && chmod 777 "$output"
  "$ENGINE" volume create "$volume" >/dev/null
  echo "== $input -> $output"
  run "$output" "${gpu[@]}" --memory "$memory" --volume "$PWD/$input:/input:ro" --volume "$volume:/tmp" "$IMAGE"
  "$ENGINE" volume rm "$volume" >/dev/null
  run "$output" --volume "$PWD/$input:/input:ro" --volume "$PWD/tools/preview.py:/preview.py:ro" \
    --entrypoint python "$IMAGE" /preview.py /input /output
done
