"""The Coze session service under `/coze/`: one module for each thing it decides."""

from adapters.sessions.adapter import SessionsAdapter

__all__ = ["SessionsAdapter"]
