"""The few responses that the router gives of itself, each with its cause in words."""

import http

_REASONS = {status.value: status.phrase for status in http.HTTPStatus}


def answer(
    status: int,
    cause: str,
    *,
    close: bool,
    head_only: bool = False,
    allow: str = "CONNECT",
) -> bytes:
    """A whole response: `cause` becomes its body, unless only the head is wanted.

    `allow` is the method that a 405 names: the only one served. A 426 names what is
    spoken instead: the WebSocket. A 503 asks the client to come back after a second: by
    then the health checks have looked at every edge again.
    """
    body = f"edge-router: {cause}\n".encode("ascii", "replace")
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
    ]
    if status == 405:
        # RFC 9110 section 15.5.6: "The origin server MUST generate an Allow header
        # field in a 405 response".
        lines.append(f"Allow: {allow}")
    if status == 426:
        # RFC 9110 section 15.5.22: "The server MUST send an Upgrade header field in a
        # 426 response"; RFC 6455 section 4.4: and the versions that it understands.
        lines += ["Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    if status == 503:
        lines.append("Retry-After: 1")
    if close:
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head if head_only else head + body
