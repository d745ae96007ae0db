import pytest

from protocols.net.names import bears


def certificate(*names: str, addresses: tuple[str, ...] = ()) -> dict[str, object]:
    return {
        "subject": ((("commonName", "cn.example.com"),),),
        "subjectAltName": (
            *(("DNS", name) for name in names),
            *(("IP Address", address) for address in addresses),
        ),
    }


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("api.example.com", "api.example.com"),
        ("API.example.com", "api.EXAMPLE.com"),
        ("api.example.com", "api.example.com."),
        ("*.example.com", "api.example.com"),
    ],
)
def test_certificate_with_the_name_or_one_wildcard_label_bears_it(
    pattern: str, name: str
) -> None:
    assert bears(certificate("other.net", pattern), name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("api.example.com", "www.example.com"),
        ("*.example.com", "example.com"),
        ("*.example.com", "a.b.example.com"),
        ("*.example.com", ".example.com"),
        ("a*.example.com", "api.example.com"),
        ("api.*.com", "api.example.com"),
        ("*.com", "example.com"),
        ("*", "localhost"),
        ("a*.example.com", "a*.example.com"),
        ("", ""),
    ],
)
def test_certificate_of_another_name_or_loose_wildcard_does_not_bear_it(
    pattern: str, name: str
) -> None:
    assert not bears(certificate(pattern), name)


def test_common_name_alone_is_not_an_identity() -> None:
    assert not bears(certificate(), "cn.example.com")
    assert not bears({}, "cn.example.com")


@pytest.mark.parametrize(
    ("held", "asked", "expected"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("<invalid>", "192.0.2.1", False),
    ],
)
def test_address_is_compared_with_address_identifiers_only(
    held: str, asked: str, expected: bool
) -> None:
    assert bears(certificate(addresses=(held,)), asked) is expected
    assert not bears(certificate(asked), asked)
