"""More events than any Ray node posts: all of them are stored, once."""

from collections.abc import Callable

from faults.rig.collecting import until
from faults.rig.in_oss import end_when_stored, metric
from faults.rig.ray_node import Repeated
from faults.rig.rig import Rig

BODY = 1_000
PAUSE = 0.1


def test_ten_thousand_events_a_second_lose_nothing(oss_rig: Rig, rounds: Callable[[int, int], int]) -> None:
    def post() -> None:
        oss_rig.aggregator.make(BODY)
        oss_rig.aggregator.post()

    oss_rig.begin()
    until(lambda: metric(oss_rig, "last_put_timestamp_seconds"))
    flood = Repeated(post, PAUSE)
    oss_rig.answered(rounds(10, 1_000) * BODY, 600)
    flood.stop()
    end_when_stored(oss_rig)
    oss_rig.judge()
