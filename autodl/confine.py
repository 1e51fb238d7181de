"""Self-confinement: a process gives up files, network and privileges before it touches a byte.

No privilege is needed and none is left: Landlock for files, signals and TCP, a seccomp filter for
sockets and the kernel's riskier doors, all capabilities dropped. It must have one thread then, for
only what it starts later is held too; so ``autodl/keeper.py`` does it right before it executes a
command. Linux on x86-64 or ARM64; where the kernel lacks a part, ``strength`` says so and the rest
still holds.

What is not held here is the matter of the outer wall (``autodl/sandbox.py``): Unix sockets that are
reachable by a path, what can be known of files and processes without opening them, and the use of
the processor.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import stat
import struct
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

# landlock.h: rights by bit, and those that a file, not a folder, can have
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_DEVICE = 1 << 6 | 1 << 11
REFER = 1 << 13
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
READING = EXECUTE | READ_FILE | READ_DIR
# How many rights each version of Landlock (ABI) knows, from 1 on.
FS_RIGHTS = (13, 14, 15, 15, 16)
NET_RIGHTS, NET_ABI = 0b11, 4  # binding and connecting TCP
SCOPES, SCOPE_ABI = 0b11, 6  # abstract Unix sockets, and signals to processes outside
SIGNAL_SCOPE = 0b10

# The same numbers on both machines: landlock_*. By machine: the seccomp filter's.
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
NUMBERS = {
    "x86_64": {
        "arch": 0xC000003E, "socket": 41, "clone": 56, "clone3": 435, "seccomp": 317, "capset": 126,
        "ptrace": 101, "unshare": 272, "setns": 308, "bpf": 321, "perf_event_open": 298,
        "userfaultfd": 323, "io_uring_setup": 425, "add_key": 248, "request_key": 249,
        "keyctl": 250, "process_vm_readv": 310, "process_vm_writev": 311, "pidfd_getfd": 438,
        "shmget": 29, "msgget": 68, "semget": 64, "mq_open": 240,
    },
    "aarch64": {
        "arch": 0xC00000B7, "socket": 198, "clone": 220, "clone3": 435, "seccomp": 277,
        "capset": 91, "ptrace": 117, "unshare": 97, "setns": 268, "bpf": 280,
        "perf_event_open": 241, "userfaultfd": 282, "io_uring_setup": 425, "add_key": 217,
        "request_key": 218, "keyctl": 219, "process_vm_readv": 270,
        "process_vm_writev": 271, "pidfd_getfd": 438, "shmget": 194, "msgget": 186, "semget": 190,
        "mq_open": 180,
    },
}  # fmt: skip
DENIED = (
    "ptrace", "unshare", "setns", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
    "add_key", "request_key", "keyctl", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
    "shmget", "msgget", "semget", "mq_open",  # what outlives its processes
)  # fmt: skip
X32 = 0x40000000  # a second set of system calls on x86-64
CLONE_NEW_NAMESPACE = 0x7E020080

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
SECCOMP_GET_ACTION_AVAIL, SECCOMP_MODE_FILTER = 2, 2
RET_ALLOW, RET_ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

# What any program needs of the system: libraries and facts about the machine, no one's data.
SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/proc", "/sys",
    "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SHARED_MEMORY = "/dev/shm"  # noqa: S108 the C library's semaphores lie there

NICENESS = 5  # who supervises and scores goes first
FAILED = 126  # exit code: less was reached than the plan promises

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Strength:
    """What this machine can hold: Landlock's version (0 for none), the filter, the outer wall."""

    landlock_abi: int
    seccomp: bool
    wall: bool = False

    def to_json(self) -> dict[str, str]:
        """Say in words what holds ``files`` and what holds the ``network``."""
        files = f"landlock-{self.landlock_abi}" if self.landlock_abi else "none"
        return {"files": files, "network": "seccomp" if self.seccomp else "none"}


@dataclass(frozen=True)
class Plan:
    """What a process may do from now on; paths that do not exist are passed over."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    devices: tuple[str, ...]
    file_bytes: int
    strength: Strength
    user: int | None = None  # and group: whom root makes it; None: it stays who it is

    def command(self, command: list[str]) -> list[str]:
        """Return the command that runs ``command`` under this plan, in a keeper's hands."""
        return [sys.executable, "-P", "-m", "autodl.keeper", json.dumps(asdict(self)), *command]

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what ``command`` wrote."""
        values = json.loads(text)
        return cls(**(values | {"strength": Strength(**values["strength"])}))


def strength() -> Strength:
    """Ask the kernel what it can hold; changes nothing."""
    numbers = NUMBERS.get(platform.machine())
    if sys.platform != "linux" or numbers is None:
        return Strength(0, False)
    abi = _libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    action = ctypes.c_uint32(RET_ERRNO)
    filters = _libc.syscall(numbers["seccomp"], SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action))
    return Strength(max(abi, 0), filters == 0)


def become_subreaper() -> None:
    """Make orphans among this process's descendants its children (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def scope_signals(strength: Strength) -> bool:
    """Let this process signal nobody but what it starts from now on; False if it cannot."""
    if strength.landlock_abi < SCOPE_ABI:
        return False
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    # a ruleset that does not speak of moves between folders forbids them
    ruleset = _make_ruleset(struct.pack("=QQQ", REFER, 0, SIGNAL_SCOPE))
    _allow(ruleset, "/", REFER)
    _restrict_self(ruleset)
    return True


def confine(plan: Plan) -> None:
    """Hold this process, which must have one thread, to the plan. OSError if that fails."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (plan.file_bytes, plan.file_bytes))
    os.nice(NICENESS)
    if sys.platform != "linux":
        return
    Path("/proc/self/oom_score_adj").write_text("1000")  # where memory runs out, it goes first
    if plan.user is not None:
        os.setgroups([])
        os.setresgid(plan.user, plan.user, plan.user)
        os.setresuid(plan.user, plan.user, plan.user)
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    if plan.strength.landlock_abi:
        _restrict_files(plan)
    if numbers := NUMBERS.get(platform.machine()):
        _drop_capabilities(numbers)
        if plan.strength.seccomp:
            _install_filter(numbers)


def _restrict_files(plan: Plan) -> None:
    abi = plan.strength.landlock_abi
    rights = (1 << FS_RIGHTS[min(abi, len(FS_RIGHTS)) - 1]) - 1
    attributes = struct.pack("=QQQ", rights, NET_RIGHTS, SCOPES)
    size = 24 if abi >= SCOPE_ABI else 16 if abi >= NET_ABI else 8  # as much as this ABI knows
    ruleset = _make_ruleset(attributes[:size])
    writing = READING | rights & ~(MAKE_DEVICE | IOCTL_DEV)
    devices = READ_FILE | WRITE_FILE | READ_DIR | IOCTL_DEV
    for paths, wanted in ((plan.read, READING), (plan.write, writing), (plan.devices, devices)):
        for path in paths:
            _allow(ruleset, path, wanted & rights)
    _restrict_self(ruleset)


def _make_ruleset(attributes: bytes) -> int:
    size = ctypes.c_size_t(len(attributes))
    ruleset: int = _libc.syscall(LANDLOCK_CREATE, attributes, size, 0)
    _check(ruleset, "landlock_create_ruleset")
    return ruleset


def _restrict_self(ruleset: int) -> None:
    _check(_libc.syscall(LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return
        raise
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        rights &= ON_FILES
    rule = struct.pack("=Qi", rights, place)
    _check(_libc.syscall(LANDLOCK_ADD, ruleset, 1, rule, 0), "landlock_add_rule")
    os.close(place)


def _drop_capabilities(numbers: dict[str, int]) -> None:
    """Make root an ordinary user for good; for others this changes nothing."""
    for capability in range(64):
        _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails where there is none to drop
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _check(_libc.syscall(numbers["capset"], header, none), "capset")


def _install_filter(numbers: dict[str, int]) -> None:
    """Refuse sockets but Unix ones, new namespaces, and what reaches into kernel or processes."""

    def refuse(error: int) -> tuple[int, int, int, int]:
        return (RETURN, 0, 0, RET_ERRNO | error)

    number, machine, argument = (LOAD, 0, 0, 0), (LOAD, 0, 0, 4), (LOAD, 0, 0, 16)
    allow = (RETURN, 0, 0, RET_ALLOW)
    program = [machine, (JUMP_EQUAL, 1, 0, numbers["arch"]), refuse(errno.ENOSYS), number]
    program += [(JUMP_AT_LEAST, 0, 1, X32), refuse(errno.ENOSYS)]
    # clone3 hides its flags behind a pointer; without it, the C library takes clone
    program += [(JUMP_EQUAL, 0, 1, numbers["clone3"]), refuse(errno.ENOSYS)]
    for name in DENIED:
        program += [(JUMP_EQUAL, 0, 1, numbers[name]), refuse(errno.EPERM)]
    program += [(JUMP_EQUAL, 0, 4, numbers["socket"]), argument]
    program += [(JUMP_EQUAL, 1, 0, 1), refuse(errno.EACCES), allow]
    program += [(JUMP_EQUAL, 0, 4, numbers["clone"]), argument]
    program += [(JUMP_ANY_BIT, 0, 1, CLONE_NEW_NAMESPACE), refuse(errno.EPERM), allow]
    program += [allow]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    packed = struct.pack("@HP", len(program), ctypes.addressof(code))
    _check(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, packed, 0, 0), "seccomp")


def _check(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
