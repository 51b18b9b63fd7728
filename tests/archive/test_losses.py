import pytest

from archive.losses import Loss, dropped, told


@pytest.mark.parametrize("reason", list(Loss))
def test_every_reason_has_a_sentence_with_its_amount(reason: Loss) -> None:
    sentence = told(reason, 4711)
    assert sentence.endswith(": 4711")
    assert reason not in sentence


def test_what_was_dropped_names_its_stream() -> None:
    assert (
        told(dropped("events.profile"), 3)
        == "dropped from events.profile for want of room on the node's disk: 3"
    )


def test_a_reason_of_another_version_is_shown_as_it_is() -> None:
    assert told("moon.full", 1) == "moon.full: 1"
