"""The Q&A library as a file: CSV, XLSX and JSON, written and read.

What is read comes from outside: its size, its rows and what a workbook unpacks to are limited before anything
is parsed. Workbooks are rare and what handles them is large: it is loaded with the first one.
"""

from __future__ import annotations

import csv
import io
import logging
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import orjson

from errors import BadRequest, PayloadTooLarge
from ops.library_models import fields_of
from ops.logged_message import BYTE_ORDER_MARK, FORMULA
from storage.library import Stored

log = logging.getLogger(__name__)

Form = Literal["csv", "xlsx", "json"]
MIME: dict[Form, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
}
FILE_CAP = 8 * 1024 * 1024
"""Bytes of an uploaded file: 20,000 entries of ordinary length."""
UNPACKED_CAP = 48 * 1024 * 1024
"""Bytes that a workbook may unpack to."""
PARTS = 200
ROWS = 20_000
CELLS = 32
"""Cells of a row that are looked at; ours has twelve."""
CELL_CAP = 32_767
"""Characters that a cell of a workbook holds."""
LISTS = {"phrasings": "\n", "applies_to": ",", "tags": ","}
"""Columns with several values in one cell, and what separates them: a pattern may hold anything else."""
COLUMNS = (
    *("id", "version", "phrasings", "answer", "mode", "priority", "threshold"),
    *("applies_to", "valid_from", "valid_until", "enabled", "tags"),
)
CHINESE = {
    "编号": "id",
    "版本": "version",
    "问题": "phrasings",
    "问法": "phrasings",
    "答案": "answer",
    "回答": "answer",
    "匹配方式": "mode",
    "优先级": "priority",
    "阈值": "threshold",
    "适用渠道": "applies_to",
    "生效时间": "valid_from",
    "失效时间": "valid_until",
    "启用": "enabled",
    "标签": "tags",
}
MODES = {"精确": "exact", "关键词": "keywords", "正则": "regex", "模糊": "fuzzy"}
YES_NO = {
    "是": True,
    "否": False,
    "true": True,
    "false": False,
    "1": True,
    "0": False,
    "yes": True,
    "no": False,
}
NUMBERS = ("id", "version", "priority", "threshold")
Record = dict[str, Any]
"""A row as the API's JSON would have it, plus `id` and `version`."""


def written(entries: Iterable[Stored], form: Form) -> bytes:
    """The file with these entries."""
    records = ({"id": each.id, "version": each.version, **fields_of(each.draft)} for each in entries)
    if form == "json":
        return orjson.dumps({"entries": list(records)}, option=orjson.OPT_INDENT_2)
    rows = ([_cell(name, record[name]) for name in COLUMNS] for record in records)
    return _csv(rows) if form == "csv" else _workbook(rows)


def read(content: bytes, form: Form) -> list[tuple[int, Record]]:
    """Each row's number and what it says; `BadRequest` or `PayloadTooLarge` for what cannot be read."""
    if len(content) > FILE_CAP:
        raise PayloadTooLarge(f"the file is larger than {FILE_CAP} bytes")
    if form == "json":
        return _read_json(content)
    rows = _read_csv(content) if form == "csv" else _read_workbook(content)
    return list(_records(rows))


def form_of(name: str) -> Form:
    """The form that a file's name says; `BadRequest` for another."""
    for form in MIME:
        if name.lower().endswith(f".{form}"):
            return form
    raise BadRequest("the file must be .csv, .xlsx or .json")


def _cell(name: str, value: Any) -> Any:
    if name in LISTS:
        return LISTS[name].join(value)
    return str(value).lower() if isinstance(value, bool) else value


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows([_escaped(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return (BYTE_ORDER_MARK + file.getvalue()).encode("utf-8", "replace")


def _escaped(text: str) -> str:
    """The text, made harmless in a spreadsheet; `_unescaped` takes it back."""
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


def _unescaped(text: str) -> str:
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA) else text


def _workbook(rows: Iterable[Sequence[Any]]) -> bytes:
    import openpyxl
    from openpyxl.cell import WriteOnlyCell

    def text_cell(text: str) -> Any:
        printable = "".join(each for each in text if each in "\t\n" or each >= " ")
        cell = WriteOnlyCell(sheet, printable[:CELL_CAP])
        # else openpyxl makes a formula of what begins with =
        cell.data_type = "s"
        return cell

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("library")
    sheet.append(COLUMNS)
    for row in rows:
        sheet.append([text_cell(cell) if isinstance(cell, str) else cell for cell in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _decoded(content: bytes) -> str:
    # Excel writes UTF-8 with a mark, "Unicode text" in UTF-16, and in China GB18030 for everything else
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadRequest("the file is neither UTF-8 nor GB18030")


def _read_csv(content: bytes) -> Iterator[tuple[int, Sequence[Any]]]:
    text = _decoded(content)
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1):
            yield number, [_unescaped(cell) for cell in row[:CELLS]]
    except csv.Error as problem:
        raise BadRequest(f"the file is not CSV: {problem}") from None


def _read_workbook(content: bytes) -> Iterator[tuple[int, Sequence[Any]]]:
    import openpyxl

    _require_harmless(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(
                io.BytesIO(content), read_only=True, data_only=True, keep_links=False
            )
            sheet = book.worksheets[0]
            # what a file says about its own size is not to be believed
            sheet.reset_dimensions()
            for number, row in enumerate(sheet.iter_rows(max_col=CELLS, values_only=True), 1):
                if any(cell is not None for cell in row):
                    yield number, row
    except (BadRequest, GeneratorExit):
        raise
    except Exception as problem:
        # a parser of a parser of somebody's file: there is no list of what it may raise
        log.info("a workbook cannot be read", extra={"why": type(problem).__name__})
        raise BadRequest("the file is not a workbook that can be read") from None


def _require_harmless(content: bytes) -> None:
    """Refuses a workbook that would unpack to much more than a library, or that brings declarations along."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            parts = packed.infolist()
            if len(parts) > PARTS or sum(each.file_size for each in parts) > UNPACKED_CAP:
                raise BadRequest("the workbook unpacks to too much")
            for each in parts:
                # zipfile itself stops at the announced size
                if each.filename.endswith((".xml", ".rels")) and b"<!DOCTYPE" in packed.read(each):
                    raise BadRequest("the workbook holds a document type declaration")
    except BadRequest:
        raise
    except Exception:
        raise BadRequest("the file is not a workbook that can be read") from None


def _records(rows: Iterator[tuple[int, Sequence[Any]]]) -> Iterator[tuple[int, Record]]:
    _, heading = next(rows, (0, ()))
    names = [str(cell or "").strip().lower() for cell in heading]
    columns = [CHINESE.get(name, name) for name in names]
    if not {"phrasings", "answer"} <= set(columns):
        raise BadRequest("the first row must name the columns: phrasings (问题), answer (答案), …")
    count = 0
    for number, row in rows:
        if not any(cell not in (None, "") for cell in row):
            continue
        if (count := count + 1) > ROWS:
            raise PayloadTooLarge(f"the file has more than {ROWS} rows")
        yield number, _record(dict(zip(columns, row, strict=False)))


def _record(cells: dict[str, Any]) -> Record:
    """The cells as the API's JSON would have them; what does not fit stays as it is and is refused later."""
    record: Record = {}
    for name, cell in cells.items():
        if name not in COLUMNS or cell in (None, ""):
            continue
        value: Any = cell.isoformat() if hasattr(cell, "isoformat") else cell
        if name in LISTS:
            value = [each.strip() for each in _split(name, str(value)) if each.strip()]
        elif name == "enabled" and not isinstance(value, bool):
            value = YES_NO.get(str(value).strip().lower(), value)
        elif name == "mode":
            value = MODES.get(str(value).strip(), str(value).strip().lower())
        elif name in NUMBERS:
            value = str(value).strip().removesuffix(".0")
        else:
            value = str(value)
        record[name] = value
    return record


def _split(name: str, text: str) -> list[str]:
    for other in ("，", "、", "\n") if LISTS[name] == "," else ("\r\n", "\r"):
        text = text.replace(other, LISTS[name])
    return text.split(LISTS[name])


def _read_json(content: bytes) -> list[tuple[int, Record]]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise BadRequest("the file is not JSON in UTF-8") from None
    entries = found.get("entries") if isinstance(found, dict) else found
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise BadRequest('the file must be a list of entries, or {"entries": […]}')
    if len(entries) > ROWS:
        raise PayloadTooLarge(f"the file has more than {ROWS} rows")
    return [
        (number, {name: value for name, value in each.items() if name in COLUMNS})
        for number, each in enumerate(entries, 1)
    ]
