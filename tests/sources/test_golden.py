"""Each payload on disk means what its expected file says.  `--update-golden` writes these files: then read the difference."""

from __future__ import annotations

import json

import pytest

from app import sources
from tests.sources.corpus import FOLDER, Case, all_cases

CASES = all_cases(sources.all())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_payload_means_what_is_expected(case: Case, pytestconfig: pytest.Config) -> None:
    meaning = case.meaning()
    if pytestconfig.getoption("--update-golden"):
        case.expected_path.write_text(json.dumps(meaning, indent=2, ensure_ascii=False) + "\n")

    assert case.expected_path.exists(), "write it with --update-golden, then read what it says"
    assert meaning == json.loads(case.expected_path.read_text())


def test_every_file_belongs_to_a_case_of_a_source() -> None:
    known = {path for case in CASES for path in (case.path, case.expected_path, case.path.with_name(case.path.stem + ".request.json"))}
    found = {path for path in FOLDER.glob("*/*") if path.parent.name != "__pycache__"}

    assert not found - known
