import json

from router.catalogue import Catalogue
from router.schema import schema
from router.settings import Config


def test_schema_is_json_and_names_its_dialect_and_title() -> None:
    found = schema(Config, "configuration")
    assert json.loads(json.dumps(found)) == found
    assert found["$schema"].endswith("2020-12/schema")
    assert found["title"] == "configuration"


def test_defaults_are_written_with_their_units() -> None:
    definitions = schema(Config, "configuration")["$defs"]
    assert definitions["Health"]["properties"]["fast_interval"]["default"] == "250ms"
    assert definitions["Limits"]["properties"]["header_size"]["default"] == "64KiB"
    assert (
        definitions["RequestLimits"]["properties"]["body_rate"]["default"] == "240B/s"
    )


def test_every_key_is_described_and_unknown_ones_are_refused() -> None:
    for model in (Config, Catalogue):
        found = schema(model, "file")
        for part in (found, *found["$defs"].values()):
            if part.get("type") == "object":
                assert part["additionalProperties"] is False
                for name, field in part["properties"].items():
                    assert "description" in field or "$ref" in field, name


def test_listener_is_one_of_seven_kinds_told_apart_by_constants() -> None:
    found = schema(Config, "configuration")
    kinds = found["properties"]["listeners"]["patternProperties"]
    assert [len(names["oneOf"]) for names in kinds.values()] == [7]
    connect = found["$defs"]["HttpsConnect"]["properties"]
    assert connect["mode"]["const"] == "connect"
    assert connect["protocol"]["const"] == "https"
