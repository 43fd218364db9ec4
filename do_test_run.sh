#!/usr/bin/env bash
# Builds the image and runs it on test/input/interface_* as the platform does: no network, read-only
# input, a throw-away /tmp, limited memory, a GPU when there is one. Answers go to test/output/.
# MODEL=folder is mounted where the platform unpacks a model.tar.gz that was uploaded apart.
# An image built with API=invoke is started once and asked for each of the inputs.
set -euo pipefail
cd "$(dirname "$0")"
. tools/engine.sh
[ -n "${NO_BUILD:-}" ] || ./do_build.sh # NO_BUILD=1 takes the image that is there

memory=${MEMORY:-8g} name=$IMAGE-$$ scratch=test/output/.scratch
gpu=()
if nvidia-smi >/dev/null 2>&1; then
  case $ENGINE in *podman) gpu=(--device nvidia.com/gpu=all) ;; *) gpu=(--gpus all) ;; esac
fi
run() { # FOLDER OF THE OUTPUT [option ...]
  local out=$1; shift
  "$ENGINE" run --rm --platform linux/amd64 --network none --volume "$PWD/$out:/output" "$@"
}
platform() { # FOLDER OF THE INPUT, FOLDER OF THE OUTPUT [option ...]: as the platform runs it
  local in=$1 out=$2; shift 2
  run "$out" "${gpu[@]}" --memory "$memory" --volume "$PWD/$in:/input:ro" --volume "$name:/tmp" \
    ${MODEL:+--volume "$(realpath "$MODEL"):/opt/ml/model:ro"} "$@" "$IMAGE"
}
ask() { # METHOD PATH: the status of an answer of the server; its content goes to the log
  "$ENGINE" exec "$name" python -c '
import sys, urllib.error, urllib.request
method, path = sys.argv[1:]
try:
    answer = urllib.request.urlopen(urllib.request.Request(f"http://localhost:4743{path}", method=method))
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    sys.exit(str(error))
print(answer.read().decode(), file=sys.stderr)
print(answer.status)' "$@"
}
clean_up() {
  "$ENGINE" rm --force "$name" >/dev/null 2>&1 || true
  "$ENGINE" volume rm "$name" >/dev/null 2>&1 || true
  # What the container's user wrote becomes ours; the same image does it.
  run test/output --user 0 --entrypoint chown "$IMAGE" -R "$(id -u):$(id -g)" /output || true
  rm -rf "$scratch"
}
fresh() { rm -rf "$1" && mkdir -p "$1" && chmod 777 "$1"; }
check() { # FOLDER OF THE INPUT, FOLDER OF THE OUTPUT
  run "$2" --volume "$PWD/$1:/input:ro" --volume "$PWD/tools/preview.py:/preview.py:ro" \
    --entrypoint python "$IMAGE" /preview.py /input /output
}
mkdir -p test/output
trap clean_up EXIT

api=$("$ENGINE" image inspect --format '{{index .Config.Labels "org.grand-challenge.api-method"}}' "$IMAGE")
if [ "$api" = invoke ]; then
  mkdir -p "$scratch/input" && fresh "$scratch/output"
  platform "$scratch/input" "$scratch/output" --name "$name" &
  for _ in $(seq 120); do [ "$(ask GET /health 2>/dev/null || true)" != 200 ] || break; sleep 0.5; done
fi
for input in test/input/interface_*; do
  output=test/output/${input##*/}
  fresh "$output"
  echo "== $input -> $output"
  if [ "$api" = invoke ]; then
    rm -rf "$scratch"/input/* && cp -R "$input"/. "$scratch/input"
    "$ENGINE" exec --user 0 "$name" sh -c 'rm -rf /output/*'
    status=$(ask POST /invoke || true)
    [ "$status" = 201 ] || { echo "POST /invoke: expected status 201, found $status" >&2; exit 1; }
    cp -R "$scratch/output"/. "$output"
  else
    "$ENGINE" volume create "$name" >/dev/null
    platform "$input" "$output"
    "$ENGINE" volume rm "$name" >/dev/null
  fi
  check "$input" "$output"
done
