# Two commands on a fresh machine with Python 3.11 and make: `make demo` and `make test`.
# All extras are installed; EXTRA=gpu has vLLM for CUDA instead of the CPU build.
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

.PHONY: install demo demo-longhorizon test test-slow test-all fuzz test-docker test-foreign check bench clean

install: $(STAMP)

# uv does not look where pip's own configuration says that wheels lie, so it is handed over. Bytecode is
# compiled here: the sandboxed scorer cannot write any, and would compile lmms-eval at every start.
$(STAMP): pyproject.toml constraints.txt overrides-cpu.txt harness/install/setup_environment.py
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.11 ...") if not (3, 11) <= sys.version_info[:2] < (3, 14) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	UV_FIND_LINKS="$$($(PYTHON) -m pip config get global.find-links 2>/dev/null)" \
	  $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt \
	  $(if $(filter cpu,$(EXTRA)),--override overrides-cpu.txt) --editable '.[all,$(EXTRA),dev]'
	$(BIN)/python -m harness.install.setup_environment
	touch $@

demo: install
	$(BIN)/harness demo --quick
	@echo "That was a short study. The whole one: $(BIN)/harness demo"

demo-longhorizon: install
	$(BIN)/harness demo --suite longhorizon5 --quick
	@echo "That was a short study. The whole one: $(BIN)/harness demo --suite longhorizon5"

# One thread for each worker: torch processes with many threads on few cores crawl. A file's tests
# stay together, in the order of tests/conftest.py, which begins with the longest files.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not fuzz" -n $(WORKERS) \
	  --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST)

# Properties run a second time here, on all of their examples.
test-slow: install
	HYPOTHESIS_PROFILE=ci OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or hypothesis" \
	  -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST)

# Both of them in one go, as CI runs them; docker's tests want an engine that is started for them.
test-all: install
	HYPOTHESIS_PROFILE=ci OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not docker and not fuzz" \
	  -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST)

# The rest of a million mutated responses, about five minutes.
fuzz: install
	$(BIN)/python -m pytest -m fuzz $(PYTEST)

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

# Runs other evaluation tools, and a step in SkyRL, each in its own environment: make test-foreign TOOLS=inspect
test-foreign: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.foreign $(TOOLS)

bench: install
	$(BIN)/python -m tests.bench

clean:
	rm -rf demo .mypy_cache .ruff_cache .pytest_cache
