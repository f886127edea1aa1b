"""Imports run one way, and each outside door has its own files."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("settings", "adapters", "support", "ops", "jobs", "sandbox", "handler", "coze", "storage")
MAY_IMPORT = {
    "errors": set(),
    "version": set(),
    "rounds": set(),
    "crew": set(),
    "growing": set(),
    "peek": set(),
    "texts": {"errors"},
    "settings": {"settings", "errors"},
    "handler.message": set(),
    "handler.library": set(),
    "handler.handoff": set(),
    "handler.regulator": {"handler.handoff"},
    "handler.hours": set(),
    "handler.matching": {"handler.library"},
    "storage": {
        "storage",
        "support.agent",
        "handler.message",
        "handler.library",
        "handler.handoff",
        "errors",
        "settings",
        "rounds",
        "crew",
    },
    "coze": {
        "coze",
        "handler.message",
        "errors",
        "settings",
        "texts",
        "version",
        "rounds",
        "growing",
        "peek",
    },
    "coze.names": {"storage", "settings"},
    "coze.bot": {"coze", "storage", "handler.message", "errors", "settings", "texts"},
    "jobs": {"jobs", "storage", "handler.message", "errors", "settings"},
    "jobs.__main__": {"app", "parts", "errors"},
    "handler": {"handler", "coze", "storage", "errors", "settings", "texts", "rounds", "crew", "growing"},
    "adapters": {
        "adapters",
        "handler.message",
        "handler.run",
        "errors",
        "settings",
        "texts",
        "version",
        "peek",
    },
    "sandbox": {"sandbox", "errors", "settings", "version"},
    "support.agent": set(),
    "ops": {
        "ops",
        "adapters",
        "coze",
        "storage",
        "handler.message",
        "handler.library",
        "errors",
        "settings",
        "texts",
        "version",
    },
    "support": {"support", "adapters", "handler", "storage", "errors", "settings", "texts"},
    "parts": {
        "adapters",
        "coze",
        "handler",
        "jobs",
        "ops",
        "storage",
        "support",
        "errors",
        "settings",
        "texts",
    },
    "app": {"parts", "adapters", "ops", "sandbox", "storage", "support", "errors", "settings"},
    "wsgi": {"app", "errors"},
}
ONLY_IN = {
    "requests": {
        "adapters/wechat/client.py",
        "adapters/sessions/verifier.py",
        "adapters/outbound.py",
        "ops/",
        "sandbox/",
    },
    "urllib3": {
        "coze/connections.py",
        "coze/transport.py",
        "adapters/wechat/client.py",
        "adapters/wechat/pictures.py",
        "adapters/sessions/verifier.py",
        "adapters/outbound.py",
    },
    "certifi": {"coze/transport.py"},
    "openpyxl": {"ops/library_sheets.py"},
    "rapidfuzz": {"handler/matching.py"},
    "regex": {"handler/library.py", "handler/matching.py"},
    "argon2": {"support/passwords.py"},
    "smtplib": {"support/mail.py"},
    "gevent": {"deploy/gunicorn.conf.py"},
    "sqlalchemy": {"storage/", "ops/logs.py", "ops/health.py"},
}


def modules() -> list[Path]:
    own = [path for part in PARTS for path in (ROOT / part).rglob("*.py")]
    return sorted([*own, *ROOT.glob("*.py")])


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def covered(name: str, allowed: set[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed)


OURS = {*PARTS, "app", "parts", "wsgi", "errors", "texts", "version"}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    name = name_of(path)
    rule = max((rule for rule in MAY_IMPORT if covered(name, {rule})), key=len, default=None)
    assert rule is not None, f"{name} has no rule"
    allowed = MAY_IMPORT[rule]
    # `from handler import message` names both the package and the module: the longer name decides
    names = {each for each in imported(path) if each.split(".")[0] in OURS}
    wrong = {
        each
        for each in names
        if not covered(each, allowed) and not any(a.startswith(f"{each}.") for a in allowed)
    }
    assert not wrong, f"{name} may not import {sorted(wrong)}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_an_outside_door_has_its_own_files(library: str) -> None:
    for path in modules():
        if any(each.split(".")[0] == library for each in imported(path)):
            place = path.relative_to(ROOT).as_posix()
            assert any(place.startswith(allowed) for allowed in ONLY_IN[library]), f"{library} in {place}"


def test_no_file_is_longer_than_400_lines() -> None:
    def is_ours(path: Path) -> bool:
        parts = path.relative_to(ROOT).parts
        return not any(part.startswith(".") or part in {"node_modules", "var"} for part in parts)

    written = [each for kind in ("py", "js", "css", "html", "c") for each in ROOT.rglob(f"*.{kind}")]
    ours = [each for each in written if is_ours(each)]
    assert set(modules()) < set(ours)
    long = {each.name: n for each in ours if (n := len(each.read_text("utf-8").splitlines())) > 400}
    assert not long
