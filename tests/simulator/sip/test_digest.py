import pytest

from simulator.sip.digest import Credentials, challenge, credentials, nonce_of, verify

KNOWN = Credentials("pbx", "secret")
URI = "sip:+15551234567@example.pstn.twilio.com"


def test_response_is_that_of_the_example_in_rfc_2617() -> None:
    asked = (
        'Digest realm="testrealm@host.com", qop="auth", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="x"'
    )
    given = Credentials("Mufasa", "Circle Of Life")

    value = credentials(asked, given, "GET", "/dir/index.html", "0a4f113b")

    assert 'response="6629fae49393a05397450978507c4ef1"' in value


def test_credentials_made_for_a_challenge_are_verified() -> None:
    value = credentials(challenge("n"), KNOWN, "INVITE", URI, "c")

    assert nonce_of(value) == "n"
    assert verify(value, KNOWN, "INVITE", URI)


@pytest.mark.parametrize(
    ("known", "method", "uri"),
    [
        (Credentials("pbx", "other"), "INVITE", URI),
        (Credentials("other", "secret"), "INVITE", URI),
        (KNOWN, "BYE", URI),
        (KNOWN, "INVITE", "sip:127.0.0.1"),
    ],
)
def test_credentials_for_something_else_are_not(
    known: Credentials, method: str, uri: str
) -> None:
    value = credentials(challenge("n"), KNOWN, "INVITE", URI, "c")

    assert not verify(value, known, method, uri)


@pytest.mark.parametrize("value", ["", "Basic abc", "nothing at all", "Digest a=b"])
def test_what_is_no_digest_is_not_verified(value: str) -> None:
    assert nonce_of(value) == ""
    assert not verify(value, KNOWN, "INVITE", URI)


def test_password_is_not_shown() -> None:
    assert "secret" not in repr(KNOWN)
