"""The course: the autograder against the key, the empty starter and plausible wrong answers; what the zips hold."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
COURSE = ROOT / "book" / "course"
sys.path.insert(0, str(ROOT / "book" / "_tools"))

import course_files  # noqa: E402
import course_quiz  # noqa: E402

WRONG = yaml.safe_load((COURSE / "instructor" / "wrong_answers.yml").read_text(encoding="utf-8"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The problem set with hidden tests and the key in place of the starter."""
    course_files.unpack(course_files.instructor_files(), tmp_path)
    folder = tmp_path / "instructor"
    for path in (folder / "hidden").iterdir():
        shutil.copy(path, folder / "problem-set" / "tests")
    for path in (folder / "key").iterdir():
        shutil.copy(path, folder / "problem-set" / "solution")
    return folder / "problem-set"


def grade(folder: Path, week: int | None = None) -> dict[str, Any]:
    """Run grade.py as a student or a lecturer does."""
    command = [sys.executable, "grade.py", "--json", "out.json", "--limit", "300"]
    command += ["--week", str(week)] if week else []
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert (folder / "out.json").exists(), done.stdout + done.stderr
    result: dict[str, Any] = json.loads((folder / "out.json").read_text())
    assert done.returncode == int(result["earned"] < result["points"])
    assert f"{result['earned']:3d}/{result['points']}" in done.stdout
    return result


@pytest.mark.slow
def test_key_has_all_points(key: Path) -> None:
    """100 of 100, 25 a week, more than half of them in public tests."""
    result = grade(key)
    lost = [f"{test['test']}: {test['message']}" for test in result["tests"] if not test["earned"]]
    assert lost == []
    assert result["earned"] == 100
    weeks = [sum(p["points"] for n, p in result["problems"].items() if n[0] == w) for w in "1234"]
    assert weeks == [25, 25, 25, 25] and len(result["problems"]) == 16
    public = sum(test["points"] for test in result["tests"] if "hidden" not in test["test"])
    assert f"{public} of the 100 points" in (COURSE / "student" / "README.md").read_text()
    for name, entry in result["problems"].items():
        text = (COURSE / "student" / "problems" / f"week{name[0]}.md").read_text()
        assert re.search(rf"^## {name} .*\({entry['points']} points\)$", text, re.MULTILINE), name


@pytest.mark.slow
def test_starter_has_no_points(key: Path) -> None:
    """Each test fails, and says that nothing has been written."""
    shutil.rmtree(key / "solution")
    shutil.copytree(COURSE / "student" / "solution", key / "solution")
    result = grade(key)
    assert result["earned"] == 0
    assert all(test["message"].startswith("not written yet") for test in result["tests"])


def groups() -> list[list[dict[str, Any]]]:
    """Wrong answers of one week that touch different problems: they are told apart in one run."""
    found: list[list[dict[str, Any]]] = []
    for wrong in WRONG:
        for group in found:
            taken = {problem for other in group for problem in other["problems"]}
            same_week = wrong["problems"][0][0] == group[0]["problems"][0][0]
            if same_week and not taken & set(wrong["problems"]):
                group.append(wrong)
                break
        else:
            found.append([wrong])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("group", groups(), ids=lambda group: "+".join(wrong["name"] for wrong in group))
def test_wrong_answers_fail_in_the_right_tests(key: Path, group: list[dict[str, Any]]) -> None:
    """An edit of the key costs the points of the test that must notice it, and none of other problems."""
    for wrong in group:
        path = key / "solution" / wrong["file"]
        text = path.read_text()
        assert text.count(wrong["old"]) == 1, "the edit must fit exactly one place of the key"
        path.write_text(text.replace(wrong["old"], wrong["new"]))
    result = grade(key, int(group[0]["problems"][0][0]))
    failed = [test for test in result["tests"] if test["earned"] < test["points"]]
    names = {test["test"].split("[")[0] for test in failed}
    assert {wrong["fails"] for wrong in group} <= names
    assert {test["problem"] for test in failed} <= {
        problem for wrong in group for problem in wrong["problems"]
    }
    assert all(test["message"] not in ("", "not written yet", "did not run") for test in failed)


def test_there_are_enough_wrong_answers() -> None:
    """At least one for each problem."""
    assert {problem for wrong in WRONG for problem in wrong["problems"]} == {
        f"{week}.{n}" for week in (1, 2, 3, 4) for n in (1, 2, 3, 4)
    }
    assert len({wrong["name"] for wrong in WRONG}) == len(WRONG) >= 12


def _functions(path: Path) -> dict[str, str]:
    tree = ast.parse(path.read_text())
    return {
        node.name: ast.unparse(node.args)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


@pytest.mark.parametrize("week", [1, 2, 3, 4])
def test_starter_and_key_agree(week: int) -> None:
    """The same functions with the same arguments, and the adapters know all of them."""
    starter = _functions(COURSE / "student" / "solution" / f"week{week}.py")
    assert starter == _functions(COURSE / "instructor" / "key" / f"week{week}.py")
    tree = ast.parse((COURSE / "student" / "solution" / f"week{week}.py").read_text())
    bodies = [ast.unparse(node.body[-1]) for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert set(bodies) == {"raise NotImplementedError"}, "the starter has no answer in it"
    adapters = (COURSE / "student" / "adapters.py").read_text()
    assert starter and all(f"week{week}.{name}(" in adapters for name in starter)


def test_student_zip_has_no_answers(tmp_path: Path) -> None:
    """Nothing of the instructor's folder, by name or by content, and the same bytes when made again."""
    files = course_files.student_files()
    secrets = [
        path for path in (COURSE / "instructor").rglob("*") if path.is_file() and path.suffix != ".pyc"
    ]
    assert not set(files.values()) & {path.read_bytes() for path in secrets}
    names = "\n".join(files)
    assert not re.search("hidden|key|instructor|wrong", names)
    text = b"\n".join(files.values()).decode()
    hidden = [path.read_text() for path in (COURSE / "instructor" / "hidden").glob("*.py")]
    tests = {name for source in hidden for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)}
    assert len(tests) > 20 and not [name for name in tests if f"def {name}(" in text]
    assert "_tables()[2]" not in text
    for name in ("adapters.py", "grade.py", "tests/conftest.py", "solution/week1.py", "shim/host_shim.h"):
        assert f"problem-set/{name}" in files
    made = []
    for name in ("a.zip", "b.zip"):
        course_files.write_zip(tmp_path / name, files)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == sorted(files) and archive.testzip() is None


@pytest.mark.slow
def test_a_folder_of_submissions(tmp_path: Path) -> None:
    """A zip with changed tests earns nothing for them; what is no submission is named and left out."""
    course_files.unpack(course_files.instructor_files(), tmp_path)
    pristine = tmp_path / "instructor" / "problem-set"
    (tmp_path / "in").mkdir()
    files = course_files.student_files("ada/work")
    files["ada/work/tests/test_week1.py"] = b"def test_nothing(): pass\n"
    course_files.write_zip(tmp_path / "in" / "ada.zip", files)
    (tmp_path / "in" / "ben").mkdir()
    for path in pristine.glob("tests/test_week[234].py"):
        path.unlink()  # one week is enough here
    for path in (tmp_path / "instructor" / "hidden").glob("test_hidden_week[234].py"):
        path.unlink()
    command = [sys.executable, str(tmp_path / "instructor" / "grade_all.py"), "in", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "ben: not graded" in done.stderr
    table = (tmp_path / "out" / "grades.csv").read_text().split()
    assert table == ["student,total,of,1.1,1.2,1.3,1.4", "ada,0,25,0,0,0,0"]
    assert json.loads((tmp_path / "out" / "ada.json").read_text())["points"] == 25


QUIZ = course_quiz.read()


@pytest.mark.parametrize(
    "item", [item for items in QUIZ.values() for item in items], ids=lambda item: item["id"]
)
def test_quiz_answers(item: dict[str, Any]) -> None:
    """Numbers agree with what the library computes; chapters exist."""
    import itertools
    import math

    from llvq_mini import golay, index, leech

    names = {"itertools": itertools, "math": math, "golay": golay, "index": index, "leech": leech}
    assert (ROOT / "book" / f"{item['chapter']}.md").exists()
    if "check" in item:
        assert abs(eval(item["check"], names) - item["answer"]) <= item["tolerance"]


def test_quiz_files() -> None:
    """Four weeks of six items in three forms, which agree; a broken item is named."""
    files = course_quiz.files("quiz")
    assert [len(items) for items in QUIZ.values()] == [6, 6, 6, 6]
    assert json.loads(files["quiz/quiz.json"]) == {str(week): items for week, items in QUIZ.items()}
    right = [item["answer"] for items in QUIZ.values() for item in items if "choices" in item]
    assert max(right.count(place) for place in range(4)) <= len(right) / 2, "a place that is right too often"
    ids = [item["id"] for items in QUIZ.values() for item in items]
    assert len(set(ids)) == 24
    for week, items in QUIZ.items():
        gift = files[f"quiz/week{week}.gift"].decode()
        assert gift.count("::") == 2 * len(items)
        assert len(re.findall(r"^  =", gift, re.MULTILINE)) == sum("choices" in item for item in items)
        assert len(re.findall(r"^  #[\d.]+:[\d.]+$", gift, re.MULTILINE)) == sum(
            "check" in item for item in items
        )
        assert all(item["question"] in files[f"quiz/week{week}.md"].decode() for item in items)
    assert (
        r"tr E H E^T" in files["quiz/week4.gift"].decode()
        and r"g \= ⟨x, v⟩" in files["quiz/week3.gift"].decode()
    )
    good = QUIZ[1][1]
    for wrong, said in (
        ({"answer": 4}, "place of a choice"),
        ({"choices": ["a", "a", "b"]}, "different choices"),
    ):
        with pytest.raises(ValueError, match=said):
            course_quiz.check(good | wrong)
    with pytest.raises(ValueError, match="missing"):
        course_quiz.check({"id": "x"})
