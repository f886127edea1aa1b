"""Constant-time comparison, the time window, and that nobody compares secrets elsewhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from adapters.signing import check_window, same, same_as_any
from errors import Forbidden

ROOT = Path(__file__).parent.parent.parent
NOW = 1_750_000_000.0


@pytest.mark.parametrize("skew", [-300, -1, 0, 1, 300])
def test_a_timestamp_inside_the_window_passes(skew: int) -> None:
    check_window(str(int(NOW) + skew), NOW)


@pytest.mark.parametrize("skew", [-86_400, -301, 301, 86_400])
def test_a_timestamp_outside_the_window_is_refused_in_both_directions(skew: int) -> None:
    with pytest.raises(Forbidden, match="outside"):
        check_window(str(int(NOW) + skew), NOW)


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.999])
def test_the_edges_do_not_depend_on_fractions_of_our_second(fraction: float) -> None:
    for skew in (-300, 300):
        check_window(str(int(NOW) + skew), NOW + fraction)
    for skew in (-301, 301):
        with pytest.raises(Forbidden):
            check_window(str(int(NOW) + skew), NOW + fraction)


def test_a_window_may_be_narrower() -> None:
    check_window(str(int(NOW) - 10), NOW, window=10)
    with pytest.raises(Forbidden):
        check_window(str(int(NOW) - 11), NOW, window=10)


@pytest.mark.parametrize(
    "timestamp",
    ["", " ", "abc", "-1750000000", "+1750000000", "1750000000 ", "1750000000\n", "1750000000.0", "1.75e9",
     "1e30", "175000000", "17500000000", "1750000000000", "1_750_000_000", "0x684ee180",
     "１７５０００００００", "١٧٥٠٠٠٠٠٠٠", "nan", "inf", "null"],
)  # fmt: skip
def test_a_timestamp_that_is_not_ten_ascii_digits_is_refused(timestamp: str) -> None:
    with pytest.raises(Forbidden, match="unix seconds"):
        check_window(timestamp, NOW)


@pytest.mark.parametrize(
    ("expected", "given", "equal"),
    [
        ("secret", "secret", True),
        ("密钥", "密钥", True),
        ("secret", "Secret", False),
        ("secret", "secre", False),
        ("secret", "secret ", False),
        ("secret", "", False),
        ("", "", False),
        ("", "secret", False),
        ("a?", "a\ud800", False),
        ("a\ufffd", "a\udcff", False),
    ],
)
def test_only_equal_secrets_that_are_not_empty_are_the_same(expected: str, given: str, equal: bool) -> None:
    assert same(expected, given) is equal


def test_any_of_several_secrets_may_match() -> None:
    assert same_as_any(["old", "new"], "old")
    assert same_as_any((each for each in ("old", "new")), "new")
    assert not same_as_any(["old", "new"], "older")
    assert not same_as_any([], "old")
    assert not same_as_any(["", "new"], "")


# --- nobody else compares ----------------------------------------------------------------------------------

COMPARERS = {"compare_digest", "check_signature", "check_wxa_signature"}


def offences(source: str) -> list[str]:
    """Comparisons of secrets by other means than adapters.signing: `line: what`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            if not any(isinstance(side, ast.Constant) for side in sides):
                found += [
                    f"{node.lineno}: == on {name}" for name in map(name_of, sides) if "signature" in name
                ]
        found += [f"{node.lineno}: {name}" for name in names if name in COMPARERS]
    return found


def name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return str(getattr(node, "id", getattr(node, "attr", ""))).lower()


@pytest.mark.parametrize(
    "source",
    [
        "import hmac\nhmac.compare_digest(a, b)",
        "from hmac import compare_digest",
        "from secrets import compare_digest as equal",
        "from wechatpy.utils import check_signature",
        "import wechatpy.utils\nwechatpy.utils.check_signature(t, s, d, n)",
        "if given_signature == expected: pass",
        "ok = request.signature != make(x)",
        "ok = sha1 == signature(token)",
    ],
)
def test_the_scan_sees_an_offence(source: str) -> None:
    assert offences(source)


def test_the_scan_leaves_harmless_comparisons_alone() -> None:
    assert offences("if signature == '': pass\nif name == other: pass\nsame(signature, given)") == []


def test_no_module_but_signing_compares_a_signature() -> None:
    # the sandbox is an independent double of the platforms and imports nothing of ours on purpose
    outside = {"tests", "sandbox", "benchmarks"}
    modules = [
        path
        for path in ROOT.rglob("*.py")
        if not any(part.startswith(".") or part in outside for part in path.relative_to(ROOT).parts)
    ]
    assert ROOT / "adapters" / "signing.py" in modules
    found = {
        str(path.relative_to(ROOT)): bad
        for path in modules
        if path != ROOT / "adapters" / "signing.py" and (bad := offences(path.read_text("utf-8")))
    }
    assert found == {}
