"""What all commands have in common: help, and stores that can't be used."""

import pytest

from historyserver.__main__ import COMMANDS, main

WORK = {
    "rm": ["--older-than", "30d"],
    "fold": ["--all"],
    "canary": ["--namespace", "team", "--cluster", "shop"],
}
"""Commands that read an archive, and what they have to do there."""


@pytest.mark.parametrize("command", ["collect", *COMMANDS])
def test_each_has_help_that_begins_with_its_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([command, "--help"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    assert code == 0
    assert capsys.readouterr().out.startswith(f"usage: historyserver {command} ".rstrip())


@pytest.mark.parametrize("command", WORK)
@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        ("oss://bucket/root", "its region is missing"),
        ("oss://me:hush@bucket/root?region=cn-hangzhou", "holds a name or a password"),
        ("http://127.0.0.1:1/", "gives nothing back"),
        ("ftp://somewhere", "of no known kind"),
    ],
)
def test_a_store_that_cant_be_used_is_2_with_a_sentence(
    command: str, store: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--store", store, *WORK[command]]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"historyserver {command}: ")
    assert sentence in told
    assert "hush" not in told
    assert "Traceback" not in told


def test_settings_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--all"]) == 2
    assert "It takes none itself" in capsys.readouterr().err
