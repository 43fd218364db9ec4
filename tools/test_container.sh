#!/usr/bin/env bash
# Builds the CPU image, runs it locked down on test/input/interface_*, compares the answers with those
# of inference.py outside, asks too much of its memory, runs it and saves it by the do_*.sh scripts, loads
# it into an empty engine and runs it again. Uses ../shared/tools/container/ctr.sh (as root, with apt), or
# the machine's engine. MEASURE=1 measures size, times and memory instead, as a table.
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
  load() { "$ctr" load "$1"; }
  # The engine itself, as the do_*.sh scripts find it.
  export ENGINE=/usr/bin/docker DOCKER_HOST=unix://${CTR_STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/ctr}/d.sock
  nobody() { "$ENGINE" run --rm "${LOCK[@]}" -v "$PWD/$2:/input:ro" -v "$3:/output" "$1"; }
  empty_engine() { "$ctr" down; export CTR_STATE=$work/empty DOCKER_HOST=unix://$work/empty/d.sock; "$ctr" up; }
  clean_up() { "$ctr" down || true; [ -z "${CTR_STATE:-}" ] || "$ctr" clean || true; rm -rf "$work"; }
  trap clean_up EXIT
  "$ctr" setup && "$ctr" up && "$ctr" base || { echo "SKIPPED the container: no engine can be set up here, see above"; exit 0; }
elif (. tools/engine.sh) 2>/dev/null; then
  . tools/engine.sh
  build() { IMAGE=$1 BASE_IMAGE=python:3.11-slim-bookworm ./do_build.sh; }
  run() { "$ENGINE" run --rm "${LOCK[@]}" --memory "$1" -v "$(realpath "$3"):/input:ro" -v "$(realpath "$4"):/output" "$2"; }
  nobody() { run 8g "$1" "$2" "$3"; }
  load() { "$ENGINE" load -i "$1"; }
  empty_engine() { "$ENGINE" image rm -f "$tag" >/dev/null; }
  trap 'rm -rf "$work"' EXIT
else
  echo "SKIPPED the container: needs root, apt and $ctr, or a Docker or Podman that answers"
  exit 0
fi

tag=w2s-denoiser-test
timed() { local start=$SECONDS; "$@"; echo "-- $1: $((SECONDS - start)) s"; }
answers() { # NAME MEMORY INPUT: run, with a fresh writable output
  mkdir -p "$work/$1" && chmod 777 "$work/$1"
  run "$2" "$tag" "$3" "$work/$1"
}

timed build "$tag" >"$work/build.log" 2>&1 || { tail -40 "$work/build.log"; exit 1; }
tail -n 1 "$work/build.log"

if [ -n "${MEASURE:-}" ]; then
  echo "image $(($("$ENGINE" image inspect --format '{{.Size}}' "$tag") / 1000000)) MB"
  echo '| input | from the start of the container to its end | peak memory |'
  echo '|---|---|---|'
  for shape in 512,512 512,512 512,512 200,1024,1024; do
    folder=$work/$shape/images/image-stack-unstructured-noise
    mkdir -p "$folder"
    "$python" -c 'import sys, numpy, tifffile
shape = tuple(map(int, sys.argv[2].split(",")))
tifffile.imwrite(sys.argv[1], numpy.random.default_rng(0).poisson(200, shape).astype("uint16"))' "$folder/noise.tif" "$shape"
    start=$(date +%s.%N)
    answers "measure-$shape" 8g "$work/$shape" 2>"$work/measure.log" || { cat "$work/measure.log"; exit 1; }
    seconds=$("$python" -c "import time; print(f'{time.time() - $start:.1f}')")
    echo "| ($shape) uint16 | $seconds s | $(sed -n 's/.*peak memory //p' "$work/measure.log") |"
  done
  exit
fi

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

echo "-- do_test_run.sh and do_save.sh"
export IMAGE=$tag NO_BUILD=1
./do_test_run.sh
for input in test/input/interface_*; do
  "$python" tools/compare.py "$work/outside/${input##*/}" "test/output/${input##*/}" 1e-5
done
rm -f runs/"$tag"_*.tar.gz
timed ./do_save.sh
# Without -q, which would end before tar does.
tar -tzf runs/model.tar.gz | grep '^\./model.json$'
tar -tzf runs/model.tar.gz | grep '^\./beyond/weights.pt$'
archive=$(ls runs/"$tag"_*.tar.gz)

empty_engine
timed load "$archive"
rm "$archive"
timed answers again 8g test/input/interface_0
"$python" tools/compare.py "$work/outside/interface_0" "$work/again" 1e-5
echo "the container passed"
