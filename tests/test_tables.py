"""Data sets as tables of pixels: columns by name, and where in a damaged one the fault is."""

import gzip

import numpy as np
import pytest

from loading import refused, wanted
from spikeloom.golden.data import load_dataset

X = np.arange(4 * 9).reshape(4, 3, 3) * 7
Y = np.array([3, 0, 9, 1])
CONFIG = wanted(size=9, shape=(3, 3, 1))


def table(path, names=True, x=X, y=Y, label=0):
    rows = np.insert(x.reshape(len(x), -1), label, y, axis=1)
    head = [f"{row}x{column}" for row, column in np.ndindex(x.shape[1:])]
    head.insert(label, "label")
    lines = ([",".join(head)] if names else []) + [",".join(map(str, row)) for row in rows.tolist()]
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("names", [("mnist_train.csv", "mnist_test.csv"), ("fashion-mnist_train.csv",
                                   "fashion-mnist_test.csv"), ("train.csv.gz", "test.csv.gz")])
@pytest.mark.parametrize("layout", [{"names": True}, {"names": False}, {"label": 9}])
def test_tables(names, layout, tmp_path):
    for name, count in zip(names, (4, 2)):
        table(tmp_path / name, x=X[:count], y=Y[:count], **layout)
    data = load_dataset(f"csv:{tmp_path}", wanted(size=9, shape=(3, 3, 1), bits=6))
    assert np.array_equal(data.train_frames, X.reshape(4, 9) >> 2) and data.train_frames.dtype == np.uint8
    assert data.train_labels.tolist() == Y.tolist() and data.test_labels.tolist() == Y[:2].tolist()


@pytest.mark.parametrize("begin", ["emnist", "my_EMNIST"])
def test_tables_of_emnist_are_transposed(begin, tmp_path):
    """Wherever the name of the file says so."""
    for part in ("train", "test"):
        table(tmp_path / f"{begin}-digits-{part}.csv", names=False)
        table(tmp_path / f"{begin}-letters-{part}.csv", names=False, x=X[::-1])
    data = load_dataset(f"csv:{tmp_path}:digits", CONFIG)
    assert np.array_equal(data.train_frames, X.transpose(0, 2, 1).reshape(4, 9))


def test_a_byte_order_mark_before_numbers(tmp_path):
    for part in ("train", "test"):
        table(tmp_path / f"{part}.csv", names=False)
        (tmp_path / f"{part}.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / f"{part}.csv").read_bytes())
    assert load_dataset(f"csv:{tmp_path}", CONFIG).train_labels.tolist() == Y.tolist()


LINE = b"1,2,3,4,5,6,7,8,9,10\n"
NAMES = b"label,a,b,c,d,e,f,g,h,i\n"


@pytest.mark.parametrize("content, message", [
    (b"label,a,b\n1,2,3\n", "line 1: must name a label and the 9 values of input.size, not 3 columns"),
    (LINE + b"1,0.5,2\n", "line 2: must hold a label and the 9 values of input.size, not 3 cells"),
    (LINE + LINE.strip() + b",\n", "line 2: must hold a label and the 9 values of input.size, not 11 cells"),
    (LINE * 5000 + b"\n\r\n" + b"1,2,0.5,4,5,6,7,8,9,10\n",
     "line 5003, column 3: must hold an integer from 0 to 255, not '0.5'"),
    (b"\n" + NAMES + LINE + LINE.replace(b"5", b"-5"),
     "line 4, column 5 ('d'): must hold an integer from 0 to 255, not '-5'"),
    (LINE.replace(b"10", b"256"), "line 1, column 10: must hold an integer from 0 to 255, not '256'"),
    (LINE.replace(b"4", b""), "line 1, column 4: must hold an integer from 0 to 255, not ''"),
    (LINE.replace(b"4", b" 4"), "line 1, column 4: must hold an integer from 0 to 255, not ' 4'"),
    (LINE + LINE.replace(b"4", b"\x1b[31m"), "line 2, column 4: must hold an integer from 0 to 255, not '\\x1b[31m'"),
    (LINE + LINE.replace(b"1,", b"x,", 1), "line 2, column 1: must hold an integer from 0 to 999999999, not 'x'"),
    (LINE.replace(b"1,", b"1234567890,", 1), "line 1, column 1: must hold an integer from 0 to 999999999, not "
                                             "'1234567890'"),
    (LINE.replace(b"9", b"9" * 500),
     f"line 1, column 9: must hold an integer from 0 to 255, not '{'9' * 37}...{'9' * 38}'"),
    (LINE + LINE.replace(b"9", b"9" * 5000), "line 2: must have at most 640 bytes, not more"),
    (b"pixel0,pixel1\n1,2\n", "line 1: must hold numbers, or names of columns, one of them 'label', not "
                              "'pixel0,pixel1'; the test set of a competition has none"),
    (b"", "must hold 1 to 1,048,576 samples, not 0"), (NAMES + b"\n\n", "must hold 1 to 1,048,576 samples, not 0"),
])
def test_damaged_tables(content, message, tmp_path):
    """The line is counted in the file, empty ones included."""
    table(tmp_path / "test.csv")
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    assert refused(load_dataset, f"csv:{tmp_path}", CONFIG) == f"{path}: {message}"


@pytest.mark.parametrize("names, message", [
    ("label,pixel1,pixel2,pixel3,pixel4,pixel5,pixel6,pixel7,pixel9,pixel8",
     "must name pixels in the order of their numbers, not 'pixel9' before 'pixel8'"),
    ("1x1,2x1,3x1,1x2,2x2,3x2,1x3,2x3,3x3,label",  # column by column
     "must name pixels in the order of their numbers, not '3x1' before '1x2'"),
    ("label,a,b,c,d,e,f,g,h,Label", "must name every column once, not 'label' in columns 1 and 10"),
    ("label,p1,p2,p3,p4,p5,p6,p7,p7,p8", "must name every column once, not 'p7' in columns 8 and 9"),
])
def test_names_that_contradict_places(names, message, tmp_path):
    table(tmp_path / "test.csv")
    path = tmp_path / "train.csv"
    path.write_bytes(names.encode() + b"\n" + LINE)
    assert refused(load_dataset, f"csv:{tmp_path}", CONFIG) == f"{path}: line 1: {message}"


@pytest.mark.parametrize("names", [
    "pixel0,pixel1,pixel2,pixel3,pixel4,pixel5,pixel6,pixel7,pixel8,label",
    '"p8","p9","LABEL","p10","p11","p12","p13","p14","p15","p16"',  # as numbers, not as text
    "label,1r,1g,1b,2r,2g,2b,3r,3g,3b", "a,b,label,c,d,e,f,g,h,i"])
def test_names_of_pixels(names, tmp_path):
    for part in ("train", "test"):
        (tmp_path / f"{part}.csv").write_bytes(names.encode() + b"\r\n" + LINE)
    data = load_dataset(f"csv:{tmp_path}", wanted(size=9, shape=(3, 3, 1), classes=11))
    label = [name.strip('"').lower() for name in names.split(",")].index("label")
    cells = list(range(1, 11))
    assert data.train_labels.tolist() == [cells.pop(label)] and data.train_frames.tolist() == [cells]
