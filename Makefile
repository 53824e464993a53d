# make demo   set up and run the quickstart study     make test   set up and pass the tests
# make setup  the installation alone                  make lint   ruff, pyright     make bench  the benchmarks

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin
CASES ?= 10000
CHAOS ?= chaos/$(shell date +%Y-%m-%d-%H%M)
CPU := .venv/.cpu-installed
DEV := .venv/.dev-installed
BENCH := .venv/.bench-installed
AUDIT := .venv/.audit-installed
MLFLOW := .venv/.mlflow-installed

.PHONY: demo test unit studies fleets setup lint bench fuzz audit licences sbom long chaos clean

demo: $(CPU)
	@$(BIN)/divscale run configs/quickstart.yaml

# Side by side: integration tests wait for processes to start for much of their time. Each is printed when it has ended.
test: $(DEV)
	@echo "three parts of the tests run side by side; each is shown when it has ended (some minutes)"
	@$(MAKE) --no-print-directory --keep-going --jobs=3 --output-sync=target fleets studies unit

# Integration tests in two halves of about the same length.
FLEETS := $(sort $(wildcard $(addprefix tests/integration/test_,s*.py training_*.py generation_*.py e*.py)))

fleets: $(DEV)
	@RAY_worker_niceness=0 $(BIN)/python -m pytest $(FLEETS)

studies: $(DEV)
	@RAY_worker_niceness=0 $(BIN)/python -m pytest $(filter-out $(FLEETS),$(wildcard tests/integration/test_*.py))

unit: $(DEV)
	@nice -n 5 $(BIN)/python -m pytest --ignore=tests/integration

setup: $(CPU)

lint: $(DEV)
	@$(BIN)/ruff check . && $(BIN)/pyright

# Hostile studies and data files, CASES of them (10,000 take 3 to 17 minutes on two cores): tests/fuzz/run.py
fuzz: $(DEV)
	@$(BIN)/python tests/fuzz/run.py --cases $(CASES)

# Known vulnerabilities of the locked packages, asked of PyPI; needs a network.
audit: $(AUDIT)
	@for lock in cpu gpu; do echo "requirements/$$lock.txt:"; \
	  $(BIN)/pip-audit -r requirements/$$lock.txt --no-deps --disable-pip --progress-spinner off || failed=1; done; exit $${failed:-0}

# What the metadata of the CPU lock's packages say of their licences; those that are not allowed are marked.
licences: $(CPU)
	@$(BIN)/python requirements/licences.py cpu.txt

# A bill of materials of the CPU lock: CycloneDX 1.6, checked by its schema.
sbom: $(AUDIT)
	@$(BIN)/python requirements/sbom.py cpu.txt sbom.json

# What takes a minute or more each and is not in CI: clusters that lose nodes or grow, S3, ranks that hang, bench, ...
long: $(DEV) $(MLFLOW)
	@RAY_worker_niceness=0 $(BIN)/python -m pytest -m long tests

# Faults drawn at random over a study on three hosts made of network namespaces: root, and an hour or two. What was dealt
# and found, and the store of a run that broke a promise, are kept in CHAOS; ends with an error where one did.
chaos: $(DEV)
	@$(BIN)/python tests/chaos_hosts.py tests/studies/chaos.yaml --every-s 4 --keep $(CHAOS) --out $(CHAOS)/found.json

bench: $(BENCH) $(DEV)
	@$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 is missing. Debian: apt-get install python3 python3-venv"; exit 3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "make: the lock is for Python 3.11, $(PYTHON) is another. Debian 12: apt-get install python3 python3-venv; or set PYTHON=..."; exit 3; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "make: venv is missing. Debian: apt-get install python3-venv"; exit 3; }
	@command -v g++ >/dev/null || { echo "make: a C++ compiler is missing. Debian: apt-get install g++"; exit 3; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null || \
	  { echo "make: libnuma is missing, to which vLLM's CPU build is linked. Debian: apt-get install libnuma1"; exit 3; }
	@$(PYTHON) -m venv .venv

$(CPU): requirements/cpu.txt pyproject.toml | .venv/bin/python
	@echo "installing requirements/cpu.txt (about 2.5 GB, some minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile -r requirements/cpu.txt || { \
	  echo "make: trying once more with PyTorch's CPU wheels from $(TORCH_INDEX)"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile -r requirements/cpu.txt --extra-index-url $(TORCH_INDEX); }
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true  # on every core, which pip does not; some files are for other Pythons
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements/dev.txt $(CPU)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/dev.txt
	@touch $@

$(MLFLOW): requirements/mlflow.txt $(CPU)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv/mlflow --upgrade -r requirements/mlflow.txt
	@touch $@

$(BENCH): requirements/bench.txt $(CPU)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/bench.txt
	@touch $@

$(AUDIT): requirements/audit.txt $(CPU)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/audit.txt
	@touch $@
