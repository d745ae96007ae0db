import yaml

from simulator.catalogue import catalogue
from simulator.plan import addresses, read_edges
from simulator.zone import build

PLANS = read_edges(["ashburn=1ms", "dublin=1ms", "ashburn-ix=1ms@127.0.0.9"])


def test_catalogue_names_edges_regions_port_and_where_pairs_exist() -> None:
    text = catalogue(build(PLANS, addresses(PLANS)), PLANS, 23456)
    read = yaml.safe_load(text)

    assert read["simulated"] is True
    assert read["default_edge"] == "ashburn"
    assert read["edges"]["ashburn-ix"] == {"kind": "private"}
    assert read["regions"] == {
        "us1": {"home_edge": "ashburn"},
        "ie1": {"home_edge": "dublin"},
    }
    rest = read["products"]["rest"]
    assert rest["transports"] == {"tls": 23456}
    assert rest["edges_in_region"]["ie1"] == ["dublin"]


def test_every_host_name_of_the_catalogue_exists() -> None:
    zone = build(PLANS, addresses(PLANS))
    read = yaml.safe_load(catalogue(zone, PLANS, 1))

    for product in read["products"].values():
        everywhere = dict.fromkeys(read["regions"], read["edges"])
        for region, names in product.get("edges_in_region", everywhere).items():
            for edge in names:
                name = product["host"].format(product="api", edge=edge, region=region)
                entry = zone.find(name)
                assert entry is not None, name
                assert entry.edge == (edge if edge in name else None)
