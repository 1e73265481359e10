"""Generated damage to a quantized folder, and a process that survives loading it; test_hostile.py runs it.

    python hostile.py SINGLE SHARDED      one line of JSON a case: [name, class of the exception, message]

Two kinds of damage: what accidents do (a manifest that no longer fits), and what someone does who seals the folder
afterwards, so that every checksum fits and only the contents are wrong. The address space is limited to what the
process has after loading the undamaged folders, and BOUND bytes.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

BOUND = 512 << 20
LINEAR = "model.layers.1.mlp.down_proj"
Case = tuple[str, Callable[[Path], None]]
HUGE = [-1, 0, 1 << 31, 1 << 62, 1 << 70, 1e300, True, None, "7", [], {}]


def flip(name: str, position: int, bit: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[position] ^= 1 << bit
        (folder / name).write_bytes(data)

    return damage


def cut(name: str, length: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:length]) and None


def write(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def sealed(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    """The same damage, and a manifest that fits it."""
    from llvq_mini import store

    def both(folder: Path) -> None:
        damage(folder)
        store.seal(folder)

    return both


def edited(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A JSON file with a change; the manifest also gets its own checksum right."""
    from llvq_mini import manifest

    def damage(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        if name == "llvq.json":
            value["checksum"] = manifest._own_checksum(value)
        (folder / name).write_text(json.dumps(value) + "\n")

    return damage


def set_at(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(tree: Any) -> None:
        for key in path[:-1]:
            tree = tree[key]
        tree[path[-1]] = value

    return change


def header_of(folder: Path) -> tuple[dict[str, Any], bytes]:
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def reheaded(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Weights with a changed header."""

    def damage(folder: Path) -> None:
        header, data = header_of(folder)
        change(header)
        text = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)

    return damage


def accidents(folder: Path) -> Iterator[Case]:
    """Bits and bytes that change without anybody adjusting the manifest."""
    rng = np.random.default_rng(0)
    for name in ("model.safetensors", "config.json", "llvq.json", "tokenizer.json"):
        size = (folder / name).stat().st_size
        for position in rng.integers(0, size, 12):
            yield f"flip {name} {position}", flip(name, int(position), int(rng.integers(8)))
        for length in (0, 1, size // 2, size - 1):
            yield f"cut {name} {length}", cut(name, length)
    header, data = header_of(folder)
    start = (folder / "model.safetensors").stat().st_size - len(data)
    for length in (7, 8, 9, start - 1, start):
        yield f"cut weights {length}", cut("model.safetensors", length)
        yield f"cut weights {length}, sealed", sealed(cut("model.safetensors", length))
    for name, entry in header.items():
        if name != "__metadata__" and entry["data_offsets"][0]:
            length = start + entry["data_offsets"][0]
            yield f"cut before {name}", cut("model.safetensors", length)
            yield f"cut before {name}, sealed", sealed(cut("model.safetensors", length))
    for name in (f"{LINEAR}.weight", f"{LINEAR}.row_scale"):
        begin, end = header[name]["data_offsets"]
        for position in rng.integers(start + begin, start + end, 6):
            damage = flip("model.safetensors", int(position), int(rng.integers(8)))
            yield f"flip {name} {position}, sealed", sealed(damage)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "llvq.json"):
        yield f"no {name}", lambda f, name=name: (f / name).unlink()
        yield f"{name} is a folder", lambda f, name=name: ((f / name).unlink(), (f / name).mkdir()) and None
        yield (
            f"{name} is a device",
            lambda f, n=name: ((f / n).unlink(), (f / n).symlink_to("/dev/zero")) and None,
        )


def headers() -> Iterator[Case]:
    """safetensors headers that lie, in sealed folders."""
    name = f"{LINEAR}.weight"
    for value in [[], [-1], [1 << 62, 1 << 62], [1 << 40], [2.5], ["7"], [True], 7, None, [10] * 9, [0]]:
        yield f"shape {value}", sealed(reheaded(set_at(name, "shape", value=value)))
    for value in ["I8", "F16", "F64", "F8_E4M3", "F4", "", None, 7, "u8"]:
        yield f"dtype {value}", sealed(reheaded(set_at(name, "dtype", value=value)))
    for value in [
        [0, 0],
        [0, 1],
        [1, 0],
        [-1, 5],
        [1 << 62, 1 << 63],
        [0, 1 << 62],
        [0],
        [0, 1, 2],
        "x",
        None,
        [0.0, 1],
    ]:
        yield f"offsets {value}", sealed(reheaded(set_at(name, "data_offsets", value=value)))
    yield "entry gone", sealed(reheaded(lambda h: h.pop(name)))
    yield "entry renamed", sealed(reheaded(lambda h: h.update({"x": h.pop(name)})))
    yield "entry twice under two names", sealed(reheaded(lambda h: h.update({"x": h[name]})))
    yield "entry with more", sealed(reheaded(set_at(name, "more", value=1)))
    yield "entry is a list", sealed(reheaded(set_at(name, value=[])))
    yield "only metadata", sealed(reheaded(lambda h: [h.pop(k) for k in list(h)]))

    def twice(folder: Path) -> None:
        header, data = header_of(folder)
        text = json.dumps(header)
        text = (text[:-1] + f', "{name}": {json.dumps(header[name])}}}').encode()
        (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)

    yield "key twice", sealed(twice)
    for length in (0, 1, 1 << 24, 1 << 31, 1 << 62, (1 << 64) - 1):
        head = length.to_bytes(8, "little")
        yield (
            f"header of {length} bytes",
            sealed(
                lambda f, h=head: (f / "model.safetensors").write_bytes(
                    h + (f / "model.safetensors").read_bytes()[8:]
                )
            ),
        )


def settings() -> Iterator[Case]:
    """quantization_config and other entries of config.json, in sealed folders."""
    at = ("quantization_config",)
    for value in [0, 1, 3, "2", None, 2.0, -1, 1 << 70, []]:
        yield f"version {value}", sealed(edited("config.json", set_at(*at, "format_version", value=value)))
    for key in ("quant_method", "source", "codebooks", "linears"):
        for value in (None, 7, "x", [], {}):
            if (key, value) != ("source", "x"):
                yield f"{key} {value}", sealed(edited("config.json", set_at(*at, key, value=value)))
    for key in ("shape", "seed", "codebook", "sha256"):
        for value in HUGE:
            if (key, value) != ("codebook", 0):
                path = (*at, "linears", LINEAR, key)
                yield f"{key} {value}", sealed(edited("config.json", set_at(*path, value=value)))
    for place in (0, 1):
        for value in HUGE[:8]:
            path = (*at, "linears", LINEAR, "shape", place)
            yield f"shape[{place}] {value}", sealed(edited("config.json", set_at(*path, value=value)))
    yield from codebooks()
    for key, values in [
        ("num_hidden_layers", [0, 1, 3, -5, 1 << 40, 1e9, "2", None, []]),
        ("hidden_size", [-40, 0, 41, 1 << 39, 1 << 70, "x", None]),
        ("intermediate_size", [-1, 57, 1 << 39]),
        ("vocab_size", [0, 255, 1 << 38, -256]),
        ("num_attention_heads", [0, -2, 1 << 39]),
        ("head_dim", [-16, 0, 1 << 38]),
        ("model_type", ["", "bert", "../x", None, 7, "gpt2"]),
        ("auto_map", [{}, {"AutoConfig": "x.Y"}]),
        ("quantization_config", [None, [], {}, "llvq"]),
    ]:
        for value in values:
            yield f"config {key} {value}", sealed(edited("config.json", set_at(key, value=value)))


def codebooks() -> Iterator[Case]:
    """The list of codebooks in quantization_config: one entry changed, or replaced by that of another code."""
    at = ("quantization_config", "codebooks", 0)
    for key, values in [
        ("kind", ["ball", "none", None, 7]),
        ("caps", [[], [1 << 40], [13] * 6, [-2] * 6, [12] * 100_000, "8", None, [8, 9, 10, 11, 12, 12.5]]),
        (
            "levels",
            [[], [1] * 5, [-1] * 6, [0] * 6, ["x"] * 6, [[1] * 6] * 6, None, [3, 2, 1, 4, 5, 6], [1e400] * 6],
        ),
        ("more", [1]),
    ]:
        for value in values:
            path = (*at, key)
            yield (
                f"codebook {key} {str(value)[:30]}",
                sealed(edited("config.json", set_at(*path, value=value))),
            )
    spheres = {"kind": "interlocked", "caps": [4, 5], "levels": [3.0, 4.0]}
    stages = {"kind": "residual", "stages": [spheres, spheres], "scales": [1.0, 0.3], "name": "x"}
    for key, values in [
        ("caps", [[], [1], [31] * 8, [1 << 40] * 2, [4] * 100_000, [4.0, 5.0], "45", 7, [[4], [5]]]),
        ("levels", [[], [3], [-1, 1], [0, 1], ["x", "y"], [1e400, 1], [[1, 2]], [None, 1], {}]),
        ("more", [1]),
    ]:
        for value in values:
            lying = edited("config.json", set_at(*at, value={**spheres, key: value}))
            yield f"spheres {key} {str(value)[:30]}", sealed(lying)
    for key, values in [
        ("stages", [[], [spheres], [spheres] * 3, [spheres] * 10_000, [stages, spheres], [7, None], "x", {}]),
        ("scales", [[], [1], [0, 1], [-1, 1], [1e400, 1], ["x", 1], [[1], [1]], [10**400, 1], None, "ab"]),
        ("name", [None, 7, "x" * (1 << 20), []]),
        ("more", [1]),
    ]:
        for value in values:
            lying = edited("config.json", set_at(*at, value={**stages, key: value}))
            yield f"stages {key} {str(value)[:30]}", sealed(lying)
    for fitting in (spheres, stages):  # of another size, or with another checksum
        yield (
            f"other {fitting['kind']}",
            sealed(edited("config.json", set_at(*at, value=fitting))),
        )


def manifests() -> Iterator[Case]:
    """Manifests whose own checksum fits."""
    entry = {"size": 1, "sha256": "0" * 64}
    for name in (
        "../x",
        "..",
        ".",
        "",
        "/etc/hostname",
        "a/b",
        "a\\b",
        "a\0b",
        "x" * 300,
        "~",
        "-x",
        "é",
        "C:x",
    ):
        yield f"lists {name[:20]!r}", edited("llvq.json", set_at("files", name, value=entry))
    for value in HUGE:
        yield f"size {value}", edited("llvq.json", set_at("files", "config.json", "size", value=value))
        yield f"sha256 {value}", edited("llvq.json", set_at("files", "config.json", "sha256", value=value))
        yield f"files {value}", edited("llvq.json", set_at("files", value=value))
        yield f"version {value}", edited("llvq.json", set_at("version", value=value))


def indices(folder: Path) -> Iterator[Case]:
    """Index files of a sharded folder, sealed."""
    index, name = "model.safetensors.index.json", f"{LINEAR}.weight"
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    outside = [
        "../x.safetensors",
        "/etc/hostname",
        "..",
        "",
        "a/model-00001-of-00002.safetensors",
        7,
        None,
        [],
        "x",
    ]
    for value in [*outside, "model-00009-of-00009.safetensors", shards[0], shards[-1]]:
        damage = edited(index, set_at("weight_map", name, value=value))
        if json.loads((folder / index).read_text())["weight_map"][name] != value:
            yield f"index {value}", sealed(damage)
    yield "index without map", sealed(edited(index, lambda i: i.pop("weight_map")))
    yield "index lists a stranger", sealed(edited(index, set_at("weight_map", "x", value=shards[0])))
    yield "index lacks a tensor", sealed(edited(index, lambda i: i["weight_map"].pop(name)))
    yield "index is empty", sealed(write(index, b"{}"))
    yield "no index", sealed(lambda f: (f / index).unlink())
    for shard in shards:
        yield f"no {shard}", sealed(lambda f, shard=shard: (f / shard).unlink())
    yield "a shard twice", sealed(lambda f: shutil.copyfile(f / shards[0], f / shards[1]) and None)


def bombs() -> Iterator[Case]:
    """JSON that is large, deep or not JSON, wherever JSON is read."""
    texts = {
        "too long": b"{" + b" " * (17 << 20) + b"}\n",
        "deep": b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\n",
        "many lists": b'{"a": [' + b"[]," * 5_000_000 + b"0]}\n",
        "many objects": b'{"a": [' + b"{}," * 5_000_000 + b"0]}\n",
        "digits": b'{"a": ' + b"9" * 5000 + b"}\n",
        "NaN": b'{"a": NaN}\n',
        "key twice": b'{"a": 1, "a": 2}\n',
        "not UTF-8": b'{"a": "\xff\xfe"}\n',
        "not an object": b"[1, 2]\n",
        "nothing": b"",
        "pickle": b"\x80\x04cos\nsystem\n(S'touch executed'\ntR.",
    }
    for kind, text in texts.items():
        yield f"manifest: {kind}", write("llvq.json", text)
        yield f"configuration: {kind}", sealed(write("config.json", text))
        yield f"header: {kind}", sealed(write("model.safetensors", len(text).to_bytes(8, "little") + text))
        yield f"index: {kind}", sealed(write("model.safetensors.index.json", text))


def cases(single: Path, sharded: Path) -> Iterator[tuple[Path, Case]]:
    for case in [*accidents(single), *headers(), *settings(), *manifests(), *bombs()]:
        yield single, case
    for case in indices(sharded):
        yield sharded, case


def main(single: Path, sharded: Path) -> None:
    from llvq_mini import load

    scratch = single.with_name("scratch")
    for folder in (single, sharded):
        load(folder)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + BOUND
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for folder, (name, damage) in cases(single, sharded):
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(folder, scratch)
        damage(scratch)
        outcome, message = "loaded", ""
        try:
            load(scratch)
        except Exception as error:  # the very question is which
            outcome, message = type(error).__name__, str(error)[:300]
        print(json.dumps([name, outcome, message]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
