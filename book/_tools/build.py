"""`make book`: builds the book with every warning an error and says where it is.

Jupyter Book reads _config.yml and _toc.yml of the repository root and writes below book/_build. The chapters
execute when they or the library changed (book/_ext/llvq_book.py); otherwise their cached outputs are used.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run Jupyter Book; the exit status is its own."""
    started = time.monotonic()
    program = Path(sys.executable).parent / "jupyter-book"
    command = [str(program), "build", str(ROOT), "--path-output", str(ROOT / "book")]
    command += ["-n", "-W", "--keep-going", *sys.argv[1:]]
    # cells that call the command line find this environment's `llvq`
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, check=False).returncode
    if status:
        print("make: the book has errors or warnings (see above); correct them, try again.", file=sys.stderr)
        return status
    print(f"The book is at {ROOT / 'book/_build/html/index.html'} ({time.monotonic() - started:.0f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
