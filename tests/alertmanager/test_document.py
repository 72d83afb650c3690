"""docs/alertmanager.md names URLs that exist.  Needs no Alertmanager."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from flask import Flask

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "alertmanager.md"


def test_the_urls_of_the_document_are_ours(app: Flask) -> None:
    urls = re.findall(r"http://localhost:8000(/[^\s\"`?]*)", DOCUMENT.read_text())
    routes = app.url_map.bind("localhost")

    assert len(urls) == 4
    for url in urls:
        routes.match(url, method="POST")


def test_the_files_of_the_document_are_yaml() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)

    assert [next(iter(yaml.safe_load(block))) for block in blocks] == ["services", "route"]
