"""How the rows of a set are written for PostgreSQL."""

from __future__ import annotations

import json
from unittest import mock

import pytest

from storage.claim_statement import CLAIMED
from storage.set_rows import Columns, as_json
from storage.set_statements import ANSWERED, NOTED


@pytest.mark.parametrize("columns", [CLAIMED, NOTED, ANSWERED], ids=["claimed", "noted", "answered"])
def test_usual_rows_are_written_the_fast_way(columns: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.set_rows.json.dumps", mock.Mock(side_effect=AssertionError))
    row = {"number": 7, "owner": "me", "raw": {"message_id": "1"}, "docs": [], "answer": "带上身份证。"}
    (written,) = json.loads(as_json(columns, [row]))
    assert written["number"] == 7


def test_a_number_that_the_fast_writer_does_not_take_is_written() -> None:
    (written,) = json.loads(as_json(CLAIMED, [{"raw": {"number": 2**70}}]))
    assert written["raw"] == {"number": 2**70}
