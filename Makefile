# make train | make test | make lint | make bench | make bench-peers | make bench-jobs | make soak | make soak-live | make soak-web | make soak-jobs
# make venv | make lock | make web-assets | make bench-browser | make compose-env
# DATA=path (default: the built-in drawn faces), ARGS="more flags", PYTHON=python3.12

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
DATA   = $(if $(FER_DATA),$(FER_DATA),sample)
PASSWORDS = REDIS_PASSWORD FLOWER_PASSWORD WEB_PASSWORD
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)

.PHONY: venv headless-opencv train test lint format bench bench-peers bench-jobs soak soak-live soak-web soak-jobs web-assets bench-browser compose-env lock clean

venv: $(READY)

$(READY): requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; found: $$(python3 --version 2>&1)." >&2; \
		echo "Install one, then: make $(or $(MAKECMDGOALS),venv) PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Install one, then: make $(or $(MAKECMDGOALS),venv) PYTHON=/path/to/python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -c 'import cv2' 2>/dev/null || $(MAKE) --no-print-directory headless-opencv
	@touch $(READY)

# opencv-python draws windows and needs libGL for it, which servers and containers often lack.
headless-opencv:
	@echo "This machine has no libGL (apt-get install libgl1 libglib2.0-0 brings it): installing OpenCV without windows."
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-headless.lock

train: $(READY)
	$(BIN)/python train_emotion_model.py --data "$(DATA)" $(if $(filter sample,$(DATA)),--recipe smoke) $(ARGS)

# Four processes side by side, since tests wait too; those of one file stay together, as they share what was made for
# them, and tests/conftest.py has the longest files begin first. What was compiled once is not compiled by each process.
test: $(READY)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What browsers run models with, from the npm registry that is configured here; the web page reads on the server without.
web-assets: $(READY)
	$(BIN)/python -m fer_core.web.assets

bench: $(READY)
	$(BIN)/python benchmarks/bench.py $(ARGS)

bench-peers: $(READY)
	$(BIN)/python benchmarks/live_bench.py $(ARGS)

bench-jobs: $(READY)
	$(BIN)/python benchmarks/jobs_scale.py $(ARGS)
	$(BIN)/python benchmarks/jobs_scale.py speedup

bench-browser: $(READY)
	$(BIN)/python benchmarks/browser.py

soak: $(READY)
	$(BIN)/python benchmarks/soak.py $(ARGS)

soak-live: $(READY)
	$(BIN)/python benchmarks/measure.py soak $(ARGS)

soak-web: $(READY)
	$(BIN)/python benchmarks/web_soak.py $(ARGS)

soak-jobs: $(READY)
	$(BIN)/python benchmarks/jobs_soak.py $(ARGS)

# What docker-compose.yml asks for: random passwords and whose the files are, but root (sudo make) is nobody in a container.
# Whole from its first instant, and never overwritten.
compose-env:
	@test -e .env || { umask 077; new=.env.$$$$.part; { echo "# Secrets of docker-compose.yml."; \
		for name in $(PASSWORDS); do echo "$$name=$$(od -An -vtx1 -N24 /dev/urandom | tr -d ' \n')"; done; \
		test $$(id -u) = 0 || { echo "FER_UID=$$(id -u)"; echo "FER_GID=$$(id -g)"; }; } > $$new && ln $$new .env; rm -f $$new; }
	@for name in $(PASSWORDS); do grep -q "^$$name=." .env || { echo "Error: .env does not set $$name." >&2; \
		echo "Add the line $$name=… yourself, or move the file away and run this again." >&2; exit 2; }; done
	@echo ".env has all passwords, and is never overwritten. Next: docker compose up -d"

# The versions that are installed, with the hashes of their files: pip takes no others. Needs uv (pip install uv).
#   requirements.lock                 what is developed and tested with     requirements-jax.lock  the same on JAX
#   requirements-image.lock           what the Docker image has             …-and-cuda.lock        for NVIDIA GPUs
#   requirements-headless.lock        OpenCV without windows
#   requirements-light.lock           what reading faces needs, for small boards; with OpenCV without windows
LOCKED = uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --generate-hashes
ALL = pyproject.toml --extra train --extra jobs --extra video --extra onnx
lock:
	$(LOCKED) $(ALL) --extra tf --extra dev -o requirements.lock
	$(LOCKED) $(ALL) --extra jax --extra dev -o requirements-jax.lock
	$(LOCKED) $(ALL) --extra tf --extra flower -c requirements.lock -o requirements-image.lock
	$(LOCKED) $(ALL) --extra and-cuda --extra flower -c requirements.lock -o requirements-image-and-cuda.lock
	sed -n 's/^opencv-python\(==[^ ;]*\).*/opencv-python-headless\1/p' requirements.lock \
		| $(LOCKED) --no-deps - -o requirements-headless.lock
	$(LOCKED) pyproject.toml -c requirements.lock --no-emit-package opencv-python -o requirements-light.lock
	cat requirements-headless.lock >> requirements-light.lock

clean:
	rm -rf $(VENV)
