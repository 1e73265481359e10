"""A widget's functions in JavaScript, without a browser: in the Node that the Playwright package brings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import playwright

from llvq_mini.widgets._base import Widget


def javascript(widget: Widget, body: str, given: Any) -> Any:
    """What `body`, the body of a function of `state` and `given`, returns behind the module of the widget."""
    node = Path(playwright.__file__).parent / "driver" / "node"
    call = f"((state, given) => {{ {body} }})({json.dumps(widget.state)}, {json.dumps(given)})"
    script = f"{widget.module()}\nconsole.log(JSON.stringify({call}));\n"
    done = subprocess.run(
        [node, "--input-type=module", "-"], input=script, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
