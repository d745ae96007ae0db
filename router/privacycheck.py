"""Listeners that demand privacy where there is none, and sockets that are of no use.

What is bound at an address of a link with an interface sends by that interface alone.
"""

from collections.abc import Iterator

from router.catalogue import Catalogue
from router.document import Document
from router.endpoints import endpoints, is_required, products_of
from router.links import device_at
from router.listeners import Listener, Sip
from router.problem import KeyPath, Problem
from router.settings import Config


def check_privacy(
    config: Config, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    """Yield every problem; `config` is settled."""
    private = {
        endpoint.product
        for endpoint in endpoints(catalogue, config)
        if endpoint.device is not None
    }
    for name, listener in config.listeners.items():
        path: KeyPath = ("listeners", name)
        if is_required(listener):
            yield from _linked(path, listener, private, catalogue, document)
        if isinstance(listener, Sip):
            yield from _bound_elsewhere(path, listener, config, document)
            yield from _uncalled(path, listener, config, catalogue, document)


def _linked(
    path: KeyPath,
    listener: Listener,
    private: set[str],
    catalogue: Catalogue,
    document: Document,
) -> Iterator[Problem]:
    """Products to which no link leads."""
    without = [one for one in products_of(listener, catalogue) if one not in private]
    if without:
        yield document.problem(
            (*path, "privacy"),
            f"no edge behind a link with an interface offers {', '.join(without)}",
            "one under provider.links, or privacy: preferred",
            "without its interface nobody can see whether a link is used",
        )


def _bound_elsewhere(
    path: KeyPath, listener: Sip, config: Config, document: Document
) -> Iterator[Problem]:
    """Addresses of a private trunk that are no link's."""
    links = config.provider.links
    for index, bind in enumerate(listener.edge.bind):
        if is_required(listener) and device_at(links, bind.address) is None:
            yield document.problem(
                (*path, "edge", "bind", index),
                f"found {bind}, no address of a link with an interface",
                "one of provider.links.*.sources",
                "a listener that demands privacy has nothing to do there",
            )


def _uncalled(
    path: KeyPath,
    listener: Sip,
    config: Config,
    catalogue: Catalogue,
    document: Document,
) -> Iterator[Problem]:
    """Edges that no socket of the trunk may send to."""
    transport, links = listener.edge.transport, config.provider.links
    bound = {
        device_at(links, bind.address)
        for bind in listener.edge.bind
        if bind.transport is transport
    }
    wanted = {
        endpoint.device: endpoint.edge
        for endpoint in endpoints(catalogue, config)
        if endpoint.product == listener.product and endpoint.source is None
    }
    if is_required(listener):
        wanted.pop(None, None)
    for device, edge in wanted.items():
        if bound and device not in bound:
            by = f"one of the link by {device}" if device else "one that is no link's"
            yield document.problem(
                (*path, "edge", "bind"),
                f"no {transport}:// address from which '{edge}' may be called",
                by,
                "what is bound for a link sends by its interface alone",
            )
