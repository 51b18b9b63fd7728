"""What the services refuse with: codes, statuses and sentences as Alibaba Cloud documents them."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

Details = Mapping[str, str | Mapping[str, str]]


class ServiceError(Exception):
    """An answer that is an error. `ec` is OSS's own number of the case; `details` are further elements."""

    def __init__(
        self, status: int, code: str, message: str, ec: str = "", details: Details | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.ec = ec
        self.details = dict(details or {})

    def xml(self, request_id: str, host: str) -> bytes:
        fields: dict[str, str | Mapping[str, str]] = {
            "Code": self.code,
            "Message": self.message,
            "RequestId": request_id,
            "HostId": host,
            **self.details,
        }
        if self.ec:
            fields |= {"EC": self.ec, "RecommendDoc": f"https://api.aliyun.com/troubleshoot?q={self.ec}"}
        inner = "".join(f"  <{name}>{_xml(told)}</{name}>\n" for name, told in fields.items())
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n{inner}</Error>\n'.encode()


def _xml(told: str | Mapping[str, str]) -> str:
    if isinstance(told, str):
        return escape(told)
    return "".join(f"<{name}>{escape(text)}</{name}>" for name, text in told.items())


def invalid_argument(message: str, name: str = "", value: str = "") -> ServiceError:
    details = {"ArgumentName": name, "ArgumentValue": value} if name else {}
    return ServiceError(400, "InvalidArgument", message, details=details)


def access_denied(action: str, principal: str) -> ServiceError:
    """Of a RAM user or role without the right, which the detail names."""
    return ServiceError(
        403,
        "AccessDenied",
        "You have no right to access this object because of bucket acl.",
        "0003-00000001",
        {
            "AccessDeniedDetail": {
                "AuthPrincipalType": "SubUser",
                "AuthPrincipalDisplayName": principal,
                "AuthAction": action,
                "PolicyType": "AccountLevelIdentityBasedPolicy",
                "NoPermissionType": "ImplicitDeny",
            }
        },
    )


def no_such_bucket(bucket: str) -> ServiceError:
    return ServiceError(
        404, "NoSuchBucket", "The specified bucket does not exist.", "0015-00000101", {"BucketName": bucket}
    )


def no_such_key(key: str) -> ServiceError:
    return ServiceError(404, "NoSuchKey", "The specified key does not exist.", "0026-00000001", {"Key": key})
