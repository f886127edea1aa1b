"""A person's words that no callback brought: they go with the answer to the customer's next message."""

from __future__ import annotations

import logging

from adapters.gateway import Leftovers
from handler.run import Follows

log = logging.getLogger(__name__)


def riding_along(leftovers: Leftovers, run: Follows) -> str:
    """The words that this answer shows first, the same for every delivery of it; mostly none."""
    try:
        waiting = [each for each in leftovers.riders(run.exchange_id) if each.reply.source == "agent"]
        if not waiting:
            return ""
        aboard = leftovers.carry(run.exchange_id, [each.exchange_id for each in waiting])
        return "\n".join(each.reply.text for each in waiting if each.exchange_id in aboard)
    except Exception:
        # they wait on; the answer that was asked for must not wait with them
        log.exception("a person's words could not go along", extra={"exchange": run.exchange_id})
        return ""
