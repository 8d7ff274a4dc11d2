"""The extension's version, in its only place: `pyproject.toml` reads it here, and CHANGELOG.md must begin with it."""

VERSION = "1.0.0"
