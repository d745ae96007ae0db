import importlib.resources
from pathlib import Path

from router.catalogue import read_catalogue
from router.config import Loaded, load
from router.document import parse
from router.settings import Config
from router.summary import Summary, summarise
from router.validation import build

TWILIO = (importlib.resources.files("router.catalogues") / "twilio.yaml").read_text()
TEXT = """\
version: 1
provider: {catalogue: twilio}
health: {interval: 1s, fast_interval: 500ms, timeout: 1s, fall: 2}
listeners:
  proxy:
    protocol: https
    direction: to_provider
    mode: connect
    products: [api, lookups]
    bind: 127.0.0.1:3128
    allow: [10.0.0.0/8]
    deadlines: {connect: 500ms, tls: 2s}
  webhooks:
    protocol: https
    direction: from_provider
    bind: 127.0.0.1:8444
    tls: {certificate: site.pem, key: site.key}
    to: [http://10.0.0.20, https://10.0.0.21]
"""


def test_summary_tells_where_listeners_lead_and_how_long_a_failure_may_take() -> None:
    loaded = load(TEXT, "f", lambda name: (TWILIO, name), base=Path())
    proxy, webhooks = summarise(loaded)
    assert proxy == Summary(
        name="proxy",
        binds=("127.0.0.1:3128",),
        leads_to=("api", "lookups"),
        next_target=2.5,
        out_of_use=1 + 1 + (0.5 + 1),
    )
    assert webhooks.leads_to == ("10.0.0.20:80", "10.0.0.21:443")
    assert str(proxy) == (
        "proxy: 127.0.0.1:3128 to api, lookups; a silent target delays a flow by at "
        "most 2.5s and is out of use after at most 3.5s"
    )


def test_summary_of_a_trunk_has_the_addresses_of_both_sides() -> None:
    text = """\
version: 1
provider: {catalogue: twilio}
listeners:
  trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site: {bind: [udp://10.0.0.2:5060], to: [sip:10.0.0.9], allow: [10.0.0.9]}
    edge: {bind: [udp://203.0.113.5:5060], transport: udp}
"""
    document = parse(text, "f")
    config, _ = build(Config, document, Path())
    assert config is not None
    catalogue = read_catalogue(parse(TWILIO, "t"))
    (trunk,) = summarise(Loaded(config, catalogue, (), document))
    assert trunk.binds == ("udp://10.0.0.2:5060", "udp://203.0.113.5:5060")
    assert trunk.leads_to == ("pstn", "10.0.0.9:5060")
    assert trunk.next_target == 2
