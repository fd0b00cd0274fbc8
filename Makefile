# Two commands on a fresh machine with Python 3.11 and make: `make demo` and `make test`.
# EXTRA=gpu installs vLLM for CUDA instead of the CPU build.
PYTHON ?= python3
EXTRA  ?= cpu
# `make test` runs this many tests side by side; more options of pytest: make test PYTEST="-k swe"
WORKERS ?= 2
PYTEST  ?=
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed-$(EXTRA)

export OMP_NUM_THREADS ?= 2
export TOKENIZERS_PARALLELISM ?= false

.PHONY: install demo demo-longhorizon test test-slow test-docker check bench clean

install: $(STAMP)

# uv does not look where pip's own configuration says that wheels lie, so it is handed over.
$(STAMP): pyproject.toml constraints.txt overrides-cpu.txt harness/install/setup_environment.py
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or 3.12 is needed: make PYTHON=python3.11 ...") if not (3, 11) <= sys.version_info[:2] < (3, 13) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	UV_FIND_LINKS="$$($(PYTHON) -m pip config get global.find-links 2>/dev/null)" \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt \
	  $(if $(filter cpu,$(EXTRA)),--override overrides-cpu.txt) --editable '.[$(EXTRA),dev]'
	$(BIN)/python -m harness.install.setup_environment
	touch $@

demo: install
	$(BIN)/harness demo --quick
	@echo "That was one seed. The whole study, with a verdict: $(BIN)/harness demo"

demo-longhorizon: install
	$(BIN)/harness demo --suite longhorizon5 --quick
	@echo "That was one seed. The whole study: $(BIN)/harness demo --suite longhorizon5"

# One thread for each worker: torch processes with many threads on few cores crawl. A file's tests
# stay together, in the order of tests/conftest.py, which begins with the longest files.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n $(WORKERS) \
	  --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST)

# Properties run a second time here, on all of their examples.
test-slow: install
	HYPOTHESIS_PROFILE=ci OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or hypothesis" \
	  -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST)

# On a docker engine (`.ci/docker_engine`); without one they are skipped.
test-docker: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m docker $(PYTEST)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	@UV_FIND_LINKS="$$($(PYTHON) -m pip config get global.find-links 2>/dev/null)" \
	  $(BIN)/python .ci/audit "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

bench: install
	$(BIN)/python -m tests.bench

clean:
	rm -rf demo .mypy_cache .ruff_cache .pytest_cache
