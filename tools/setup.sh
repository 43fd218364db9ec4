#!/usr/bin/env bash
# Makes a virtual environment from a pinned requirements file, with the build of torch that fits
# the machine:   tools/setup.sh VENV REQUIREMENTS
#   Linux without an NVIDIA driver   the CPU build, when pip offers one, else the default build
#   NVIDIA driver 580 or newer       the default build (CUDA 13)
#   older NVIDIA driver              the CUDA 12.6 build, which pip must be able to find
#   macOS, Windows                   the default build
set -euo pipefail
venv=$1 requirements=$2
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")/.." && pwd)

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "setup: expected Python 3.11 or newer, found $("$python" --version): run again with PYTHON=/path/to/python3.11" >&2
  exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
torch=$(grep '^torch==' "$here/requirements.txt")

if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
  driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1 | cut -d. -f1) || driver=
  if [ "$(uname -s)" != Linux ]; then
    pip install "$torch"
  elif [ -z "$driver" ]; then
    pip install "$torch+cpu" 2>/dev/null || pip install "$torch"
  elif [ "$driver" -ge 580 ]; then
    pip install "$torch"
  else
    pip install "$torch+cu126" || {
      echo "setup: the NVIDIA driver $driver needs the CUDA 12.6 build of torch, and pip does not find it." >&2
      echo "Set PIP_EXTRA_INDEX_URL to PyTorch's own index of CUDA 12.6 builds (see 'Get started' on" >&2
      echo "PyTorch's pages), or update the driver to 580 or newer, and run this again." >&2
      exit 1
    }
  fi
  if [ -n "$driver" ]; then
    "$venv/bin/python" -c 'import torch; torch.ones(1, device="cuda")' || {
      echo "setup: an NVIDIA driver ($driver) is here, but torch cannot use the GPU: see the error above." >&2
      exit 1
    }
  fi
fi
pip install -r "$requirements"
