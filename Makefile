# `make help` lists the targets. Every target does its own set-up.
VENV := .venv
PY := $(VENV)/bin/python
DATA ?= ../shared/data
INPUT ?=
FIT = $(PY) -m train fit --data "$(DATA)/w2s" $(if $(PROCESSES),--devices $(PROCESSES))
FORMATS := pytorch_state_dict torchscript onnx
.DEFAULT_GOAL := help
.PHONY: help demo test check lint test-container package test-package test-consumers sbom faults fuzz evaluate compare readme train clean

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

package: .venv-package/.done ## make the bioimage.io packages, in runs/, and their zips (GITHUB_USER=its maintainer)
	.venv-package/bin/python -m package $(GITHUB_USER)

test-package: package ## have bioimageio.core test the package's three formats
	for rdf in rdf.yaml runs/package-general/rdf.yaml runs/package-super-resolution/rdf.yaml; do for format in $(FORMATS); do \
	  .venv-package/bin/bioimageio test $$rdf --weight-format $$format || exit 1; done; done

test-consumers: test-package .venv-core096/.done ## the same in the oldest core, and every consumer against inference.py
	for rdf in rdf.yaml runs/package-general/rdf.yaml runs/package-super-resolution/rdf.yaml; do for format in $(FORMATS); do \
	  .venv-core096/bin/bioimageio test $$rdf --weight-format $$format || exit 1; done; done
	.venv-package/bin/python -W ignore test/consumers.py
	.venv-core096/bin/python -W ignore test/consumers.py core-pytorch_state_dict core-torchscript core-onnx
	.venv-package/bin/python -W ignore test/consumers.py general
	.venv-package/bin/python -W ignore test/consumers.py super-resolution

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

compare: $(VENV)/.train ## set the network beside other denoisers, from cached figures (FULL=1: train and measure all again)
	$(if $(FULL),$(MAKE) .venv-compare/.done)
	$(if $(FULL),.venv-compare/bin/python -m compare.peers --data "$(DATA)")
	$(if $(FULL),.venv-compare/bin/python,$(PY)) -m compare --data "$(DATA)" $(if $(FULL),all)

readme: $(VENV)/.train ## make the README's picture and table
	$(PY) -m demo
	cp test/output/demo.png docs/demo.png
	$(PY) -m train evaluate --data "$(DATA)" --csv docs/evaluation.csv --readme README.md

train: $(VENV)/.train ## train networks as the shipped ones were, into runs/train/model (PROCESSES=2: on two CPU cores)
	$(FIT) --recipe shipped --out runs/train/shipped
	$(FIT) --out runs/train/pairs
	$(FIT) --recipe mixture --clean "$(DATA)/clean" --initial runs/train/pairs/checkpoint.ckpt --out runs/train/mixture
	$(FIT) --recipe mixture --clean "$(DATA)/clean" --initial runs/train/mixture/checkpoint.ckpt --out runs/train/others \
	  --synthetic 0.75 --redraw 0.5 --lr 5e-4 --warmup 100 --steps 2000
	$(PY) -m train export --checkpoint runs/train/others/checkpoint.ckpt --blend runs/train/mixture/checkpoint.ckpt \
	  --model runs/train/beyond --name "for all images"
	$(PY) -m train export --checkpoint runs/train/shipped/checkpoint.ckpt --model runs/train/model --beyond runs/train/beyond

clean: ## remove environments, runs and outputs
	rm -rf $(VENV) .venv-sbom .venv-package .venv-core096 .venv-compare runs test/output .pytest_cache .mypy_cache .ruff_cache

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
