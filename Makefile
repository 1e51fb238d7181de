# Everything a newcomer needs: `make demo` runs the main job on real data, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUDGET ?= 60
export PYTHONUTF8 := 1

.PHONY: help demo serve test lint unit slurm chromium setup setup-dev peers lock messages proto clean chaos
help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: $(VENV)/.run  ## digits to predictions over HTTP, live (BUDGET=60 seconds)
	@$(BIN)/python -m cli.demo --budget $(BUDGET)

serve: $(VENV)/.run  ## start the service and print its address
	@$(BIN)/autodl serve

test: lint unit  ## style, types, architecture and every test

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

chaos: $(VENV)/.dev  ## 20 minutes of kills and full disks, then an audit; keeps its report
	$(BIN)/python -m tests.chaos --write

unit: $(VENV)/.dev slurm chromium
	$(BIN)/pytest --numprocesses 2 --dist loadfile

# A real Slurm for its tests comes from Debian and Ubuntu only, and installing it needs root.
slurm:
	@command -v /usr/sbin/slurmctld >/dev/null && command -v /usr/sbin/slurmd >/dev/null && command -v sbatch >/dev/null \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing Slurm for its tests ..." >&2 \
			&& DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends slurmctld slurmd slurm-client >/dev/null; } \
		|| echo "Slurm is not here, so its tests are skipped; on Debian and Ubuntu: sudo apt-get install slurmctld slurmd slurm-client" >&2

# The same of the browser in which the pages are tested.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing Chromium for the tests of the pages ..." >&2 \
			&& DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium >/dev/null; } \
		|| echo "Chromium is not here, so the tests of the pages in a browser are skipped; on Debian and Ubuntu: sudo apt-get install chromium" >&2

setup: $(VENV)/.run  ## install what `demo` and `serve` need into .venv
setup-dev: $(VENV)/.dev  ## and what `test` needs

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; say which with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Python's venv module is missing; on Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

# The lock files are complete and pin every package by digest, hence --no-deps: what a weight package wrongly requires (torch)
# stays away. The project itself is installed in place. Confined solutions cannot write bytecode, and without it TensorFlow takes
# twice as long to load: so it is compiled here.
$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/uv
	@echo "Installing packages into $(VENV) ..." >&2
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

audit: $(VENV)/.dev  ## ask the advisory database about every locked package (needs the network)
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement requirements.lock

peers: build/peers/.run  ## install what the benchmark compares the solution with, into build/peers
build/peers/.run: requirements.lock pyproject.toml $(VENV)/.run
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/peers
	@$(BIN)/uv pip install --quiet --python build/peers/bin/python --no-deps --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python build/peers/bin/python --group peers
	@$(BIN)/uv pip install --quiet --python build/peers/bin/python --no-deps --editable .
	@touch $@

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate --no-emit-index-url pyproject.toml
LOCK := $(COMPILE) --extra service --extra postgresql --extra s3 --extra kubernetes --extra tracing --extra solution \
	--extra media --extra labels --extra weights --group weights
# What the image of the API leaves out: the libraries of runs, whose programs are in the worker's image.
RUNS := polars polars-runtime-32 matplotlib contourpy cycler fonttools kiwisolver pyparsing py3langid setuptools
lock: | $(BIN)/uv  ## pin the newest packages that pyproject.toml allows
	$(LOCK) -o requirements.lock
	$(LOCK) --group dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) --extra service --extra postgresql --extra s3 --extra kubernetes --extra tracing -c requirements.lock \
		$(RUNS:%=--no-emit-package %) -o requirements-api.lock

messages: $(VENV)/.dev  ## collect the texts of the pages into the catalogues of service/web/locales
	@mkdir -p build
	$(BIN)/pybabel -q extract -F pyproject.toml --no-location --ignore-dirs ".* build tests node_modules" -o build/messages.pot .
	$(BIN)/pybabel -q update -i build/messages.pot -d service/web/locales --no-fuzzy-matching --ignore-obsolete \
		--ignore-pot-creation-date --width 100

proto: | $(BIN)/uv  ## generate the protocol buffer classes anew; protoc 31 makes what protobuf 6.31 and newer load
	$(BIN)/uv run --quiet --no-project --isolated --with grpcio-tools==1.75.1 \
		python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. autodl/_proto/*.proto

clean:  ## remove what was built here
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
