"""Web chat: visitors of web pages, through the widget, a page of their own, or a server of ours."""

from adapters.web.adapter import WebAdapter

__all__ = ["WebAdapter"]
