"""Where the control socket is, by configuration and surroundings."""

from pathlib import Path

import pytest

from router.asked import control_path
from router.settings import SOCKET, Admin


@pytest.mark.parametrize(
    ("admin", "environ", "path"),
    [
        ({}, {}, SOCKET),
        ({}, {"RUNTIME_DIRECTORY": "/run/one:/run/two"}, Path("/run/one/control.sock")),
        ({"socket": "/x"}, {"RUNTIME_DIRECTORY": "/run/one"}, Path("/x")),
        ({"socket": "off"}, {"RUNTIME_DIRECTORY": "/run/one"}, None),
    ],
)
def test_socket_is_where_the_file_says_or_systemd_or_the_default(
    admin: dict[str, str], environ: dict[str, str], path: Path | None
) -> None:
    assert control_path(Admin.model_validate(admin), environ) == path
