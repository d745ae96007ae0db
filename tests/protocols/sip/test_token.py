import base64
import hmac

import pytest

from protocols.sip.token import MAC_BYTES, Hop, Hops, Kind, seal, unseal
from protocols.target import Transport

SITE = Hop(Transport.UDP, "10.0.0.10", 5060)
EDGE = Hop(Transport.TLS, "2001:db8::1", 5061, "ashburn-ix")
HOPS = Hops(SITE, EDGE)
KEYS = (b"k" * 32,)
CALL = b"a84b4c76e66710@pbx.test"


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    "hops",
    [
        HOPS,
        Hops(EDGE, SITE),
        Hops(SITE._replace(flow=40_001), EDGE),
        Hops(EDGE._replace(flow=65_535), SITE),
    ],
)
def test_token_gives_back_what_was_sealed(kind: Kind, hops: Hops) -> None:
    assert unseal(seal(hops, kind, CALL, KEYS), CALL, KEYS) == hops


def test_token_is_made_of_what_a_parameter_may_hold() -> None:
    value = seal(HOPS, Kind.DIALOG, CALL, KEYS)
    assert value.replace(b"-", b"").replace(b"_", b"").isalnum()
    assert len(value) < 80


def test_token_signed_with_the_old_key_is_taken_during_rotation() -> None:
    value = seal(HOPS, Kind.DIALOG, CALL, KEYS)
    assert unseal(value, CALL, (b"new" * 10, *KEYS)) == HOPS
    assert unseal(value, CALL, (b"new" * 10,)) is None


def test_token_of_a_dialog_is_good_for_its_call_alone() -> None:
    dialog = seal(HOPS, Kind.DIALOG, CALL, KEYS)
    path = seal(HOPS, Kind.PATH, CALL, KEYS)
    assert unseal(dialog, b"another", KEYS) is None
    assert unseal(path, b"another", KEYS) == HOPS


@pytest.mark.parametrize("key", [b"k", b"k" * 64, b"k" * 200])
def test_signature_is_the_hmac_of_the_library(key: bytes) -> None:
    value = seal(HOPS, Kind.PATH, CALL, (key,))
    raw = base64.urlsafe_b64decode(value + b"=" * (-len(value) % 4))
    body, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
    assert mac == hmac.digest(key, body, "sha256")[:MAC_BYTES]


def test_token_with_any_bit_changed_is_refused() -> None:
    value = seal(HOPS, Kind.DIALOG, CALL, KEYS)
    raw = base64.urlsafe_b64decode(value + b"=" * (-len(value) % 4))
    for at in range(8 * len(raw)):
        forged = bytearray(raw)
        forged[at // 8] ^= 1 << at % 8
        assert unseal(base64.urlsafe_b64encode(forged), CALL, KEYS) is None


@pytest.mark.parametrize(
    "value", [b"", b"A", b"%%%%", b"\xff\xfe", b"A" * MAC_BYTES, b"A" * 200]
)
def test_token_that_is_none_is_refused(value: bytes) -> None:
    assert unseal(value, CALL, KEYS) is None
