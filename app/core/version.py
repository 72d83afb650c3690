"""The version of Tocsin: the one place that states it (a test compares pyproject.toml and CHANGELOG.md)."""

VERSION = "0.1.0"
