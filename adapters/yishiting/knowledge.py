"""Documents from a search of the operator's own, for answers to which the bot names none.

    POST <url>   {"query", "user", "session_id", "robot", "business_keys", "top_k"}
    200          {"docs": [{"doc_id", "title", "url", "space_id"?, "score"?}, …]}

They are an ornament: whatever fails here costs the documents and a little time, never the answer.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, SecretStr, ValidationError

from adapters.base import as_json
from adapters.outbound import Outbound, Patience
from adapters.shape import Shape
from errors import ConfigurationError, Undeliverable, UpstreamError
from handler.message import Doc

log = logging.getLogger(__name__)

MOST = 5
ANSWER_CAP = 256 * 1024
REST_SECONDS = 15.0
"""After a failure nobody waits for the search this long: it would slow down every answer."""


class Found(Shape):
    """One document as the search names it."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    doc_id: str = Field(min_length=1, max_length=256)
    title: str = Field("", max_length=1000)
    url: str = Field("", max_length=4096, pattern=r"^(https?://\S+)?$")
    space_id: str = Field("", max_length=256)
    score: float | None = Field(None, allow_inf_nan=False)

    def as_doc(self) -> Doc:
        return Doc(self.doc_id, self.title, self.url, self.space_id, self.score)


class Knowledge:
    """The search at `url`; without one it finds nothing. Safe to share between threads."""

    def __init__(self, url: str, token: SecretStr | None, seconds: float, *, plain: bool) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        self._outbound = Outbound(None, plain=plain, patience=Patience(min(1.0, seconds), seconds, seconds))
        self._rests_until = 0.0
        if url:
            try:
                self._outbound.check(url)
            except Undeliverable as problem:
                raise ConfigurationError(f"YISHITING_KNOWLEDGE_URL: {problem.message}") from None

    def search(self, question: str, about: Mapping[str, object]) -> tuple[Doc, ...]:
        """Documents on the question, best first; none when there are none or anything fails."""
        if not self._url or time.monotonic() < self._rests_until:
            return ()
        try:
            body = as_json({"query": question, **about, "top_k": MOST})
            answered = self._outbound.post(self._url, body, self._headers, ANSWER_CAP)
            if answered.status != 200 or answered.body is None:
                raise UpstreamError(f"HTTP {answered.status}")
            return _docs(json.loads(answered.body))
        except (UpstreamError, ValueError, RecursionError) as problem:
            self._rests_until = time.monotonic() + REST_SECONDS
            why = problem.message if isinstance(problem, UpstreamError) else "its answer cannot be read"
            log.warning("the knowledge search failed", extra={"platform": "yishiting", "why": why})
            return ()


def _docs(answer: Any) -> tuple[Doc, ...]:
    """Raises `ValueError` for another shape; a document that is not one is left out."""
    entries = answer.get("docs") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise ValueError("there is no list of docs")
    found = []
    for each in entries[: 4 * MOST]:
        try:
            found.append(Found.model_validate(each).as_doc())
        except ValidationError:
            log.info("a document of the knowledge search is malformed", extra={"platform": "yishiting"})
    return tuple(found[:MOST])
