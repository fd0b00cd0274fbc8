"""Programs for LiveCodeBench's grader: how people write them, and what must not pass.

Two tasks: print the sum of n numbers and then the numbers backwards; return a list that holds the
sum of a list times a number.
"""

from __future__ import annotations

# Programs that solve the first task.
IDIOMS: dict[str, str] = {
    "input": """
n = int(input())
a = list(map(int, input().split()))
print(sum(a))
print(*a[::-1])
""",
    "sys.stdin.readline": """
import sys
input = sys.stdin.readline
n = int(input())
a = list(map(int, input().split()))
print(sum(a))
print(*a[::-1])
""",
    "stdin from the header": """
n = int(stdin.readline())
a = list(map(int, stdin.readline().split()))
print(sum(a))
print(*a[::-1])
""",
    "sys.stdin.buffer.readline": """
import sys
read = sys.stdin.buffer.readline
n = int(read())
a = list(map(int, read().split()))
print(sum(a))
print(*a[::-1])
""",
    "sys.stdin.buffer.read": """
import sys
n, *a = map(int, sys.stdin.buffer.read().split())
print(sum(a))
print(*a[::-1])
""",
    "sys.stdin.read": """
import sys
n, *a = map(int, sys.stdin.read().split())
print(sum(a))
print(*a[::-1])
""",
    "open(0)": """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
""",
    "open(0) lines": """
n, line = open(0)
a = list(map(int, line.split()))
print(sum(a))
print(*a[::-1])
""",
    "open('/dev/stdin')": """
n, *a = map(int, open('/dev/stdin').read().split())
print(sum(a))
print(*a[::-1])
""",
    "os.read": """
import os
n, *a = map(int, os.read(0, 1 << 20).split())
print(sum(a))
print(*a[::-1])
""",
    "sys.stdin.seek": """
assert sys.stdin.seekable() and sys.stdin.buffer.seekable()
n = int(sys.stdin.readline())
sys.stdin.seek(0)
text = sys.stdin.read()
sys.stdin.seek(0)
assert int(input()) == n
a = [*map(int, text.split()[1:])]
print(sum(a))
print(*a[::-1])
""",
    "sys.stdin.tell": """
from sys import stdin
assert stdin.tell() == 0
stdin.readline()
start = stdin.tell()
a = stdin.readline()
stdin.seek(start)
assert stdin.readline() == a
print(sum(map(int, a.split())))
print(*a.split()[::-1])
""",
    "sys.stdin.buffer.seek": """
import io
end = sys.stdin.buffer.seek(0, io.SEEK_END)
sys.stdin.buffer.seek(0)
data = sys.stdin.buffer.read()
assert len(data) == end == sys.stdin.buffer.tell()
n, *a = map(int, data.split())
print(sum(a))
print(*a[::-1])
""",
    "stdin from the header, twice": """
first = stdin.read()
stdin.seek(0)
assert stdin.read() == first and stdin.name == '<stdin>'
n, *a = map(int, first.split())
print(sum(a))
print(*a[::-1])
""",
    "mmap": """
import mmap
n, *a = map(int, mmap.mmap(sys.stdin.fileno(), 0, access=mmap.ACCESS_READ)[:].split())
print(sum(a))
print(*a[::-1])
""",
    "os.fstat": """
import os
n, *a = map(int, os.read(0, os.fstat(0).st_size).split())
print(sum(a))
print(*a[::-1])
""",
    "BytesIO over os.read": """
import io, os
read = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline
n = int(read())
a = list(map(int, read().split()))
print(sum(a))
print(*a[::-1])
""",
    "for line in sys.stdin": """
import sys
lines = [line for line in sys.stdin]
a = list(map(int, lines[1].split()))
print(sum(a))
print(*a[::-1])
""",
    "sys.stdin.readlines": """
import sys
a = list(map(int, sys.stdin.readlines()[1].split()))
print(sum(a))
print(*a[::-1])
""",
    "fileinput": """
import fileinput
lines = list(fileinput.input())
a = list(map(int, lines[1].split()))
print(sum(a))
print(*a[::-1])
""",
    "input until EOFError": """
lines = []
try:
    while True:
        lines.append(input())
except EOFError:
    pass
a = list(map(int, lines[1].split()))
print(sum(a))
print(*a[::-1])
""",
    "main guard": """
def main():
    n = int(input())
    a = list(map(int, input().split()))
    print(sum(a))
    print(*a[::-1])
if __name__ == '__main__':
    main()
""",
    "main guard, the other way": """
if "__main__" == __name__:
    n = int(input())
    a = list(map(int, input().split()))
    print(sum(a))
    print(*a[::-1])
""",
    "thread with a large stack": """
import sys, threading
sys.setrecursionlimit(10**7)
threading.stack_size(512 * 1024 * 1024)
def depth(k):
    return 0 if k == 0 else 1 + depth(k - 1)
def main():
    n, *a = map(int, sys.stdin.read().split())
    assert depth(100000) == 100000
    print(sum(a))
    print(*a[::-1])
thread = threading.Thread(target=main)
thread.start()
thread.join()
""",
    "thread that is not joined": """
import threading
def main():
    n = int(input())
    a = list(map(int, input().split()))
    print(sum(a))
    print(*a[::-1])
threading.Thread(target=main).start()
""",
    "deep recursion through C": """
import sys
from functools import lru_cache
sys.setrecursionlimit(10**7)
@lru_cache(None)
def depth(k):
    return 0 if k == 0 else 1 + depth(k - 1)
assert depth(50000) == 50000
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
""",
    "sys.exit in the end": """
import sys
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
sys.exit()
""",
    "sys.exit from a function": """
import sys
def done(a):
    print(sum(a))
    print(*a[::-1])
    sys.exit(0)
n, *a = map(int, open(0).read().split())
done(a)
print('never')
""",
    "exit and quit": """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
exit() if a else quit()
""",
    "exit with a code": """
import sys
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
sys.exit(1)
""",
    "printing inside functions": """
def show(*words):
    print(*words)
def work(a):
    show(sum(a))
    show(*a[::-1])
n, *a = map(int, open(0).read().split())
work(a)
""",
    "sys.stdout.write": """
import sys
n, *a = map(int, sys.stdin.read().split())
sys.stdout.write(str(sum(a)) + '\\n' + ' '.join(map(str, a[::-1])))
""",
    "sys.stdout.buffer": """
import sys
n, *a = map(int, sys.stdin.read().split())
sys.stdout.buffer.write((str(sum(a)) + '\\n' + ' '.join(map(str, a[::-1]))).encode())
""",
    "os.write": """
import os
n, *a = map(int, os.read(0, 99999).split())
os.write(1, f"{sum(a)}\\n{' '.join(map(str, a[::-1]))}\\n".encode())
""",
    "open(1)": """
n, *a = map(int, open(0).read().split())
with open(1, 'w') as out:
    out.write(f"{sum(a)}\\n{' '.join(map(str, a[::-1]))}\\n")
""",
    "an own stdout": """
import io, sys
sys.stdout = out = io.StringIO()
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
sys.__stdout__.write(out.getvalue())
""",
    "print at exit": """
import atexit
n, *a = map(int, open(0).read().split())
print(sum(a))
atexit.register(lambda: print(*a[::-1]))
""",
    "trailing spaces and lines": """
n, *a = map(int, open(0).read().split())
print(sum(a), '  ')
for x in a[::-1]:
    print(x, end=' ')
print('\\n\\n')
""",
    "numbers written otherwise": """
n, *a = map(int, open(0).read().split())
print(float(sum(a)))
print(*[f'{x:.3f}' for x in a[::-1]])
""",
    "names of the header": """
n = int(input())
a = List[int] and list(map(int, input().split()))
c = Counter(a)
h = []
heappush(h, sqrt(4))
assert gcd(4, 6) == 2 and inf > 1 and bisect_left([1], 1) == 0
assert reduce(add, [1, 2]) == 3 and math.pi == pi and pow(2, 3, 5) == 3
print(sum(a))
print(*a[::-1])
""",
    "from __future__": """
from __future__ import annotations
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
""",
    "dataclass, enum, generics": """
from dataclasses import dataclass
from enum import Enum
class Kind(Enum):
    A = 1
@dataclass
class Point:
    x: int
n, *a = map(int, open(0).read().split())
a = [Point(x).x for x in a]
print(sum(a))
print(*a[::-1])
""",
    "numpy": """
import numpy as np
n, *a = map(int, open(0).read().split())
a = np.array(a)
print(a.sum())
print(*a[::-1])
""",
    "process pool": """
from multiprocessing import Pool
def double(x):
    return 2 * x
if __name__ == '__main__':
    n, *a = map(int, open(0).read().split())
    with Pool(2) as pool:
        b = pool.map(double, a)
    print(sum(b) // 2)
    print(*a[::-1])
""",
    "complaints on stderr": """
import sys
n, *a = map(int, open(0).read().split())
print('x' * 300000, file=sys.stderr)
print(sum(a))
print(*a[::-1])
""",
    "a file of its own": """
n, *a = map(int, open(0).read().split())
with open('notes.txt', 'w') as f:
    f.write(str(sum(a)))
print(open('notes.txt').read())
print(*a[::-1])
""",
    "an exception in a thread": """
import threading
n, *a = map(int, open(0).read().split())
threading.Thread(target=lambda: 1 / 0).start()
print(sum(a))
print(*a[::-1])
""",
    "big numbers": """
n, *a = map(int, open(0).read().split())
assert len(str(10 ** 20000)) == 20001
print(sum(a))
print(*a[::-1])
""",
    "class Solution beside main": """
class Solution:
    def work(self, a: List[int]) -> int:
        return sum(a)
n, *a = map(int, open(0).read().split())
print(Solution().work(a))
print(*a[::-1])
""",
    "a bare except around exit": """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
try:
    exit()
except BaseException:
    pass
""",
    "its own input function": """
def input(it=iter(open(0).read().split('\\n'))):
    return next(it)
n = int(input())
a = list(map(int, input().split()))
print(sum(a))
print(*a[::-1])
""",
}

# Programs that do not: the tests that each passes, and what the record says.
WRONG: dict[str, tuple[str, int, str]] = {
    "wrong value": (
        """
n, *a = map(int, open(0).read().split())
print(sum(a) + (n == 9))
print(*a[::-1])
""",
        4,
        "wrong answer in line 1",
    ),
    "extra line": (
        """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
print('ok')
""",
        0,
        "3 lines where 2 are expected",
    ),
    "missing line": (
        """
n, *a = map(int, open(0).read().split())
print(sum(a))
""",
        0,
        "1 lines where 2 are expected",
    ),
    "nothing": (
        """
""",
        0,
        "1 lines where 2 are expected",
    ),
    "exception after the output": (
        """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
raise ValueError('late')
""",
        0,
        "ValueError: late",
    ),
    "exception before": (
        """
n, *a = map(int, open(0).read().split())
print(1 // 0)
""",
        0,
        "ZeroDivisionError",
    ),
    "syntax error": (
        """
print(1
""",
        0,
        "SyntaxError",
    ),
    "another language": (
        """
#include <iostream>
int main() { return 0; }
""",
        0,
        "SyntaxError",
    ),
    "dies after the output": (
        """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
import os, sys
sys.stdout.flush()
os._exit(3)
""",
        0,
        "exit code 3",
    ),
    "aborts": (
        """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
import os
os.abort()
""",
        0,
        "signal 6",
    ),
    "segmentation fault": (
        """
import ctypes
ctypes.string_at(0)
""",
        0,
        "signal 11",
    ),
    "endless loop": (
        """
while True:
    pass
""",
        0,
        "time limit exceeded",
    ),
    "endless sleep": (
        """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
import time
time.sleep(99)
""",
        0,
        "time limit exceeded",
    ),
    "endless loop that catches all": (
        """
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
""",
        0,
        "time limit exceeded",
    ),
    "thread that never ends": (
        """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
import threading
threading.Thread(target=lambda: all(zero == 0 for zero in iter(int, 1))).start()
""",
        0,
        "time limit exceeded",
    ),
    "memory at once": (
        """
x = bytearray(9 << 30)
""",
        0,
        "MemoryError",
    ),
    "memory bit by bit": (
        """
x = []
while True:
    x.append(bytes([1]) * 9999999)
""",
        0,
        "memory",
    ),
    "endless output": (
        """
while True:
    print('x' * 9999)
""",
        0,
        "more than 16 MiB of output",
    ),
    "endless complaints": (
        """
import sys
while True:
    print('x' * 9999, file=sys.stderr)
""",
        0,
        "time limit exceeded",
    ),
    "recursion without end": (
        """
def f(x):
    return f(x + 1)
f(0)
""",
        0,
        "RecursionError",
    ),
    "fork bomb": (
        """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
        0,
        "",
    ),
    "kills what runs it": (
        """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
import os
os.kill(os.getppid(), 9)
""",
        0,
        "PermissionError",
    ),
    "kills everything": (
        """
n, *a = map(int, open(0).read().split())
print(sum(a))
print(*a[::-1])
import os
os.kill(-1, 9)
""",
        0,
        "",
    ),
    "knows the public tests alone": (
        """
given = open(0).read()
print({'1\\n0\\n': '0\\n0', '3\\n0 1 2\\n': '3\\n2 1 0'}.get(given, '?'))
""",
        2,
        "wrong answer",
    ),
    "looks for the answers": (
        """
import glob, os, sys
open(0).read()
found = []
driver = '/proc/%d/' % os.getppid()
paths = glob.glob('/tmp/**', recursive=True)
for path in [driver + 'environ', driver + 'cmdline', driver + 'mem', *paths]:
    try:
        found.append(open(path).read())
    except OSError:
        pass
print('3\\n2 1 0' if any('2 1 0' in text for text in found) else 'nothing')
""",
        0,
        "wrong answer",
    ),
    "prints a report of the driver": (
        """
import os
os.write(1, b'ready\\n')
os.write(1, b'{"status": "ended", "code": 0, "seconds": 0, "stderr": "", "size": 0}\\n')
""",
        0,
        "wrong answer",
    ),
    "case": (
        """
print('YES'.lower())
print()
""",
        0,
        "wrong answer",
    ),
}

# Functions that solve the second task.
FUNCTIONS: dict[str, str] = {
    "as asked": """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [sum(nums) * k]
""",
    "a tuple": """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return (sum(nums) * k,)
""",
    "printing meanwhile": """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        print('[0]')
        print(nums, flush=True)
        return [sum(nums) * k]
""",
    "writing to descriptor 1": """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        import os
        os.write(1, b'[0]')
        return [sum(nums) * k]
""",
    "a float": """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [float(sum(nums) * k)]
""",
    "numpy's integer": """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        import numpy
        return [numpy.int64(sum(nums) * k)]
""",
    "a plain function": """
def scaled(nums, k):
    return [sum(nums) * k]
""",
    "state and helpers": """
from functools import cache
class Solution:
    def __init__(self):
        self.seen = []
    @cache
    def f(self, x):
        return x
    def scaled(self, nums, k):
        return [sum(map(self.f, nums)) * k]
""",
    "a main guard, not run": """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [sum(nums) * k]
if __name__ == '__main__':
    1 / 0
""",
    "deep recursion": """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        def f(i):
            return nums[i] + f(i + 1) if i < len(nums) else 0
        return [f(0) * k]
""",
    "a dataclass": """
from dataclasses import dataclass
@dataclass
class Box:
    x: int
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [Box(sum(nums) * k).x]
""",
    "from __future__": """
from __future__ import annotations
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [sum(nums) * k]
""",
}

# Functions that do not, and what the record says.
WRONG_FUNCTIONS: dict[str, tuple[str, str]] = {
    "wrong value": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [sum(nums) * k + 1]
""",
        "wrong answer: '[4]', expected '[3]'",
    ),
    "a number for a list": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return sum(nums) * k
""",
        "wrong answer",
    ),
    "a tuple within": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [(sum(nums) * k,)]
""",
        "wrong answer",
    ),
    "a text": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [str(sum(nums) * k)]
""",
        "wrong answer",
    ),
    "a set": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return {sum(nums) * k}
""",
        "wrong answer",
    ),
    "nothing": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        pass
""",
        "wrong answer: 'null'",
    ),
    "prints the answer": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        print([sum(nums) * k])
""",
        "wrong answer: 'null'",
    ),
    "equal to all": (
        """
class All(list):
    def __eq__(self, other):
        return True
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return All()
""",
        "wrong answer",
    ),
    "equal to all, of no kind": (
        """
class All:
    def __eq__(self, other):
        return True
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return All()
""",
        "wrong answer",
    ),
    "another name": (
        """
class Solution:
    def other(self, nums, k):
        return 0
""",
        "AttributeError",
    ),
    "fewer arguments": (
        """
class Solution:
    def scaled(self, nums):
        return 0
""",
        "TypeError",
    ),
    "exception": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [nums[99]]
""",
        "IndexError",
    ),
    "reads an argument on standard input": (
        """
k = int(input())
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [sum(nums) * k]
""",
        "EOFError",
    ),
    "reads all its arguments on standard input": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        return [sum(nums) * k] if sys.stdin.read() or open(0).read() else 0
""",
        "wrong answer: '0'",
    ),
    "leaves": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        exit()
""",
        "did not return",
    ),
    "leaves at once": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        import os
        os._exit(0)
""",
        "did not return",
    ),
    "endless loop": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        while True:
            pass
""",
        "time limit exceeded",
    ),
    "a list in itself": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        x = []
        x.append(x)
        return x
""",
        "RecursionError",
    ),
    "writes no JSON as its result": (
        """
class Solution:
    def scaled(self, nums: List[int], k: int) -> List[int]:
        import os
        os.write(3, b'[')
        os._exit(0)
""",
        "wrong answer",
    ),
}
