from historyserver.canary.ledger import Verdict
from historyserver.canary.message import Kind
from historyserver.canary.report import Standing, metrics, summary, table

STANDING = Standing(
    {
        Kind.LINES: Verdict(sent=9, seen=7, missing=2, out_of_order=1),
        Kind.EVENTS: Verdict(sent=4, seen=4, late=3),
    },
    {Kind.LINES: 1.25, Kind.EVENTS: 20.0},
    damaged=1,
    problem="the collector rests",
)


def test_the_summary_names_what_is_not_nothing() -> None:
    assert summary(STANDING) == (
        "lines: 7 of 9 seen, 2 missing, 1 out of order; events: 4 of 4 seen, 3 late; 1 segments damaged; "
        "the collector rests"
    )
    assert summary(Standing()) == "lines: 0 of 0 seen; events: 0 of 0 seen"


def test_the_table_has_every_figure() -> None:
    rows = {line[:14].strip(): line[14:34].split() for line in table(STANDING).splitlines()}
    assert rows["missing"] == ["2", "0"]
    assert rows["late"] == ["0", "3"]
    assert rows["slowest"] == ["1.2", "20.0"]
    assert "1 segments can't be read" in table(STANDING)


def test_metrics_have_every_figure() -> None:
    lines = metrics(STANDING).splitlines()
    assert 'historyserver_canary_messages{kind="lines",fate="out_of_order"} 1' in lines
    assert 'historyserver_canary_slowest_seconds{kind="events"} 20' in lines
    assert "historyserver_canary_damaged_segments 1" in lines
    assert "historyserver_canary_problem 1" in lines
    assert len([line for line in lines if line.startswith("historyserver_canary_messages")]) == 20


def test_runs_add_up_and_the_newest_problem_counts() -> None:
    both = STANDING + Standing(STANDING.verdicts, {Kind.LINES: 3.0, Kind.EVENTS: 2.0})
    assert both.verdicts[Kind.LINES].missing == 4
    assert both.slowest == {Kind.LINES: 3.0, Kind.EVENTS: 20.0}
    assert (both.damaged, both.problem, both.bad) == (1, "", 7)
