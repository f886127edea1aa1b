"""Every exception that may cross a border inside Yingda, and the HTTP status each one owns.

YingdaError                     500  internal
├── BadRequest                  400  bad_request         the caller sent something malformed
├── Unauthorized                401  unauthorized        no credential, or a wrong one
├── Forbidden                   403  forbidden           a bad signature, a missing right
├── NotFound                    404  not_found
├── MethodNotAllowed            405  method_not_allowed
├── Conflict                    409  conflict            the state does not allow it
├── PayloadTooLarge             413  payload_too_large   a body over the cap
├── UnsupportedMedia            415  unsupported_media
├── TooManyRequests             429  too_many_requests
├── Unavailable                 503  unavailable         a part of ours is away for now
│   └── NotKept                 503  not_kept            … and the message is lost unless it is sent again
└── UpstreamError               502  upstream_error      a platform we call failed (coze.errors grows here)
    ├── NotNow                  502  not_now             the same call may succeed later
    ├── Undeliverable           502  undeliverable       no repetition of this call can succeed
    └── InDoubt                 502  in_doubt            it may have been done: repeating it might do it twice

ConfigurationError stands outside the tree on purpose: nothing that handles a request may swallow it.
"""

from __future__ import annotations


class YingdaError(Exception):
    """What went wrong, in words that may be shown to the caller: never a secret, never a trace."""

    status: int = 500
    code: str = "internal"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.code.replace("_", " "))

    @property
    def message(self) -> str:
        return str(self.args[0])


class BadRequest(YingdaError):
    """The request is malformed; sending it again unchanged cannot help."""

    status, code = 400, "bad_request"


class Unauthorized(YingdaError):
    """No credential came with the request, or one we do not know."""

    status, code = 401, "unauthorized"


class Forbidden(YingdaError):
    """The signature does not fit, or the credential lacks the right."""

    status, code = 403, "forbidden"


class NotFound(YingdaError):
    """There is no such object, or none that this caller may see."""

    status, code = 404, "not_found"


class MethodNotAllowed(YingdaError):
    """The path exists, the method does not."""

    status, code = 405, "method_not_allowed"


class Conflict(YingdaError):
    """The object's present state does not allow this."""

    status, code = 409, "conflict"


class PayloadTooLarge(YingdaError):
    """The body is over the platform's cap, whatever its headers claimed."""

    status, code = 413, "payload_too_large"


class UnsupportedMedia(YingdaError):
    """The content type is not one this endpoint reads."""

    status, code = 415, "unsupported_media"


class TooManyRequests(YingdaError):
    """A limit was reached; `Retry-After` says when to come back."""

    status, code = 429, "too_many_requests"


class UpstreamError(YingdaError):
    """A platform that we call did not do what we asked."""

    status, code = 502, "upstream_error"


class NotNow(UpstreamError):
    """The platform was not reached, or asked for patience; nothing was done."""

    code = "not_now"


class Behind(NotNow):
    """Something else must go first and is on its way: to wait for it is no failed try."""

    code = "behind"


class Undeliverable(UpstreamError):
    """The platform refuses this for good: quota, window, permission. The message names which."""

    code = "undeliverable"


class InDoubt(UpstreamError):
    """The call was sent and its outcome never arrived. Only a person may decide to repeat it."""

    code = "in_doubt"


class Unavailable(YingdaError):
    """A part of ours is away for the moment; trying again later is right."""

    status, code = 503, "unavailable"


class NotKept(Unavailable):
    """The database is away and the message could not be kept either: its sender has to send it again."""

    code = "not_kept"


class ConfigurationError(Exception):
    """The settings cannot work. Stops the start; each line names a variable, never a value."""


BY_STATUS: dict[int, type[YingdaError]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Conflict,
        PayloadTooLarge,
        UnsupportedMedia,
        TooManyRequests,
        Unavailable,
    )
}
"""The error that stands for a framework's own HTTP status, so that every 4xx has one shape."""
