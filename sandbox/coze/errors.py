"""Errors in the shape of the platform: a code, words, and the HTTP status that carries them."""

from __future__ import annotations

WORDS = {
    4000: "The parameters provided in the request are invalid. Please check the request and try again.",
    4001: "The chat does not exist or you do not have permission to access it.",
    4002: "The conversation does not exist or you do not have permission to access it.",
    4003: "meta_data exceeds the limit.",
    4004: "additional_messages exceeds the limit.",
    4007: "auto_save_history must be true when stream is false.",
    4009: "The platform is busy. Please try again later.",
    4011: "The account balance is insufficient.",
    4013: "The model service returned an error.",
    4015: "The bot is not published to the API channel.",
    4016: "Conversation occupied: there is already a chat in progress in the current conversation.",
    4020: "The request frequency exceeds the limit.",
    4028: "The free quota is used up.",
    4100: "authentication is invalid",
    4101: "The token you entered is incorrect or has no permission.",
    4104: "The chat cannot be cancelled in its current state.",
    4105: "The content is sensitive.",
    4200: "The requested resource is not found or is not yours.",
    4300: "The file is empty.",
    4301: "More than one file was uploaded.",
    4303: "The file type is not supported.",
    5000: "We're currently experiencing server issues. Please try again later.",
    6003: "Asynchronous runs need a paid plan.",
    700012006: "access token invalid",
}

STATUS = {4000: 400, 4100: 401, 4101: 403, 4200: 404, 4020: 429}
"""HTTP status of a code; every other one travels with 200, as many do on the platform."""


class Refusal(Exception):
    """The platform does not do what was asked."""

    def __init__(self, code: int, msg: str = "", status: int | None = None) -> None:
        super().__init__(code, msg)
        self.code = code
        self.msg = msg or WORDS.get(code, "request failed")
        self.status = status or STATUS.get(code, 200)


class TokenRefusal(Exception):
    """The token endpoint's own kind of refusal."""

    def __init__(self, error_code: str, message: str, status: int = 401) -> None:
        super().__init__(error_code, message)
        self.error_code = error_code
        self.message = message
        self.status = status
