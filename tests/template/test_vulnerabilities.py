"""The scan for known vulnerabilities fails with a list, and without an answer."""

import pytest

from checks import vulnerabilities
from checks.vulnerabilities import DatabaseError, ask, findings, locks, main
from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python

CLEAN = {"name": "a", "version": "1", "vulns": []}
OLD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"], "aliases": []}]}
UNFIXED = {"name": "c", "version": "2", "vulns": [{"id": "CVE-2", "fix_versions": []}]}


def test_each_vulnerability_is_listed() -> None:
    assert list(findings("l", [CLEAN])) == []
    assert list(findings("l", [CLEAN, OLD, UNFIXED])) == [
        "l: b 2: CVE-1, mended in 3",
        "l: c 2: CVE-2, mended in no release",
    ]


def test_a_package_without_an_answer_is_listed() -> None:
    assert list(findings("l", [CLEAN, {"name": "d", "skip_reason": "not found"}])) == ["l: d: not found"]


@pytest.mark.parametrize("answers", [[], [{"name": "d", "skip_reason": "not found"}]])
def test_no_answer_at_all_is_a_failure(answers: list[dict[str, str]]) -> None:
    with pytest.raises(DatabaseError, match="no answer for any package"):
        list(findings("l", answers))


def test_an_unreachable_database_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    environment_python("audit")  # its packages are installed before the network is lost
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(DatabaseError, match=r"requirements\.txt: "):
        ask(REPOSITORY / "layers/authorization/requirements.txt")


def test_a_database_that_knows_nothing_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vulnerabilities, "ask", lambda _: [CLEAN])
    with pytest.raises(DatabaseError, match="knows no vulnerability of jinja2"):
        main()


def test_a_vulnerability_in_any_lock_file_fails_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(path: object) -> list[object]:
        asked.append(path)
        return [OLD] if len(asked) in (1, len(locks()) + 1) else [CLEAN]

    monkeypatch.setattr(vulnerabilities, "ask", answer)
    assert main() == 1
    assert asked[1:] == locks()


def test_every_lock_file_is_scanned() -> None:
    with_hashes = {
        path
        for path in REPOSITORY.rglob("*.txt")
        if not path.is_relative_to(REPOSITORY / ".venv")
        and not path.is_relative_to(REPOSITORY / ".local")
        and "--hash=" in path.read_text()
    }
    assert set(locks()) == with_hashes
