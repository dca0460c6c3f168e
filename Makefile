# One word a purpose: `make demo` runs everything on drawn videos, `make test` checks it.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
TORCH := $(VENV)/torch/.ready
SAMPLE := -c configs/sample.yml
# of the words for single stages: a file of settings that differ from config.yml, and the subset to look at
CONFIG ?=
SUBSET ?= validation
# tests in two processes, as many wait for others; tests/conftest.py says which stay together
PROCESSES ?= 2
# of `make learn`: the folder; anything: a model of all videos, too; of a search on folds, such as 20
DATA ?= mine
ALL ?=
MINUTES ?=
# of `make mutate`
N ?= 100
SEED ?= 0
TEST := $(RUN) -m pytest -n $(PROCESSES) --dist loadscope --no-loadscope-reorder
STAGE = $(if $(CONFIG),-c $(CONFIG))

##@ to begin

help:  ## this list
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-12s%s\n", $$1, $$2}' \
		$(firstword $(MAKEFILE_LIST))

setup: $(READY)  ## a virtual environment in .venv with the locked requirements

# the download tools come unlocked: an old one cannot read YouTube
$(READY): requirements.lock requirements-download.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --require-hashes -r requirements.lock
	$(VENV)/bin/pip install --quiet --upgrade -r requirements-download.txt
	@touch $@

demo: setup  ## every stage on the embedded sample set -> runs/demo
	$(RUN) sample_videos.py --output data/sample
	$(RUN) feature_map_extractor.py $(SAMPLE) training validation testing
	$(RUN) trainer.py $(SAMPLE)
	$(RUN) predictions_json.py $(SAMPLE) --subset testing
	$(RUN) metrics.py $(SAMPLE) --subset testing
	$(RUN) report.py $(SAMPLE) --subset testing
	@echo "made: data/sample (videos, annotations, features) and runs/demo (model, predictions, metrics, logs)"
	@echo "open: runs/demo/report.html"
	@echo "next: $(RUN) localize.py data/sample/videos/testing/sample_testing_00.mp4"

##@ with videos of one's own

learn: setup  ## DATA=FOLDER of videos and a table -> settings, features, a trained run, a page; ALL=1: a model of all videos at last; MINUTES=20: a search
	$(RUN) plan.py $(DATA) --learn $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ALL),--all)

##@ one stage at a time, with CONFIG=FILE

download: setup  ## annotations -> videos; CONFIG=FILE gives settings that differ from config.yml, here and below
	$(RUN) download_video_script.py $(STAGE) training validation

extract: setup  ## videos -> features
	$(RUN) feature_map_extractor.py $(STAGE) training validation

train: setup  ## features + annotations -> a run; goes on where it was
	$(RUN) trainer.py $(STAGE)

predict: setup  ## run + features -> segments of SUBSET (validation)
	$(RUN) predictions_json.py $(STAGE) --subset $(SUBSET)

evaluate: setup  ## segments + annotations -> mAP of the classes that SUBSET has
	$(RUN) metrics.py $(STAGE) --subset $(SUBSET) --ignore-unknown-labels

report: setup  ## run + videos -> a page
	$(RUN) report.py $(STAGE) --subset $(SUBSET)

##@ to look at things

jupyter: setup  ## the notebooks in a browser; installs JupyterLab first, which nothing else needs
	$(VENV)/bin/pip install --quiet jupyterlab
	$(VENV)/bin/jupyter lab notebooks

##@ to change the code

test: setup  ## the tests, in minutes
	$(TEST) -m "not slow"

test-slow: setup  ## what is slow: the demo's figures, the commands of the README, many kills
	$(TEST) -m slow

test-all: setup  ## both
	$(TEST) -m "slow or not slow"

bench: setup $(TORCH)  ## speed of extraction, reading and training against the plain ways, and their limits
	$(RUN) benchmarks/bench.py

# what our training step is measured against
$(TORCH): benchmarks/requirements.txt
	$(PYTHON) -m venv $(VENV)/torch
	$(VENV)/torch/bin/pip install --quiet -r benchmarks/requirements.txt
	@touch $@

lint: setup  ## ruff, and mypy on signatures
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

fuzz: setup  ## made-up files on every parser, ten minutes each
	$(RUN) -m tests.fuzz --minutes 10

mutate: setup  ## deliberate faults that no test notices: N=100 of them, drawn by SEED=0; an hour
	$(RUN) benchmarks/mutation.py --number $(N) --seed $(SEED)

audit: setup  ## known holes in the locked packages; needs an index with a vulnerability service
	$(VENV)/bin/pip install --quiet pip-audit
	$(VENV)/bin/pip-audit --disable-pip --require-hashes -r requirements.lock

notebooks: setup  ## the notebooks executed on the demo, with small outputs, as they are committed
	$(RUN) -m notebooks.execute

faults: setup  ## kills and other faults on every stage, for hours
	$(RUN) -m tests.faults all

lock: setup  ## requirements.lock anew
	$(VENV)/bin/pip install --quiet uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		requirements-dev.txt -o requirements.lock

##@ to tidy up

clean:  ## delete the sample set and the demo's run
	rm -rf data/sample runs/demo

.PHONY: help setup demo learn download extract train predict evaluate report jupyter test test-slow test-all bench lint fuzz mutate audit notebooks faults lock clean
