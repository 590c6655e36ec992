# The two commands are `make run` and `make test`; both set everything up first. Nothing is installed outside .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE ?= 1

.PHONY: run test lint bench train clean

run: $(VENV)/.ready
	@$(BIN)/triage init --sample
	@$(BIN)/triage run

# Three at a time, for many wait; each with one thread for the models.
test: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist worksteal

lint: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks.real_transcripts
	$(BIN)/python -m benchmarks.signals

train: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m training

# The constraints pin every version, so that every machine runs the same.
$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
