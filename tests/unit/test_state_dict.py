"""PyTorch's files without PyTorch: tensors come out as they went in, and whatever else a file holds is refused."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.errors import ConfigError
from streamtag.networks.weights.state_dict import read_state_dict

Array = npt.NDArray[Any]


# --- A pickle machine's language, as far as torch.save writes it ---


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """An integer of any size: LONG1."""
    raw = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def group(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def numbers(*values: int) -> bytes:
    return group(*map(number, values))


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def call(what: bytes, *arguments: bytes) -> bytes:
    return what + group(*arguments) + b"R"


def table(*items: tuple[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(name) + value for name, value in items) + b"u"


def storage(key: str = "0", elements: int = 12, kind: str = "FloatStorage", view: bytes = b"") -> bytes:
    parts = [text("storage"), named("torch", kind), text(key), text("cpu"), number(elements)]
    return group(*parts, *([view] if view else [])) + b"Q"


def tensor(stored: bytes, offset: int, size: bytes, stride: bytes) -> bytes:
    hooks = named("collections", "OrderedDict") + b")R"
    return call(named("torch._utils", "_rebuild_tensor_v2"), stored, number(offset), size, stride, b"\x89", hooks)


def pickled(content: bytes) -> bytes:
    return b"\x80\x02" + content + b"."


ROW = np.arange(12, dtype=np.float32)
SYSTEM = table(("protocol_version", number(1001)), ("little_endian", b"\x88"))
GOOD = table(("w", tensor(storage(view=b"N"), 0, numbers(2, 3, 2), numbers(1, 4, 2))))


def legacy(content: bytes, system: bytes = SYSTEM, keys: bytes = b"](" + text("0") + b"e", data: bytes = b"") -> bytes:
    """The old form: magic, protocol, system, content, keys, and the storages in their order."""
    data = data or struct.pack("<q", len(ROW)) + ROW.tobytes()
    pickles = [number(0x1950A86A20F9469CFC6C), number(1001), system, content, keys]
    return b"".join(map(pickled, pickles)) + data


def archive(content: bytes, compression: int = zipfile.ZIP_STORED, order: bytes = b"little") -> bytes:
    """The form since PyTorch 1.6."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as written:
        written.writestr("x/data.pkl", pickled(content))
        written.writestr("x/byteorder", order)
        written.writestr("x/data/0", ROW.tobytes())
    return out.getvalue()


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], dict[str, Array]]:
    def of(content: bytes) -> dict[str, Array]:
        path = tmp_path / "x.pth"
        path.write_bytes(content)
        return dict(read_state_dict(path))

    return of


Read = Callable[[bytes], dict[str, Array]]


# --- What is read ---


@pytest.mark.parametrize("form", [legacy, archive])
def test_strides_and_offsets_are_honoured(read: Read, form: Callable[[bytes], bytes]) -> None:
    """A kernel that lies in another order of memory than its shape says, and a window within its storage."""
    stored = storage()
    content = table(
        ("kernel", tensor(stored, 0, numbers(2, 3, 2), numbers(1, 4, 2))),
        ("window", tensor(stored, 5, numbers(2, 2), numbers(4, 1))),
        ("scalar", tensor(stored, 11, b")", b")")),
        ("empty", tensor(stored, 12, numbers(0, 3), numbers(3, 1))),
    )
    found = read(form(content))
    np.testing.assert_array_equal(found["kernel"], ROW.reshape(3, 2, 2).transpose(2, 0, 1))
    np.testing.assert_array_equal(found["window"], [[5, 6], [9, 10]])
    assert (found["scalar"].shape, float(found["scalar"]), found["empty"].shape) == ((), 11.0, (0, 3))
    assert not found["kernel"].flags.writeable


def test_a_checkpoint_gives_its_state_dict(read: Read) -> None:
    found = read(archive(table(("epoch", number(3)), ("state_dict", GOOD))))
    assert list(found) == ["w"]


@pytest.mark.parametrize("old_form", [True, False])
def test_it_reads_what_torch_reads(tmp_path: Path, old_form: bool) -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    kinds = ("float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
    state = {
        "plain": base,
        "turned": base.permute(2, 0, 1),
        "part of the same": base[1:, ::2],
        "parameter": torch.nn.Parameter(base.clone()),
        "scalar": torch.tensor(7),
        **{kind: (base > 20).to(getattr(torch, kind)) for kind in kinds},
        **torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).state_dict(),
    }
    path = tmp_path / "x.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not old_form)
    found = read_state_dict(path)
    expected = torch.load(path, weights_only=True)
    assert list(found) == list(expected)
    for name, value in expected.items():
        wanted = value.detach()
        wanted = wanted.float().numpy() if wanted.dtype is torch.bfloat16 else wanted.numpy()
        assert (found[name].dtype, found[name].shape) == (wanted.dtype, wanted.shape), name
        np.testing.assert_array_equal(found[name], wanted)


# --- What is refused ---

RUNS = call(named("os", "system"), text("touch it-ran"))
BEYOND = {
    "an end behind the storage": tensor(storage(), 1, numbers(12), numbers(1)),
    "an offset behind it": tensor(storage(), 12, numbers(1), numbers(1)),
    "a step too long": tensor(storage(), 0, numbers(2, 2), numbers(11, 1)),
    "elements shown twice": tensor(storage(), 0, numbers(1 << 20, 12), numbers(0, 1)),
    "a size without bounds": tensor(storage(), 0, numbers(1 << 2000, 1 << 2000), numbers(1, 1)),
    "no elements, but endless": tensor(storage(), 0, numbers(0, 1 << 39, 1 << 39), numbers(1, 1, 1)),
    "a negative size": tensor(storage(), 0, numbers(-1), numbers(1)),
    "a negative step": tensor(storage(), 3, numbers(2), numbers(-1)),
    "too many dimensions": tensor(storage(), 0, numbers(*[1] * 9), numbers(*[1] * 9)),
    "a step missing": tensor(storage(), 0, numbers(2, 2), numbers(1)),
    "a storage larger than the file": tensor(storage(elements=1 << 60), 0, numbers(1), numbers(1)),
    "a storage of less than nothing": tensor(storage(elements=-1), 0, numbers(1), numbers(1)),
    "a storage that is not there": tensor(storage("7"), 0, numbers(1), numbers(1)),
    "a storage of other length": tensor(storage(elements=11), 0, numbers(1), numbers(1)),
    "no storage": tensor(number(3), 0, numbers(1), numbers(1)),
}
OTHERS = {
    "a call": table(("w", RUNS)),
    "a call that is forgotten again": RUNS + b"0" + GOOD,
    "a name alone": named("builtins", "eval"),
    "a name of torch": table(("w", named("torch.hub", "load"))),
    "a name from the stack": text("os") + text("system") + b"\x93" + group(text("x")) + b"R",
    "an instance": b"(" + text("x") + b"ios\nsystem\n",
    "a new object": named("torch.nn", "Linear") + b")\x81",
    "an extension": b"\x82\x01",
    "attributes of a tensor": GOOD + b"N" + tensor(storage(), 0, numbers(1), numbers(1)) + b"}b0" + GOOD,
    "a text": table(("w", text("x"))),
    "a list": b"]",
    "nothing": b"}",
    "a whole module's tables": table(("model", table(("w", tensor(storage(), 0, numbers(1), numbers(1)))))),
    "a key that is a tuple": b"}(" + numbers(1, 2) + text("x") + b"u",
    "a mark too many": b"t",
    "nothing on the stack": b"R",
    "a memory that is empty": b"h\x05",
    "a storage of another kind": table(
        ("w", tensor(storage(kind="QInt8Storage"), 0, numbers(1), numbers(1)))
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", [legacy, archive])
@pytest.mark.parametrize("what", [*BEYOND, *OTHERS])
def test_everything_but_tensors_is_refused(
    read: Read, what: str, form: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = table(("w", BEYOND[what])) if what in BEYOND else OTHERS[what]
    with pytest.raises(ConfigError, match=r"x\.pth: (refused|not a PyTorch file)"):
        read(form(content))
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (legacy(GOOD, system=table(("little_endian", b"\x89"))), "big-endian"),
        (archive(GOOD, order=b"big"), "big-endian"),
        (legacy(GOOD, keys=b"]"), "list of storages"),
        (legacy(GOOD, data=struct.pack("<q", 11) + ROW.tobytes()), "does not have the elements"),
        (pickled(RUNS), "could run code"),
        (pickled(number(1)), "none that torch.save wrote"),
        (archive(GOOD, zipfile.ZIP_DEFLATED), "compressed"),
        (b"PK\x03\x04 no archive", "not a PyTorch file"),
        (b"", "cut off"),
        (b"<html>", "refused"),
    ],
)
def test_a_file_of_another_kind_is_named(read: Read, content: bytes, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        read(content)


def test_an_archive_whose_entries_share_their_bytes_does_not_fill_the_memory(read: Read) -> None:
    """Overlapping entries could claim the file many times over; together they may be as large as the file."""
    rows = [(f"w{n}", tensor(storage(str(n), 1 << 18), 0, numbers(1), numbers(1))) for n in range(50)]
    with pytest.raises(ConfigError, match="cut off: its tensors want 52428800 bytes"):
        read(archive(table(*rows)))


def test_what_grows_from_itself_takes_no_time(read: Read) -> None:
    """A tuple of two, each of two, 200 deep: hashed or printed it would take longer than any test may."""
    bomb = b")" + b"".join(b"q\x01h\x01\x86" for _ in range(200))
    for content in (bomb, table(("w", bomb)), b"}(" + bomb + text("x") + b"u", call(bomb, bomb), bomb + b"Q"):
        with pytest.raises(ConfigError, match="refused"):
            read(legacy(content))


@pytest.mark.parametrize("whole", [legacy(GOOD), archive(GOOD)], ids=["legacy", "archive"])
def test_a_file_that_is_cut_off_anywhere_is_refused(read: Read, whole: bytes) -> None:
    for length in range(len(whole)):
        with pytest.raises(ConfigError):
            read(whole[:length])


@given(data=st.data(), form=st.sampled_from([legacy, archive]))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, form: Callable[[bytes], bytes]
) -> None:
    content = bytearray(form(GOOD))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    path.write_bytes(content)
    try:
        found = read_state_dict(path)
    except ConfigError:
        return
    for value in found.values():
        float(np.asarray(value, np.float64).sum())  # every element is within the file
