"""Damaged data sets of every kind: written, read, and compared with what another reader finds. Used by `bench.fuzz`."""

import gzip
import struct
from unittest import mock

import numpy as np

from spikeloom.gen import presets
from spikeloom.golden import images
from spikeloom.golden.data import load_dataset

from .damage import Finding, mutate_archive, mutate_bytes, stored

__all__ = ["EVENTS", "FRAMES", "data"]

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
