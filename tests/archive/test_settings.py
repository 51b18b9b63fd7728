"""Settings: one table, flags and environment, a sentence for each bad value."""

import subprocess
import sys
from dataclasses import dataclass

import pytest

from archive.settings import (
    ADDRESS,
    BOOLEAN,
    BYTES,
    INTEGER,
    INTERVAL,
    LIST,
    SECONDS,
    SHARE,
    TEXT,
    WEB_ADDRESS,
    Address,
    Kind,
    choice,
    markdown,
    read,
    required,
    setting,
    usage,
)

HERE = Address("127.0.0.1", 80)


@dataclass(frozen=True)
class Table:
    store: str = required(TEXT, "where to", "")
    wait_seconds: float = setting(SECONDS, "how long", 2.5)
    budget: int = setting(BYTES, "how much", 64 << 20)
    loud: bool = setting(BOOLEAN, "whether", False)
    listen: Address = setting(ADDRESS, "where", HERE)
    patterns: tuple[str, ...] = setting(LIST, "which", ("a", "b"))
    role: str = setting(choice("head", "worker"), "what", "head")


def test_a_flag_wins_over_the_environment_which_wins_over_the_default() -> None:
    environment = {"HISTORYSERVER_STORE": "env", "HISTORYSERVER_WAIT_SECONDS": "7"}
    reading = read(Table, ["--store", "flag"], environment)
    assert reading.problems == ()
    assert reading.values == Table(store="flag", wait_seconds=7.0)


def test_flags_take_their_value_with_a_space_or_an_equals_sign_and_a_bare_boolean_is_true() -> None:
    reading = read(Table, ["--store=a=b", "--loud", "--budget", "5GiB", "--listen", ":9"], {})
    assert reading.problems == ()
    assert reading.values == Table(store="a=b", loud=True, budget=5 << 30, listen=Address("", 9))


def test_an_empty_variable_counts_as_not_set() -> None:
    reading = read(Table, ["--store=x"], {"HISTORYSERVER_BUDGET": ""})
    assert (reading.values, reading.problems) == (Table(store="x"), ())


def test_a_list_is_split_at_commas_and_a_flag_given_twice_adds() -> None:
    reading = read(Table, ["--store=x", "--patterns", "c, d", "--patterns=e"], {})
    assert reading.values.patterns == ("c", "d", "e")


def test_all_problems_are_told_at_once_and_the_rest_is_used() -> None:
    reading = read(
        Table,
        ["--nonsense", "1", "--role=king", "--listen", "--wait-seconds=9"],
        {"HISTORYSERVER_BUDGET": "many"},
    )
    assert reading.values == Table(wait_seconds=9.0)
    nonsense, listen, store, budget, role = reading.problems
    assert nonsense == "'--nonsense' is no setting here. --help lists those there are."
    assert listen == "--listen has no value. Give host:port behind it."
    assert store == "--store is missing: where to. Give it, or set HISTORYSERVER_STORE."
    assert budget.startswith("HISTORYSERVER_BUDGET='many' can't be used: it is no size like 512MiB. ")
    assert budget.endswith("Give bytes, as 512MiB; the default is '64MiB'.")
    assert role.startswith("--role='king' can't be used: it is none of head, worker. Give head or worker;")


@pytest.mark.parametrize(
    ("kind", "good", "value"),
    [
        (INTEGER, " 12 ", 12),
        (SECONDS, "0.5", 0.5),
        (INTERVAL, "0.1", 0.1),
        (SHARE, "0.25", 0.25),
        (BYTES, "1024", 1024),
        (BYTES, "2 Ki", 2048),
        (BOOLEAN, "Off", False),
        (ADDRESS, "[::1]:80", Address("::1", 80)),
        (WEB_ADDRESS, "http://127.0.0.1:8265/", "http://127.0.0.1:8265"),
        (LIST, "a\nb,,", ("a", "b")),
    ],
)
def test_a_good_value_is_read(kind: Kind[object], good: str, value: object) -> None:
    assert kind.parse(good) == value


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (INTEGER, "-1"),
        (INTEGER, "1.5"),
        (SECONDS, "soon"),
        (SECONDS, "nan"),
        (SECONDS, "-1"),
        (INTERVAL, "0"),
        (INTERVAL, "0.09"),
        (SHARE, "1"),
        (SHARE, "0"),
        (BYTES, "1XB"),
        (BOOLEAN, "perhaps"),
        (ADDRESS, "80"),
        (ADDRESS, "x:99999"),
        (ADDRESS, "::1:80"),
        (ADDRESS, "é:80"),
        (WEB_ADDRESS, "file:///etc"),
        (WEB_ADDRESS, "http://"),
        (WEB_ADDRESS, "http://x:99999"),
    ],
)
def test_a_bad_value_is_refused_with_a_reason(kind: Kind[object], bad: str) -> None:
    with pytest.raises(ValueError, match=r"^(its?|an IPv6) "):
        kind.parse(bad)


def test_what_a_table_prints_can_be_read_back() -> None:
    rows = [line.split("|") for line in markdown(Table).splitlines()[2:]]
    defaults = {row[1].strip(" `"): row[4].strip(" `") for row in rows}
    del defaults["--store"]
    arguments = [word for flag, default in defaults.items() for word in (flag, default)]
    assert read(Table, ["--store=x", *arguments], {}).values == Table(store="x")


def test_usage_names_every_setting_with_its_default() -> None:
    text = usage(Table, "historyserver try", "Tries.")
    assert text.startswith("usage: historyserver try ")
    for words in (
        "--store",
        "where to (text; required)",
        "--budget",
        "how much (bytes, as 512MiB; default 64MiB)",
    ):
        assert words in text


def test_it_is_cheap_to_import() -> None:
    script = "import sys, archive.settings; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"argparse", "msgspec", "zstandard", "typing_extensions", "asyncio"} & set(loaded)
