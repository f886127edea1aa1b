"""Where a customer can be written to: an e-mail address as they type it. Pure."""

from __future__ import annotations

import re

LONGEST = 254
EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])",
    re.ASCII,
)


def email_in(text: str) -> str:
    """The first address in a message; empty when there is none."""
    found = EMAIL.search(text)
    return found[0] if found and len(found[0]) <= LONGEST else ""


def is_email(text: str) -> bool:
    """Whether this is an address and nothing else."""
    return len(text) <= LONGEST and EMAIL.fullmatch(text) is not None
