"""The widgets that compute in the page: their Python against the library, and their JavaScript against both in Node.

Without Node the tests that run JavaScript are skipped with a reason; where CI is set they fail instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from llvq_mini import golay
from llvq_mini.widgets import GolayPlayground, golay_playground
from llvq_mini.widgets._base import Widget


def javascript(widget: Widget, body: str, given: Any) -> Any:
    """What `body`, the body of a function of `state` and `given`, returns behind the module of the widget."""
    node = shutil.which("node")
    if node is None:
        reason = "no Node found; install it (Debian: apt-get install nodejs)"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    call = f"((state, given) => {{ {body} }})({json.dumps(widget.state)}, {json.dumps(given)})"
    script = f"{widget.module()}\nconsole.log(JSON.stringify({call}));\n"
    done = subprocess.run(
        [node, "--input-type=module", "-"], input=script, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- the Golay playground ----


def received_words() -> list[int]:
    """Edges, all words with one error near 0, ties, dodecads with errors, and 1,000 random words."""
    rng = np.random.default_rng(7)
    dodecads = golay.of_weight(12)[:40].astype(int)
    flips = (1 << np.array([rng.choice(24, 4, replace=False) for _ in dodecads])).sum(axis=1)
    edges = [0, (1 << 24) - 1, *(1 << i for i in range(24)), 0b1111, 0x111111, golay_playground.START]
    return [*edges, *(dodecads ^ flips).tolist(), *rng.integers(0, 1 << 24, 1000).tolist()]


def test_nearest_words_are_those_of_the_library() -> None:
    """The first is decode_hard's; one within distance 3; at 4 six, whose differences are a sextet."""
    seen = set()
    for word in received_words()[:300]:
        distance, numbers = golay_playground.nearest(word)
        found, changed = golay.decode_hard(word)
        assert (golay.number(found), changed) == (numbers[0], distance)
        assert len(numbers) == (6 if distance == 4 else 1)
        if distance == 4:
            groups = golay.WORDS[numbers] ^ np.uint32(word)
            assert np.bitwise_or.reduce(groups) == (1 << 24) - 1
            assert all(golay.contains(one ^ two) for one in groups for two in groups)
        seen.add(distance)
    assert seen == {0, 1, 2, 3, 4}


def test_columns_are_a_sextet() -> None:
    """Any two columns of the picture are a code word of weight 8, and two columns of an octad are that block."""
    columns = [0b1111 << 4 * column for column in range(6)]
    assert all(golay.contains(p | q) for p in columns for q in columns if p < q)
    assert golay_playground.nearest(columns[0])[0] == 4


def test_syndrome_belongs_to_the_errors() -> None:
    """Zero exactly on the code, the same for the same errors on every word, and all different up to three errors."""
    few = [0, 1, 1 << 23, 0b11, 0b101, 0b111, 0x800101]
    for errors in few:
        found = {golay_playground.syndrome(int(word) ^ errors) for word in golay.WORDS[::97]}
        assert found == {golay_playground.syndrome(errors)}
    assert len({golay_playground.syndrome(errors) for errors in few}) == len(few)
    words = received_words()[:200]
    assert [golay_playground.syndrome(w) == 0 for w in words] == golay.contains(np.array(words)).tolist()


def test_playground_in_javascript() -> None:
    """All code words, and nearest words, distance and syndrome of more than 1,000 received ones."""
    given = received_words()
    body = """
        const words = golayWords(state.hamming, state.inverted);
        return [words, given.map((word) => [decode(words, word), syndrome(words, word)])];
    """
    words, found = javascript(GolayPlayground(), body, given)
    assert words == golay.WORDS.tolist()
    assert len(found) > 1000
    for word, (reading, parities) in zip(given, found, strict=True):
        assert (reading["distance"], reading["near"]) == golay_playground.nearest(word)
        assert parities == golay_playground.syndrome(word)


def test_playground_starts_with_an_octad_and_two_errors() -> None:
    """The first picture: its distance, what is flipped, and where errors are counted from."""
    widget = GolayPlayground()
    distance, numbers = golay_playground.nearest(widget.state["word"])
    sent = widget.state["sent"]
    assert distance == 2 and sent == golay.WORDS[numbers[0]] and golay.weight(sent) == 8
    page = widget.static_html()
    assert "decoding flips 9, 12" in page and page.count(" ring") == 2
    assert f"Nearest word number {numbers[0]}" in page
    assert "it is a code word" in GolayPlayground(0).static_html()
    assert repr(GolayPlayground(255)) == "GolayPlayground(0x0000ff)"
    for word in (-1, 1 << 24):
        with pytest.raises(ValueError, match="Argument 'word' must be in"):
            GolayPlayground(word)
