"""The extension's version; `pyproject.toml` states the same."""

VERSION = "0.1.0"
