"""The book's sources and tools, without building it: chapters, references, the environment's files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
sys.path.insert(0, str(BOOK / "_ext"))


def chapters() -> list[Path]:
    """The files of the table of contents, in order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names = [toc["root"]] + [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return [ROOT / f"{name}.md" for name in names]


def test_every_chapter_exists_and_is_listed() -> None:
    """The table of contents and the folder agree."""
    assert sorted(chapters()) == sorted(BOOK.glob("*.md"))


#: exercises that ask for a proof, whose solution is text
PROOFS: frozenset[str] = frozenset()


def test_every_exercise_has_a_folded_solution_that_runs() -> None:
    """Each labelled exercise is answered by a solution of class dropdown, which has cells unless it is a proof; that
    the cells ran without error is in tests/test_executed.py."""
    for path in chapters():
        text = path.read_text(encoding="utf-8")
        answers = re.findall(r"\{solution-start\} (\S+)\n(.*?)\{solution-end\}", text, re.DOTALL)
        assert {name for name, body in answers if "{code-cell}" not in body} <= PROOFS, path.name
        labels = re.findall(r"\{exercise(?:-start)?\}[^\n]*\n:label: (\S+)", text)
        solved = re.findall(r"\{solution(?:-start)?\} (\S+)\n:class: dropdown", text)
        assert sorted(labels) == sorted(solved), path.name


def test_every_citation_is_in_the_bibliography() -> None:
    """Each key that a chapter cites is defined once."""
    keys = re.findall(r"^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys))
    for path in chapters():
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", path.read_text(encoding="utf-8")):
            assert {key.strip() for key in group.split(",")} <= set(keys), path.name


def test_the_address_of_the_repository_stands_in_one_place() -> None:
    """Only _config.yml has it; everything else is derived, or comes from the notebooks' generator."""
    url = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    having = [
        name
        for name in names
        if name.endswith((".md", ".py", ".yml", ".toml", ".cff", ".sh", "setup")) and (ROOT / name).is_file()
        if url.removeprefix("https://") in (ROOT / name).read_text(encoding="utf-8")
    ]
    assert having == ["_config.yml"]


def test_citation_agrees_with_the_project() -> None:
    """Version and license are the package's, and the paper is the bibliography's."""
    import tomllib

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["keywords"] == project["keywords"]
    paper = cited["references"][0]
    entries = re.split(r"^@", (BOOK / "references.bib").read_text(encoding="utf-8"), flags=re.MULTILINE)
    entry = re.sub(r"[{}]", "", next(text for text in entries if "vanderouderaa2026llvq" in text))
    assert paper["title"] in entry and paper["identifiers"][0]["value"].removeprefix("arXiv:") in entry
    assert all(author["family-names"] in entry for author in paper["authors"])


def test_workflows_are_well_formed() -> None:
    """Each workflow parses, names its jobs and pins its actions; every path and program it names exists."""
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        flow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert flow["name"] and flow[True], path.name  # YAML reads the key `on` as True
        assert flow["permissions"] == {"contents": "read"}, path.name
        for job in flow["jobs"].values():
            assert job["runs-on"] and (job.get("timeout-minutes") or "deploy" in str(job) or job.get("needs"))
            for step in job["steps"]:
                assert ("uses" in step) != ("run" in step), step
                assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1")), step
                for name in re.findall(r"(?:book|\.ci|tests|benchmarks)/[\w./-]+", step.get("run", "")):
                    assert (ROOT / name).exists() or name.startswith("book/_build"), f"{path.name}: {name}"
        assert "secrets." not in path.read_text(encoding="utf-8"), path.name


def test_publishing_keeps_the_versions_side_by_side(tmp_path: Path) -> None:
    """main goes to latest/, a tag to vX.Y/; both stay, and the root leads to latest/. No other name is a version."""

    def git(*words: str, at: Path = tmp_path) -> str:
        return subprocess.run(["git", *words], cwd=at, capture_output=True, text=True, check=True).stdout

    work, site = tmp_path / "work", tmp_path / "site"
    git("init", "-q", "--bare", "origin.git")
    git("clone", "-q", "origin.git", "work")
    (work / "a").write_text("a")
    git("add", "a", at=work)
    git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "first", at=work)
    site.mkdir()

    def publish(reference: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(ROOT / ".ci" / "publish"), str(site), reference]
        return subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)

    for reference, content in (("main", "one"), ("v1.2.3", "two"), ("main", "three"), ("main", "three")):
        (site / "index.html").write_text(content)
        done = publish(reference)
        assert done.returncode == 0, done.stderr
    assert done.stdout == "Nothing changed.\n"
    for reference in ("v2", "vnext", "topic"):
        done = publish(reference)
        assert done.returncode == 1 and "neither main nor a tag like v1.2.3" in done.stderr
    names = ("latest/index.html", "v1.2/index.html", "versions.json", "index.html")
    found = [git("show", f"gh-pages:{name}", at=tmp_path / "origin.git") for name in names]
    assert found[:3] == ["three", "two", '["latest", "v1.2"]\n'] and 'url=latest/"' in found[3]
    assert git("ls-tree", "--name-only", "gh-pages", at=tmp_path / "origin.git").split() == [
        *(".nojekyll", "index.html", "latest", "v1.2", "versions.json")
    ]
    (site / "index.html").write_text("four")
    (tmp_path / "origin.git").rename(tmp_path / "away.git")
    assert publish("main").returncode == 1  # no answer is not an empty branch
    (site / "index.html").unlink()
    assert "build the book first" in publish("main").stderr


def test_fingerprint_follows_names_and_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash that keys the execution cache changes with a file's content, its name, and a new file."""
    import llvq_book

    monkeypatch.setattr(llvq_book, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("1")
    seen = {llvq_book.fingerprint("*.py")}
    assert llvq_book.fingerprint("*.py") in seen
    (tmp_path / "a.py").write_text("2")
    seen.add(llvq_book.fingerprint("*.py"))
    (tmp_path / "b.py").write_text("")
    seen.add(llvq_book.fingerprint("*.py"))
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    seen.add(llvq_book.fingerprint("*.py"))
    assert len(seen) == 4


def test_direct_pins_agree_with_the_constraints() -> None:
    """requirements.txt pins exactly what constraints.txt holds, and every library dependency is pinned."""
    import tomllib

    def pins(name: str) -> dict[str, str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        found = dict(m.groups() for line in lines if (m := re.match(r"([\w.-]+)(?:\[\w+\])?==(\S+)", line)))
        return {re.sub(r"[-_.]+", "-", key).lower(): version for key, version in found.items()}

    direct, all_pins = pins("requirements.txt"), pins("constraints.txt")
    assert direct.items() <= all_pins.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in project["dependencies"]:
        name, bound = re.match(r"([\w-]+)(.*)", requirement).groups()
        assert name in direct and re.fullmatch(r">=[\d.]+", bound), requirement


def setup_script(folder: Path, python: str, path: str) -> subprocess.CompletedProcess[str]:
    """Run .ci/setup on copies of the files that it reads, with another interpreter."""
    (folder / ".ci").mkdir()
    names = (".ci/setup", "requirements.txt", "requirements-nodeps.txt", "constraints.txt", "pyproject.toml")
    for name in names:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    environment = {**os.environ, "PYTHON": python, "PATH": path}
    command = ["bash", str(folder / ".ci/setup")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ('case "$2" in *version_info*) exit 1;; *) echo 3.9.2;; esac', "Python 3.11 or newer is needed"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "apt-get install python3-venv"),
        ('case "$1" in -m) echo no space >&2; exit 1;; esac', "-m venv' failed"),
    ],
)
def test_setup_says_what_is_missing(tmp_path: Path, program: str, sentence: str) -> None:
    """A missing prerequisite ends with one sentence on stderr, a status other than 0 and no stamp."""
    fake = tmp_path / "fake-python"
    fake.write_text(f"#!/bin/sh\n{program}\n")
    fake.chmod(0o755)
    done = setup_script(tmp_path, str(fake), os.environ["PATH"])
    assert done.returncode != 0 and sentence in done.stderr.splitlines()[-1]
    assert not (tmp_path / ".venv" / ".llvq-ready").exists()


def test_setup_asks_for_space(tmp_path: Path) -> None:
    """With too little disk the sentence says how much is needed."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "df").write_text('#!/bin/sh\necho header\necho "disk 9 9 1048576 9% /"\n')
    (tools / "df").chmod(0o755)
    done = setup_script(tmp_path, sys.executable, f"{tools}:{os.environ['PATH']}")
    assert (
        done.returncode != 0 and "8 GB of free disk space are needed here, but there are 1 GB" in done.stderr
    )
    assert not (tmp_path / ".venv").exists()


def test_glossary_definitions_are_plain_text() -> None:
    """The text of a tooltip is an entry's first paragraph; a formula or an entry without text is an error."""
    import llvq_terms
    from docutils import nodes
    from sphinx.errors import ExtensionError

    def tree(*content: nodes.Node) -> nodes.document:
        term = nodes.term("", "octad", ids=["term-octad"])
        item = nodes.definition_list_item("", term, nodes.definition("", *content))
        root = nodes.document(None, None)
        root += nodes.definition_list("", item)
        return root

    made = llvq_terms.definitions(tree(nodes.paragraph("", "Eight\n  ones."), nodes.paragraph("", "More.")))
    assert made == {"term-octad": {"term": "octad", "text": "Eight ones."}}
    for content in ([], [nodes.paragraph("", "", nodes.math("", "x^2"))]):
        with pytest.raises(ExtensionError, match="octad"):
            llvq_terms.definitions(tree(*content))


def test_terms_of_the_chapters_are_in_the_glossary() -> None:
    """Each `{term}` names an entry, and entries are in alphabetical order, each once."""
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    entries = re.findall(r"^(\S.*)$", text.split("{glossary}")[1].split("```")[0], re.MULTILINE)
    assert len(entries) == len(set(entries)) > 40
    for path in chapters():
        for target in re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", path.read_text(encoding="utf-8")):
            assert target in entries, (path.name, target)


def test_the_readme_lists_every_module() -> None:
    """Its table of modules names each public module of the library once, and nothing else."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("| Module |")[1].split("\n\n")[0]
    named = [name for row in text.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    package = ROOT / "llvq_mini"
    here = {path.stem for path in package.glob("[a-z]*.py")}
    here |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert sorted(named) == sorted(here)
