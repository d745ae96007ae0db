import yaml

from simulator.catalogue import catalogue
from simulator.plan import addresses, read_edges
from simulator.zone import Zone, build

PLANS = read_edges(["ashburn=1ms", "dublin=1ms", "ashburn-ix=1ms@127.0.0.9"])
SIP = {"udp": 30000, "tcp": 30000, "tls": 30001}


def zone() -> Zone:
    built = build(PLANS, addresses(PLANS))
    built.ports = SIP
    return built


def test_catalogue_names_edges_regions_port_and_where_pairs_exist() -> None:
    text = catalogue(zone(), PLANS, 23456)
    read = yaml.safe_load(text)

    assert read["simulated"] is True
    assert read["default_edge"] == "ashburn"
    assert read["edges"]["ashburn-ix"] == {
        "kind": "private",
        "networks": {"sip_signalling": [f"127.21.3.{n}/32" for n in range(1, 5)]},
    }
    assert read["regions"] == {
        "us1": {"home_edge": "ashburn"},
        "ie1": {"home_edge": "dublin"},
    }
    rest = read["products"]["rest"]
    assert rest["transports"] == {"tls": 23456}
    assert rest["edges_in_region"]["ie1"] == ["dublin"]


def test_every_host_name_of_the_catalogue_exists() -> None:
    built = zone()
    read = yaml.safe_load(catalogue(built, PLANS, 1))

    for product in read["products"].values():
        for region, names in product.get(
            "edges_in_region", {"": read["edges"]}
        ).items():
            for edge in names:
                template = product.get("next_hop", product["host"])
                name = template.format(product="api", edge=edge, region=region)
                entry = built.find(name)
                assert entry is not None, name
                assert entry.edge == edge


def test_catalogue_has_the_ports_of_sip_and_more_than_the_least_time_of_options() -> (
    None
):
    read = yaml.safe_load(catalogue(zone(), PLANS, 1, options_period=0.2))
    pstn = read["products"]["pstn"]

    assert pstn["transports"] == SIP
    assert pstn["min_probe_interval"] == "300ms"
    assert pstn["next_hop"] == "pstn.{edge}.twilio.com"
