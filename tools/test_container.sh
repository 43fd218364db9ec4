#!/usr/bin/env bash
# Builds the images by the do_*.sh scripts, runs them locked down, and compares their answers with those of
# inference.py outside: the image without CUDA, one that serves HTTP, one on a stand-in for PyTorch's image, and the
# default image. That one is large, so it is built when the files it hangs on are not those it was last tested with
# (test/large_image.sha256, written anew then: commit it), and with ALL=1, which saves it, too.
# Uses ../shared/tools/container/ctr.sh (as root, with apt), or the machine's engine.
# MEASURE=1 measures size, times and memory instead, as a table; TORCH= those of the default image.
#   tools/test_container.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 ctr=../shared/tools/container/ctr.sh
work=$(mktemp -d)
export TMPDIR=$work CPU=2.13.0+cpu IMAGE=quietfield-test
LARGE_FILES=(Dockerfile requirements.txt do_build.sh do_test_run.sh do_save.sh tools/engine.sh quietfield/files/jobs.py)
STAMP=test/large_image.sha256
SLIM=python:3.11-slim-bookworm
LOCK=(--rm --user 12345:12345 --network none --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges)

if [ -x "$ctr" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  ctr=$(realpath "$ctr")
  export DOCKER_HOST=unix://${CTR_STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/ctr}/d.sock ENGINE=$work/engine
  # The engine as the scripts call it; a build (its last arguments are -t TAG FOLDER) gets this machine's settings of pip.
  cat >"$ENGINE" <<END
#!/usr/bin/env bash
[ "\$1" = build ] || exec /usr/bin/docker "\$@"
exec "$ctr" build "\${@: -1}" "\${@: -2:1}" "\${@:2:\$# - 4}"
END
  chmod +x "$ENGINE"
  empty_engine() { "$ctr" down; export CTR_STATE=$work/empty DOCKER_HOST=unix://$work/empty/d.sock; "$ctr" up; }
  clean_up() { "$ctr" down || true; [ -z "${CTR_STATE:-}" ] || "$ctr" clean || true; rm -rf "$work"; }
  trap clean_up EXIT
  "$ctr" setup && "$ctr" up && "$ctr" base || { echo "SKIPPED the container: no engine can be set up here, see above"; exit 0; }
elif (. tools/engine.sh) 2>/dev/null; then
  . tools/engine.sh
  empty_engine() { "$ENGINE" image rm -f "$IMAGE" >/dev/null; }
  trap 'rm -rf "$work"' EXIT
else
  echo "SKIPPED the container: needs root, apt and $ctr, or a Docker or Podman that answers"
  exit 0
fi

step() { echo "-- $*"; }
fail() { echo "expected $1, found $2"; exit 1; }
timed() { local start=$SECONDS; "$@"; echo "-- $*: $((SECONDS - start)) s"; }
quietly() { # NAME COMMAND: its output goes to a file, and is shown if it fails
  local name=$1; shift
  timed "$@" >"$work/$name.log" 2>&1 || { tail -40 "$work/$name.log"; exit 1; }
  tail -n 1 "$work/$name.log"
}
answers() { # NAME MEMORY INPUT [option ...]: run locked down, with a fresh writable output
  local out=$work/$1 memory=$2 in; in=$(realpath "$3"); shift 3
  rm -rf "$out" && mkdir -p "$out" && chmod 777 "$out"
  "$ENGINE" run "${LOCK[@]}" --memory "$memory" --memory-swap "$memory" -v "$in:/input:ro" -v "$out:/output" "$@" "$IMAGE"
}
compare() { "$python" tools/compare.py "$work/outside/$1" "$2" 1e-5; }
compare_all() { for input in test/input/interface_*; do compare "${input##*/}" "$1/${input##*/}"; done; }
put() { # FOLDER "NUMPY EXPRESSION": an image for the platform's first socket
  mkdir -p "$1/images/image-stack-unstructured-noise"
  "$python" -c 'import sys, numpy, tifffile
tifffile.imwrite(sys.argv[1], eval(sys.argv[2]), compression="zlib")' "$1/images/image-stack-unstructured-noise/x.tif" "$2"
}
selftest() { # of the image, into $work/torch; a build that was cached prints nothing
  "$ENGINE" run "${LOCK[@]}" --entrypoint python "$IMAGE" -m quietfield.selftest | tee "$work/torch"
}

if [ -n "${MEASURE:-}" ]; then
  TORCH=${TORCH-$CPU} quietly build ./do_build.sh
  echo "image $(($("$ENGINE" image inspect --format '{{.Size}}' "$IMAGE") / 1000000)) MB"
  echo '| input | from the start of the container to its end | peak memory |'
  echo '|---|---|---|'
  for shape in 512,512 512,512 512,512 200,1024,1024; do
    put "$work/$shape" "numpy.random.default_rng(0).poisson(200, ($shape)).astype('uint16')"
    start=$(date +%s.%N)
    answers "measure-$shape" 8g "$work/$shape" 2>"$work/measure.log" || { cat "$work/measure.log"; exit 1; }
    seconds=$("$python" -c "import time; print(f'{time.time() - $start:.1f}')")
    echo "| ($shape) uint16 | $seconds s | $(sed -n 's/.*peak memory //p' "$work/measure.log") |"
  done
  exit
fi

for input in test/input/interface_*; do
  "$python" inference.py --input "$input" --output "$work/outside/${input##*/}" 2>/dev/null
done

step "the image without CUDA"
TORCH=$CPU quietly cpu ./do_build.sh
selftest
for input in test/input/interface_*; do answers "${input##*/}" 8g "$input"; done
compare_all "$work"

step "a plane of 4096² in 1 GiB must be refused with a sentence"
put "$work/big" "numpy.zeros((4096, 4096), numpy.uint16)"
code=0
answers refused 1g "$work/big" 2>&1 | tee "$work/refused.log" || code=$?
[ "$code" = 1 ] && grep -q "needs about .* MiB of memory" "$work/refused.log" || fail "exit code 1 and the sentence" "$code"

step "a model that was uploaded apart, and one that was packed one folder too deep"
answers apart 8g test/input/interface_0 -v "$PWD/resources:/opt/ml/model:ro"
compare interface_0 "$work/apart"
mkdir "$work/deep" && cp -R resources "$work/deep/mine"
answers deeper 8g test/input/interface_0 -v "$work/deep:/opt/ml/model:ro" 2>&1 | tee "$work/deep.log"
grep -q "one folder deeper, in mine" "$work/deep.log" || fail "a warning that names the folder" "none"
compare interface_0 "$work/deeper"

step "do_test_run.sh and do_save.sh"
NO_BUILD=1 ./do_test_run.sh
compare_all test/output
NO_BUILD=1 MODEL=resources ./do_test_run.sh 2>&1 | tail -n 2
compare_all test/output
rm -f runs/"$IMAGE"_*.tar.gz
NO_BUILD=1 timed ./do_save.sh
# Without -q, which would end before tar does.
tar -tzf runs/model.tar.gz | grep '^\./model.json$'
tar -tzf runs/model.tar.gz | grep '^\./general/weights.pt$'
archive=$(ls runs/"$IMAGE"_*.tar.gz)

step "the image that serves HTTP"
export IMAGE=quietfield-test-invoke
TORCH=$CPU API=invoke quietly invoke ./do_build.sh
NO_BUILD=1 ./do_test_run.sh 2>&1 | tee "$work/invoke.log"
compare_all test/output
[ "$(grep -c 'weights sha256' "$work/invoke.log")" = 2 ] || fail "each of the two networks loaded once" "another number"
"$python" test/contract/invoke.py "$ENGINE" "$IMAGE"

step "the image on a stand-in for PyTorch's, with a torch of its own"
export IMAGE=quietfield-test-base
quietly base "$ENGINE" build --build-arg BASE_IMAGE=$SLIM --build-arg "TORCH=$CPU" -t quietfield-test-pytorch test/contract/base
BASE_IMAGE=quietfield-test-pytorch quietly kept ./do_build.sh
selftest
grep -q "$CPU" "$work/torch" || fail "the torch of the base, $CPU" "another"
answers kept 8g test/input/interface_0
compare interface_0 "$work/kept"

step "the default image"
export IMAGE=quietfield
if [ -z "${ALL:-}" ] && sha256sum --check --quiet "$STAMP"; then
  echo "not built: it was tested with these very files (see $STAMP); ALL=1 does it again"
else
  quietly default ./do_build.sh
  selftest
  echo "image $(($("$ENGINE" image inspect --format '{{.Size}}' "$IMAGE") / 1000000)) MB"
  NO_BUILD=1 timed ./do_test_run.sh
  compare_all test/output
  answers default 8g test/input/interface_0
  compare interface_0 "$work/default"
  if [ -n "${ALL:-}" ]; then
    NO_BUILD=1 timed ./do_save.sh
    rm -f runs/"$IMAGE"_*.tar.gz
  fi
  sha256sum "${LARGE_FILES[@]}" >"$STAMP"
fi

step "the saved image, in an engine that has nothing"
export IMAGE=quietfield-test
empty_engine
timed "$ENGINE" load -i "$archive"
rm "$archive"
answers again 8g test/input/interface_0
compare interface_0 "$work/again"
echo "the container passed"
