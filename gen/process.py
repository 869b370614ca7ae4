"""Tools as child processes: none outlives this process, and none sees an environment that is not meant for it."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from ..golden.errors import one_line

__all__ = ["Tool", "environment", "last_words", "run"]

GUARD = Path(__file__).with_name("guard.py")
#: Variables that steer the tools, set by the user for something else: the makefile of a model, the compiler and the
#: tools of Python read them. A model is kept for later under a name that knows nothing of such flags. CC, CXX and AR
#: stay, since that makefile names its own; so do CPATH and LIBRARY_PATH, which say where a compiler's parts are.
FOREIGN = ("AMARANTH_", "COCOTB_", "GPI_", "PYGPI_", "SYSTEMC", "USER_", "VERILATOR_", "VK_", "VM_", "YOWASP_MOUNT")
FOREIGN_NAMES = {"CFLAGS", "CPPFLAGS", "CXXFLAGS", "DEPENDENCIES_OUTPUT", "GNUMAKEFLAGS", "GUI", "LDFLAGS", "LDLIBS",
                 "LIBPYTHON_LOC", "MAKEFILES", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "OBJCACHE", "OPT", "OPT_FAST",
                 "OPT_GLOBAL", "OPT_SLOW", "PYTEST_CURRENT_TEST", "RM", "SUNPRO_DEPENDENCIES", "TOPLEVEL_LANG", "VPATH",
                 "WAVES"}
#: Characters of a tool's last line in an error, and what makes a line tell more than the very last one.
WORDS = 160
TELLING = ("error", "fatal", "no space", "cannot", "not found")
#: What says no more than that there was an error.
SUMMARIES = ("make: ***", "exiting due to", "ld returned")


def environment(path=(), **changes):
    """Environment of a tool: that of this process without what would mislead the tool.

    Parameters
    ----------
    path : sequence of Path
        Folders that are searched for programs before all others.
    **changes : str
        Variables that are set.
    """
    own = {name: value for name, value in os.environ.items()
           if not name.startswith(FOREIGN) and name not in FOREIGN_NAMES}
    folders = [*map(str, path), str(Path(sys.executable).parent), own.get("PATH") or os.defpath]
    # Python tools may not take a file of the folder that they run in for a module of their own.
    return own | {"PATH": os.pathsep.join(folders), "PYTHONSAFEPATH": "1"} | changes


class Tool:
    """A running command; it ends with this process, and at the end of a ``with`` block.

    Parameters
    ----------
    command : sequence of str or Path
    locks : sequence of int
        Handles of folders (`golden.files.locked`) that stay locked for as long as the command or anything that it
        started lives, even if this process does not.
    **options
        As of `subprocess.Popen`; nothing comes from this process' standard input.

    Attributes
    ----------
    process : subprocess.Popen
        Its exit status is that of the command, 128 and the signal if a signal ended it.
    """

    def __init__(self, command, *, locks=(), **options):
        reading, self._hold = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", GUARD, str(reading), *map(str, command)], start_new_session=True,
                pass_fds=(reading, *locks), **{"stdin": subprocess.DEVNULL, "env": environment()} | options)
        except BaseException:
            os.close(self._hold)
            raise
        finally:
            os.close(reading)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """End the command, if it has not ended, and wait until nothing of it is left."""
        hold, self._hold = self._hold, None
        if hold is not None:
            os.close(hold)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                with suppress(BrokenPipeError):  # what it was still to be told
                    stream.close()


def run(command, *, log=None, text=None, **options):
    """Run a command to its end.

    Parameters
    ----------
    command
        As of `Tool`, and the options.
    log : Path, optional
        Where its output goes, both streams.
    text : str, optional
        Its standard input.

    Returns
    -------
    status : int
    out, err : str
        Its output, without `log`.
    """
    if log:
        with log.open("ab") as file, Tool(command, stdout=file, stderr=subprocess.STDOUT, **options) as tool:
            return tool.process.wait(), "", ""
    with Tool(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
              errors="replace", **options) as tool:
        out, err = tool.process.communicate(text)
        return tool.process.returncode, out, err


def last_words(log):
    """What a tool said last, from its text or the path of its log: the last line that speaks of an error, or the last.

    Returns
    -------
    str
        Short enough for an error of one line.
    """
    if isinstance(log, Path):
        log = log.read_text(errors="replace") if log.exists() else ""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if any(word in line.lower() for word in TELLING)]
    errors = [line for line in errors if not any(word in line.lower() for word in SUMMARIES)] or errors
    return one_line((errors or lines or ["no output"])[-1], WORDS)
