"""What is damaged in files, and how: bytes, tables, arrays and archives. Used by `bench.fuzz`."""

import io
import zipfile

import numpy as np

__all__ = ["Finding", "mutate_archive", "mutate_array", "mutate_bytes", "mutate_table", "stored"]

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
