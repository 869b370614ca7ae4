"""Runs a command that ends with whoever started it, whatever ends that: ``guard.py FD COMMAND...``.

FD is the reading end of a pipe whose other end the starter holds. Its end of file, or a signal, ends the command and
all that it started. Then, and not before, this ends too, with the command's exit status. Temporary files of the
command lie in a folder that is removed. It is started with ``-I -S`` as a file, so it may only use the standard
library.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PRCTL = getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)  # Linux only; elsewhere the rest has to do


def cache_usable():
    """Whether there is a folder in which tools can keep their caches; tried, since a file system may refuse anybody."""
    home = os.environ.get("HOME")
    path = os.environ.get("XDG_CACHE_HOME") or (home and os.path.join(home, ".cache"))
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return True
    except (OSError, TypeError):
        return False


def start(command, temporary):
    environment = {**os.environ, "TMPDIR": temporary}
    if not cache_usable():
        environment["XDG_CACHE_HOME"] = environment["HOME"] = temporary
    return subprocess.Popen(command, env=environment, close_fds=False, process_group=0,
                            preexec_fn=lambda: PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL))  # noqa: PLW1509 (no threads)


def watch(child, starter, signals):
    """Until the command ends, the starter is gone, or a signal comes."""
    poller = select.poll()
    poller.register(starter, select.POLLIN | select.POLLHUP)
    poller.register(signals, select.POLLIN)
    while True:
        ready = {handle for handle, _ in poller.poll()}
        if starter in ready or (signals in ready and set(os.read(signals, 64)) != {signal.SIGCHLD}):
            return
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return


def main(starter, *command):
    starter = int(starter)
    os.set_inheritable(starter, False)
    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not ignored: the command would inherit that
    PRCTL(PR_SET_CHILD_SUBREAPER, 1)  # what loses its parent becomes ours
    temporary = tempfile.mkdtemp(prefix="spikeloom-")
    try:
        try:
            child = start(command, temporary)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr)
            return 127
        watch(child, starter, signals)
        os.killpg(child.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
        status = child.wait()
        try:
            while True:
                os.waitpid(-child.pid, 0)
        except ChildProcessError:
            pass
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
