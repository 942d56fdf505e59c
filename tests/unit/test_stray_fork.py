"""A process that a handler forked is ended by SIGTERM, however soon that comes."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal, time
from tq_worker import stray_fork

signal.signal(signal.SIGTERM, lambda *_: None)  # a worker has a handler of its own
stray_fork.let_forks_be_terminated()
for _ in range(30):
    pid = os.fork()
    if pid == 0:
        time.sleep(20)
        os._exit(0)
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
"""


def test_a_signal_right_after_the_fork_is_not_forgotten() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=15, check=False)

    assert (done.returncode, done.stderr) == (0, "")
