"""Wiki markup to plain prose, well enough for calibration and perplexity.

A language model is judged on running text, so everything that is not running text goes: comments, references,
tables, images, citation templates, headings and lists of links at the end of an article. What carries words
is kept: the label of a link, the text of ``{{lang|..}}`` and ``{{convert|..}}``, bold and italic phrases.

Nested brackets (templates in templates, links in image captions) cannot be matched by one regular expression;
here the innermost bracket is replaced again and again until none is left, which handles any depth.

What this file does not do: render templates, keep tables, mathematics or lists, or cover every corner of
MediaWiki.

Tests: ``tests/test_embedded.py``.
"""

from __future__ import annotations

import bz2
import html
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

_END_SECTIONS = re.compile(
    r"^==\s*(see also|references|notes|further reading|external links|bibliography|sources|citations"
    r"|footnotes)\s*==.*",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_DROPPED_TAGS = "ref|gallery|math|timeline|score|imagemap|code|source|syntaxhighlight|chem|hiero"
_INNERMOST_TEMPLATE = re.compile(r"\{\{([^{}]*)\}\}")
_INNERMOST_TABLE = re.compile(r"\{\|(?:(?!\{\||\|\}).)*\|\}", re.DOTALL)
_INNERMOST_LINK = re.compile(r"\[\[([^\[\]]*)\]\]")
_KEPT_TEMPLATES = {
    "lang": 2,
    "transl": -1,
    "nowrap": 1,
    "nihongo": 1,
    "small": 1,
    "as of": 1,
    "angbr": 1,
    "'": 0,
}
_NAMESPACES = ("file:", "image:", "category:", "wikt:", "media:")


def _template(match: re.Match[str]) -> str:
    """The words that a template contributes to the sentence around it, mostly none."""
    parts = [part.strip() for part in match.group(1).split("|")]
    name = parts[0].lower()
    values = [part for part in parts[1:] if "=" not in part]
    if name == "convert" and len(values) >= 2:
        return f"{values[0]} {values[1]}"
    position = _KEPT_TEMPLATES.get(name)
    if position is None or not values:
        return ""
    return values[position - 1] if 0 < position <= len(values) else values[-1]


def _link(match: re.Match[str]) -> str:
    """``[[target|label]]`` reads as its label; files and categories are not text."""
    body = match.group(1)
    if body.strip().lower().startswith(_NAMESPACES):
        return ""
    return body.rsplit("|", 1)[-1]


def _replace_until_stable(pattern: re.Pattern[str], replacement, text: str) -> str:  # type: ignore[no-untyped-def]
    while True:
        text, count = pattern.subn(replacement, text)
        if not count:
            return text


def clean(markup: str) -> str:
    """Plain paragraphs, separated by one empty line, of one article's wiki markup (str -> str)."""
    text = re.sub(r"<!--.*?-->", "", markup, flags=re.DOTALL)
    text = re.sub(rf"<({_DROPPED_TAGS})\b[^<>]*/>", "", text, flags=re.IGNORECASE)
    text = re.sub(rf"<({_DROPPED_TAGS})\b[^<>]*>.*?</\1\s*>", "", text, flags=re.IGNORECASE | re.DOTALL)
    text = _END_SECTIONS.sub("", text)
    text = _replace_until_stable(_INNERMOST_TEMPLATE, _template, text)
    text = _replace_until_stable(_INNERMOST_TABLE, "", text)
    text = _replace_until_stable(_INNERMOST_LINK, _link, text)
    text = re.sub(r"\[(?:https?:|ftp:)?//[^\s\]]+\s*([^\]]*)\]", r"\1", text)
    text = re.sub(r"</?[a-zA-Z][^<>]*>", "", text)
    text = re.sub(r"'{2,}", "", text)
    text = html.unescape(text).replace("\u00a0", " ")
    return "\n\n".join(_paragraphs(text))


def _paragraphs(text: str) -> Iterator[str]:
    """Lines that are prose: no headings, list items, table debris or fragments without a sentence."""
    for line in text.splitlines():
        if not line or line[0] in "=*#:;|!{} " or line.startswith("__"):
            continue
        line = re.sub(r"\s+", " ", line).strip()
        line = re.sub(r"\(\s*[,;:]*\s*\)", "", line)
        line = re.sub(r"\((?:\s*[,;:])+\s*", "(", line)
        line = re.sub(r"[,;:]\s*\)", ")", line)
        line = re.sub(r"\s+([,.;:)])", r"\1", line)
        line = re.sub(r" {2,}", " ", line)
        if len(line) >= 60 and "{{" not in line and "}}" not in line and "[[" not in line:
            yield line


def pages(dump: Path) -> Iterator[tuple[str, str]]:
    """(title, markup) of every article (main namespace, no redirect) in a bz2-compressed MediaWiki export."""
    title, namespace, markup = "", "0", ""
    with bz2.open(dump) as stream:
        for _, element in ElementTree.iterparse(stream):
            tag = element.tag.rpartition("}")[2]
            if tag == "title":
                title = element.text or ""
            elif tag == "ns":
                namespace = element.text or "0"
            elif tag == "text":
                markup = element.text or ""
            elif tag == "page":
                if namespace == "0" and not markup.lstrip().lower().startswith("#redirect"):
                    yield title, markup
                element.clear()
