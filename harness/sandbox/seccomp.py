"""The system calls that a sandboxed command is refused: a small classic BPF program.

Refused is memory that belongs to no process (anonymous files, System V shared memory) and so
escapes the limit, new user namespaces, and often-attacked kernel interfaces that no benchmark
needs.  They fail as on a kernel that lacks them.
"""

from __future__ import annotations

import errno
import os
import struct

# linux/audit.h, asm/unistd.h: the architecture, the number of clone, the refused system calls.
_X86_64, _AARCH64 = (0xC000003E, 56), (0xC00000B7, 220)
_REFUSED = {  # on x86_64, on aarch64
    "shmget": (29, 194),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "perf_event_open": (298, 241),
    "memfd_create": (319, 279),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "clone3": (435, 435),
    "memfd_secret": (447, 447),
}

# linux/bpf_common.h, linux/seccomp.h, linux/sched.h
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_X32 = 0x40000000  # the other calling convention of x86-64 sets this bit
_CLONE_NEWUSER = 0x10000000


def program() -> bytes | None:
    """Return the filter for this machine's architecture, None where there is none for it."""
    machines = ("x86_64", "aarch64")
    machine = os.uname().machine
    if machine not in machines:
        return None
    column = machines.index(machine)
    audit, clone = (_X86_64, _AARCH64)[column]
    refuse = _step(_RETURN, _ERRNO | errno.ENOSYS)
    code = [_step(_LOAD, _ARCHITECTURE), _step(_EQUAL, audit, then=1), refuse]
    code += [_step(_LOAD, _NUMBER), _step(_AT_LEAST, _X32, otherwise=1), refuse]
    for number in sorted(numbers[column] for numbers in _REFUSED.values()):
        code += [_step(_EQUAL, number, otherwise=1), refuse]
    code += [_step(_EQUAL, clone, otherwise=3), _step(_LOAD, _FIRST_ARGUMENT)]
    code += [_step(_ANY_BIT, _CLONE_NEWUSER, otherwise=1), refuse, _step(_RETURN, _ALLOW)]
    return b"".join(code)


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """Return one instruction: a jump skips so many of the next ones."""
    return struct.pack("=HBBI", code, then, otherwise, value)
