"""The few responses that the router gives of itself, each with its cause in words."""

import http

_REASONS = {status.value: status.phrase for status in http.HTTPStatus}


def answer(status: int, cause: str, *, close: bool, head_only: bool = False) -> bytes:
    """A whole response: `cause` becomes its body, unless only the head is wanted.

    A 503 asks the client to come back after a second: by then the health checks have
    looked at every edge again.
    """
    body = f"edge-router: {cause}\n".encode("ascii", "replace")
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
    ]
    if status == 405:
        # RFC 9110 section 15.5.6: "The origin server MUST generate an Allow header
        # field in a 405 response". A forward proxy alone gives it here.
        lines.append("Allow: CONNECT")
    if status == 503:
        lines.append("Retry-After: 1")
    if close:
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head if head_only else head + body
