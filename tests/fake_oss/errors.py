"""What the services refuse with: codes, statuses and sentences as Alibaba Cloud documents them."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape


class ServiceError(Exception):
    """An answer that is an error. `ec` is OSS's own number of the case; `details` are further elements."""

    def __init__(
        self, status: int, code: str, message: str, ec: str = "", details: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.ec = ec
        self.details = dict(details or {})

    def xml(self, request_id: str, host: str) -> bytes:
        fields = {
            "Code": self.code,
            "Message": self.message,
            "RequestId": request_id,
            "HostId": host,
            **self.details,
        }
        if self.ec:
            fields |= {"EC": self.ec, "RecommendDoc": f"https://api.aliyun.com/troubleshoot?q={self.ec}"}
        inner = "".join(f"  <{name}>{escape(text)}</{name}>\n" for name, text in fields.items())
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n{inner}</Error>\n'.encode()


def invalid_argument(message: str, name: str = "", value: str = "") -> ServiceError:
    details = {"ArgumentName": name, "ArgumentValue": value} if name else {}
    return ServiceError(400, "InvalidArgument", message, "0017-00000902", details)


def access_denied(message: str = "", ec: str = "0003-00000001") -> ServiceError:
    sentence = message or "You have no right to access this object because of bucket acl."
    return ServiceError(403, "AccessDenied", sentence, ec)


def no_such_bucket(bucket: str) -> ServiceError:
    return ServiceError(
        404, "NoSuchBucket", "The specified bucket does not exist.", "0015-00000101", {"BucketName": bucket}
    )


def no_such_key(key: str) -> ServiceError:
    return ServiceError(404, "NoSuchKey", "The specified key does not exist.", "0026-00000001", {"Key": key})
