"""Which platforms there are: one module or package of `adapters/` each, and what `ADAPTERS` names besides.

There is no list to keep: a new file is found because it is there. Whether a platform is switched on is not
decided here but by its `build`.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import TypeGuard

import adapters
from adapters.base import Adapter
from errors import ConfigurationError

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""A platform's name is a URL segment, a settings prefix and a label in the log."""


def find_adapters(extra: Iterable[str] = (), package: ModuleType = adapters) -> list[type[Adapter]]:
    """Every adapter class: those of `package` by module name, then `extra` in its order.

    An entry of `extra` is written `package.module:Class`. Raises `ConfigurationError` for one that cannot be
    used and for a name that is taken.
    """
    found = [*_built_in(package), *map(_named, extra)]
    by_name: dict[str, type[Adapter]] = {}
    for each in found:
        if (other := by_name.setdefault(each.name, each)) is not each or found.count(each) > 1:
            raise ConfigurationError(
                f"two platforms are called {each.name!r}: {_path(other)} and {_path(each)}"
            )
    return found


def _built_in(package: ModuleType) -> Iterable[type[Adapter]]:
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    for name in names:
        module = import_module(f"{package.__name__}.{name}")
        for each in _adapters_of(module):
            if getattr(each, "name", None) != name:
                raise ConfigurationError(f"{_path(each)}: its name must be that of its module, {name!r}")
            yield each


def _adapters_of(module: ModuleType) -> list[type[Adapter]]:
    """Concrete adapters a module defines, or a package's `__init__` takes from the package's modules."""

    def is_own(value: object) -> bool:
        return _is_adapter(value) and f"{value.__module__}.".startswith(f"{module.__name__}.")

    return [each for _, each in sorted(inspect.getmembers(module, is_own))]


def _named(entry: str) -> type[Adapter]:
    path, colon, name = entry.partition(":")
    if not (path and colon and name):
        raise ConfigurationError(f"ADAPTERS: {entry!r} is not written package.module:Class")
    try:
        module = import_module(path)
    except Exception as problem:
        # a third party's module may raise anything while it is imported
        why = f"{type(problem).__name__}: {problem}"
        raise ConfigurationError(f"ADAPTERS: {entry!r}: {path} cannot be imported ({why})") from problem
    each: object = getattr(module, name, None)
    if not _is_adapter(each):
        raise ConfigurationError(
            f"ADAPTERS: {entry!r}: {name} is not a class that fills all of Adapter's methods"
        )
    if not NAME.fullmatch(getattr(each, "name", "")):
        raise ConfigurationError(f"ADAPTERS: {entry!r}: its name must be lower-case letters, digits and _")
    return each


def _is_adapter(value: object) -> TypeGuard[type[Adapter]]:
    return inspect.isclass(value) and issubclass(value, Adapter) and not inspect.isabstract(value)


def _path(kind: type[Adapter]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
