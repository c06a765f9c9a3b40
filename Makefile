# One virtual environment for everything; any Python from 3.11 on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet -c constraints.txt
JOBS ?= auto

.PHONY: demo test quick test-slow lint docs bench studies clean

demo: $(VENV)/.installed
	$(BIN)/genpredict score data/digits-zoo --manifest data/digits-zoo/manifest.csv -o demo/scores.zarr
	$(BIN)/genpredict show demo/scores.zarr
	$(BIN)/genpredict figure scatter demo/scores.zarr --hue label_noise -o demo/quality-and-test-accuracy.png --overwrite

test: $(VENV)/.installed-dev lint
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

quick: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not faults and not notebooks"

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs build/docs
	@echo "open build/docs/index.html"

# Every figure and table of analysis/, anew from the results that are committed.
studies: $(VENV)/.installed-dev
	for study in analysis/*/study.py; do echo $$study; $(BIN)/python $$study || exit 1; done

bench: $(VENV)/.installed-dev
	$(BIN)/python analysis/benchmarks/score.py

# An install is redone when what it depends on changes.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[dev,peers]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[docs]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build docs/reference docs/tutorials demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
