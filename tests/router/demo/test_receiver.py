"""The site's receiver of webhooks."""

import http.client
from collections.abc import Mapping

from router.demo.receiver import Receiver


def verify(url: str, form: Mapping[str, str], signature: str) -> bool:
    return (url, form, signature) == ("https://site.example/a?b=c", {"x": "1"}, "good")


def post(port: int, signature: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {
        "Host": "site.example",
        "X-Forwarded-Proto": "https",
        "X-Twilio-Signature": signature,
        "I-Twilio-Idempotency-Token": "token",
    }
    connection.request("POST", "/a?b=c", "x=1", headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_genuine_webhook_is_taken() -> None:
    with Receiver(verify) as receiver:
        assert post(receiver.port, "good") == 204
        assert receiver.genuine == ["token"]


def test_forged_webhook_is_refused() -> None:
    with Receiver(verify) as receiver:
        assert post(receiver.port, "bad") == 403
        assert receiver.genuine == []
