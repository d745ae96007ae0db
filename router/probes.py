"""How the daemon asks targets for a sign of life, by what is spoken with them."""

from protocols.http.probe import https_probe
from protocols.target import Probe
from protocols.websocket.probe import websocket_probe
from router.config import Loaded
from router.endpoint import Protocol
from router.endpoints import endpoints
from router.keyring import Keyring
from router.listeners import FromProvider


def probes(loaded: Loaded, keyring: Keyring, sip: Probe) -> dict[Protocol, Probe]:
    """The probe of each protocol; `sip` asks by its listeners. Raises TLSFileError."""
    contexts = keyring.trust(loaded.config.provider.ca_file)
    receivers = {
        str(to): keyring.trust(listener.ca_file)
        for listener in loaded.config.listeners.values()
        if isinstance(listener, FromProvider)
        for to in listener.to
        if to.tls
    }
    greet = https_probe(contexts, receivers)
    return {
        Protocol.HTTPS: greet,
        Protocol.WEBSOCKET: websocket_probe(greet, contexts, paths(loaded)),
        Protocol.SIP: sip,
    }


def paths(loaded: Loaded) -> dict[str, str]:
    """Where WebSockets are opened to probe, by host; others are greeted only."""
    products = loaded.catalogue.products
    used = endpoints(loaded.catalogue, loaded.config)
    asked = ((one.host, products[one.product].probe_path) for one in used)
    return {host: path for host, path in asked if path is not None}
