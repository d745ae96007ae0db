"""An origin that remembers which POSTs it received: one of a pair for the failover.

    python -m benchmarks.origin ADDRESS PORT CERTIFICATE KEY LEDGER

Every request is answered at once with a few bytes. The identifier of a POST is
appended to the ledger before that, so that it outlives the process being killed.
"""

import os
import ssl
import sys

from aiohttp import web


def application(ledger: int) -> web.Application:
    """The origin; `ledger` is a descriptor open for appending."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        identifier = request.headers.get("X-Request-Id", "")
        if request.method == "POST":
            os.write(ledger, f"{identifier}\n".encode())
        return web.Response(text="0123456789", headers={"X-Request-Id": identifier})

    made = web.Application()
    made.router.add_route("*", "/{path:.*}", answer)
    return made


def main(arguments: list[str]) -> None:
    """Serve until terminated."""
    address, port, certificate, key, path = arguments
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    web.run_app(
        application(ledger),
        host=address,
        port=int(port),
        ssl_context=context,
        access_log=None,
        print=None,
        reuse_address=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
