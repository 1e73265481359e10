"""Links: inside the built book by file and anchor, offline; outside ones by asking, once a week.

    python book/_tools/links.py              checks book/_build/html; the outside links go to book/_build/links.txt
    python book/_tools/links.py --online     asks every outside link of the sources; needs no build

Exit status 1: a link is broken. A server that refuses robots (401, 403, 405, 429) is taken for alive.
"""

from __future__ import annotations

import http.client
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "book" / "_build" / "html"
_REFUSALS = {401, 403, 405, 429}


class Page(HTMLParser):
    """The ids of a page and the addresses that it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {value for key in ("id", "name") if (value := found.get(key))}
        address = found.get("href") if tag in ("a", "link") else found.get("src")
        if address:
            self.links.append(address)


def check(folder: Path = HTML) -> tuple[list[str], set[str]]:
    """Broken links of all pages below a folder, one line each, and the addresses outside."""
    pages = {path: Page(path) for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts}
    broken, outside = [], set()
    for path, page in pages.items():
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or link.startswith("//"):
                if parts.scheme in ("http", "https"):
                    outside.add(link)
                    if not re.fullmatch(r"[\w.-]+\.[a-z]+", parts.netloc):
                        broken.append(f"{path.relative_to(folder)}: {link} is no address")
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                broken.append(f"{path.relative_to(folder)}: {link} leads to no file")
            anchor = urllib.parse.unquote(parts.fragment)
            if anchor and target in pages and anchor not in pages[target].ids:
                broken.append(f"{path.relative_to(folder)}: {link} leads to no place on the page")
    return broken, outside


def written() -> set[str]:
    """The outside addresses in the sources: chapters, READMEs, and DOIs of the bibliography."""
    found: set[str] = set()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("book/*.md"), *ROOT.glob("kernels/*.md")):
        found |= set(re.findall(r"https?://[^\s)>\]\"'`}]+[\w/]", path.read_text(encoding="utf-8")))
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    found |= set(re.findall(r"url\s*=\s*[{\"](https?://[^}\"]+)", bibliography))
    found |= {f"https://doi.org/{doi}" for doi in re.findall(r"doi\s*=\s*[{\"]([^}\"]+)", bibliography)}
    found |= {
        f"https://arxiv.org/abs/{number}"
        for number in re.findall(r"eprint\s*=\s*[{\"]([\d.]+)", bibliography)
    }
    return found


def ask(address: str) -> str:
    """Why an address does not answer, or nothing."""
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0 (link check of a book)"})
    try:
        with urllib.request.urlopen(request, timeout=30):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code in _REFUSALS else f"answers {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer ({error})"


def main() -> int:
    """Check the built book, or with --online what lies outside."""
    if "--online" in sys.argv[1:]:
        broken = [f"{address} {why}" for address in sorted(written()) if (why := ask(address))]
    else:
        broken, outside = check()
        (HTML.parent / "links.txt").write_text("\n".join(sorted(outside)) + "\n", encoding="utf-8")
    print("\n".join([*broken, f"{len(broken)} broken links"]))
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
