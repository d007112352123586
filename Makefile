# One vocabulary: the README, the hooks and CI call these.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP_LOG := $(VENV)/pip.log
# What is compiled is kept, whatever the environment says: the tests start many interpreters.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

.PHONY: help install run test test-integration check format bench pictures ui up clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

install: $(INSTALLED)  ## the virtual environment, every version pinned

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("tempfit needs Python 3.11 or newer; set PYTHON=..." if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || { echo 'making $(VENV)'; $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; }
	@echo 'installing what constraints.txt pins: some minutes the first time; pip writes to $(PIP_LOG)'
	@$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]' >$(PIP_LOG) 2>&1 \
		|| { cat $(PIP_LOG) >&2; echo 'error: pip failed; what it said is above, and in $(PIP_LOG)' >&2; exit 1; }
	@touch $@

run: $(INSTALLED)  ## calibrate the tutorial's thermometer and say where to look
	$(BIN)/tempfit calibrate data/thermometer.csv
	@echo "'make ui' shows the run in MLflow, with its pictures; 'make help' lists what else there is"

test: $(INSTALLED)  ## the tests that need no service of their own, in one process more than cores (four at most)
	OMP_NUM_THREADS=1 $(PYTEST) --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-integration: $(INSTALLED)  ## real servers, workers, schedules, crowds of processes, and what takes long by nature
	$(PYTEST) -m integration --numprocesses 2 --dist loadfile tests/integration tests/flows
	OMP_NUM_THREADS=1 $(PYTEST) -m integration --ignore tests/integration --ignore tests/flows --numprocesses auto --maxprocesses 4

check: $(INSTALLED)  ## lint, format, types, direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## what check wants, done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)  ## ratios of speed, measured in one run
	$(BIN)/python -m tests.benchmarks.run

pictures: $(INSTALLED)  ## the README's pictures anew; those of the fifteen loggers where LOGGERS=FILE is given
	$(BIN)/python -m tests.pictures $(LOGGERS)

ui: $(INSTALLED)  ## the runs, in MLflow's UI on 127.0.0.1:5000
	$(BIN)/tempfit ui

up: $(INSTALLED)  ## Prefect's server and MLflow's UI together
	$(BIN)/tempfit up

clean:  ## everything that was made, but the runs
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
