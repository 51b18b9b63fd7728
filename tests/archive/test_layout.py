import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import NameInvalid
from archive.layout import (
    CATALOG,
    SEGMENTS,
    SERVER,
    VIEWS,
    CatalogName,
    Origin,
    Role,
    SegmentName,
    SessionKey,
    TrialName,
    checked_stream,
    segments_prefix,
    session_start_ms,
    views_prefix,
)

SESSION = SessionKey("team", "raycluster", "session_2026-11-23_02-43-27_490622_12278")


def test_a_session_with_dots_and_a_slash_in_its_name_is_refused() -> None:
    with pytest.raises(NameInvalid, match="session"):
        SessionKey("team", "raycluster", "../other")


@pytest.mark.parametrize(
    "bad", ["", ".", "..", "a/b", "a~b", "a\\b", "a..b", "a\n", "a\x7f", "\udc80", "x" * 97]
)
def test_a_name_that_could_leave_its_place_is_refused(bad: str) -> None:
    with pytest.raises(NameInvalid):
        SessionKey("team", "raycluster", bad)
    with pytest.raises(NameInvalid):
        SegmentName(SESSION, bad, Origin(1, "00000000"), 1)
    with pytest.raises(NameInvalid):
        views_prefix(SESSION, bad)


@pytest.mark.parametrize(
    "key",
    [
        "v1/segments/team/raycluster/../x/1-00000000-00000001.seg",
        "v1/segments/team/raycluster/s/n/1-00000000-1.seg",
        "v1/segments/team/raycluster/s/n/01-00000000-00000001.seg",
        "v1/segments/team/raycluster/s/n/1-00000000-00000000.seg",
        "v1/segments/team/raycluster/s/1-00000000-00000001.seg",
        "v1/catalog/team/raycluster/s/n/1-00000000-00000001.seg",
        "",
    ],
)
def test_a_key_that_no_writer_makes_is_no_segment(key: str) -> None:
    with pytest.raises(NameInvalid):
        SegmentName.parse(key)


@pytest.mark.parametrize(
    "key",
    [
        "v1/catalog/9999999999999~team~raycluster~../x~head.json",
        "v1/catalog/0000000000000~team~raycluster~s~head.json",
        "v1/catalog/9999999999999~team~raycluster~s~tail.json",
        "v1/catalog/9999999999999~team~s~head.json",
        "v1/catalog/9999999999999~team~raycluster~s~head",
    ],
)
def test_a_key_that_no_writer_makes_is_no_catalog_entry(key: str) -> None:
    with pytest.raises(NameInvalid):
        CatalogName.parse(key)


names = st.text(
    st.characters(exclude_characters="/\\~", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=15
)
good_names = names.filter(lambda name: ".." not in name and name != ".")


@given(
    st.builds(SessionKey, good_names, good_names, good_names),
    good_names,
    st.integers(1, 10**12 - 1),
    st.sampled_from(Role),
)
def test_every_key_is_read_back_as_the_name_it_was_made_from(
    key: SessionKey, node: str, sequence: int, role: Role
) -> None:
    segment = SegmentName(key, node, Origin(1795402103123, "9f3ac210"), sequence)
    assert SegmentName.parse(segment.key) == segment
    assert segment.key.startswith(segments_prefix(key, node))
    assert CatalogName.parse(CatalogName(key, role).key) == CatalogName(key, role)


def test_the_newest_session_comes_first_in_the_catalog() -> None:
    older = SessionKey("a", "a", "session_2026-11-22_02-43-27_490622_1")
    nameless = SessionKey("a", "a", "custom")
    keys = [CatalogName(key, Role.HEAD).key for key in (SESSION, older, nameless)]
    assert keys == sorted(keys)


def test_later_segments_of_an_origin_come_later_in_a_listing() -> None:
    origin = Origin(1795402103123, "9f3ac210")
    keys = [SegmentName(SESSION, "n", origin, sequence).key for sequence in (1, 9, 10, 99_999_999)]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("session", "start"),
    [
        ("session_2026-11-23_02-43-27_490622_12278", 1795401807490),
        ("session_2028-02-29_00-00-00_000000_1", 1835395200000),
        ("session_2027-02-29_00-00-00_000000_1", None),
        ("session_0001-01-01_00-00-00_000000_1", 0),
        ("custom", None),
    ],
)
def test_the_start_is_read_from_the_name(session: str, start: int | None) -> None:
    assert session_start_ms(session) == start


@pytest.mark.parametrize(
    "bad", ["", "/etc/passwd", "logs/../../x", "logs//x", "logs/.", "logs/a\0b", "x" * 1025]
)
def test_a_stream_that_could_leave_the_logs_folder_is_refused(bad: str) -> None:
    with pytest.raises(NameInvalid):
        checked_stream(bad)


def test_a_stream_may_have_folders_and_odd_letters() -> None:
    assert checked_stream("logs/serve/a~b #1.log") == "logs/serve/a~b #1.log"


@pytest.mark.parametrize("place", [CATALOG, SEGMENTS, VIEWS, SERVER])
@pytest.mark.parametrize("whose", [(), ("team", "shop")])
def test_a_trial_s_name_reads_back_and_is_nothing_else_s(place: str, whose: tuple[str, ...]) -> None:
    name = TrialName(place, *whose)
    assert TrialName.parse(name.key) == name
    for other in (CatalogName, SegmentName):
        with pytest.raises(NameInvalid):
            other.parse(name.key)


@pytest.mark.parametrize(
    "key",
    [
        "v1/segments/team/shop",
        "v1/catalog/~doctor~team",
        "v1/views/~doctor/team/shop",
        "~doctor",
        "v1/~doctor",
    ],
)
def test_what_is_no_trial_s_name_is_refused(key: str) -> None:
    with pytest.raises(NameInvalid):
        TrialName.parse(key)
