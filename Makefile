# make run    retrain, judge, deploy and report a model on this machine     make test   everything that is tested
# make env    only the environment     make lab   JupyterLab on it     make stop   the embedded AWS     make clean   all of it away
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
export AWS_EC2_METADATA_DISABLED := true
export JUPYTER_PLATFORM_DIRS := 1

.PHONY: run test env lab stop clean lock lint bench
.DEFAULT_GOAL := run

run: env
	@$(BIN)/python -m mlops_kit.walkthrough

test: env
	@$(BIN)/python -m pytest -m "not slow and not browser" -n auto --dist loadfile
	@$(BIN)/python -m pytest -m "(slow or browser) and not alone" -n auto --dist loadfile
	@$(BIN)/python -m pytest -m alone
	@$(BIN)/python -m pytest -p no:cacheprovider --nbval tests/notebooks --nbval-sanitize-with tests/notebooks/sanitize.cfg

env: $(STAMP)

# Python 3.11 to 3.13 from uv where it is, else from PATH by venv and pip.
$(STAMP): requirements.lock pyproject.toml
	@begin=$$(date +%s); \
	if command -v uv >/dev/null 2>&1; then \
	  echo "Setting up $(VENV) with uv ..."; \
	  { [ -x $(BIN)/python ] || uv venv --quiet --seed --python '>=3.11,<3.14' $(VENV); } && \
	  uv pip sync --quiet --python $(BIN)/python requirements.lock && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . ; \
	else \
	  if [ ! -x $(BIN)/python ]; then \
	    for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	      if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then found=$$python; break; fi; \
	    done; \
	    [ -n "$$found" ] || { echo "No Python 3.11 to 3.13 on PATH. Install one, or uv, or name it: make env PYTHON=/path/to/python3.12"; exit 1; }; \
	    $$found -m venv $(VENV) || exit 1; \
	  fi; \
	  echo "Setting up $(VENV) with pip (about 200 packages, one to three minutes) ..."; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ; \
	fi && echo $$(( $$(date +%s) - begin )) > $(STAMP) && echo "Environment ready in $$(cat $(STAMP)) s."

lab: env
	@$(BIN)/mlops-kit local start --at 2011-07-01
	@$(BIN)/jupyter lab --notebook-dir . notebooks/00_start_here.ipynb

stop:
	@if [ -x $(BIN)/mlops-kit ]; then $(BIN)/mlops-kit local stop; fi

clean: stop
	rm -rf $(VENV) .venv-bench .venv-bench-drift .mlops-kit runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Needs uv. The lock holds for Python 3.11 to 3.13 on Linux and macOS.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
	  --extra local --extra drift --extra kafka --extra lab --extra test --output-file requirements.lock pyproject.toml
	python3 tests/sync_environment.py
	(sed -n '/^#/p' pipelines/jobs/run_notebook.txt; uv pip compile --quiet --constraint requirements.lock --extra drift \
	  --python-version 3.12 --python-platform x86_64-manylinux_2_28 --no-header --no-annotate pyproject.toml) \
	  > pipelines/jobs/run_notebook.tmp && mv pipelines/jobs/run_notebook.tmp pipelines/jobs/run_notebook.txt

lint: env
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# Peers have an environment of their own, so that they cannot change ours.
bench: env
	@[ -x .venv-bench/bin/moto_server ] || { python3 -m venv .venv-bench && .venv-bench/bin/python -m pip install --quiet 'moto[server,stepfunctions]>=5.1' 'metaflow>=2.15'; }
	@[ -x .venv-bench-drift/bin/python ] || { python3 -m venv .venv-bench-drift && .venv-bench-drift/bin/python -m pip install --quiet 'evidently>=0.7' 'nannyml>=0.13' statsmodels 'pandas<3'; }
	$(BIN)/python -m benchmarks
