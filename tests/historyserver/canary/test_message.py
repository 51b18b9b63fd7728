from hypothesis import given
from hypothesis import strategies as st

from historyserver.canary.message import Kind, Message, parse

messages = st.builds(
    Message,
    run=st.integers(0, 2**32 - 1).map("{:08x}".format),
    kind=st.sampled_from(Kind),
    number=st.integers(1, 10**9),
    after_ms=st.integers(0, 10**12),
)


@given(messages)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    assert parse(message.text) == message
    assert "\n" not in message.text


@given(messages, st.data())
def test_no_changed_byte_goes_unnoticed(message: Message, data: st.DataObject) -> None:
    text = message.text
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda letter: letter != text[place]))
    assert parse(text[:place] + letter + text[place + 1 :]) is None
    assert parse(text[:place]) is None
    assert parse(text + text) is None
    assert parse(text[1:]) is None


def test_a_number_is_written_in_one_way_only() -> None:
    text = Message("0123abcd", Kind.LINES, 7, 5).text
    for other in (text.replace(" 7 ", " 07 "), text.replace("after", "AFTER"), "", "something else"):
        assert parse(other) is None
