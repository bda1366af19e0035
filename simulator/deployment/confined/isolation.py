"""What a process gives up for good, with all that it starts: other users' files, the network, and every way to write.

Linux alone, by its own interfaces: namespaces(7), landlock(7) and seccomp(2). Each fails by name where there is none;
nothing is left out in silence. Light to import: it is executed before anything else.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable, Sequence

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWNET = 0x00020000, 0x08000000, 0x40000000
REC, PRIVATE, NOSUID, NODEV = 1 << 14, 1 << 18, 1 << 1, 1 << 2  # of mount
NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2  # of prctl
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # of Landlock, the same on all processors
WRITE_FILE = 1 << 1
CHANGES = sum(1 << bit for bit in (1, *range(4, 13)))  # to write, to remove, and to make anything
SINCE = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}  # to link, to truncate, to steer a device; by version of Landlock
SCOPES = 0b11  # since version 6: abstract sockets and signals of processes outside
OWN_DISK = "256m"
IO_URING = 425
MACHINES = {  # what tells the processor in a filter, and the numbers of calls: socket, shmget, msgget, semget, mq_open
    "x86_64": (0xC000003E, (41, 29, 68, 64, 240)),
    "aarch64": (0xC00000B7, (198, 194, 186, 190, 180)),
}
OTHER_ABI = 0x40000000  # from here on, calls of x86-64 with 32-bit pointers
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # of classic BPF
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES

libc = ctypes.CDLL(None, use_errno=True)


class NotPossible(Exception):
    """This host does not let a process be confined; says what is missing."""


def without_network() -> None:
    """Have a network of one's own, without a way out, and shared memory of one's own; takes root."""
    _do("network namespaces", libc.unshare, CLONE_NEWNET | CLONE_NEWIPC)


def with_own_disk(place: str, user: int) -> None:
    """See at ``place`` a small disk in memory that nobody else sees; takes root."""
    _do("mount namespaces", libc.unshare, CLONE_NEWNS)
    _do("mount namespaces", libc.mount, None, b"/", None, REC | PRIVATE, None)
    options = f"size={OWN_DISK},mode=700,uid={user}".encode()
    _do("a disk in memory", libc.mount, b"none", place.encode(), b"tmpfs", NOSUID | NODEV, options)


def as_user(user: int, group: int, groups: Sequence[int]) -> None:
    """Be another user, for good; takes root."""
    os.setgroups(list(groups))
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def without_writing(but: str) -> None:
    """Open nothing for writing any more, and make, move and remove nothing, anywhere ``but`` below that folder."""
    _do("no_new_privs", libc.prctl, NO_NEW_PRIVS, 1, 0, 0, 0)
    version = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        raise NotPossible("the kernel has no Landlock (Linux 5.13, and `landlock` among its security modules)")
    handled = CHANGES | sum(right for since, right in SINCE.items() if version >= since)
    attributes = struct.pack("=QQQ", handled, 0, SCOPES if version >= 6 else 0)[: 24 if version >= 6 else 8]
    rules = _do("Landlock", libc.syscall, CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    for place, rights in ((but, handled), (os.devnull, WRITE_FILE)):
        file = os.open(place, os.O_PATH | os.O_CLOEXEC)
        _do("Landlock", libc.syscall, ADD_RULE, rules, 1, struct.pack("=Qi", rights, file), 0)
        os.close(file)
    _do("Landlock", libc.syscall, RESTRICT_SELF, rules, 0)
    os.close(rules)


def without_sockets() -> None:
    """Make no socket of any kind any more, and no memory or queue that other processes could share."""
    if platform.machine() not in MACHINES:
        raise NotPossible(f"nothing is known of calls on a processor {platform.machine()}")
    processor, calls = MACHINES[platform.machine()]
    refused = (*calls, IO_URING)
    steps = [(LOAD, 0, 0, 4), (EQUAL, 0, len(refused) + 3, processor), (LOAD, 0, 0, 0)]
    steps += [(AT_LEAST, len(refused) + 1, 0, OTHER_ABI)]
    steps += [(EQUAL, len(refused) - number, 0, call) for number, call in enumerate(refused)]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    described = struct.pack("@HP", len(steps), ctypes.addressof(program))
    _do("seccomp", libc.prctl, SET_SECCOMP, FILTER, described, 0, 0)


def _do(what: str, call: Callable[..., int], *given: object) -> int:
    found = int(call(*given))
    if found < 0:
        raise NotPossible(f"{what} cannot be had: {os.strerror(ctypes.get_errno())}")
    return found
