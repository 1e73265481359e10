"""What the book says about papers: every quoted figure has a source, agrees with the list, and is marked if unverified.

benchmarks/results/published.json lists the figures of others with the paper, the place and a status: 'primary' was
read in the source, 'second hand' was transcribed by somebody else. The texts are scanned here: a sentence that names a
method of others together with a decimal figure stands in a paragraph that cites the paper, and the figure is listed.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parents[1]
BIBLIOGRAPHY = parse_file(str(ROOT / "book" / "references.bib")).entries
CLAIMS: list[dict[str, Any]] = json.loads(
    (ROOT / "benchmarks" / "results" / "published.json").read_text(encoding="utf-8")
)["claims"]
TEXTS = {
    path.name: path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]
}
#: methods of others, as the running text calls them
SOURCES = (
    "QTIP",
    "QuIP#",
    "QuIP",
    "AQLM",
    "LLVQ",
    "NestQuant",
    "HIGGS",
    "HQQ",
    "CDQuant",
    "Marlin",
    "VPTQ",
    "PVQ",
)
MARKS = ("second hand", "UNVERIFIED", "unverified")
#: entries without a DOI, an arXiv number or an address, and why
WITHOUT_LINK = {
    "assmus1967research": "a laboratory report, known by its number",
    "adoul1988nearest": "the identifier could not be confirmed",
}


def prose(text: str) -> str:
    """A chapter without front matter, code cells and fenced program text."""
    text = re.sub(
        r"\A---\n.*?\n---\n|<!-- num .*?<!-- /num -->", "", text, flags=re.DOTALL
    )  # front matter, results
    return re.sub(r"^```(?:\{code-cell\}|\w+$).*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def figures(paragraph: str) -> list[str]:
    """Decimal figures and percentages outside of formulas, code, citations, addresses and our own results."""
    plain = re.sub(
        r"\$[^$]*\$|`[^`]*`|\{[\w:]+\}`[^`]*`|\]\([^)]*\)|https?://\S+|arXiv[: ]\d+\.\d+", " ", paragraph
    )
    return re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]\d)|(?<![\w.])\d+(?= ?%)|(?<![\w.])\d+ percent", plain)


def citations(text: str) -> set[str]:
    """The keys that a piece of text cites."""
    groups = re.findall(r"\{cite\}`([^`]+)`", text)
    return {key.strip() for group in groups for key in group.split(",")}


def supported(figure: str, paragraph: str, claims: list[dict[str, Any]]) -> bool:
    """Whether a figure is in the list under a paper that the paragraph cites, and marked if from second hand."""
    value = float(re.findall(r"[\d.]+", figure)[0])
    known = [c for c in claims if c["cite"] in citations(paragraph) and value in c["values"].values()]
    return any(c["status"] == "primary" or any(mark in paragraph for mark in MARKS) for c in known)


def unsupported(text: str, claims: list[dict[str, Any]]) -> list[str]:
    """Sentences that give a figure with a method's name or paper, without support in their paragraph."""
    listed, found = {claim["cite"] for claim in claims}, []
    for paragraph in re.split(r"\n\s*\n", prose(text)):
        for sentence in re.split(r"(?<=[.:;!?])\s+", paragraph):
            named = any(re.search(rf"(?<!\w){re.escape(name)}(?![\w#])", sentence) for name in SOURCES)
            if named or citations(sentence) & listed:
                wrong = [figure for figure in figures(sentence) if not supported(figure, paragraph, claims)]
                found += [f"{figure}: {' '.join(sentence.split())[:120]}" for figure in wrong]
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_quoted_figures_have_a_source(name: str) -> None:
    """No chapter gives a figure of a paper without citing it, and none that is not in the list."""
    assert unsupported(TEXTS[name], CLAIMS) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("QTIP reaches 6.82 {cite}`tseng2024qtip`.", 0),
        ("QTIP reaches 6.82.", 1),
        ("QTIP reaches 6.83 {cite}`tseng2024qtip` and 6.99.", 1),
        ("QTIP reaches 6.82 {cite}`tseng2024quip`.", 1),
        ("LLVQ reaches 15.54 {cite}`vanderouderaa2026llvq`.", 1),
        ("LLVQ reaches 15.54 {cite}`vanderouderaa2026llvq`, known at second hand.", 0),
        ("A score moved by 5.84 percent {cite}`malandrino2026llvq`.", 1),
        ("A score moved by 5.83 percent {cite}`malandrino2026llvq`.", 0),
        ("QTIP is $6.81$ `6.81` and [a](b6.81).", 0),
        ("AQLM is 12 % better.", 1),
        ("The code has 92.2 % of the bits.", 0),
    ],
)
def test_the_scan_sees_what_is_wrong(text: str, expected: int) -> None:
    """Missing citation, wrong paper, wrong figure and an unmarked second-hand figure are found; others are not."""
    assert len(unsupported(text, CLAIMS)) == expected


def test_list_is_well_formed() -> None:
    """Every entry has a source in the bibliography, a place, a status and numbers; names are unique."""
    assert len({claim["id"] for claim in CLAIMS}) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.keys() == {"id", "cite", "where", "status", "what", "values"}, claim["id"]
        assert claim["cite"] in BIBLIOGRAPHY and claim["where"] and claim["what"], claim["id"]
        assert claim["status"] in ("primary", "second hand"), claim["id"]
        assert claim["values"] and all(type(v) in (int, float) for v in claim["values"].values()), claim["id"]


def sections(text: str) -> list[str]:
    """The chapter cut at its headings of the first two levels; comments in code are no headings."""
    return re.split(r"(?m)^##? (?=[A-Z])", re.sub(r"(?m)^# (?=[A-Z].*[.:]$)", "", text))


def test_code_that_reads_the_list_cites_and_marks() -> None:
    """A section whose cell uses an entry cites its paper, in the chapter's prose, and says so if it is second hand."""
    used = set()
    for name, text in TEXTS.items():
        for section in sections(text):
            for claim in CLAIMS:
                if f'published["{claim["id"]}"]' in section or f"published['{claim['id']}']" in section:
                    used.add(claim["id"])
                    assert claim["cite"] in prose(text), (name, claim["id"])
                    marked = any(mark in section for mark in MARKS)
                    assert claim["status"] == "primary" or marked, (name, claim["id"])
    assert "qtip-speed" in used


def test_published_table_is_read_from_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """The cell of the chapter on models prints four entries, all cited; those from second hand are marked."""
    cell = re.search(r"^QUOTED = \(.*?(?=^```$)", TEXTS["llm.md"], re.MULTILINE | re.DOTALL)
    assert cell
    known = {"json": json, "np": np, "textwrap": textwrap, "RESULTS": ROOT / "benchmarks" / "results"}
    exec(cell[0], known)
    blocks = re.split(r"\n(?! )(?=UNVERIFIED|perplexity)", capsys.readouterr().out)
    claims = {claim["id"]: claim for claim in CLAIMS}
    assert len(known["QUOTED"]) == len(blocks) == 4
    for name, block in zip(known["QUOTED"], blocks, strict=True):
        claim, title = claims[name], re.split(r"\n  \S", block)[0]
        for text in (claim["what"], claim["where"]):
            assert "".join(text.split()) in "".join(title.split())  # lines are wrapped
        assert (claim["status"] == "primary") != any(mark in title for mark in MARKS), name
        assert f"{{cite}}`{claim['cite']}`" in TEXTS["llm.md"]
        base = claim["values"]["original"]
        for label, perplexity in claim["values"].items():
            if label == "original":
                continue
            row = re.search(rf"^  {re.escape(label)} +([\d.]+) +excess ([-+.\d]+)$", block, re.MULTILINE)
            assert row and float(row[1]) == pytest.approx(perplexity, abs=0.00501), label
            assert float(row[2]) == pytest.approx(math.log(perplexity / base), abs=0.00051), label


def test_every_entry_of_the_bibliography_can_be_found() -> None:
    """Each has a DOI, an arXiv number or an address in the right form, or stands in a list with a reason."""
    for key, entry in BIBLIOGRAPHY.items():
        fields = entry.fields
        assert {"title", "year"} <= set(fields.keys()) and entry.persons["author"], key
        links = [name for name in ("doi", "eprint", "url") if name in fields]
        assert bool(links) != (key in WITHOUT_LINK), key
        assert re.fullmatch(r"10\.\d{4,5}/\S+", fields.get("doi", "10.1000/x")), key
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields.get("eprint", "0000.00000")), key
        assert re.match(r"https?://", fields.get("url", "https://")), key
        assert abs(int(fields["year"]) - int(re.search(r"\d{4}", key)[0])) <= 1, key  # type: ignore[index]


def test_every_entry_is_cited() -> None:
    """The list of references holds what the chapters cite and nothing else."""
    assert set(BIBLIOGRAPHY) - set().union(*map(citations, TEXTS.values())) == set()
