"""Thousands of damaged configurations, data files and checkpoints: ``python -m bench.fuzz --seed 0``.

Each case is made from its own seed, and read as the command line reads it. What has to hold: nothing but an
`InputError` of one line is raised, no case takes longer than `SECONDS`, no warning is given, and what is accepted is
what the file holds, compared with another reader. ``--only data:17`` repeats a case.
"""

import argparse
import contextlib
import gzip
import io
import json
import signal
import struct
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
from rich.console import Console

from spikeloom.gen import presets
from spikeloom.golden import images
from spikeloom.golden.checkpoint import Checkpoint, Progress, load_checkpoint, save_checkpoint, state_arrays
from spikeloom.golden.config import load, parse
from spikeloom.golden.data import load_dataset
from spikeloom.golden.errors import LIMIT, InputError
from spikeloom.golden.model import Golden, initial_state

#: No case may take longer.
SECONDS = 20
#: Kind of case -> how many by default.
COUNTS = {"configuration": 10_000, "data": 5_000, "checkpoint": 2_000}
#: What replaces a number or a text.
VALUES = (0, 1, -1, 2, 3, 7, 255, 256, 4096, 65535, 65536, 65537, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -2**63,
          10**30, 10**400, 16**5000, 0.0, -0.0, 0.5, 1e-300, 1e300, float("inf"), float("nan"), True, False, "",
          "dense", "a" * 300, "\x1b[31m", "line\nline", "é\u202e", [], [[]], {}, [1, 2], {"form": "shift"},
          {"shape": "table"})
#: Kinds that an array may have instead.
KINDS = ("f4", "f8", "?", "c8", "i1", "u1", "i2", ">i4", "i8", "u8", ">f8", "S4", "U3", "M8[s]")
#: What a header of an array may hold instead.
HEADERS = ((b"(", b"(99999999999, "), (b"(", b"(-1, "), (b"<", b">"), (b"False", b"True"), (b"shape", b"shap"),
           (b"'<", b"'|O"), (b"}", b"}}"), (b"{", b"__import__('os').abort() or {"), (b"NUMPY", b"NUMPX"),
           (b"\x01", b"\x09"))


class Hang(BaseException):
    """A case takes too long."""


class Finding(AssertionError):
    """A case that breaks the rule."""


def mutate_bytes(random, content):
    """`content` with a few bytes changed, lost, doubled or added."""
    content = bytearray(content)
    for _ in range(random.integers(1, 6)):
        place = int(random.integers(0, len(content) + 1))
        length = int(random.choice([1, 1, 2, 4, 16, 200]))
        match random.integers(0, 6):
            case 0:
                content[place:place + length] = random.bytes(len(content[place:place + length]))
            case 1:
                del content[place:place + length]
            case 2:
                content[place:place] = content[place:place + length]
            case 3:
                content[place:place] = random.choice([b"\0", b"\xff", b"\xef\xbb\xbf", b"\r\n", b"[", b"=", b'"', b"-",
                                                      b"\x1b[2J", b"9" * 5000])
            case 4:
                del content[place:]
            case 5 if content:
                content[place % len(content)] ^= 1 << int(random.integers(0, 8))
    return bytes(content)


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


def leaves(value, path=()):
    """Paths of all values of nested tables and lists."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, own in list(inside):
        yield (*path, key)
        yield from leaves(own, (*path, key))


def mutate_table(random, table):
    """Change, drop, rename or add some entry of nested tables, in place."""
    paths = list(leaves(table))
    *path, key = paths[random.integers(0, len(paths))]
    for part in path:
        table = table[part]
    match random.integers(0, 8):
        case 0:
            table[key] = VALUES[random.integers(0, len(VALUES))]
        case 2 | 6 | 7 if isinstance(table[key], int | float) and not isinstance(table[key], bool):
            factor, more = (int(random.choice(own)) for own in ([0, -1, 1, 1, 1, 2, 10, 1000], [-1, 0, 1]))
            table[key] = table[key] * factor + more
        case 3:
            del table[key]
        case 4 if isinstance(table, dict):
            name = str(key)
            place = int(random.integers(0, len(name)))
            table[name[:place] + random.choice(["", "x", "_", "\x07"]) + name[place + 1:]] = table.pop(key)
        case 5 if isinstance(table, dict):
            table[random.choice(["extra", "lane", "Bits", "kind", "shape", "size"])] = VALUES[
                random.integers(0, len(VALUES))]
        case _ if isinstance(table, list):
            table.append(table[key])


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


# Archives

def mutate_array(random, array):
    """An array of another type, shape or range."""
    array = np.asarray(array)
    match random.integers(0, 12):
        case 0 if array.dtype.kind in "biuf":
            return array.astype(KINDS[random.integers(0, len(KINDS))])
        case 1 if array.ndim > 1:
            return array.transpose(random.permutation(array.ndim))
        case 2:
            return array[None]
        case 3:
            return array[..., None]
        case 4 if array.ndim:
            return array[:random.integers(0, len(array) + 1)]
        case 5 if array.ndim:
            return np.concatenate([array, array[:1]])
        case 6 if array.dtype.kind in "iu" and array.size:
            array = array.astype(np.int64)
            array.ravel()[random.integers(0, array.size)] = random.choice([-1, 2, 16, 255, 256, 2**31, 2**40, -2**63])
            return array
        case 7 if array.dtype.kind in "iuf" and array.size:
            array = array.astype(np.float64)
            array.ravel()[random.integers(0, array.size)] = random.choice([np.nan, np.inf, 0.5, -1.0])
            return array
        case 8:
            return np.array([None, {}], dtype=object)
        case 9:
            return array.ravel()
        case 10 if array.dtype.kind in "iu":
            return array / 16
        case 11:
            return np.array(random.choice(["text", "\x1b[31m", ""]))
    return array[::-1] if array.ndim else array + array


def mutate_archive(random, arrays):
    """The bytes of a NumPy archive in which some arrays, keys or bytes are wrong."""
    arrays, packed = dict(arrays), random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    names = sorted(arrays)
    damage = int(random.integers(0, 10))  # 9: none
    if damage <= 4:
        for _ in range(random.integers(1, 3)):
            name = names[random.integers(0, len(names))]
            if name in arrays:
                arrays[name] = mutate_array(random, arrays[name])
    elif damage == 5:
        name = names[random.integers(0, len(names))]
        value = arrays.pop(name)
        if random.integers(0, 2):
            arrays[random.choice([name.upper(), name + " ", "x\x07", "../x", names[0] + "_"])] = value
    elif damage == 6:
        packed = random.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", int(packed)) as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.asanyarray(array), allow_pickle=True)
            content = part.getvalue()
            if damage == 7 and random.integers(0, 3) == 0:
                content = _mutate_header(random, content)
            archive.writestr(f"{name}.npy", content)
    content = buffer.getvalue()
    return mutate_bytes(random, content) if damage == 8 else content


def _mutate_header(random, content):
    """Another kind, shape or length in the header of an array."""
    return content.replace(*HEADERS[random.integers(0, len(HEADERS))], 1)


def stored(path):
    """The arrays of an archive as NumPy reads them."""
    with np.load(path) as archive:
        return dict(archive)


# Data

FRAMES = presets.find("tiny").replace(
    input={"shape": [4, 4, 1], "bits": 5}, layers=[{"neurons": 4, "lanes": 2}], classifier={"lanes": 2},
    network={"classes": 4, "block_length": 1})
EVENTS = presets.find("gestures").replace(
    input={"shape": [4, 4, 2]}, time={"steps": 4, "interval": 2}, layers=[{"neurons": 4, "lanes": 2}],
    classifier={"lanes": 2}, network={"classes": 4, "block_length": 1, "block_ends": None})


def data(random, folder):
    """One data set of any kind: written, read, compared."""
    kind = random.choice(["npz", "npz", "dense", "events", "events", "idx", "csv", "cifar10"])
    globals()[f"_{kind}"](random, folder)


def _compare(found, frames, labels, names):
    """The frames and labels of a data set, against those that another reader found."""
    for part, wanted, own_labels in zip(("train", "test"), frames, labels):
        own, held = (found.train_frames, found.train_labels) if part == "train" else (
            found.test_frames, found.test_labels)
        dense = np.asarray(own[:]).astype(np.int64).reshape(len(own), -1)
        wanted = np.asarray(wanted).astype(np.int64)
        if not np.array_equal(dense, wanted.reshape(len(wanted), -1)):
            raise Finding(f"{part} frames of {names} are not those of the file")
        if not np.array_equal(held, np.asarray(own_labels).ravel()):
            raise Finding(f"{part} labels of {names} are not those of the file")


def _npz(random, folder):
    names = [("train_frames", "train_labels", "test_frames", "test_labels"), ("x_train", "y_train", "x_test", "y_test"),
             ("train_images", "train_labels", "test_images", "test_labels")][random.integers(0, 3)]
    shape = [(4, 4, 1), (4, 4), (16,)][random.integers(0, 3)]
    x, x_test = (random.integers(0, 32, (count, *shape)).astype(np.uint8) for count in (6, 3))
    y, y_test = (random.integers(0, 4, count).astype(np.uint8) for count in (6, 3))
    path = folder / "set.npz"
    path.write_bytes(mutate_archive(random, dict(zip(names, (x, y, x_test, y_test)))))
    found, held = load_dataset(f"npz:{path}", FRAMES), stored(path)
    _compare(found, (held[names[0]], held[names[2]]), (held[names[1]], held[names[3]]), names)


def _dense(random, folder):
    shape = [(4, 4, 4, 2), (4, 32)][random.integers(0, 2)]
    arrays = {f"{part}_frames": random.integers(0, 2, (count, *shape)).astype(random.choice(["u1", "?", "i8"]))
              for part, count in (("train", 5), ("test", 3))}
    arrays |= {"train_labels": random.integers(0, 4, 5), "test_labels": random.integers(0, 4, 3)}
    path = folder / "set.npz"
    path.write_bytes(mutate_archive(random, arrays))
    found, held = load_dataset(f"npz:{path}", EVENTS), stored(path)
    _compare(found, (held["train_frames"], held["test_frames"]), (held["train_labels"], held["test_labels"]), "bits")


def _events(random, folder):
    config, arrays = EVENTS, {}
    window = config.input.bin_microseconds
    for part, samples in (("train", 4), ("test", 2)):
        counts = random.integers(5, 20, samples)
        total = int(counts.sum())
        arrays |= {f"{part}_t": np.sort(random.integers(0, 4 * window, total)),
                   f"{part}_p": random.integers(0, 2, total),
                   f"{part}_x": random.integers(0, 4, total).astype(np.uint16),
                   f"{part}_y": random.integers(0, 4, total).astype(np.int16),
                   f"{part}_borders": np.cumsum([0, *counts]), f"{part}_labels": random.integers(0, 4, samples)}
    path = folder / "set.npz"
    path.write_bytes(mutate_archive(random, arrays))
    found, held = load_dataset(f"npz:{path}", config), stored(path)
    frames = []
    for part in ("train", "test"):
        borders = held[f"{part}_borders"]
        dense = np.zeros((len(borders) - 1, 4, 4, 4, 2), np.int64)
        for sample, (first, last) in enumerate(zip(borders, borders[1:])):
            t, x, y, p = (held[f"{part}_{name}"][first:last].astype(np.int64) for name in "txyp")
            step = (t - t.min()) // window
            kept = step < 4
            dense[sample, step[kept], y[kept], x[kept], p[kept]] = 1
        frames.append(dense)
    _compare(found, frames, (held["train_labels"], held["test_labels"]), "events")


def _idx(random, folder):
    hurt, held = int(random.integers(0, 4)), []
    shape = [(4, 4), (4, 4), (4, 4), (2, 8), (4, 4, 1)][random.integers(0, 5)]
    for place, (name, own) in enumerate((("train-images-idx3-ubyte", (6, *shape)), ("train-labels-idx1-ubyte", (6,)),
                                         ("t10k-images-idx3-ubyte", (3, *shape)), ("t10k-labels-idx1-ubyte", (3,)))):
        values = random.integers(0, 256 if len(own) > 1 else 4, own).astype(np.uint8)
        content = struct.pack(f">{len(own) + 1}I", 0x800 | len(own), *own) + values.tobytes()
        packed = bool(random.integers(0, 2))
        if place == hurt:
            content = mutate_bytes(random, content)
        held.append(content)
        content = gzip.compress(content) if packed else content
        if place == hurt and packed and random.integers(0, 2):
            content = mutate_bytes(random, content)
        (folder / (name + ".gz" * bool(random.integers(0, 2)))).write_bytes(content)
    found = load_dataset(f"idx:{folder}", FRAMES)
    arrays = [np.frombuffer(content, np.uint8)[8 if place % 2 else 16:] for place, content in enumerate(held)]
    frames = [arrays[place].reshape(-1, 16) >> 3 for place in (0, 2)]
    _compare(found, frames, (arrays[1], arrays[3]), "IDX files")


def _csv(random, folder):
    hurt, held = int(random.integers(0, 2)), []
    for place, part in enumerate(("train", "test")):
        rows = np.column_stack([random.integers(0, 4, 5), random.integers(0, 256, (5, 16))])
        names = b"label," + b",".join(b"pixel%d" % place for place in range(16)) + b"\n"
        content = (names if random.integers(0, 2) else b"") + b"".join(
            b",".join(b"%d" % value for value in row) + b"\n" for row in rows)
        content = mutate_bytes(random, content) if place == hurt else content
        held.append(content)
        (folder / f"mnist_{part}.csv").write_bytes(gzip.compress(content) if random.integers(0, 2) else content)
    found = load_dataset(f"csv:{folder}", FRAMES)
    tables = []
    for content in held:
        lines = [line.strip(b"\r") for line in content.split(b"\n") if line.strip()]
        label = 0
        if any(letter.isalpha() for letter in lines[0].decode("latin-1")):
            names = lines.pop(0).removeprefix(b"\xef\xbb\xbf").split(b",")
            label = [name.strip(b'" \r').lower() for name in names].index(b"label")
        rows = np.array([[int(value) for value in line.split(b",")] for line in lines])
        tables.append((np.delete(rows, label, 1) >> 3, rows[:, label]))
    _compare(found, [table[0] for table in tables], [table[1] for table in tables], "tables")


def _cifar10(random, folder):
    hurt, held = int(random.integers(0, 6)), []
    with mock.patch.object(images, "CIFAR10_RECORDS", 2), mock.patch.object(images, "CIFAR10_SHAPE", (1, 4, 4)):
        for place in range(6):
            content = b"".join(bytes([random.integers(0, 4)]) + random.bytes(16) for _ in range(2))
            content = mutate_bytes(random, content) if place == hurt else content
            held.append(content)
            (folder / f"{'test_batch' if place == 5 else f'data_batch_{place + 1}'}.bin").write_bytes(content)
        found = load_dataset(f"cifar10:{folder}", FRAMES)
    rows = np.frombuffer(b"".join(held), np.uint8).reshape(12, 17)
    _compare(found, (rows[:10, 1:] >> 3, rows[10:, 1:] >> 3), (rows[:10, 0], rows[10:, 0]), "CIFAR-10")


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
