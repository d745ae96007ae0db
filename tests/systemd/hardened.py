"""Runs a command as the unit file has systemd run it, as far as that goes without it.

    python hardened.py UNIT USER WRITABLE READABLE... -- COMMAND...

Needs root. The mount namespace has everything read-only but WRITABLE; then setpriv(1)
takes user and capabilities, and the filters of system calls come last. What they forbid
is read from the unit, and from systemd's own sets. READABLE are made reachable for the
user where they lie in somebody's home.
"""

import ctypes
import errno
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterable

LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY = 1

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NOT_EQUAL, GREATER, MASKED_EQUAL = 1, 6, 7
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
"Numbers of address families (bits/socket.h)."


class Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp` of seccomp.h."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


class MountAttributes(ctypes.Structure):
    """`struct mount_attr` of mount_setattr(2)."""

    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def succeeded(result: int, what: str) -> None:
    """Raise OSError unless a call of the C library did."""
    if result < 0:
        number = ctypes.get_errno() or -result
        raise OSError(number, f"{what}: {os.strerror(number)}")


# ---- What the unit says --------------------------------------------------------------


def words(unit: pathlib.Path, key: str) -> list[str]:
    """The words of all lines of a key."""
    found = re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)
    return " ".join(found).split()


def members(name: str) -> set[str]:
    """The system calls of one of systemd's sets."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", name],
        capture_output=True, text=True, check=True,
    ).stdout.split("\n")[1:]  # fmt: skip
    found = {line.strip() for line in listed} - {""}
    found = {line for line in found if not line.startswith("#")}
    sets = {line for line in found if line.startswith("@")}
    return (found - sets).union(*map(members, sets))


def allowed(unit: pathlib.Path) -> set[str]:
    """The system calls that the unit allows."""
    calls: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.MULTILINE):
        named = set().union(*map(members, line.lstrip("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


# ---- Mounts --------------------------------------------------------------------------


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode())
    result = LIBC.mount(*arguments, ctypes.c_ulong(flags), data.encode())
    succeeded(result, f"mount {target}")


def set_readonly(path: str, readonly: bool) -> None:
    attributes = MountAttributes()
    field = "set" if readonly else "clear"
    setattr(attributes, field, MOUNT_ATTR_RDONLY)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    place = (AT_FDCWD, path.encode(), AT_RECURSIVE)
    succeeded(
        LIBC.mount_setattr(*place, ctypes.byref(attributes), size), f"read-only {path}"
    )


def expose(paths: Iterable[str]) -> None:
    """Make directories reachable: what is above them and closed is covered."""
    held = {path: os.open(path, os.O_PATH) for path in dict.fromkeys(paths)}
    for path, descriptor in held.items():
        closed = [
            str(above)
            for above in reversed(pathlib.Path(path).parents)
            if not os.stat(above).st_mode & 0o001
        ]
        if closed:
            mount("tmpfs", closed[0], "tmpfs", 0, "mode=755")
        if not os.path.exists(path):
            os.makedirs(path)
        if not os.path.samestat(os.stat(path), os.fstat(descriptor)):
            mount(f"/proc/self/fd/{descriptor}", path, "", MS_BIND | MS_REC)


def enter(writable: str, readable: list[str]) -> None:
    """A mount namespace as ProtectSystem=strict and ProcSubset=pid make it."""
    succeeded(LIBC.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    expose(readable)
    mount(writable, writable, "", MS_BIND)
    mount("proc", "/proc", "proc", 0, "hidepid=invisible,subset=pid")
    set_readonly("/", True)
    set_readonly(writable, False)


# ---- System calls --------------------------------------------------------------------


class Filter:
    """A filter of system calls, by libseccomp."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._filter = ctypes.c_void_p(self._library.seccomp_init(default))

    def add(self, action: int, call: str, *comparisons: tuple[int, ...]) -> None:
        """What comes of a call whose arguments compare so; not known here: nothing."""
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return
        array = (Comparison * len(comparisons))(*(Comparison(*c) for c in comparisons))
        result = self._library.seccomp_rule_add_array(
            self._filter, action, number, len(comparisons), array
        )
        succeeded(result, f"rule for {call}")

    def load(self) -> None:
        """Put it in force, for good."""
        succeeded(self._library.seccomp_load(self._filter), "seccomp_load")


def confine(unit: pathlib.Path) -> None:
    """SystemCallFilter, RestrictAddressFamilies and MemoryDenyWriteExecute.

    systemd makes the same of the last one: systemd.exec(5) names the calls.
    """
    calls = allowed(unit)
    families = sorted(FAMILIES[name] for name in words(unit, "RestrictAddressFamilies"))
    writes_code = (2, MASKED_EQUAL, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC)
    executable = (2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC)
    memory = Filter(ALLOW)
    memory.add(ERRNO | errno.EPERM, "mmap", writes_code)
    memory.add(ERRNO | errno.EPERM, "mprotect", executable)
    memory.add(ERRNO | errno.EPERM, "pkey_mprotect", executable)
    memory.add(ERRNO | errno.EPERM, "shmat", (2, MASKED_EQUAL, SHM_EXEC, SHM_EXEC))
    sockets = Filter(ALLOW)
    refused = ERRNO | errno.EAFNOSUPPORT
    for number in {*range(max(families))} - {*families}:
        sockets.add(refused, "socket", (0, MASKED_EQUAL, 0xFFFFFFFF, number))
    sockets.add(refused, "socket", (0, GREATER, max(families)))
    system = Filter(ERRNO | errno.EPERM)
    for call in sorted(calls):
        system.add(ALLOW, call)
    for one in (memory, sockets, system):
        one.load()


def main() -> None:
    split = sys.argv.index("--")
    (unit, user, writable, *readable), command = (
        sys.argv[1:split],
        sys.argv[split + 1 :],
    )
    if user != "confined":
        enter(writable, readable)
        capabilities = [
            f"+{name.removeprefix('CAP_').lower()}"
            for name in words(pathlib.Path(unit), "CapabilityBoundingSet")
        ]
        chosen = ",".join(["-all", *capabilities])
        again = [sys.executable, "-IS", __file__, unit, "confined", writable, "--"]
        os.execvp(
            "setpriv",
            ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
             f"--bounding-set={chosen}", f"--inh-caps={chosen}",
             f"--ambient-caps={chosen}", "--no-new-privs", *again, *command],
        )  # fmt: skip
    confine(pathlib.Path(unit))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
