"""Published quantization libraries on the embedded model, in the same harness as llm_rivals.py.

    python benchmarks/llm_libraries.py --list
    python benchmarks/llm_libraries.py hqq-2 hqq-3 hqq-4 --work FOLDER      # stop and start as you like
    python benchmarks/llm_libraries.py --table

Every library has an environment of its own under FOLDER/environments, made by the first arm that needs it with the
pinned versions below. It lies on top of the one that runs this script: what is installed here (PyTorch, transformers)
is seen there and not installed twice, what the library brings stays out of here. The library quantizes a plain copy of
the embedded model in a process of its own (llm_library_jobs.py), which leaves an ordinary folder of dense weights; that
folder is then evaluated as every other arm is, on the same windows. Bits are counted from the scales, zero points and
codes that the library made; `library` in the result has its version and the bits as it packs them.

Not here: glq, whose whole-model run takes hours of a CPU (llm_layers.py has it on a sample of layers).
Tests: tests/test_llm_libraries.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_arms import Arm, Matrix, Quantized
from llm_harness import Bench, save_arrays
from llm_rivals import main

from llvq_mini.errors import LLVQError
from llvq_mini.files import write_json
from llvq_mini.models import load_source, resolve
from llvq_mini.pipeline import linears_of

REQUIREMENTS = {
    "hqq": ["hqq==0.2.8.post1"],
    "glq": ["glq==0.8.16"],
    "llmcompressor": [
        "llmcompressor==0.14.0.1",
        "joblib==1.6.0",
    ],  # its transformers imports scikit-learn, if there
    "lm-eval": ["lm-eval==0.4.13", "datasets==5.2.0", "accelerate==1.15.0"],
}
JOBS = Path(__file__).with_name("llm_library_jobs.py")


def environment(work: Path, library: str) -> Path:
    """The Python of a library's environment, made on the first call; a stamp is written last."""
    folder = work / "environments" / library
    python, stamp = folder / "bin" / "python", folder / "requirements.json"
    wanted = REQUIREMENTS[library]
    if stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return python
    venv.EnvBuilder(clear=True, symlinks=True).create(folder)
    site = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    (Path(site) / "below.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise LLVQError(f"Installing {' '.join(wanted)} failed ({last}); check the network and run again")
    write_json(stamp, wanted)
    return python


def run_job(work: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Run one job in its library's environment, its progress passed on; the record that it prints last."""
    python = environment(work, job["library"])
    path = work / f"job-{Path(job['out']).parent.name}-{Path(job['out']).name}.json"
    write_json(path, job)
    last = ""
    outside = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_CACHE": str(work / "datasets")}
    command = [str(python), str(JOBS), str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | outside | {"PYTHONWARNINGS": "ignore"}
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if last:
                print(last, flush=True)
            last = line.rstrip()
    if process.returncode:
        raise LLVQError(f"'{job['library']}' failed with exit status {process.returncode}; see its message")
    path.unlink()
    return json.loads(last)


@dataclass(frozen=True)
class Library(Arm):
    """An arm whose dense model a library makes; options go to the library, and the calibration windows if it uses
    them.
    """

    library: str = ""
    options: dict[str, Any] | None = None
    calibrated: bool = False


def elsewhere(matrices: Any) -> Any:
    """The plan of an arm that no process of ours quantizes."""

    def refuse(matrix: Matrix) -> Quantized:
        raise ValueError(f"'{matrix.name}' is quantized by its library; use LibraryBench")

    return refuse


class LibraryBench(Bench):
    """The harness, with a library's process in the place of calibration and quantization."""

    def calibrate(self, fisher: bool) -> None:
        """Nothing: a library that needs statistics collects its own."""

    def _quantize(self, arm: Arm, folder: Path) -> dict[str, Any]:
        assert isinstance(arm, Library)
        dense = folder / "dense"
        if not dense.exists():
            names = [f"{prefix}.{short}" for prefix, layer in self.layers for short in linears_of(layer)]
            job = {
                "library": arm.library,
                "out": str(dense.absolute()),
                "source": str(resolve(self.source.name)),
                "linears": names,
                "options": arm.options,
            }
            if arm.calibrated:
                job["windows"] = str((folder / "windows.npz").absolute())
                save_arrays(folder / "windows.npz", windows=self.windows)
            run_job(self.work, job)
        record = json.loads((dense / "record.json").read_text())
        library = {"name": arm.library, "version": record.pop("version"), "options": arm.options}
        library["packed_bits_per_weight"] = record.pop("packed_bits") / record["weights"]
        return {**record, "bits_per_weight": record["bits"] / record["weights"], "library": library}

    def _student(self, folder: Path) -> Any:
        return load_source(folder / "dense").model


def libraries() -> list[Arm]:
    """Every library at its rates. llmcompressor calibrates and quantizes for about half an hour of one core."""
    arms: list[Arm] = []
    for bits in (2, 3, 4):
        options = {"nbits": bits, "group_size": 64, "axis": 1}
        text = f"HQQ (library), {bits} bits in groups of 64"
        arms.append(Library(f"hqq-{bits}", text, elsewhere, library="hqq", options=options))
    options, text = (
        {"nbits": 4, "group_size": 64},
        "GPTQ by llmcompressor, 4 bits in groups of 64, sequential",
    )
    gptq = Library(
        "llmcompressor-gptq-4", text, elsewhere, library="llmcompressor", options=options, calibrated=True
    )
    return [*arms, gptq]


if __name__ == "__main__":
    main(libraries(), "leech-2", __doc__.partition("\n")[0], LibraryBench)
