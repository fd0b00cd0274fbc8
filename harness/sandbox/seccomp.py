"""The system calls that a sandboxed command is refused: a small classic BPF program.

Refused is memory that belongs to no process (anonymous files, System V and POSIX queues and shared
memory) and so escapes the limit, access to other processes' memory and descriptors, new user
namespaces, and often-attacked kernel interfaces that no benchmark needs.  They fail as on a kernel
that lacks them.  Sockets are of the families that a network namespace holds.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence

# linux/audit.h, asm/unistd.h: the architecture, and the numbers of system calls on it.
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE, _KILL = (56, 220), (62, 129)
_SOCKET, _SOCKETPAIR, _SETSOCKOPT = (41, 198), (53, 199), (54, 208)
_REFUSED = {  # on x86_64, on aarch64
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "ptrace": (101, 117),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "perf_event_open": (298, 241),
    "memfd_create": (319, 279),
    "bpf": (321, 280),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "clone3": (435, 435),
    "pidfd_getfd": (438, 438),
    "memfd_secret": (447, 447),
}

# linux/bpf_common.h, linux/seccomp.h, linux/sched.h
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_ARGUMENTS = (16, 24, 32)  # their lower halves
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_X32 = 0x40000000  # the other calling convention of x86-64 sets this bit
_CLONE_NEWUSER = 0x10000000
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_SIZES = (socket.SO_SNDBUF, socket.SO_RCVBUF)


def program() -> bytes | None:
    """Return the filter for this machine's architecture, None where there is none for it."""
    machine = os.uname().machine
    if machine not in _MACHINES:
        return None
    column = list(_MACHINES).index(machine)
    allow, refuse = _step(_RETURN, _ALLOW), _error(errno.ENOSYS)
    code = [_step(_LOAD, _ARCHITECTURE), _step(_EQUAL, _MACHINES[machine], then=1), refuse]
    code += [_step(_LOAD, _NUMBER), _step(_AT_LEAST, _X32, otherwise=1), refuse]
    for number in sorted(numbers[column] for numbers in _REFUSED.values()):
        code += _where(_EQUAL, number, [refuse])
    families = [_step(_LOAD, _ARGUMENTS[0])]
    for family in _FAMILIES:
        families += _where(_EQUAL, family, [allow])
    families.append(_error(errno.EAFNOSUPPORT))
    code += _where(_EQUAL, _SOCKET[column], families)
    code += _where(_EQUAL, _SOCKETPAIR[column], families)
    # A larger buffer is as good as asked for, and not made: it is kernel memory.
    size = [_step(_LOAD, _ARGUMENTS[2])]
    for option in _SIZES:
        size += _where(_EQUAL, option, [_error(0)])
    level = [_step(_LOAD, _ARGUMENTS[1]), *_where(_EQUAL, socket.SOL_SOCKET, [*size, allow]), allow]
    code += _where(_EQUAL, _SETSOCKOPT[column], level)
    flags = [_step(_LOAD, _ARGUMENTS[0]), *_where(_ANY_BIT, _CLONE_NEWUSER, [refuse]), allow]
    code += _where(_EQUAL, _CLONE[column], flags)
    # Process 1 gets no signal from inside: a program that sends one learns it.
    target = [_step(_LOAD, _ARGUMENTS[0]), *_where(_EQUAL, 1, [_error(errno.EPERM)]), allow]
    code += _where(_EQUAL, _KILL[column], target)
    return b"".join([*code, allow])


def _where(test: int, value: int, then: Sequence[bytes]) -> list[bytes]:
    """Return the instructions that do ``then`` if the loaded value meets the test."""
    return [_step(test, value, otherwise=len(then)), *then]


def _error(number: int) -> bytes:
    """Return the instruction that lets the call fail so; 0: lets it end without doing anything."""
    return _step(_RETURN, _ERRNO | number)


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """Return one instruction: a jump skips so many of the next ones."""
    return struct.pack("=HBBI", code, then, otherwise, value)
