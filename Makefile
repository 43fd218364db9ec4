# `make help` lists the targets. Each makes the environment that it needs; requirements/ pins what is in it.
PY := .venv/bin/python
FIT = $(PY) -m train fit --data "$(DATA)/w2s" $(if $(PROCESSES),--devices $(PROCESSES)) $(if $(GPU),--accelerator gpu --compile)
THIN = $(PY) -m train thin --data "$(DATA)/w2s"
FORMATS := pytorch_state_dict torchscript onnx
.DEFAULT_GOAL := help
.PHONY: help demo test check lint docs test-wheel test-container package test-package test-predict test-card test-consumers test-answers sbom faults fuzz evaluate adapt kinds calm finetune goals compare readme train clean data

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: .venv/.train ## denoise a simulated field and draw it (INPUT=folder: your own images)
	$(PY) -m demo $(if $(INPUT),"$(INPUT)")
test: .venv/.dev ## run the tests
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --durations 10
check: lint test docs test-wheel ## all that must hold before a change lands
lint: .venv/.dev ## ruff, mypy (strict), hadolint
	$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
	.venv/bin/hadolint Dockerfile test/contract/base/Dockerfile
docs: .venv/.dev .venv-docs/.done ## build the documentation as a site, in runs/site; a broken link fails
	$(PY) docs/hooks/measured.py --check
	QUIETFIELD_PYTHON=$(PY) NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
test-wheel: .venv-build/.done ## build the wheel, install it in an empty environment and use it (PYTHONS="python3.12 python3.13")
	tools/test_wheel.sh .venv-build/bin/python
test-container: .venv/.train ## build the images, run them locked down, compare the answers (ALL=1: the large one, too; MEASURE=1: a table)
	tools/test_container.sh $(PY)

package: .venv-package/.done ## make the bioimage.io packages, in runs/, and their zips (GITHUB_USER=maintainer, GIT_REPO=address)
	.venv-package/bin/python -m package --github-user "$(GITHUB_USER)" --git-repo "$(GIT_REPO)" --training-data "$(TRAINING_DATA)"
test-package: package ## have bioimageio.core test the packages' three formats
	for rdf in rdf.yaml runs/package-general/rdf.yaml runs/package-super-resolution/rdf.yaml; do for format in $(FORMATS); do \
	  .venv-package/bin/bioimageio test $$rdf --weight-format $$format || exit 1; done; done
test-predict: package .venv-core096/.done data ## denoise real files of DATA=folder by core's own command, against inference.py
	for core in package core096; do .venv-$$core/bin/python -W ignore test/contract/predict.py "$(DATA)" || exit 1; done
test-card: package .venv-spec/.done ## score the packages' metadata, and draw the zoo's card, into runs/card
	.venv-spec/bin/python -W ignore test/contract/completeness.py
test-consumers: test-package .venv-torch201/.done .venv-core010/.done .venv-core096/.done .venv-apps/.done ## the same in older cores, and every other consumer
	test/contract/consumers.sh

faults: .venv/.dev ## print exit code and message of every fault
	$(PY) test/contract/faults.py
fuzz: .venv/.dev ## feed damaged TIFFs to the reader (CASES=2000 SECONDS=600)
	$(PY) test/contract/fuzz.py $(or $(CASES),2000) $(or $(SECONDS),600)
test-answers: .venv/.dev .venv-answers/.done ## open answers of every kind with ome-types, bioio, SimpleITK, and the schema of OME
	$(PY) test/contract/answers.py write runs/answers && .venv-answers/bin/python -W ignore test/contract/answers.py read runs/answers
sbom: .venv-sbom/.done ## list what the image holds of Python (CycloneDX), into runs/sbom.json
	mkdir -p runs && .venv-sbom/bin/cyclonedx-py requirements requirements.txt -o runs/sbom.json

evaluate: .venv/.train data ## measure the shipped networks on the test images in DATA=folder
	$(PY) -m train evaluate --data "$(DATA)"
adapt: .venv/.train $(if $(FULL),data) ## the table of --adapt on other microscopes' images (FULL=1 DATA=folder measures it again)
	$(PY) -m compare.adapt $(if $(FULL),--measure --data "$(DATA)")
kinds: .venv/.train ## what microscopes add, on simulated scenes: a table, docs/kinds.csv and a picture (BEFORE=answers.npz of an older version)
	OMP_NUM_THREADS=1 $(PY) -m compare.kinds --csv docs/kinds.csv --before docs/kinds-before.csv --picture docs/kinds.png \
	  $(if $(BEFORE),--answers-before "$(BEFORE)")
	$(PY) docs/hooks/measured.py
calm: .venv/.train ## noise left in smooth light, beside BM3D and the best Gaussian: a table, docs/calm.csv and a picture
	OMP_NUM_THREADS=1 $(PY) -m compare.calm --csv docs/calm.csv --picture docs/calm.png
	$(PY) docs/hooks/measured.py
finetune: .venv/.train $(if $(FULL),data) ## what fine-tuning gains, as docs/finetune.png (FULL=1 DATA=folder trains what docs/finetune.csv lacks)
	$(PY) -m compare.finetune $(if $(FULL),--measure --data "$(DATA)")
	$(PY) docs/hooks/measured.py
goals: .venv/.train data ## what a general network should do, beside BM3D and the best Gaussian, on DATA=folder: a table and docs/goals.csv
	OMP_NUM_THREADS=1 $(PY) -m compare.goals --data "$(DATA)"
	$(PY) docs/hooks/measured.py
compare: .venv/.train data $(if $(FULL),.venv-compare/.done) ## set the networks beside baselines on DATA=folder, from cached values (FULL=1: train and measure all again)
	$(if $(FULL),.venv-compare/bin/python -m compare.peers --data "$(DATA)")
	$(if $(FULL),.venv-compare/bin/python,$(PY)) -m compare --data "$(DATA)" $(if $(FULL),all)
readme: .venv/.train data ## measure on DATA=folder, draw the demo, and write the figures that the texts quote
	$(PY) -m demo && cp test/output/demo.png docs/demo.png
	$(PY) -m train evaluate --data "$(DATA)" --csv docs/evaluation.csv
	$(PY) docs/hooks/measured.py
train: .venv/.train data ## train both networks anew, on DATA=folder, into runs/train/model (GPU=1; PROCESSES=2)
	$(FIT) --recipe shipped --out runs/train/shipped-thick
	$(THIN) --checkpoint runs/train/shipped-thick/best.ckpt --out runs/train/shipped
	$(FIT) --recipe general --clean "$(DATA)/clean" --out runs/train/general-thick
	$(THIN) --clean "$(DATA)/clean" --checkpoint runs/train/general-thick/best.ckpt --out runs/train/general
	$(PY) -m train export --checkpoint runs/train/general/best.ckpt --model runs/train/general-model --name "general network"
	$(PY) -m train export --checkpoint runs/train/shipped/best.ckpt --model runs/train/model --general runs/train/general-model --adapt auto
data:
	@test -d "$(DATA)" || { echo "expected the folder of the test images, found '$(DATA)': give DATA=folder; docs/explanation/how-it-was-measured.md says what it holds"; exit 1; }
clean: ## remove environments, runs and outputs
	rm -rf .venv .venv-* runs test/output .pytest_cache .mypy_cache .ruff_cache

.venv/.train: requirements.txt requirements/train.txt tools/setup.sh
	tools/setup.sh .venv requirements/train.txt && touch $@
.venv/.dev: requirements.txt requirements/train.txt requirements/dev.txt tools/setup.sh
	tools/setup.sh .venv requirements/dev.txt && touch .venv/.train $@
.venv-torch201/.done: requirements/torch201.txt
	python3.11 -m venv .venv-torch201 && .venv-torch201/bin/python -m pip install --quiet --no-deps -r $< && touch $@
.venv-docs/.done .venv-build/.done .venv-sbom/.done .venv-spec/.done .venv-answers/.done: .venv-%/.done: requirements/%.txt
	$(or $(PYTHON),python3) -m venv .venv-$* && .venv-$*/bin/python -m pip install --quiet -r $< && touch $@
.venv-%/.done: requirements.txt requirements/%.txt tools/setup.sh
	tools/setup.sh .venv-$* requirements/$*.txt && touch $@
