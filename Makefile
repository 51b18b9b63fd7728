# Needs Python 3.11 or newer with venv, make, and a network for the first installation; everything goes into .venv.

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python

.PHONY: help demo test soak check bench docs lock
help:
	@echo "make demo    a real Ray cluster works, is killed, and its dashboard opens again (ARGS=--help for options)"
	@echo "make test    all tests, ten minutes on two CPUs (ARGS=tests/archive for some)"
	@echo "make soak    the long forms of the fault tests, about an hour, 2 GiB of disk (ARGS=tests/faults/test_kill.py for some)"
	@echo "make check   lint, format, types, import contracts, lock files"
	@echo "make bench   the benchmarks, each figure beside its goal (ARGS=opening for one)"
	@echo "make docs    docs/settings.md anew from the tables of settings"
	@echo "make lock    the lock files anew from pyproject.toml"

demo: $(VENV)/.installed-demo
	@$(RUN) -m historyserver demo $(ARGS)

test: $(VENV)/.installed-dev
	@$(RUN) -m pytest $(ARGS)

soak: $(VENV)/.installed-dev
	@$(RUN) -m pytest --soak --verbose --durations=0 --durations-min=1 $(ARGS)

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	@! grep -nE '://|--(extra-)?index|--find-links' requirements/*.txt || { echo "lock files name no addresses"; exit 1; }

bench: $(VENV)/.installed-dev
	@$(RUN) -m bench $(ARGS)

docs: $(VENV)/.installed-dev
	@$(RUN) -m historyserver settings >docs/settings.md.new && mv docs/settings.md.new docs/settings.md

LOCK = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header pyproject.toml
lock: $(VENV)/.installed-dev
	$(LOCK) --extra sidecar -o requirements/sidecar.txt
	$(LOCK) --extra server -o requirements/server.txt
	$(LOCK) --extra infra -o requirements/infra.txt
	$(LOCK) --extra sidecar --extra server --extra demo -o requirements/demo.txt
	$(LOCK) --extra sidecar --extra server --extra demo --extra dev -o requirements/dev.txt

# Each stamp is as old as the lock that was installed last, so nothing is installed twice.
$(VENV)/.installed-%: requirements/%.txt | $(VENV)/.made
	@echo "Installing what requirements/$*.txt names; the first time this takes some minutes."
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r $< \
		|| { echo "The installation failed, see above. It needs a package index: is there a network?" >&2; exit 1; }
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "This needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
		echo "Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "Python could not make a virtual environment; on Debian that needs: apt install python3-venv" >&2; exit 1; }
	@touch $@
