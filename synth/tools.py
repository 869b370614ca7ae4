"""Runs a tool once per content: what it wrote is found again under the hash of all that went in."""

import hashlib
import os
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..gen import process
from ..golden.errors import SpikeloomError, one_line
from ..golden.files import once

__all__ = ["SynthesisError", "find_tool", "run_once", "tool_versions"]

#: Seconds between two looks at the log of a tool that may have to be stopped.
PATIENCE = 1.0


class SynthesisError(SpikeloomError):
    """A tool is missing or failed; the message names the tool and its log."""


def find_tool(name):
    """Command of the tool `name` of YoWASP, such as ``yosys``, and the version of its package.

    Raises
    ------
    SynthesisError
        If it is not installed.
    """
    program = f"yowasp-{name}"
    found = shutil.which(program, path=process.environment()["PATH"])
    try:
        if found:
            return found, version(program)
    except PackageNotFoundError:
        pass
    raise SynthesisError(f"{program} is missing; install it with: pip install 'spikeloom[synth]'")


def tool_versions(*names):
    """Version of each tool, by the name of its package."""
    return {f"yowasp-{name}": find_tool(name)[1] for name in names}


def run_once(root, tool, *, arguments, files, finish=None, accepts=lambda log: False, hopeless=None, limit=None):
    """Run `tool` in the folder of its content below `root`, unless it did so before.

    A run that was interrupted left no mark and is made again. Two processes that want the same wait for each other.
    Tools see their folder and nothing else.

    Parameters
    ----------
    root : Path
        Folder of all runs.
    tool : str
        As `find_tool` takes it.
    arguments : sequence of str
    files : dict of str to (str or Path)
        Name in the folder -> text, or a file that another run wrote; the folder of that run stands for its content.
    finish : callable, optional
        Takes the folder after a good run and before the mark.
    accepts : callable
        Takes the log of a run that ended with an error; whether that is a result.
    hopeless : callable, optional
        Takes the log of a run that lasts; whether it can be stopped, which is a result too.
    limit : optional
        What `hopeless` hangs on; with another limit, it is another run.

    Returns
    -------
    folder : Path
    good : bool
        Whether the tool ended without an error.

    Raises
    ------
    SynthesisError
        If the tool is missing, or ends with an error that is no result.
    """
    command, installed = find_tool(tool)
    contents = [source.parent.name if isinstance(source, Path) else source for source in files.values()]
    words = [tool, installed, *arguments, *files, *contents, str(limit)]
    key = hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]

    def work(folder, lock):
        for name, source in files.items():
            if isinstance(source, Path):
                os.link(source, folder / name)  # netlists are large
            else:
                (folder / name).write_text(source)
        log = folder / f"{tool}.log"
        status, stopped = _run([command, *arguments], log, hopeless, lock)
        if status and not stopped and not accepts(log.read_text(errors="replace")):
            raise SynthesisError(f"{tool} failed: {_reason(log)} (status {status}); see {log}")
        if finish and not status:
            finish(folder)
        return str(status)

    folder, status = once(root, key, work)
    return folder, status == "0"


def _run(command, log, hopeless, lock):
    """Exit status of a command in the folder of its log, and whether it was stopped because it was `hopeless`."""
    with log.open("wb") as output, process.Tool(command, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT,
                                                locks=[lock]) as tool:
        while True:
            try:
                return tool.process.wait(PATIENCE if hopeless else None), False
            except subprocess.TimeoutExpired:
                if hopeless(log.read_text(errors="replace")) and tool.process.poll() is None:
                    return 1, True


def _reason(log):
    """The first error of `log` or of another log beside it, or what `log` says last."""
    for path in (log, *sorted(log.parent.glob("*.log"))):
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("ERROR:"):
                return one_line(line.removeprefix("ERROR:").strip(), process.WORDS)
    return process.last_words(log)
