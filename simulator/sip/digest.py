"""Digest authentication with MD5 and `qop=auth` (RFC 3261 section 22, RFC 7616)."""

import dataclasses
import hashlib
import hmac

import sipmessage

REALM = "sip.twilio.com"
"The provider's realm, the same at all edges."


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password."""

    user: str
    "User name."
    password: str = dataclasses.field(repr=False)
    "Password; never sent."


def challenge(nonce: str) -> str:
    """The value of Proxy-Authenticate."""
    parameters = sipmessage.AuthParameters(
        realm=REALM, qop="auth", nonce=nonce, opaque="simulated", algorithm="MD5"
    )
    return str(sipmessage.AuthChallenge("Digest", parameters))


def credentials(
    challenged: str, given: Credentials, method: str, uri: str, cnonce: str
) -> str:
    """The value of Proxy-Authorization for a challenge; raises ValueError."""
    parameters = sipmessage.AuthChallenge.parse(challenged).parameters
    realm, nonce = parameters.get("realm", ""), parameters.get("nonce", "")
    response = _response(given, realm, method, uri, f"{nonce}:00000001:{cnonce}:auth")
    fields = sipmessage.AuthParameters(
        username=given.user,
        realm=realm,
        nonce=nonce,
        uri=uri,
        response=response,
        cnonce=cnonce,
        nc="00000001",
        qop="auth",
        algorithm="MD5",
        opaque=parameters.get("opaque", ""),
    )
    return str(sipmessage.AuthCredentials("Digest", fields))


def nonce_of(value: str) -> str:
    """The nonce that credentials were made for; empty if they are none."""
    return _parameters(value).get("nonce", "")


def verify(value: str, expected: Credentials, method: str, uri: str) -> bool:
    """Whether Proxy-Authorization was made with the password for this very request."""
    given = _parameters(value)
    if given.get("username") != expected.user or given.get("uri") != uri:
        return False
    middle = ":".join(given.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
    response = _response(expected, given.get("realm", ""), method, uri, middle)
    return hmac.compare_digest(response, given.get("response", ""))


def _parameters(value: str) -> dict[str, str]:
    try:
        return {**(sipmessage.AuthCredentials.parse(value).parameters or {})}
    except ValueError:
        return {}


def _response(
    given: Credentials, realm: str, method: str, uri: str, middle: str
) -> str:
    """RFC 7616 section 3.4.1, with MD5."""
    first = _md5(f"{given.user}:{realm}:{given.password}")
    return _md5(f"{first}:{middle}:{_md5(f'{method}:{uri}')}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
