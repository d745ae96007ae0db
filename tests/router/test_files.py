import os
from pathlib import Path

import pytest
import trustme

from router.config import Loaded
from router.document import MAX_CHARACTERS
from router.files import bundled_catalogues, read
from router.problem import ConfigError

MINIMAL = """\
version: 1
provider: {catalogue: CATALOGUE}
listeners:
  api:
    protocol: https
    direction: to_provider
    mode: connect
    bind: 127.0.0.1:3128
    allow: [127.0.0.0/8]
"""
SMALL = """\
version: 1
name: small
default_edge: north
edges: {north: {kind: public}}
products: {api: {protocol: https, transports: {tls: 443}, host: "{edge}.example"}}
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "f.yaml"
    path.write_text(text, "utf-8")
    return path


def complaint(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path)
    return str(caught.value).replace(f"{path.parent}/", "")


def read_with(directory: Path, catalogue: str) -> Loaded:
    return read(write(directory, MINIMAL.replace("CATALOGUE", catalogue)))


def test_twilio_is_bundled() -> None:
    assert bundled_catalogues() == ["twilio"]


def test_bundled_catalogue_is_found_by_its_name(tmp_path: Path) -> None:
    assert read_with(tmp_path, "twilio").catalogue.name == "twilio"


@pytest.mark.parametrize("written", ["small.yaml", "./small.yml", "more/small"])
def test_catalogue_file_is_found_beside_the_configuration(
    tmp_path: Path, written: str
) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / written).write_text(SMALL, "utf-8")
    assert read_with(tmp_path, written).catalogue.name == "small"


def test_catalogue_file_that_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL.replace("public", "publc"), "utf-8")
    path = write(tmp_path, MINIMAL.replace("CATALOGUE", "small.yaml"))
    assert complaint(path).startswith(
        "small.yaml:4:23: edges.north.kind: found 'publc'"
    )


def test_catalogue_that_is_not_there_is_complained_about(tmp_path: Path) -> None:
    found = complaint(write(tmp_path, MINIMAL.replace("CATALOGUE", "twillio")))
    assert found == (
        "f.yaml:2:23: provider.catalogue: cannot be read: no bundled catalogue "
        "'twillio'; there is twilio; did you mean 'twilio'?; a path contains a slash"
    )


def test_file_that_cannot_be_read_is_complained_about_as_a_whole(
    tmp_path: Path,
) -> None:
    missing = tmp_path / "none.yaml"
    assert complaint(missing) == "none.yaml: cannot be read: No such file or directory"
    assert complaint(tmp_path / ".").endswith("cannot be read: Is a directory")
    path = tmp_path / "f.yaml"
    path.write_bytes(b"version: \xff")
    assert complaint(path) == "f.yaml: cannot be read: byte 10 is not UTF-8"
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: a reload would last for ever
    assert complaint(tmp_path / "pipe") == "pipe: cannot be read: no regular file"
    path.write_bytes(b"#" * (MAX_CHARACTERS + 1))
    assert complaint(path) == "f.yaml: cannot be read: more than 1048576 bytes"


def test_certificates_are_looked_at_unless_told_not_to(tmp_path: Path) -> None:
    text = MINIMAL.replace("CATALOGUE", "twilio").replace(
        "mode: connect",
        "product: api\n    tls: {certificate: site.pem, key: site.key}",
    )
    path = write(tmp_path, text.replace("127.0.0.0/8", "0.0.0.0/0"))
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert [problem.key for problem in caught.value.problems] == [
        "listeners.api.tls.certificate",
        "listeners.api.tls.key",
        "listeners.api.allow[0]",
    ]
    assert len(read(path, verify=False).warnings) == 1
    site = trustme.CA().issue_cert("site.example")
    site.cert_chain_pems[0].write_to_path(tmp_path / "site.pem")
    site.private_key_pem.write_to_path(tmp_path / "site.key")
    assert len(read(path).warnings) == 1


def test_certificates_of_another_machine_are_warnings_beside_the_others(
    tmp_path: Path,
) -> None:
    text = MINIMAL.replace("CATALOGUE", "twilio").replace(
        "mode: connect",
        "product: api\n    tls: {certificate: tls/site.pem, key: tls/site.key}",
    )
    path = write(tmp_path, text.replace("127.0.0.0/8", "0.0.0.0/0"))
    assert [problem.key for problem in read(path, elsewhere=True).warnings] == [
        "listeners.api.tls.certificate",
        "listeners.api.tls.key",
        "listeners.api.allow[0]",
    ]
    with pytest.raises(ConfigError):
        read(path)


EXPECTED = (
    "expected a directory that the daemon may write to; nothing would outlive a restart"
)


def state_complaints(directory: Path, state: str) -> list[str]:
    text = MINIMAL.replace("CATALOGUE", "twilio")
    path = write(directory, f"{text}state_directory: {state}\n")
    warnings = [str(warning) for warning in read(path).warnings]
    assert read(path, verify=False).warnings == ()
    return [line.replace(f"{directory}/", "") for line in warnings]


def test_state_directory_that_can_be_written_to_is_fine(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    assert state_complaints(tmp_path, "state") == []


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("none", "no directory none"),
        ("none/state", "no directory none/state"),
        ("f.yaml", "f.yaml is no directory"),
        ("f.yaml/state", "no directory f.yaml/state"),
        ("n" * 300, f"no directory {'n' * 300}"),
    ],
)
def test_state_directory_of_no_use_is_a_warning(
    tmp_path: Path, state: str, found: str
) -> None:
    assert state_complaints(tmp_path, state) == [
        f"f.yaml:10:18: warning: state_directory: {found}; {EXPECTED}"
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_state_directory_of_somebody_else_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o500)
    (found,) = state_complaints(tmp_path, "state")
    assert "state_directory: cannot write to state; " in found
