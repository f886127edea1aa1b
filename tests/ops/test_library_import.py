"""Files of the Q&A library: what is exported comes back, and nothing hostile gets in."""

from __future__ import annotations

import csv
import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pytest
import requests

from ops.library_sheets import ROWS
from settings import DEVELOPMENT_KEY
from tests.rig import Rig

KEY = {"X-Api-Key": DEVELOPMENT_KEY}
ODD = [
    '=HYPERLINK("http://evil")',
    "'=1+1",
    "＝cmd",
    "-1",
    'a,b"c"\nd',
    "@now",
    "🙂 \t tab",
    "'quoted'",
]


def bring(rig: Rig, content: bytes, form: str = "csv", status: int = 200, dry_run: bool = False) -> Any:
    response = requests.post(
        f"{rig.url}/api/library/import",
        params={"format": form, "dry_run": str(dry_run).lower()},
        data=content,
        headers=KEY,
        timeout=(2, 30),
    )
    assert response.status_code == status, response.text
    return response.json()


def fetch(rig: Rig, form: str) -> bytes:
    response = rig.get("/api/library/export", params={"format": form}, headers=KEY)
    assert response.status_code == 200
    assert f'.{form}"' in response.headers["Content-Disposition"]
    return response.content


def entries(rig: Rig) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rig.get("/api/library/entries", headers=KEY).json()["entries"]
    return found


def outcomes(report: dict[str, Any]) -> list[str]:
    return [row["outcome"] for row in report["rows"]]


def workbook(*rows: tuple[object, ...]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book.save(file)
    return file.getvalue()


@pytest.fixture
def filled(rig: Rig) -> Rig:
    rows = [{"phrasings": [f"第{n}题", f"另一种{n}"], "answer": text} for n, text in enumerate(ODD)]
    rows.append(
        {
            "phrasings": ["退款.{0,5}多久|几天", r"\d+元"],
            "answer": "七天",
            "mode": "regex",
            "priority": -3,
            "applies_to": ["wechat", "web:default"],
            "valid_from": "2026-01-01T00:00:00+08:00",
            "enabled": False,
            "tags": ["退款", "时间"],
        }
    )
    report = bring(rig, orjson.dumps(rows), "json")
    assert report["imported"]
    assert report["new"] == len(rows)
    return rig


@pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
def test_what_is_exported_comes_back_unchanged(filled: Rig, form: str) -> None:
    before = entries(filled)
    report = bring(filled, fetch(filled, form), form)
    assert set(outcomes(report)) == {"unchanged"}
    assert not report["imported"]
    assert entries(filled) == before


def test_a_formula_is_harmless_in_every_spreadsheet(filled: Rig) -> None:
    for row in csv.reader(io.StringIO(fetch(filled, "csv").decode("utf-8-sig"))):
        assert not any(cell.startswith(("=", "+", "@", "＝")) for cell in row)
    book = openpyxl.load_workbook(io.BytesIO(fetch(filled, "xlsx")))
    cells = [cell for row in book.active.iter_rows() for cell in row if isinstance(cell.value, str)]
    assert any(cell.value.startswith("=") for cell in cells)
    assert {cell.data_type for cell in cells} <= {"s", "inlineStr"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_in_whatever_form_excel_saves_it(rig: Rig, encoding: str, delimiter: str) -> None:
    lines = [
        ["问题", "答案", "匹配方式", "启用"],
        ["居住证 补办", "去窗口", "关键词", "是"],
        ["", "", "", ""],
    ]
    content = "\r\n".join(delimiter.join(line) for line in lines).encode(encoding)
    assert bring(rig, content)["new"] == 1
    [entry] = entries(rig)
    assert (entry["phrasings"], entry["mode"], entry["enabled"]) == (["居住证 补办"], "keywords", True)


def test_a_workbook_is_read_with_numbers_and_dates_as_excel_keeps_them(rig: Rig) -> None:
    from datetime import datetime

    rows = (
        ("phrasings", "answer", "priority", "valid_until", "enabled"),
        ("问题一\n问题二", 42, 3.0, datetime(2030, 1, 2, 3, 4), True),
    )
    assert bring(rig, workbook(*rows), "xlsx")["new"] == 1
    [entry] = entries(rig)
    assert entry["phrasings"] == ["问题一", "问题二"]
    assert (entry["answer"], entry["priority"]) == ("42", 3)
    assert entry["valid_until"] == "2030-01-02T03:04:00.000Z"


def test_a_dry_run_tells_each_row_and_does_nothing(filled: Rig) -> None:
    before = entries(filled)
    first = before[0]
    file = [
        {"phrasings": first["phrasings"], "answer": first["answer"]},
        {"phrasings": first["phrasings"][::-1], "answer": "changed"},
        {"phrasings": ["全新的"], "answer": "x"},
        {"phrasings": ["第3题", "别的"], "answer": "x"},
        {"phrasings": ["("], "mode": "regex", "answer": "x"},
        {"id": 999, "phrasings": ["没有的"], "answer": "x"},
        {"id": before[4]["id"], "version": 7, "phrasings": ["旧的"], "answer": "x"},
        {"phrasings": ["全新的！"], "answer": "y"},
        {"phrasings": ["没有答案"]},
    ]
    report = bring(filled, orjson.dumps(file), "json", dry_run=True)
    assert outcomes(report) == [
        *(
            "unchanged",
            "conflict",
            "new",
            "conflict",
            "invalid",
            "conflict",
            "conflict",
            "conflict",
            "invalid",
        ),
    ]
    problems = [row["problem"] for row in report["rows"]]
    assert "row 1 is the same entry" in problems[1]
    assert f"entry {before[3]['id']} has the phrasing" in problems[3]
    assert "not a regular expression" in problems[4]
    assert "no entry 999" in problems[5]
    assert "its version is 1 now" in problems[6]
    assert "row 3 has the phrasing" in problems[7]
    assert problems[8].startswith("answer")
    assert (report["new"], report["conflicts"], report["invalid"]) == (1, 5, 2)
    assert entries(filled) == before
    # the real import of the same file is refused whole
    refused = bring(filled, orjson.dumps(file), "json", 409)
    assert not refused["imported"]
    assert entries(filled) == before


def test_two_entries_may_swap_their_phrasings_in_one_import(filled: Rig) -> None:
    one, two = entries(filled)[:2]
    file = [
        {"id": one["id"], "phrasings": two["phrasings"], "answer": one["answer"]},
        {"id": two["id"], "phrasings": one["phrasings"], "answer": two["answer"]},
    ]
    assert outcomes(bring(filled, orjson.dumps(file), "json")) == ["changed", "changed"]
    assert [each["phrasings"] for each in entries(filled)[:2]] == [two["phrasings"], one["phrasings"]]


def bomb(size: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * size)
    return file.getvalue()


def with_doctype() -> bytes:
    good = workbook(("phrasings", "answer"), ("q", "a"))
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(file, "w") as new:
        for each in old.infolist():
            body = old.read(each)
            if each.filename.endswith("sheet1.xml"):
                body = b'<!DOCTYPE x [<!ENTITY a "b">]>' + body
            new.writestr(each.filename, body)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"", "csv"),
        (b"\xff\x00\xff", "csv"),
        (b"a,b\n1,2", "csv"),
        (b'phrasings,answer\n"\x00,x', "json"),
        (b"{}", "json"),
        (b"[1]", "json"),
        (b"[" * 100_000, "json"),
        (b"PK\x03\x04 not really", "xlsx"),
        (b"", "xlsx"),
        (bomb(60 * 1024 * 1024), "xlsx"),
        (bomb(10), "xlsx"),
        (with_doctype(), "xlsx"),
        (workbook(), "xlsx"),
    ],
    ids=[
        "empty csv",
        "csv that is no text",
        "csv without our columns",
        "json that is csv",
        "json object",
        "json numbers",
        "json too deep",
        "xlsx that is none",
        "empty xlsx",
        "xlsx bomb",
        "xlsx without a sheet",
        "xlsx with a doctype",
        "xlsx without rows",
    ],
)
def test_a_file_that_is_no_library_is_refused(rig: Rig, content: bytes, form: str) -> None:
    assert bring(rig, content, form, 400)["error"]["code"] == "bad_request"


def test_a_file_that_is_too_large_is_refused(rig: Rig) -> None:
    many = b"phrasings,answer\n" + b"q,a\n" * (ROWS + 1)
    assert bring(rig, many, "csv", 413)["error"]["code"] == "payload_too_large"
    assert bring(rig, b"x" * (8 * 1024 * 1024 + 1), "csv", 413)["error"]["code"] == "payload_too_large"


def test_the_command_line_imports_exports_and_tries(rig: Rig, tmp_path: Path) -> None:
    run = rig.app.test_cli_runner().invoke
    file = tmp_path / "库.csv"
    file.write_text("问题,答案\n营业时间,九点到十八点\n", "utf-8")
    dry = run(args=["library", "import", str(file), "--dry-run"])
    assert dry.exit_code == 0
    assert "1 new" in dry.output
    assert entries(rig) == []
    assert run(args=["library", "import", str(file)]).exit_code == 0
    tried = run(args=["library", "test", "营业时间？"])
    assert "exact '营业时间', score 100" in tried.output
    assert "九点到十八点" in tried.output
    assert run(args=["library", "test", "别的"]).exit_code == 1
    out = tmp_path / "out.json"
    assert run(args=["library", "export", "--format", "json", "--output", str(out)]).exit_code == 0
    assert json.loads(out.read_text("utf-8"))["entries"][0]["answer"] == "九点到十八点"
    file.write_text("问题,答案,匹配方式\n(,x,正则\n", "utf-8")
    refused = run(args=["library", "import", str(file)])
    assert refused.exit_code == 1
    assert "row 2: invalid" in refused.output
    assert run(args=["library", "import", str(tmp_path / "no.csv")]).exit_code == 2
