"""Thousands of damaged configurations, data files and checkpoints: ``python -m bench.fuzz --seed 0``.

Each case is made from its own seed, and read as the command line reads it. What has to hold: nothing but an
`InputError` of one line is raised, no case takes longer than `SECONDS`, no warning is given, and what is accepted is
what the file holds, compared with another reader. ``--only data:17`` repeats a case.
"""

import argparse
import contextlib
import io
import json
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
from rich.console import Console

from spikeloom.gen import presets
from spikeloom.golden.checkpoint import Checkpoint, Progress, load_checkpoint, save_checkpoint, state_arrays
from spikeloom.golden.config import load, parse
from spikeloom.golden.errors import LIMIT, InputError
from spikeloom.golden.model import Golden, initial_state

from .damage import Finding, mutate_archive, mutate_bytes, mutate_table, stored
from .fuzz_data import FRAMES, data

__all__ = ["case", "checkpoint", "configuration", "data", "fuzz"]

#: No case may take longer.
SECONDS = 20
#: Kind of case -> how many by default.
COUNTS = {"configuration": 10_000, "data": 5_000, "checkpoint": 2_000}


class Hang(BaseException):
    """A case takes too long."""


# Configurations

def toml(value):
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(own)}" for key, own in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, int) and value.bit_length() > 400:
        return hex(value)
    return str(value)


def configuration(random, folder):
    """One configuration: written, read, compared."""
    text = presets.text(random.choice(presets.names()))
    path = folder / "core.toml"
    if random.integers(0, 5):
        table = tomllib.loads(text)
        for _ in range(random.integers(1, 4)):
            mutate_table(random, table)
            if not table:
                break
        content = "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in table.items()).encode()
    else:
        content = mutate_bytes(random, text.encode())
    path.write_bytes(content)
    config = load(path)
    _same_table(tomllib.loads(content.decode("utf-8-sig")), config.model_dump(), ())
    if parse(json.loads(config.text)) != config:
        raise Finding("its text gives another configuration")


def _same_table(written, found, path):
    """Everything that was written is there, as it was written."""
    if isinstance(written, dict):
        for key, value in written.items():
            _same_table(value, found[key], (*path, key))
    elif isinstance(written, list):
        if len(written) != len(found):
            raise Finding(f"{path}: {written} became {found}")
        for place, value in enumerate(written):
            _same_table(value, found[place], (*path, place))
    elif written != found and written == written:  # noqa: PLR0124 (what is no number differs from itself)
        raise Finding(f"{path}: {written} became {found}")


# Checkpoints

def checkpoint(random, folder):
    """One checkpoint: written, read, compared."""
    config = FRAMES.replace(update={
        "rounding": "stochastic", "decay_samples": 4, "decay_limit": 2, "shift": 4,
        "momentum": {"multiplier": 3, "shift": 2, "width": 16}}, layers=[{"neurons": 4, "lanes": 2, "dropout": 4}])
    path = folder / "checkpoint.npz"
    save_checkpoint(path, Checkpoint(config, initial_state(config), Progress(1, 8, 3, ((1, 0.5, 0.25),)), 7, "0" * 16))
    arrays = stored(path)
    if random.integers(0, 8) == 0:
        table = json.loads(str(arrays["config"]))
        mutate_table(random, table)
        with contextlib.suppress(ValueError):  # a number of more digits than Python writes
            arrays["config"] = json.dumps(table)
        path.write_bytes(_archive(arrays))
    else:
        path.write_bytes(mutate_archive(random, arrays))
    found = load_checkpoint(path)
    held = stored(path)
    own = state_arrays(found.state) | dict(zip(("epoch", "position", "correct", "history"), found.progress)) | {
        "seed": found.seed, "data": found.data}
    for name, value in own.items():
        if not np.array_equal(np.asarray(value), held[name]):
            raise Finding(f"{name} is not that of the file")
    if json.loads(str(held["config"])) != json.loads(found.config.text):
        raise Finding("its configuration is not that of the file")
    Golden(found.config, found.state)


def _archive(arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


# All of them

def case(kind, seed, number):
    """Carry out a case: None if it was accepted, or the message of its refusal.

    Raises
    ------
    Finding
        If the rule is broken.
    """
    random = np.random.Generator(np.random.PCG64([seed, list(COUNTS).index(kind), number]))

    def stop(*_):
        raise Hang

    said, message = [], None  # by Python itself, of errors that nobody can catch
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), \
                mock.patch.object(sys, "unraisablehook", said.append):
            warnings.simplefilter("error")
            globals()[kind](random, Path(folder))
    except InputError as error:
        message = str(error)
    except Hang:
        raise Finding(f"more than {SECONDS} seconds") from None
    except Finding:
        raise
    except Exception:
        raise Finding(traceback.format_exc()) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if said:
        raise Finding(f"beside the message: {said[0].exc_value}")
    if message is not None and (len(message) > LIMIT or not message.isprintable()):
        raise Finding(f"message: {message!r}")
    return message


def fuzz(kind, seed, count, say):
    """Carry out `count` cases; the numbers of accepted and refused ones and of findings."""
    found, begin, slowest = Counter(), time.monotonic(), 0.0
    for number in range(count):
        start = time.monotonic()
        try:
            found["refused" if case(kind, seed, number) else "accepted"] += 1
        except Finding as finding:
            found["findings"] += 1
            say(f"{kind}:{number}: {finding}")
        slowest = max(slowest, time.monotonic() - start)
    say(f"{count:,} of {kind}: {found['accepted']:,} accepted, {found['refused']:,} refused with one line, "
        f"{found['findings']:,} findings; {time.monotonic() - begin:.0f} s, the slowest {slowest:.1f} s")
    return found


def main():
    """Exit status 1 if there is any finding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the cases")
    parser.add_argument("--only", help="one case, such as data:17")
    args = parser.parse_args()

    def say(text):
        Console().print(text, highlight=False, soft_wrap=True, markup=False)

    if args.only:
        kind, _, number = args.only.partition(":")
        say(case(kind, args.seed, int(number)) or "accepted")
        return
    findings = sum(fuzz(kind, args.seed, int(count * args.share), say)["findings"] for kind, count in COUNTS.items())
    sys.exit(findings > 0)


if __name__ == "__main__":
    main()
