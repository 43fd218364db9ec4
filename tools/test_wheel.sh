#!/usr/bin/env bash
# Builds sdist and wheel, checks them, installs each into an empty environment, and uses it in an empty folder:
# the command, the array API, training's command. PYTHONS="python3.12 python3.13" tries other Pythons, too (their
# torch may be a CUDA build of several GB).
#   tools/test_wheel.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD python=$(realpath -s "$1") work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
step() { echo "-- $*"; }

step "sdist and wheel"
"$python" -m build --no-isolation --outdir "$work/dist" . >"$work/build.log" 2>&1 || { tail -20 "$work/build.log"; exit 1; }
"$python" -m twine check --strict "$work"/dist/*
ls -l "$work/dist" | awk 'NR > 1 { print $9, $5 / 1e6 " MB" }'

use() { # PYTHON OF AN ENVIRONMENT: in an empty folder, where nothing of the checkout can be found
  mkdir "$work/empty" && cp test/input/interface_0/images/*/simulated.tif "$work/empty/demo.tif"
  (
    cd "$work/empty" && export PYTHONSAFEPATH=1 PATH="$(dirname "$1"):$PATH"
    quietfield --version && quietfield info
    quietfield demo.tif -o out 2>log.txt || { cat log.txt; exit 1; }
    "$1" -W error - <<'END'
import numpy, quietfield, tifffile

noisy = tifffile.imread("demo.tif")
clean = quietfield.load().denoise(noisy)
file = tifffile.imread("out/demo.tif")
assert clean.shape == noisy.shape and numpy.allclose(clean, file, rtol=1e-5), abs(clean - file).max()
assert "site-packages" in quietfield.__file__, quietfield.__file__
try:
    import train
except ImportError:
    print("command and array API agree; there is no top-level module 'train'")
END
    quietfield-train recipes >recipes.txt && head -n 1 recipes.txt
  )
  rm -rf "$work/empty"
}

for one in "$python" ${PYTHONS:-}; do
  step "$("$one" --version): the wheel in an empty environment"
  "$one" -m venv "$work/venv"
  pip() { "$work/venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
  # The build of torch that is tested, where pip finds it without CUDA; else the wheel's own requirement brings one.
  pip install "torch==2.13.0+cpu" 2>/dev/null || true
  pip install "$work"/dist/*.whl
  pip check
  use "$work/venv/bin/python"
  for source in "$work"/dist/*.tar.gz "$root"; do
    step "the same from $(basename "$source")"
    pip install --force-reinstall --no-deps "$source"
    use "$work/venv/bin/python"
  done
  rm -rf "$work/venv"
done
echo "the wheel passed"
