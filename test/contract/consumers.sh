#!/usr/bin/env bash
# Every consumer of the packages, each in its environment: `make test-consumers`.
set -euo pipefail
cd "$(dirname "$0")/../.."
CORES=(core-pytorch_state_dict core-torchscript core-onnx)
PROGRAMS=(torch-2.0 libtorch libtorch-debian onnxruntime-node onnxruntime-node-1.13 onnxruntime-web)
NODE=(onnxruntime-node@1.30.0 onnxruntime-node-1.13@npm:onnxruntime-node@1.13.1 onnxruntime-web@1.30.0)
python() { local environment=$1; shift; ".venv-$environment/bin/python" -W ignore "$@"; }

if [ ! -e runs/node/.done ]; then
  if command -v npm >/dev/null; then
    npm install --silent --ignore-scripts --prefix runs/node "${NODE[@]}" && touch runs/node/.done
  else echo "SKIPPED JavaScript: no npm"; fi
fi
for environment in package core010 core096; do python $environment test/contract/packages.py; done
python package test/contract/consumers.py
python package test/contract/consumers.py "${PROGRAMS[@]}"
python apps test/contract/consumers.py biapy biapy-padded torch-em
for environment in core010 core096; do python $environment test/contract/consumers.py "${CORES[@]}"; done
for kind in general super-resolution; do
  python package test/contract/consumers.py $kind
  python package test/contract/consumers.py $kind "${PROGRAMS[@]}"
  for environment in core010 core096; do python $environment test/contract/consumers.py $kind "${CORES[@]}"; done
done
