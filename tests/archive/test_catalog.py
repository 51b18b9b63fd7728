import pytest

from archive.catalog import CatalogEntry, decode, encode
from archive.errors import FormatError, FormatUnknown
from archive.layout import CatalogName, Role

ENTRY = CatalogEntry(
    namespace="team", cluster="raycluster", session="s", role=Role.HEAD, ray_version="2.60.0", state="ended"
)


def test_an_entry_is_read_back_as_written() -> None:
    assert decode(encode(ENTRY)) == ENTRY


def test_fields_of_a_later_writer_are_passed_over() -> None:
    assert decode(encode(ENTRY)[:-1] + b',"mood":"fine"}') == ENTRY


def test_a_field_of_a_later_reader_has_a_default() -> None:
    assert decode(b'{"namespace":"a","cluster":"b","session":"c","role":"worker"}').state == "running"


def test_a_newer_format_is_told_apart_from_damage() -> None:
    with pytest.raises(FormatUnknown):
        decode(b'{"format":2,"state":["other"]}')


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", encode(ENTRY)[:-2], b'{"role":"tail"}'])
def test_what_is_no_entry_is_told(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode(data)


@pytest.mark.parametrize("moment", ["-1", "1e400", "253402300800000", "99999999999999999999999"])
def test_an_absurd_time_is_told(moment: str) -> None:
    with pytest.raises(FormatError):
        decode(encode(ENTRY)[:-1] + b',"last_seen_ms":' + moment.encode() + b"}")


def test_an_entry_knows_its_object() -> None:
    assert CatalogName.parse(ENTRY.name.key) == ENTRY.name
