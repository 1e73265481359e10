"""Unfinished work that survives whatever ends the process.

    OUT.partial/
      work.json                 what the result depends on: weights, calibration tokens, settings, program (`Inputs`)
      units/NAME.safetensors    one finished linear: arrays, and everything else as JSON in the metadata
      units/NAME.json           or the reason why it stays as it is
      states-INDEX.safetensors  hidden states that enter decoder layer INDEX, one tensor a window
      state.safetensors         instead of units and states: a run of `llvq tune` (finetune.py)
      final/                    the output while it is put together
      lock                      held by the process at work

A unit is written under a temporary name, flushed, and renamed, so it is there completely or not at all; the folder is
flushed after it. Whoever starts the same command again finds the units, takes the latest states at or before the first
missing one, and goes on; every step is deterministic, so the outcome does not depend on where it was cut. States are
kept at most every `STATES_EVERY` seconds: they only save time. If weights, text, settings or program have changed,
the work is refused by the name of what differs.

What this file does not do: quantize, or choose what is quantized. Tests: ``tests/test_resume.py``.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import rates
from .errors import LLVQError
from .files import durable, explained, flush, write_json
from .layer import QuantizedLinear
from .reading import parse_header, read_tensor

if TYPE_CHECKING:
    import torch

STATES_EVERY = 60.0
"""Seconds of work between two savings of the hidden states."""
_VERSION = 1

#: Modules without influence on the bytes of a quantized model.
_IRRELEVANT = {
    "__init__",
    "allocate",
    "arguments",
    "arms",
    "bench",
    "cached",
    "catalogue",
    "cli",
    "errors",
    "evaluate",
    "export",
    "files",
    "finetune",
    "hf",
    "host",
    "llm_plots",
    "plan",
    "plots",
    "rd_plots",
    "reference",
    "report",
    "resume",
    "sensitivity",
    "tuning",
}


@cache
def program_fingerprint(*more: str) -> str:
    """SHA-256 over the package's source files that decide the bytes of a quantized model (and `more` modules), and
    the versions of the libraries that compute them; taken once a process, as the modules themselves are.
    """
    digest = hashlib.sha256()
    for package in ("numpy", "numba", "torch", "transformers"):
        digest.update(f"{package} {importlib.metadata.version(package)};".encode())
    here = Path(__file__).parent
    for path in [*sorted(here.glob("*.py")), here / "baselines" / "residual.py"]:
        if path.stem not in _IRRELEVANT.difference(more):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """In words, where two (nested) tables of inputs differ."""
    found = []
    for key in sorted(before.keys() | now.keys()):
        one, other = before.get(key), now.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, f"{prefix}{key} ")
        elif one != other:
            digest = any(isinstance(value, str) and len(value) == 64 for value in (one, other))
            found.append(f"{prefix}{key}" + ("" if digest else f" (was {one}, is {other})"))
    return found


def partial_folder(out: Path) -> Path:
    """The work folder beside an output."""
    out = Path(os.path.abspath(out))
    return out.with_name(f"{out.name}.partial")


def _encoded(linear: QuantizedLinear) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A quantized linear as arrays and plain values, by the fields of its class."""
    values = {item.name: getattr(linear, item.name) for item in fields(linear)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in values.items() if name not in arrays}
    plain["codebook"] = linear.codebook.spec()
    return arrays, plain


def _decoded(arrays: Mapping[str, np.ndarray], plain: Mapping[str, Any]) -> QuantizedLinear:
    values: dict[str, Any] = dict(arrays)
    values |= {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    return QuantizedLinear(**{**values, "codebook": rates.from_spec(plain["codebook"])})


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for _, array in sorted(arrays.items()))).hexdigest()


@dataclass
class Work:
    """An open work folder. `units`: names of finished linears -> their reports; `kept`: names -> reasons."""

    out: Path
    folder: Path
    units: dict[str, dict[str, Any]]
    kept: dict[str, str]
    found: int  # units that were there already
    _lock: int
    _saved: float

    @classmethod
    def open(cls, out: Path, inputs: Mapping[str, Any], force: bool = False) -> Work:
        """Begin or continue the work that leads to `out`.

        LLVQError if another process is at it, if it was begun with other inputs (`force` begins anew instead), or if
        something else has the folder's name.
        """
        folder = partial_folder(out)
        try:
            before = _inputs_of(folder)
            if before is None or (force and differences(before, inputs)):
                if before is not None:
                    os.close(_locked(folder))
                    discard(folder)
                (folder / "units").mkdir(parents=True, exist_ok=True)
                lock = _locked(folder)
                write_json(folder / "work.json", {"version": _VERSION, "inputs": inputs})
                flush(folder.parent)
            else:
                lock = _locked(folder)
                if different := differences(before, inputs):
                    os.close(lock)
                    raise LLVQError(
                        f"'{folder}' holds unfinished work with other inputs: {', '.join(different)}; give the "
                        f"command that began it, remove the folder, or pass --force to begin anew"
                    )
            work = cls(Path(os.path.abspath(out)), folder, {}, {}, 0, lock, time.monotonic())
            work._find()
        except OSError as error:
            raise explained(error, out) from error
        return work

    def _find(self) -> None:
        for path in sorted((self.folder / "units").iterdir()):
            if path.name.startswith("."):
                path.unlink()  # a unit that was cut while it was written
            elif path.suffix == ".json":
                self.kept[path.stem] = json.loads(path.read_bytes())["reason"]
            else:
                unit = json.loads(parse_header(path)[1]["unit"])
                self.units[path.name.removesuffix(".safetensors")] = unit["report"]
        for path in self.folder.glob(".*"):
            path.unlink()
        shutil.rmtree(self.folder / "final", ignore_errors=True)
        self.found = len(self.units)

    def close(self) -> None:
        """Let go of the lock; a folder in which nothing was finished is removed."""
        if not self.units and not self.kept and not self.state.exists():
            discard(self.folder)
        os.close(self._lock)

    @property
    def state(self) -> Path:
        """Where a training run keeps its state."""
        return self.folder / "state.safetensors"

    def _path(self, name: str, ending: str) -> Path:
        return self.folder / "units" / f"{name}{ending}"

    def save(self, name: str, linear: QuantizedLinear, report: dict[str, Any]) -> None:
        """Keep a finished linear."""
        from safetensors.numpy import save

        arrays, plain = _encoded(linear)
        unit = {"linear": plain, "report": report, "sha256": _digest(arrays)}
        data = save(arrays, metadata={"unit": json.dumps(unit, allow_nan=False)})
        self._durable(self._path(name, ".safetensors"), data)
        self.units[name] = report

    def keep(self, name: str, reason: str) -> None:
        """Note that a linear stays as it is, and why."""
        self._durable(self._path(name, ".json"), json.dumps({"reason": reason}).encode())
        self.kept[name] = reason

    def _durable(self, path: Path, data: bytes) -> None:
        try:
            durable(path, data)
        except OSError as error:
            raise explained(error, self.out) from error

    def load(self, name: str) -> QuantizedLinear:
        """A finished linear from the disk; LLVQError if its bytes are not those that were written."""
        path = self._path(name, ".safetensors")
        entries, metadata = parse_header(path)
        arrays = {key: read_tensor(entry).numpy() for key, entry in entries.items()}
        unit = json.loads(metadata["unit"])
        if _digest(arrays) != unit["sha256"]:
            raise LLVQError(f"'{path}' fails its SHA-256, it is damaged; remove it and run the command again")
        return _decoded(arrays, unit["linear"])

    def is_done(self, name: str) -> bool:
        """Whether a linear needs no more work."""
        return name in self.units or name in self.kept

    def save_states(self, index: int, states: list[torch.Tensor]) -> None:
        """Keep what enters decoder layer `index`, if the last time is long enough ago."""
        from safetensors.torch import save_file

        if time.monotonic() - self._saved < STATES_EVERY:
            return
        temporary = self.folder / ".states"
        try:
            save_file({f"{i:06d}": state for i, state in enumerate(states)}, temporary)
            flush(temporary)
            os.replace(temporary, self.folder / f"states-{index}.safetensors")
            flush(self.folder)
        except OSError as error:
            raise explained(error, self.out) from error
        for other, path in self._states():
            if other != index:
                path.unlink()
        self._saved = time.monotonic()

    def _states(self) -> Iterator[tuple[int, Path]]:
        for path in self.folder.glob("states-*.safetensors"):
            yield int(path.stem.partition("-")[2]), path

    def load_states(self, index: int) -> tuple[int, list[torch.Tensor]] | None:
        """(layer, states) kept for the last layer not after `index`, or None."""
        usable = [item for item in self._states() if item[0] <= index]
        if not usable:
            return None
        layer, path = max(usable)
        entries, _ = parse_header(path)
        return layer, [read_tensor(entries[name]) for name in sorted(entries)]

    def publish(self, folder: Path, replace: bool) -> None:
        """Give the finished folder, which lies inside the work folder, its final name; then remove the work."""
        try:
            for path in sorted(folder.iterdir()):
                path.chmod(0o644)
                flush(path)
            flush(folder)
            if replace and self.out.is_dir():
                shutil.rmtree(self.folder / "replaced", ignore_errors=True)
                os.rename(self.out, self.folder / "replaced")
            os.rename(folder, self.out)
            flush(self.out.parent)
            discard(self.folder)
        except OSError as error:
            raise explained(error, self.out) from error


class Units(Mapping[str, QuantizedLinear]):
    """The finished linears of a work folder by name, read when they are asked for."""

    def __init__(self, work: Work, names: list[str]) -> None:
        self._work, self._names = work, names

    def __getitem__(self, name: str) -> QuantizedLinear:
        return self._work.load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def discard(folder: Path) -> None:
    """Remove a work folder, its work.json last, so that what is left of it at any moment is known for what it is."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != "work.json":
                path.unlink(missing_ok=True)
        (folder / "work.json").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _inputs_of(folder: Path) -> dict[str, Any] | None:
    """The inputs that a work folder was begun with; None if there is no work (or nothing but an empty beginning)."""
    if not os.path.lexists(folder):
        return None
    if not (folder / "work.json").is_file():
        begun = ("units", "lock", ".work.json")
        if folder.is_dir() and all(path.name.startswith(begun) for path in folder.iterdir()):
            return None
        raise LLVQError(f"'{folder}' is in the way and is not unfinished work of llvq; move it elsewhere")
    try:
        work = json.loads((folder / "work.json").read_bytes())
        return dict(work["inputs"]) if work["version"] == _VERSION else {"version": work["version"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LLVQError(f"'{folder}/work.json' is damaged ({error}); remove '{folder}'") from error


def _locked(folder: Path) -> int:
    """An open file whose lock ends with the process; LLVQError if another process holds it."""
    import fcntl

    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise LLVQError(f"Another process is at work in '{folder}'; wait for it or stop it") from error
    return lock
