from simulator.faults import Active, Fault
from simulator.provider import Provider


async def test_fault_of_an_address_hides_that_of_its_edge(provider: Provider) -> None:
    edge = provider.edges["ashburn"]
    first, second, *_ = edge.addresses

    edge.fail(Fault.STATUS, 500)
    first.fail(Fault.STATUS, 429)

    assert first.effective("https") == Active(Fault.STATUS, 429)
    assert second.effective("https") == Active(Fault.STATUS, 500)


async def test_healed_address_has_the_fault_of_its_edge_again(
    provider: Provider,
) -> None:
    edge = provider.edges["ashburn"]
    edge.freeze()
    edge.addresses[0].refuse()

    edge.addresses[0].heal()

    assert edge.addresses[0].effective("https") == Active(Fault.FREEZE)


async def test_fault_of_a_transport_spares_the_others_and_yields_to_an_address(
    provider: Provider,
) -> None:
    edge = provider.edges["ashburn"]
    first, second, *_ = edge.addresses
    edge.freeze()

    edge.transports["udp"].blackhole()
    first.refuse()

    assert second.effective("udp") == Active(Fault.BLACKHOLE)
    assert second.effective("tcp") == Active(Fault.FREEZE)
    assert first.effective("udp") == Active(Fault.REFUSE)
    edge.heal()
    assert second.effective("udp") is None


async def test_healed_edge_has_healthy_addresses(provider: Provider) -> None:
    edge = provider.edges["ashburn"]
    edge.addresses[0].refuse()

    edge.heal()

    assert edge.addresses[0].effective("https") is None


async def test_distance_of_an_edge_can_be_read_and_changed(provider: Provider) -> None:
    edge = provider.edges["ashburn"]

    edge.round_trip = 0.25

    assert edge.round_trip == edge.line.round_trip == 0.25
    assert provider.edges["dublin"].round_trip == 0.0
