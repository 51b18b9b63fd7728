"""A strict stand-in for Alibaba Cloud OSS, with STS and the ECS metadata service, that can be made to fail.

In this process, on free ports of 127.0.0.1:

    with FakeOss(bucket="history", region="cn-hangzhou", latency=0.0, folder=None) as oss:
        oss.endpoint                       # http://127.0.0.1:PORT
        oss.url()                          # oss://history/root?region=cn-hangzhou&endpoint=http://127.0.0.1:PORT
        oss.environment("operator")        # ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET of an identity
        oss.token_environment("server", seconds=3600)              # the same and ALIBABA_CLOUD_SECURITY_TOKEN
        oss.rrsa_environment(token_file, role="collector")         # role, provider, token file, STS endpoint
        oss.oidc_token("collector", seconds=600)                   # what a token file holds
        oss.set_instance_role("server")                            # for the metadata service
        oss.sts_endpoint, oss.metadata_endpoint

Identities "collector", "server", "retention" and "operator" are there, with the rights of their roles below
the root (rights.py); add_identity(collector("root", namespace="team")) replaces one, remove_identity(name)
revokes it.

Faults (faults.py has the acts; the first fault added that fits a request acts):

        oss.add(Fault(SERVER_BUSY, operation="PutObject", key="root/v1/segments/*", times=3))
        oss.add(Fault(LoseAnswer(), method="PUT", probability=0.1, seed=7))
        oss.add(Fault(ApplyLater(successor="other"), method="PUT", times=1))
        oss.add(Fault(Refuse(429, "Throttling.User"), service="sts"))
        oss.clear(); oss.release(); oss.down(); oss.down("cut"); oss.up()
        oss.set_clock(3600.0); oss.set_latency(0.02); oss.set_lifetime(5.0); oss.configure(worm="Locked")

What came of it:

        oss.requests(operation="PutObject", key="root/v1/*", identity="collector", status=200) -> list[Asked]
        oss.counts(); oss.forget_requests()
        oss.put(key, data); oss.get(key); oss.keys(prefix)  # past rights and faults; keys with the root

The same surface in a process of its own, for benches and kill tests; with a folder, objects survive its end:

    with fake_oss.running(latency=0.02, folder=None) as oss: ...
"""

from fake_oss.bucket import BucketSettings, noncurrent_expiry
from fake_oss.fake import FakeOss
from fake_oss.faults import (
    BANDWIDTH,
    INTERNAL,
    SERVER_BUSY,
    THROTTLED,
    TOKEN_EXPIRED,
    TOO_MANY,
    UNAVAILABLE,
    ApplyLater,
    Fault,
    FlipBit,
    Html,
    ListLate,
    LoseAnswer,
    Redirect,
    Refuse,
    ResetAnswer,
    ResetRequest,
    Trickle,
    Wait,
    Withhold,
    WrongChecksum,
)
from fake_oss.journal import Asked
from fake_oss.process import running
from fake_oss.rights import Identity, collector, operator, retention, server

__all__ = [
    "BANDWIDTH",
    "INTERNAL",
    "SERVER_BUSY",
    "THROTTLED",
    "TOKEN_EXPIRED",
    "TOO_MANY",
    "UNAVAILABLE",
    "ApplyLater",
    "Asked",
    "BucketSettings",
    "FakeOss",
    "Fault",
    "FlipBit",
    "Html",
    "Identity",
    "ListLate",
    "LoseAnswer",
    "Redirect",
    "Refuse",
    "ResetAnswer",
    "ResetRequest",
    "Trickle",
    "Wait",
    "Withhold",
    "WrongChecksum",
    "collector",
    "noncurrent_expiry",
    "operator",
    "retention",
    "running",
    "server",
]
