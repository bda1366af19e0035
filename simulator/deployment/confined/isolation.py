"""What a process gives up for good: other users' files, the network, every way to write, and to start another one.

Linux alone, by its own interfaces: namespaces(7), landlock(7) and seccomp(2). Each fails by name where there is none;
nothing is left out in silence. Light to import: it is executed before anything else.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
from collections.abc import Callable, Sequence

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWNET = 0x00020000, 0x08000000, 0x40000000
REC, PRIVATE, NOSUID, NODEV = 1 << 14, 1 << 18, 1 << 1, 1 << 2  # of mount
PARENT_DIES, NO_NEW_PRIVS, SET_SECCOMP, FILTER = 1, 38, 22, 2  # of prctl
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # of Landlock, the same on all processors
WRITE_FILE = 1 << 1
CHANGES = sum(1 << bit for bit in (1, *range(4, 13)))  # to write, to remove, and to make anything
SINCE = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}  # to link, to truncate, to steer a device; by version of Landlock
SCOPES = 0b11  # since version 6: abstract sockets and signals of processes outside
OWN_DISK = "256m"
CLONE3 = 435
CAPABILITIES = 0x20080522  # the version of their layout
CLONE_THREAD = 0x00010000
ANYWHERE = (425, 452, 463)  # numbers that are the same on all processors: io_uring_setup, fchmodat2, setxattrat
# What tells the processor in a filter, the numbers of clone and prctl, and of what is refused.
MACHINES = {
    "x86_64": (
        0xC000003E,
        56,
        157,
        (
            *(41, 53),  # socket; socketpair, of which one half reaches any other by its path
            *(29, 68, 64, 240, 248, 249, 250),  # shmget, msgget, semget, mq_open, add_key, request_key, keyctl
            *(57, 58, 272),  # fork, vfork, unshare
            *(90, 91, 268, 92, 93, 94, 260),  # chmod and chown, which Landlock leaves to a file's owner
            *(188, 189, 190, 132, 235, 261, 280),  # setxattr and utime, likewise
            76,  # truncate, which its first versions leave
        ),
    ),
    "aarch64": (
        0xC00000B7,
        220,
        167,
        (198, 199, 194, 186, 190, 180, 217, 218, 219, 97, 52, 53, 54, 55, 5, 6, 7, 88, 45),  # the same, as far as there
    ),
}
OTHER_ABI = 0x40000000  # from here on, calls of x86-64 with 32-bit pointers
LOAD, EQUAL, AT_LEAST, HAS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of classic BPF
NUMBER, PROCESSOR, FIRST = 0, 4, 16  # where it finds the call's number, the processor, and what is given first
ALLOW, REFUSE, NOT_THERE = 0x7FFF0000, 0x00050000 | errno.EACCES, 0x00050000 | errno.ENOSYS
OUT_OF_MEMORY = "/proc/self/oom_score_adj"

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


def without_rights() -> None:
    """Have nothing of what root may, whoever this is; after `without_writing`, with which no program brings it back."""
    _do("a process without capabilities", libc.capset, struct.pack("=Ii", CAPABILITIES, 0), bytes(24))


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


def without_outliving() -> None:
    """End with the process that has started this one; to be said once this one is who it will be."""
    _do("an end with its parent", libc.prctl, PARENT_DIES, signal.SIGKILL, 0, 0, 0)


def first_without_memory() -> None:
    """Be the first to be ended where the host runs out of memory."""
    with open(OUT_OF_MEMORY, "w") as file:
        file.write("1000")


def without_other_ways_out() -> None:
    """Make no socket and no process any more, nor memory, queue or key that others could share, and outlive nobody.

    Of files that are the process's own, no mode, owner, attribute or time can be changed, either.
    """
    if platform.machine() not in MACHINES:
        raise NotPossible(f"nothing is known of calls on a processor {platform.machine()}")
    steps = _filter(*MACHINES[platform.machine()])
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    described = struct.pack("@HP", len(steps), ctypes.addressof(program))
    _do("seccomp", libc.prctl, SET_SECCOMP, FILTER, described, 0, 0)


def _filter(processor: int, clone: int, prctl: int, refused: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Steps of a filter: code, how many to skip if it holds and if not, and a number."""
    steps = [(LOAD, 0, 0, PROCESSOR), (EQUAL, 1, 0, processor), (RETURN, 0, 0, REFUSE)]
    steps += [(LOAD, 0, 0, NUMBER), (AT_LEAST, 0, 1, OTHER_ABI), (RETURN, 0, 0, REFUSE)]
    for call in (*refused, *ANYWHERE):
        steps += [(EQUAL, 0, 1, call), (RETURN, 0, 0, REFUSE)]
    steps += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, NOT_THERE)]  # the C library takes clone then, which tells more
    steps += [(EQUAL, 0, 3, clone), (LOAD, 0, 0, FIRST), (HAS, 4, 0, CLONE_THREAD), (RETURN, 0, 0, REFUSE)]
    steps += [(EQUAL, 0, 2, prctl), (LOAD, 0, 0, FIRST), (EQUAL, 1, 0, PARENT_DIES)]
    return [*steps, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]


def _do(what: str, call: Callable[..., int], *given: object) -> int:
    found = int(call(*given))
    if found < 0:
        raise NotPossible(f"{what} cannot be had: {os.strerror(ctypes.get_errno())}")
    return found
