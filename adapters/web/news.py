"""What happens at the desk while an answer is being streamed: why the answer will not go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from adapters.base import as_json
from adapters.gateway import Gateway
from errors import Unavailable
from handler.message import InboundMessage

log = logging.getLogger(__name__)

News = Callable[[], Iterable[bytes]]
MORE_SECONDS = 0.01
"""How long is waited for more: what there is, is in the database."""


def news_since(gateway: Gateway, message: InboundMessage, began: float) -> Iterator[bytes]:
    """Frames of the dialogue's events since `began`, unix seconds."""
    try:
        number = gateway.dialogues.number(message.platform, message.account, message.user, message.dialogue)
        if number is None:
            return
        for event in gateway.events.follow(number, 0, MORE_SECONDS):
            if event is None:
                return
            if isinstance(event, int) or float(str(event.payload.get("timestamp", 0))) < began:
                continue
            # without an id: the ids of this stream are places in the answer
            yield b"data: " + as_json({**event.payload, "type": event.kind}) + b"\n\n"
    except Unavailable:
        log.warning("what happened at the desk is not known")
