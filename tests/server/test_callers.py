import hashlib
from pathlib import Path

import pytest

from server.callers import CallersUnknowable, TokenFile


def line(namespace: str, token: str) -> str:
    return f"{namespace} sha256:{hashlib.sha256(token.encode()).hexdigest()}\n"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# who may put\n\n{line('team', 'first')}{line('other', 'second')}")
    return path


def test_a_token_tells_its_namespace_and_an_unknown_one_none(tokens: Path) -> None:
    callers = TokenFile(tokens)
    assert callers.namespace_of("first") == "team"
    assert callers.namespace_of("second") == "other"
    assert callers.namespace_of("third") is None
    assert callers.namespace_of("") is None
    assert callers.namespace_of("fïrst") is None


def test_a_namespace_may_have_two_tokens_so_that_one_can_be_replaced(tokens: Path) -> None:
    tokens.write_text(line("team", "old") + line("team", "new"))
    callers = TokenFile(tokens)
    assert callers.namespace_of("old") == callers.namespace_of("new") == "team"


def test_a_changed_file_counts_at_once(tokens: Path) -> None:
    callers = TokenFile(tokens)
    changed = tokens.with_name("new")
    changed.write_text(line("team", "next"))
    changed.replace(tokens)  # as the kubelet does
    assert callers.namespace_of("next") == "team"
    assert callers.namespace_of("first") is None


@pytest.mark.parametrize(
    "text",
    [
        "team\n",
        "team secret-in-plain-text\n",
        "team sha256:abc\n",
        "te~am " + line("x", "t").split()[1],
        "a b " + line("x", "t").split()[1],
        line("team", "same") + line("other", "same"),
        "../team " + line("x", "t").split()[1],
        "\0",
    ],
)
def test_a_file_with_a_line_that_cannot_be_read_lets_nobody_in(tokens: Path, text: str) -> None:
    callers = TokenFile(tokens)
    tokens.write_text(line("fine", "fine") + text)
    with pytest.raises(CallersUnknowable, match=r"line [23]"):
        callers.namespace_of("fine")
    with pytest.raises(CallersUnknowable):
        TokenFile(tokens)
    tokens.write_text(line("fine", "fine"))
    assert callers.namespace_of("fine") == "fine"


def test_a_file_that_is_gone_lets_nobody_in_until_it_is_back(tokens: Path) -> None:
    callers = TokenFile(tokens)
    text = tokens.read_text()
    tokens.unlink()
    with pytest.raises(CallersUnknowable, match="can't be read"):
        callers.namespace_of("first")
    with pytest.raises(CallersUnknowable):
        TokenFile(tokens)
    tokens.write_text(text)
    assert callers.namespace_of("first") == "team"
