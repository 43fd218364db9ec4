#!/usr/bin/env bash
# Builds the CPU image, runs it locked down on test/input/interface_*, compares the answers with those
# of inference.py outside, asks too much of its memory, saves it, loads it into an empty engine and
# runs it again. Uses ../shared/tools/container/ctr.sh (as root, with apt), or the machine's engine.
#   tools/test_container.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 ctr=../shared/tools/container/ctr.sh
work=$(mktemp -d)
export TMPDIR=$work
LOCK=(--user 12345:12345 --network none --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges)

if [ -x "$ctr" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  build() { "$ctr" build . "$1" --build-arg BASE_IMAGE=python:3.11-slim-bookworm; }
  run() { CTR_MEM=$1 "$ctr" run "$2" "$3" "$4"; }
  save() { "$ctr" save "$1" "$2"; }
  load() { "$ctr" load "$1"; }
  nobody() { DOCKER_HOST=unix://${CTR_STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/ctr}/d.sock /usr/bin/docker run --rm "${LOCK[@]}" -v "$PWD/$2:/input:ro" -v "$3:/output" "$1"; }
  empty_engine() { "$ctr" down; export CTR_STATE=$work/empty; "$ctr" up; }
  clean_up() { "$ctr" down || true; [ -z "${CTR_STATE:-}" ] || "$ctr" clean || true; rm -rf "$work"; }
  trap clean_up EXIT
  "$ctr" setup && "$ctr" up && "$ctr" base
elif (. tools/engine.sh) 2>/dev/null; then
  . tools/engine.sh
  build() { IMAGE=$1 BASE_IMAGE=python:3.11-slim-bookworm ./do_build.sh; }
  run() { "$ENGINE" run --rm "${LOCK[@]}" --memory "$1" -v "$(realpath "$3"):/input:ro" -v "$(realpath "$4"):/output" "$2"; }
  nobody() { run 8g "$1" "$2" "$3"; }
  save() { "$ENGINE" save "$1" | gzip -1 >"$2"; }
  load() { "$ENGINE" load -i "$1"; }
  empty_engine() { "$ENGINE" image rm -f w2s-denoiser:test >/dev/null; }
  trap 'rm -rf "$work"' EXIT
else
  echo "SKIPPED the container: needs root, apt and $ctr, or a Docker or Podman that answers"
  exit 0
fi

tag=w2s-denoiser:test
timed() { local start=$SECONDS; "$@"; echo "-- $1: $((SECONDS - start)) s"; }
answers() { # NAME MEMORY INPUT: run, with a fresh writable output
  mkdir -p "$work/$1" && chmod 777 "$work/$1"
  run "$2" "$tag" "$3" "$work/$1"
}

timed build "$tag" >"$work/build.log" 2>&1 || { tail -40 "$work/build.log"; exit 1; }
tail -n 1 "$work/build.log"
for input in test/input/interface_*; do
  name=${input##*/}
  timed answers "$name" 8g "$input"
  "$python" inference.py --input "$input" --output "$work/outside/$name"
  "$python" tools/compare.py "$work/outside/$name" "$work/$name" 1e-5
done

echo "-- a user id without a name"
mkdir -p "$work/nobody" && chmod 777 "$work/nobody"
nobody "$tag" test/input/interface_0 "$work/nobody"
"$python" tools/compare.py "$work/outside/interface_0" "$work/nobody" 1e-5

echo "-- a plane of 4096² in 1 GiB must be refused with a sentence"
"$python" -c 'import sys, numpy, tifffile
tifffile.imwrite(sys.argv[1], numpy.zeros((4096, 4096), numpy.uint16), compression="zlib")' "$work/big.tif"
mkdir -p "$work/big/images/image-stack-unstructured-noise" && mv "$work/big.tif" "$work/big/images/image-stack-unstructured-noise"
code=0
answers refused 1g "$work/big" 2>&1 | tee "$work/refused.log" || code=$?
[ "$code" = 1 ] && grep -q "needs about .* MiB of memory" "$work/refused.log" || { echo "expected exit code 1 and the sentence, found $code"; exit 1; }

timed save "$tag" "$work/image.tar.gz"
ls -lh "$work/image.tar.gz"
empty_engine
timed load "$work/image.tar.gz"
timed answers again 8g test/input/interface_0
"$python" tools/compare.py "$work/outside/interface_0" "$work/again" 1e-5
echo "the container passed"
