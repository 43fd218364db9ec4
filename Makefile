# `make help` lists the targets. Every target does its own set-up.
VENV := .venv
PY := $(VENV)/bin/python
DATA ?= ../shared/data
INPUT ?=
FIT = $(PY) -m train fit --data "$(DATA)/w2s" $(if $(PROCESSES),--devices $(PROCESSES)) $(if $(GPU),--accelerator gpu --compile)
THIN = $(PY) -m train thin --data "$(DATA)/w2s"
FORMATS := pytorch_state_dict torchscript onnx
CORES := core-pytorch_state_dict core-torchscript core-onnx
PROGRAMS := libtorch libtorch-debian onnxruntime-node onnxruntime-node-1.13 onnxruntime-web
NODE := onnxruntime-node@1.30.0 onnxruntime-node-1.13@npm:onnxruntime-node@1.13.1 onnxruntime-web@1.30.0
.DEFAULT_GOAL := help
.PHONY: help demo test check lint test-container package test-package test-consumers sbom faults fuzz evaluate adapt compare readme train clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.train ## denoise a simulated field and draw it (INPUT=folder: your own images)
	$(PY) -m demo $(if $(INPUT),"$(INPUT)")

test: $(VENV)/.dev ## run the tests
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --durations 10

check: lint test ## ruff, mypy and the tests

lint: $(VENV)/.dev ## ruff, mypy (strict on the library), hadolint
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/hadolint Dockerfile

test-container: $(VENV)/.train ## build the images, run them locked down, compare the answers (ALL=1: the large one, too; MEASURE=1: a table)
	tools/test_container.sh $(PY)

package: .venv-package/.done ## make the bioimage.io packages, in runs/, and their zips (GITHUB_USER=its maintainer)
	.venv-package/bin/python -m package $(GITHUB_USER)

test-package: package ## have bioimageio.core test the package's three formats
	for rdf in rdf.yaml runs/package-general/rdf.yaml runs/package-super-resolution/rdf.yaml; do for format in $(FORMATS); do \
	  .venv-package/bin/bioimageio test $$rdf --weight-format $$format || exit 1; done; done

test-consumers: test-package .venv-core010/.done .venv-core096/.done .venv-apps/.done runs/node/.done ## the same in older cores; every consumer
	for core in package core010 core096; do .venv-$$core/bin/python -W ignore test/packages.py || exit 1; done
	.venv-package/bin/python -W ignore test/consumers.py
	.venv-package/bin/python -W ignore test/consumers.py $(PROGRAMS)
	.venv-apps/bin/python -W ignore test/consumers.py biapy biapy-padded torch-em
	for core in core010 core096; do .venv-$$core/bin/python -W ignore test/consumers.py $(CORES) || exit 1; done
	for kind in general super-resolution; do \
	  .venv-package/bin/python -W ignore test/consumers.py $$kind && \
	  .venv-package/bin/python -W ignore test/consumers.py $$kind $(PROGRAMS) && \
	  .venv-core096/bin/python -W ignore test/consumers.py $$kind $(CORES) || exit 1; done

runs/node/.done:
	@mkdir -p $(@D)
	if command -v npm >/dev/null; then npm install --silent --ignore-scripts --prefix $(@D) $(NODE); else echo "SKIPPED: no npm"; fi
	@touch $@

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

adapt: $(VENV)/.dev ## the table of --adapt on other microscopes' images (FULL=1 measures it again)
	$(PY) -m compare.adapt $(if $(FULL),--measure)

compare: $(VENV)/.train ## set the network beside other denoisers, from cached figures (FULL=1: train and measure all again)
	$(if $(FULL),$(MAKE) .venv-compare/.done)
	$(if $(FULL),.venv-compare/bin/python -m compare.peers --data "$(DATA)")
	$(if $(FULL),.venv-compare/bin/python,$(PY)) -m compare --data "$(DATA)" $(if $(FULL),all)

readme: $(VENV)/.train ## make the README's picture and table
	$(PY) -m demo
	cp test/output/demo.png docs/demo.png
	$(PY) -m train evaluate --data "$(DATA)" --csv docs/evaluation.csv --readme README.md

train: $(VENV)/.train ## train networks as the shipped ones were, into runs/train/model (GPU=1: compiled; PROCESSES=2: on two CPU cores)
	$(FIT) --recipe shipped --out runs/train/shipped-thick
	$(THIN) --checkpoint runs/train/shipped-thick/best.ckpt --out runs/train/shipped
	$(FIT) --recipe mixture --clean "$(DATA)/clean" --out runs/train/mixture-thick
	$(THIN) --clean "$(DATA)/clean" --checkpoint runs/train/mixture-thick/best.ckpt --out runs/train/mixture
	$(PY) -m train export --checkpoint runs/train/mixture/best.ckpt --model runs/train/beyond --name "U-Net for all images"
	$(PY) -m train export --checkpoint runs/train/shipped/best.ckpt --model runs/train/model \
	  --beyond runs/train/beyond --adapt auto

clean: ## remove environments, runs and outputs
	rm -rf $(VENV) .venv-sbom .venv-package .venv-core010 .venv-core096 .venv-apps .venv-compare runs test/output .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.train: requirements.txt requirements-train.txt tools/setup.sh
	tools/setup.sh $(VENV) requirements-train.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-train.txt requirements-dev.txt tools/setup.sh
	tools/setup.sh $(VENV) requirements-dev.txt
	@touch $(VENV)/.train $@

.venv-compare/.done: requirements.txt requirements-train.txt requirements-compare.txt tools/setup.sh
	tools/setup.sh .venv-compare requirements-compare.txt
	.venv-compare/bin/python -m pip install --quiet --no-deps careamics==0.3.5
	@touch $@

.venv-%/.done: requirements.txt requirements-%.txt tools/setup.sh
	tools/setup.sh .venv-$* requirements-$*.txt
	@touch $@
