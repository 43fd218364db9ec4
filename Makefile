# `make help` lists the targets. Every target does its own set-up.
VENV := .venv
PY := $(VENV)/bin/python
DATA ?= ../shared/data
INPUT ?=
.DEFAULT_GOAL := help
.PHONY: help demo test check lint test-container package test-package sbom faults fuzz evaluate readme train clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.train ## denoise a simulated field and draw it (INPUT=folder: your own images)
	$(PY) -m demo $(if $(INPUT),"$(INPUT)")

test: $(VENV)/.dev ## run the tests
	$(PY) -m pytest

check: lint test ## ruff, mypy and the tests

lint: $(VENV)/.dev ## ruff, mypy (strict on the library), hadolint
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/hadolint Dockerfile

test-container: $(VENV)/.train ## build the image, run it locked down, save, load and run it again (MEASURE=1: a table)
	tools/test_container.sh $(PY)

package: .venv-package/.done ## make the bioimage.io package of the shipped network, in runs/package, and its zip
	.venv-package/bin/python -m package

test-package: package ## test the package in bioimageio.core, and hold its formats against inference.py
	for format in pytorch_state_dict torchscript onnx; do \
	  .venv-package/bin/bioimageio test runs/package/rdf.yaml --weight-format $$format || exit 1; done
	.venv-package/bin/python -W ignore test/consumers.py

sbom: ## list what the image holds of Python (CycloneDX), into runs/sbom.json
	python3 -m venv .venv-sbom && .venv-sbom/bin/python -m pip install --quiet -r requirements-sbom.txt
	@mkdir -p runs
	.venv-sbom/bin/cyclonedx-py requirements requirements.txt -o runs/sbom.json

faults: $(VENV)/.dev ## print exit code and message of every fault
	$(PY) test/faults.py

fuzz: $(VENV)/.dev ## feed damaged TIFFs to the reader (CASES=2000 SECONDS=600)
	$(PY) test/fuzz.py $(or $(CASES),2000) $(or $(SECONDS),600)

evaluate: $(VENV)/.train ## measure the shipped network on the test images in DATA
	$(PY) -m train evaluate --data "$(DATA)"

readme: $(VENV)/.train ## make the README's picture and table
	$(PY) -m demo
	cp test/output/demo.png docs/demo.png
	$(PY) -m train evaluate --data "$(DATA)" --csv docs/evaluation.csv --readme README.md

train: $(VENV)/.train ## train a network as the shipped one was, into runs/train (PROCESSES=2: on two CPU cores)
	$(if $(PROCESSES),OMP_NUM_THREADS=1 $(PY) -m torch.distributed.run --standalone --nproc-per-node $(PROCESSES),$(PY)) \
	  -m train fit --data "$(DATA)/w2s" --out runs/train

clean: ## remove environments, runs and outputs
	rm -rf $(VENV) .venv-sbom .venv-package runs test/output .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.train: requirements.txt requirements-train.txt tools/setup.sh
	tools/setup.sh $(VENV) requirements-train.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-train.txt requirements-dev.txt tools/setup.sh
	tools/setup.sh $(VENV) requirements-dev.txt
	@touch $(VENV)/.train $@

.venv-package/.done: requirements.txt requirements-package.txt tools/setup.sh
	tools/setup.sh .venv-package requirements-package.txt
	@touch $@
