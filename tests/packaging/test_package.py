"""The Debian package and `make install`, in a root directory that is thrown away.

The machine's own root lies below an overlay in memory, in a mount namespace that ends
with the test: what dpkg does there is real, and gone afterwards. `make package-test`
builds the package and runs this.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tomllib
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

ENTER = """
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
echo ready
read -r _
"""
"What makes the root of $1, and holds it for as long as standard input is open."

SYSTEMCTL = """#!/bin/sh
echo "$@" >>/systemctl.log
"""
"Stands for PID 1, which the root has none of, and notes what it is told."

CHANGES_ANYWAY = (
    "./etc/.pwd.lock",
    "./etc/group",
    "./etc/gshadow",
    "./etc/passwd",
    "./etc/shadow",
    "./var/lib/dpkg/",
    "./var/log/",
    "./var/cache/",
)
"What a purged package leaves changed: the user that it made, and dpkg's own records."


MAKE = ("make", "--silent", f"--directory={ROOT}", "RUN=build/package")
"With what `make deb` built already."


class Root:
    """A copy of this machine's root directory, to be thrown away."""

    def __init__(self, holder: subprocess.Popen[str], base: pathlib.Path) -> None:
        self._enter = ("nsenter", f"--target={holder.pid}", "--mount")
        self._base = base

    def outside(self, *command: str) -> str:
        done = subprocess.run(
            [*self._enter, *command],
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *command: str) -> str:
        """What the command prints; it must succeed."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        clean = ("env", "-i", path, "DEBIAN_FRONTEND=noninteractive", *command)
        return self.outside("chroot", f"{self._base}/root", *clean)

    def write(self, path: str, text: str, mode: str = "644") -> None:
        self.run(
            "sh", "-c", 'printf %s "$2" >"$1"; chmod "$3" "$1"', "-", path, text, mode
        )

    def exists(self, path: str) -> bool:
        return self.run("sh", "-c", 'test -e "$1" && echo yes || :', "-", path) != ""

    def changed(self) -> set[str]:
        """What differs from the machine below, files taken away included."""
        upper = self.outside("sh", "-c", f"cd {self._base}/upper && find . ! -type d")
        return {p for p in upper.split() if not p.startswith(CHANGES_ANYWAY)}


@contextlib.contextmanager
def thrown_away(base: pathlib.Path) -> Iterator[Root]:
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation=private", "sh", "-ec", ENTER, "-", base],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip("no overlay can be mounted here")
        yield Root(holder, base)


@pytest.fixture(scope="module")
def package() -> pathlib.Path:
    if "EDGE_ROUTER_DEB" not in os.environ:
        pytest.skip("no package: `make package-test` builds it and runs this")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return ROOT / os.environ["EDGE_ROUTER_DEB"]


@pytest.fixture
def root(package: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[Root]:
    with thrown_away(tmp_path) as made:
        made.run("mkdir", "-p", "/run/systemd/system")
        made.write("/usr/bin/systemctl", SYSTEMCTL, "755")
        # The machine itself may forbid that services are started, as containers do.
        made.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", "755")
        yield made


def test_versions_agree() -> None:
    """Of the Debian package and of the Python one."""
    newest = (ROOT / "debian/changelog").read_text().partition("\n")[0]
    assert newest.startswith(f"edge-router ({VERSION}) ")


def test_package_is_told_right(package: pathlib.Path) -> None:
    done = subprocess.run(
        ["dpkg-deb", "--field", package], capture_output=True, text=True, check=True
    )
    fields = dict(
        line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line
    )
    assert fields["Version"] == VERSION
    assert fields["Architecture"] != "all"
    assert "python3 (>= 3." in fields["Depends"]
    assert "python3 (<< 3." in fields["Depends"]


def test_package_satisfies_lintian(package: pathlib.Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on=error,warning", package],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_package_does_not_know_where_it_was_built(
    package: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path], check=True)
    found = subprocess.run(
        ["grep", "-rlF", f"{ROOT}/", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""


def test_package_is_installed_upgraded_removed_and_purged(
    root: Root, package: pathlib.Path
) -> None:
    """One after the other, as on a machine: each leaves what the next one finds."""
    before = root.changed()

    root.run("dpkg", "--install", str(package))
    assert root.run("edge-router", "version").startswith(f"edge-router {VERSION}")
    example = "/etc/edge-router/edge-router.yaml.example"
    assert "fine" in root.run("edge-router", "check", "--no-files", example)
    assert root.run("getent", "passwd", "edge-router").endswith("nologin\n")
    assert root.run("cat", "/systemctl.log") == "--system daemon-reload\n"
    assert not root.exists(
        "/etc/systemd/system/multi-user.target.wants/edge-router.service"
    )

    wants = "/etc/systemd/system/multi-user.target.wants"
    root.run("ln", "-s", "/lib/systemd/system/edge-router.service", wants)
    root.run("rm", "/systemctl.log")
    root.write("/etc/edge-router/edge-router.yaml", "# mine\n")
    root.run("install", "-d", "-o", "edge-router", "/var/lib/edge-router")
    root.run("dpkg", "--install", str(package))
    told = root.run("cat", "/systemctl.log")
    assert "try-restart edge-router.service\n" in told
    assert "stop" not in told
    assert root.run("cat", "/etc/edge-router/edge-router.yaml") == "# mine\n"

    root.run("rm", "/systemctl.log")
    root.run("dpkg", "--remove", "edge-router")
    assert "stop edge-router.service\n" in root.run("cat", "/systemctl.log")
    assert not root.exists("/usr/bin/edge-router")
    assert not root.exists("/usr/lib/edge-router")
    assert root.run("cat", "/etc/edge-router/edge-router.yaml") == "# mine\n"
    assert root.exists("/var/lib/edge-router")

    root.run("dpkg", "--purge", "edge-router")
    assert root.changed() - before == {"./systemctl.log"}
    for gone in (
        "/etc/edge-router",
        "/var/lib/edge-router",
        "/usr/share/doc/edge-router",
    ):
        assert not root.exists(gone)


def test_make_install_can_be_taken_back(root: Root) -> None:
    before = root.changed()

    root.run(*MAKE, "install")
    command = "/opt/edge-router/bin/edge-router"
    assert root.run(command, "version").startswith(f"edge-router {VERSION}")
    unit = root.run("cat", "/usr/local/lib/systemd/system/edge-router.service")
    assert f"ExecStart={command} run " in unit
    root.run("systemd-sysusers")
    assert root.run("id", "--user", "edge-router") != ""
    root.write("/etc/edge-router/edge-router.yaml", "# mine\n")

    root.run(*MAKE, "install")
    root.run(*MAKE, "uninstall")
    assert root.changed() - before == {"./etc/edge-router/edge-router.yaml"}


def test_what_make_install_lays_out_knows_nothing_of_destdir(root: Root) -> None:
    root.run(*MAKE, "install", "DESTDIR=/staged", "PREFIX=/usr/local")
    root.run("sh", "-c", "! grep -rl /staged /staged")
    root.run("cp", "-R", "/staged/.", "/")
    assert root.run("edge-router", "version").startswith(f"edge-router {VERSION}")
