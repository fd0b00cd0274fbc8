"""Programs that attack their grader: each prints what it got hold of, or "safe".

A table, graded as programs of a problem whose every expected answer is "safe".  Run as a script it
prints the verdicts as JSON: `test_livecodebench_attacks.py` does so as an ordinary user.
"""

from __future__ import annotations

import asyncio
import json

from benchmarks.longhorizon.livecodebench.grade import Program, Resources, Verdict, grade
from benchmarks.longhorizon.livecodebench.problems import Case
from harness.sandbox import MIB, Sandbox, choose

# Each test's input has a number that no other has.
NEEDLES = [Case(f"needle-{1000 + n}\n", "safe\n") for n in range(4)]
_RESOURCES = Resources(6.0, 512 * MIB)

_PRELUDE = """
import ctypes, errno, fcntl, gc, os, re, signal, socket, sys, time
driver = os.getppid()
def attempt(action):
    try:
        return f"done: {action()}"
    except OSError as error:
        return errno.errorcode[error.errno]
def system_call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    result = getattr(libc, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result
def others():
    mine = {os.getpid(), driver, 1}
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid not in mine]
def report(found):
    print(found or "safe")
"""

ATTACKS = {
    "the descriptors of other processes": """
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) != os.getpid():
        try:
            found += [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
        except PermissionError:
            pass
report(found)
""",
    "descriptors that were left open": """
report([number for number in range(3, 1024) if os.path.exists(f"/proc/self/fd/{number}")])
""",
    "the memory of the driver": """
names = ("mem", "environ", "maps", "auxv", "syscall")
tried = {name: attempt(lambda: open(f"/proc/{driver}/{name}", "rb").read(9)) for name in names}
report({name: end for name, end in tried.items() if end not in ("EACCES", "EPERM")})
""",
    "calls into other processes": """
handle = os.pidfd_open(driver)
tried = {
    "ptrace": attempt(lambda: system_call("ptrace", 16, driver, 0, 0)),
    "process_vm_readv": attempt(lambda: system_call("process_vm_readv", driver, 0, 0, 0, 0, 0)),
    "process_vm_writev": attempt(lambda: system_call("process_vm_writev", driver, 0, 0, 0, 0, 0)),
    "pidfd_getfd": attempt(lambda: system_call("pidfd_getfd", handle, 1, 0)),
}
report({name: end for name, end in tried.items() if end not in ("ENOSYS", "EPERM")})
""",
    "every signal to the driver": """
for number in range(1, 65):
    attempt(lambda: os.kill(driver, number))
report(open(f"/proc/{driver}/stat").read().split()[2].strip("SR"))
""",
    "a signal by way of a descriptor": """
for number in (signal.SIGSTOP, signal.SIGKILL):
    reader, writer = os.pipe()
    fcntl.fcntl(reader, 8, driver)  # F_SETOWN
    fcntl.fcntl(reader, 10, number)  # F_SETSIG
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writer, b"x")
report(open(f"/proc/{driver}/stat").read().split()[2].strip("SR"))
""",
    "killing all others": """
try:
    os.kill(-1, signal.SIGKILL)
except ProcessLookupError:
    pass
report("")
""",
    "inputs of other tests": """
text = open("/proc/self/mem", "rb", buffering=0)
found = set()
for line in open("/proc/self/maps"):
    start, end = (int(word, 16) for word in line.split()[0].split("-"))
    if " r" in line and "[v" not in line:
        text.seek(start)
        try:
            found |= set(re.findall(rb"needle-[0-9]{4}", text.read(end - start)))
        except OSError:
            pass
found |= set(re.findall(rb"needle-[0-9]{4}", repr(gc.get_objects()).encode()))
report(found - {input().encode()})
""",
    "processes of an earlier test": """
report(others())
sys.stdout.flush()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3):
            os.close(number)
        time.sleep(100)
    os._exit(0)
os.wait()
""",
    "a socket to the host": """
tried = {
    (number, kind): attempt(lambda: socket.socket(number, kind).close())
    for number in range(50)
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)
    if number not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
}
report({family: end for family, end in tried.items() if end not in ("EAFNOSUPPORT", "EPERM")})
""",
}


def run(sandbox: Sandbox, name: str) -> Verdict:
    """Grade one attack."""
    program = Program(_PRELUDE + ATTACKS[name], None)
    return asyncio.run(grade(sandbox, program, NEEDLES, _RESOURCES))


def main() -> None:
    """Print what each attack got hold of here, as JSON."""
    sandbox, _ = choose()
    verdicts = {name: run(sandbox, name) for name in ATTACKS}
    found = {name: "" if end.passed else end.why for name, end in verdicts.items()}
    print(json.dumps({"sandbox": sandbox.describe(), "found": found}))


if __name__ == "__main__":
    main()
