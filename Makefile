# make run          the page on 127.0.0.1:7860 (VITRINE_HOST, VITRINE_PORT; SHARE=1 for a public link)
# make test         every test; ARGS="-k door" for some
# make check        what CI runs: format, lint, types, tests
# make coverage     what no test runs
# make fuzz         2,000 damaged picture files through the door
# make screenshot   the README's picture of the running page

SHELL := /bin/sh
PYTHON ?=
BIN := .venv/bin
export PYTHON

.PHONY: run test check coverage fuzz screenshot clean

run: .venv/ready
	@$(BIN)/python app.py $(if $(SHARE),--share)

test: .venv/ready-to-test
	$(BIN)/python -m pytest $(ARGS)

# Warnings are errors by pyproject.toml, which also names the few of Gradio that are not.
check: .venv/ready-to-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict engine gradio_ui app.py
	$(BIN)/python -m pytest $(ARGS)

# Lists the lines that nothing runs. There is no threshold: read it.
coverage: .venv/ready-to-test
	$(BIN)/python -m pytest --cov=engine --cov=gradio_ui --cov-report=term-missing:skip-covered $(ARGS)

fuzz: .venv/ready-to-test
	$(BIN)/python tests/support/tried.py --fuzz 2000 0 | tail -n 20

screenshot: .venv/ready-to-test
	$(BIN)/python tests/screenshot.py docs/page.png

.venv/ready: requirements.txt .ci/setup
	@sh .ci/setup
	@touch $@

.venv/ready-to-test: requirements.txt pyproject.toml .ci/setup
	@sh .ci/setup dev
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
