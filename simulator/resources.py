"""Messages and calls of the 2010 API, as far as a client library needs them."""

import collections
import dataclasses
import email.utils
import itertools
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import BasicAuth, web

from simulator.plan import REGIONS
from simulator.visit import VISIT, read

VERSION = "2010-04-01"

_FORM = 1 << 20
_KEPT = 10_000
"Resources kept per kind; the oldest are forgotten."


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """The one account: its identifier is the same everywhere, its tokens are not."""

    sid: str
    "Account SID."
    tokens: Mapping[str, str]
    "Auth token by region: regions share no credentials."


def account() -> Account:
    """A new account with tokens for every region."""
    return Account(
        f"AC{secrets.token_hex(16)}",
        {region: secrets.token_hex(16) for region in REGIONS},
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    prefix: str
    needed: tuple[tuple[str, ...], ...]


_KINDS = {
    "Messages": _Kind("messages", "SM", (("To",), ("Body", "MediaUrl", "ContentSid"))),
    "Calls": _Kind("calls", "CA", (("To",), ("From",), ("Url", "Twiml"))),
}
"Each group of needed parameters must be present with one of its names."


def refusal(status: int, code: int, message: str) -> web.Response:
    """An error in the provider's shape."""
    return web.json_response(
        {
            "code": code,
            "message": message,
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": status,
        },
        status=status,
    )


class Resources:
    """What was created, kept in memory."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.routes = (
            web.post(
                f"/{VERSION}/Accounts/{{account}}/{{kind:Messages|Calls}}.json",
                self.create,
            ),
            web.get(
                f"/{VERSION}/Accounts/{{account}}/{{kind:Messages|Calls}}.json",
                self.page,
            ),
            web.get(
                f"/{VERSION}/Accounts/{{account}}/{{kind:Messages|Calls}}/"
                "{sid:[A-Z]{2}[0-9a-f]{32}}.json",
                self.fetch,
            ),
        )
        self._kept: dict[str, collections.OrderedDict[str, dict[str, object]]] = {
            kind: collections.OrderedDict() for kind in _KINDS
        }

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST: a new message or call; 201 with its representation."""
        form = dict(
            parse_qsl((await read(request, keep=_FORM)).decode("utf-8", "replace"))
        )
        if (refused := self._stranger(request)) is not None:
            return refused
        name = request.match_info["kind"]
        kind = _KINDS[name]
        for group in kind.needed:
            if not any(one in form for one in group):
                return refusal(400, 21604, f"'{group[0]}' is required.")
        sid = f"{kind.prefix}{secrets.token_hex(16)}"
        resource = self._represent(name, sid, form)
        kept = self._kept[name]
        kept[sid] = resource
        if len(kept) > _KEPT:
            kept.popitem(last=False)
        return web.json_response(resource, status=201)

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """GET: one message or call."""
        await read(request)
        if (refused := self._stranger(request)) is not None:
            return refused
        resource = self._kept[request.match_info["kind"]].get(request.match_info["sid"])
        if resource is None:
            return refusal(
                404, 20404, f"The requested resource {request.path} was not found"
            )
        return web.json_response(resource)

    async def page(self, request: web.Request) -> web.StreamResponse:
        """GET: the newest messages or calls, one page of them."""
        await read(request)
        if (refused := self._stranger(request)) is not None:
            return refused
        name = request.match_info["kind"]
        given = request.query.get("PageSize", "50")
        size = min(int(given), 1000) if given.isascii() and given.isdigit() else 50
        newest = list(itertools.islice(reversed(self._kept[name].values()), size))
        return web.json_response(
            {
                _KINDS[name].name: newest,
                "page": 0,
                "page_size": size,
                "start": 0,
                "end": max(0, len(newest) - 1),
                "uri": request.path_qs,
                "first_page_uri": request.path_qs,
                "next_page_uri": None,
                "previous_page_uri": None,
            }
        )

    def _stranger(self, request: web.Request) -> web.Response | None:
        """A refusal unless the credentials are the account's in this region."""
        region = request[VISIT].entry.region or REGIONS[0]
        try:
            given = BasicAuth.decode(request.headers.get("Authorization", ""))
        except ValueError:
            return refusal(401, 20003, "Authenticate")
        expected = (self.account.sid, self.account.tokens[region])
        if (given.login, given.password) != expected:
            return refusal(401, 20003, "Authenticate")
        if request.match_info["account"] != self.account.sid:
            return refusal(404, 20404, "The requested resource was not found")
        return None

    def _represent(
        self, name: str, sid: str, form: Mapping[str, str]
    ) -> dict[str, object]:
        now = email.utils.formatdate(usegmt=False)
        common: dict[str, object] = {
            "sid": sid,
            "account_sid": self.account.sid,
            "api_version": VERSION,
            "to": form["To"],
            "from": form.get("From"),
            "status": "queued",
            "direction": "outbound-api",
            "date_created": now,
            "date_updated": now,
            "price": None,
            "price_unit": "USD",
            "uri": f"/{VERSION}/Accounts/{self.account.sid}/{name}/{sid}.json",
            "subresource_uris": {},
        }
        if name == "Calls":
            return common | {"start_time": None, "end_time": None, "duration": None}
        return common | {
            "body": form.get("Body", ""),
            "num_segments": "1",
            "num_media": "0",
            "date_sent": None,
            "error_code": None,
            "error_message": None,
            "messaging_service_sid": form.get("MessagingServiceSid"),
        }
