"""A platform is found because its file is there."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import adapters
from adapters.base import Adapter
from adapters.discovery import find_adapters
from adapters.webhook import WebhookAdapter
from errors import ConfigurationError

MakePackage = Callable[..., ModuleType]

PLATFORM = """
from adapters.base import Adapter

class {kind}(Adapter):
    name = "{name}"
    def routes(self): return ()
    def verify(self, request, body): ...
    def parse(self, request, body): ...
    def respond(self, message, run): ...
    def refuse(self, error): ...
"""


def platform(kind: str, name: str) -> str:
    return PLATFORM.format(kind=kind, name=name)


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePackage]:
    """A package of adapters of the test's own: file names and their source."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def make(**files: str) -> ModuleType:
        root = tmp_path / "platforms"
        for path, source in {"__init__": "", **files}.items():
            target = root / f"{path.replace('__in__', '/')}.py"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(source), "utf-8")
        importlib.invalidate_caches()
        return importlib.import_module("platforms")

    yield make
    for name in set(sys.modules) - before:
        if name.split(".")[0] in {"platforms", "third"}:
            del sys.modules[name]


def names(found: list[type[Adapter]]) -> list[str]:
    return [each.name for each in found]


def test_every_platform_of_ours_is_found_under_its_module_s_name() -> None:
    found = find_adapters()
    assert WebhookAdapter in found
    assert names(found) == sorted(names(found))
    for each in found:
        module = sys.modules[each.__module__]
        assert each.__module__.split(".")[1] == each.name, module


def test_a_new_file_is_all_it_takes(make_package: MakePackage) -> None:
    package = make_package(zulip=platform("Zulip", "zulip"), line=platform("Line", "line"))
    assert names(find_adapters(package=package)) == ["line", "zulip"]


def test_a_package_exports_its_adapter(make_package: MakePackage) -> None:
    package = make_package(
        chat__in____init__="from platforms.chat.adapter import Chat\n",
        chat__in__adapter=platform("Chat", "chat"),
        other__in____init__="",
        other__in__hidden=platform("Hidden", "hidden"),
    )
    assert names(find_adapters(package=package)) == ["chat"]


def test_what_a_module_only_imports_or_leaves_abstract_is_not_a_platform(make_package: MakePackage) -> None:
    package = make_package(
        one=platform("One", "one"),
        two="from platforms.one import One\nfrom adapters.base import Adapter\n"
        "from adapters.webhook import WebhookAdapter\n"
        "class Half(Adapter):\n    name = 'half'\n",
    )
    assert names(find_adapters(package=package)) == ["one"]


def test_a_name_that_is_not_the_module_s_stops_the_start(make_package: MakePackage) -> None:
    package = make_package(one=platform("One", "uno"))
    with pytest.raises(ConfigurationError, match=r"platforms\.one:One: its name must be .*'one'"):
        find_adapters(package=package)


def test_two_platforms_in_one_module_stop_the_start(make_package: MakePackage) -> None:
    package = make_package(one=platform("One", "one") + platform("Another", "one"))
    with pytest.raises(ConfigurationError, match=r"two platforms are called 'one': .*Another and .*One"):
        find_adapters(package=package)


def test_a_third_party_s_class_comes_after_ours(make_package: MakePackage, tmp_path: Path) -> None:
    package = make_package(zulip=platform("Zulip", "zulip"))
    (tmp_path / "third.py").write_text(platform("B", "beta") + platform("A", "alpha"), "utf-8")
    assert names(find_adapters(("third:B", "third:A"), package)) == ["zulip", "beta", "alpha"]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("third", "not written package.module:Class"),
        ("third:", "not written package.module:Class"),
        (":A", "not written package.module:Class"),
        ("nowhere.to.be.found:A", r"cannot be imported \(ModuleNotFoundError"),
        ("..third:A", "cannot be imported"),
        ("broken:A", r"cannot be imported \(ZeroDivisionError"),
        ("third:Missing", "not a class that fills all of Adapter's methods"),
        ("third:Half", "not a class that fills all of Adapter's methods"),
        ("third:NUMBER", "not a class that fills all of Adapter's methods"),
        ("third:Nameless", "lower-case"),
        ("third:Odd", "lower-case"),
    ],
)
def test_an_entry_that_cannot_be_used_stops_the_start(
    make_package: MakePackage, tmp_path: Path, entry: str, why: str
) -> None:
    package = make_package()
    (tmp_path / "broken.py").write_text("1 / 0\n", "utf-8")
    (tmp_path / "third.py").write_text(
        platform("A", "alpha")
        + platform("Odd", "Two Words")
        + platform("Nameless", "x").replace('name = "x"', "pass")
        + "\nNUMBER = 7\nclass Half(Adapter):\n    name = 'half'\n",
        "utf-8",
    )
    with pytest.raises(ConfigurationError, match=why) as caught:
        find_adapters((entry,), package)
    assert entry in str(caught.value)


def test_a_name_that_is_taken_stops_the_start(make_package: MakePackage, tmp_path: Path) -> None:
    package = make_package(zulip=platform("Zulip", "zulip"))
    (tmp_path / "third.py").write_text(platform("Mine", "zulip"), "utf-8")
    with pytest.raises(
        ConfigurationError, match=r"two platforms are called 'zulip': platforms.* and third:Mine"
    ):
        find_adapters(("third:Mine",), package)


def test_the_same_class_named_twice_stops_the_start(make_package: MakePackage) -> None:
    with pytest.raises(ConfigurationError, match="two platforms are called 'webhook'"):
        find_adapters(("adapters.webhook:WebhookAdapter",), adapters)
