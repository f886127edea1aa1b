# `make run` and `make test` are all a newcomer needs; both may be repeated at will.

VENV := .venv
BIN := $(VENV)/bin
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

.PHONY: help run test promises promises-full doctor check bench bench-quick format lock env-example clean runtime tools peer

help:
	@echo "make run          start the gateway, with a local Coze and WeChat when none is configured"
	@echo "make test         run the tests that need no server and no browser of their own"
	@echo "make promises     kill, freeze and restart real servers, and write what came of it to docs/reliability.md"
	@echo "make bench        measure the gateway beside an async peer, ten minutes; bench-quick takes one"
	@echo "make doctor       check settings, database, Coze and WeChat, and say what to mend"
	@echo "make check        formatting, lint, types, layers and the tests that start no gateway: a minute or so"
	@echo "make format       format the code"
	@echo "make lock         pin requirements*.in with hashes"
	@echo "make env-example  write .env.example and docs/configuration.md from settings/"
	@echo "make clean        remove the environment, caches and the embedded database"

run: runtime
	@exec $(BIN)/python -m ops.launch

test: tools
	@$(BIN)/python -m pytest -m "not slow and not promise and not npm$(if $(CHROMIUM),, and not browser)"

promises: tools
	@$(promises)

promises-full: export PROMISES_FULL = 1
promises-full: tools
	@$(promises)

# the table is written whether or not every promise was kept; the full suite mostly waits, so four run at once
define promises
rm -f var/promises.jsonl; status=0; \
$(BIN)/python -m pytest tests/faults -m "promise and alone" -n 0 || status=$$?; \
$(BIN)/python -m pytest tests/faults -m "promise and not alone" --dist worksteal $(if $(PROMISES_FULL),-n 4) || status=$$?; \
$(BIN)/python -m tests.faults.results "make $@" && exit $$status
endef

bench: tools peer
	@$(BIN)/python -m benchmarks

bench-quick: tools peer
	@$(BIN)/python -m benchmarks --quick

doctor: runtime
	@$(BIN)/python -m ops.doctor

# several at a time on each core, because these tests mostly wait
check: tools
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -m "not served and not slow and not promise and not npm and not browser" -n 6

format: tools
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: tools
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-strip-extras --no-emit-index-url --python-version 3.11 -o requirements.txt requirements.in
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-strip-extras --no-emit-index-url --python-version 3.11 -o requirements-dev.txt requirements-dev.in
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-strip-extras --no-emit-index-url --python-version 3.11 -o requirements-bench.txt requirements-bench.in

env-example: runtime
	@$(BIN)/flask --app wsgi settings example > .env.example.new && mv .env.example.new .env.example
	@$(BIN)/flask --app wsgi settings markdown > docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md

clean:
	rm -rf $(VENV) $(VENV)-bench var .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

runtime:
	@sh deploy/environment.sh $(VENV) requirements.txt

tools:
	@sh deploy/environment.sh $(VENV) requirements-dev.txt

# what the gateway is measured against, in an environment of its own
peer:
	@sh deploy/environment.sh $(VENV)-bench requirements-bench.txt
