"""What a store's URL may say."""

import pickle
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from archive.errors import NameInvalid, StoreMisconfigured
from archive.store import open_store
from archive.store.http import HttpStore
from archive.store.local import LocalStore
from archive.store.oss.address import LONGEST_KEY, Address, parse
from archive.store.oss.store import OssStore
from archive.store.url import open_archive

INTERNAL = "https://oss-cn-hangzhou-internal.aliyuncs.com"


def test_a_region_is_enough_and_means_its_internal_endpoint() -> None:
    assert parse("oss://bucket/a/b?region=cn-hangzhou") == Address("bucket", "a/b", "cn-hangzhou", INTERNAL)


@pytest.mark.parametrize("host", ["oss-cn-hangzhou-internal.aliyuncs.com", "oss-cn-hangzhou.aliyuncs.com"])
def test_a_standard_endpoint_names_its_region(host: str) -> None:
    assert parse(f"oss://bucket?endpoint={host}") == Address("bucket", "", "cn-hangzhou", f"https://{host}")


def test_any_endpoint_can_be_given_with_its_region() -> None:
    url = "oss://bucket/?region=cn-hangzhou&endpoint=http://127.0.0.1:8080/"
    assert parse(url).endpoint == "http://127.0.0.1:8080"
    url = "oss://bucket?region=cn-hangzhou&endpoint=files.example.org&cname=true"
    assert parse(url) == Address("bucket", "", "cn-hangzhou", "https://files.example.org", cname=True)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("oss://bucket/root", "region is missing"),
        ("oss://bucket/root?region=", "region is missing"),
        ("oss://bucket/root?endpoint=files.example.org", "region is missing"),
        ("oss://bucket/root?region=cn%20hangzhou", "no region's id"),
        ("oss://bucket?region=cn-beijing&endpoint=oss-cn-hangzhou.aliyuncs.com", "of the region cn-hangzhou"),
        ("oss://bucket?region=cn-hangzhou&cname=true", "cname=true needs endpoint="),
        ("oss://bucket?endpoint=oss-cn-hangzhou.aliyuncs.com&cname=true", "cname=true needs endpoint="),
        ("oss://bucket?region=cn-hangzhou&cname=yes", "cname is true or false"),
        ("oss://bucket?region=cn-hangzhou&timeout=3", "no parameter 'timeout'"),
        ("oss://bucket?region=cn-hangzhou&region=cn-beijing", "twice"),
        ("oss://bucket?region", "bad query field"),
        ("oss://bucket?region=cn-hangzhou&endpoint=ftp://host", "endpoint is not a host"),
        ("oss://bucket?region=cn-hangzhou&endpoint=host/path", "endpoint is not a host"),
        ("oss://bucket?region=cn-hangzhou&endpoint=a%20b", "endpoint is not a host"),
        ("oss://bucket?region=cn-hangzhou&endpoint=host:99999", "Port out of range"),
        ("oss://Bucket?region=cn-hangzhou", "small letters"),
        ("oss://bu?region=cn-hangzhou", "small letters"),
        ("oss://bucket-?region=cn-hangzhou", "small letters"),
        ("oss://bucket:80?region=cn-hangzhou", "small letters"),
        ("oss:///root?region=cn-hangzhou", "small letters"),
        ("oss://bucket/a/../b?region=cn-hangzhou", "no plain path"),
        ("oss://bucket/a//b?region=cn-hangzhou", "no plain path"),
        ("oss://bucket/%2e%2e?region=cn-hangzhou", "no plain path"),
        ("oss://bucket/a%0ab?region=cn-hangzhou", "no path should have"),
        ("oss://bucket/%ff?region=cn-hangzhou", "can't decode"),
        (f"oss://bucket/{'a' * 600}?region=cn-hangzhou", "too long"),
        ("oss://bucket?region=cn-hangzhou#part", "bucket's name"),
    ],
)
def test_an_oss_url_that_cannot_be_used_says_why_and_shows_a_good_one(url: str, why: str) -> None:
    with pytest.raises(StoreMisconfigured, match=why) as caught:
        parse(url)
    assert str(caught.value).endswith("give oss://bucket/root?region=cn-hangzhou")


@pytest.mark.parametrize("root", ["räume/öst", "a b", "100%", "a+b", "x&y", "me@home"])
def test_a_root_may_have_odd_letters(root: str) -> None:
    assert parse(f"oss://bucket/{quote(root)}?region=cn-hangzhou").root == root


def test_a_root_goes_before_every_key_and_comes_off_again() -> None:
    address = parse("oss://bucket/a/b?region=cn-hangzhou")
    assert address.full("v1/x") == "a/b/v1/x"
    assert address.relative("a/b/v1/x") == "v1/x"
    bare = parse("oss://bucket?region=cn-hangzhou")
    assert bare.full("v1/x") == bare.relative("v1/x") == "v1/x"


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a\0", "a\nb", "\ud800"])
def test_a_key_that_could_escape_its_place_is_no_key(key: str) -> None:
    with pytest.raises(NameInvalid):
        parse("oss://bucket/root?region=cn-hangzhou").full(key)


def test_a_key_is_as_long_as_oss_takes_it_with_the_root() -> None:
    address = parse("oss://bucket/root?region=cn-hangzhou")
    assert len(address.full("k" * (LONGEST_KEY - 5))) == LONGEST_KEY
    with pytest.raises(NameInvalid, match="1023 bytes"):
        address.full("k" * (LONGEST_KEY - 4))


def test_each_kind_of_store_is_opened_by_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
    kinds = {
        tmp_path.as_uri(): LocalStore,
        "oss://bucket/root?region=cn-hangzhou": OssStore,
        "http://127.0.0.1:1/base?token_file=/run/token": HttpStore,
        "https://history.example.org": HttpStore,
    }
    for url, kind in kinds.items():
        assert isinstance(pickle.loads(pickle.dumps(open_store(url))), kind)  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no known kind"),
        ("s3://bucket", "no known kind"),
        ("/var/lib/history", "no known kind"),
        ("http://host/base?token_file=run/token", "one absolute path"),
        ("http://host/base?token_file=/a&token_file=/b", "one absolute path"),
        ("http://host/base?token=abc", "no parameter but token_file"),
        ("http://host/base#part", "no parameter but token_file"),
        ("http://", "host"),
        ("file://elsewhere/path", "three slashes"),
        ("file:///path?region=x", "three slashes"),
    ],
)
def test_a_url_of_no_store_says_what_would_be_one(url: str, why: str) -> None:
    with pytest.raises(StoreMisconfigured, match=why):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "oss://me:s3cret@bucket/root?region=cn-hangzhou",
        "oss://bucket/root?region=cn-hangzhou&endpoint=me:s3cret@host",
        "https://me:s3cret@host/base",
        "ftp://s3cret@x",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(StoreMisconfigured, match="name or a password") as caught:
        open_store(url)
    assert "s3cret" not in str(caught.value)


def test_a_folder_may_have_an_at_sign(tmp_path: Path) -> None:
    (tmp_path / "me@home").mkdir()
    assert list(open_store((tmp_path / "me@home").as_uri()).list("")) == []


def test_opening_a_store_of_another_kind_imports_no_client_of_oss() -> None:
    program = (
        "import sys; from archive.store import open_store; open_store('file:///x'); open_store('http://h/b');"
        "print([name for name in sys.modules if name.startswith(('alibabacloud', 'urllib3'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_who_reads_gets_a_store_that_tries_again_and_none_that_only_takes_puts(tmp_path: Path) -> None:
    open_archive(tmp_path.as_uri()).put("a", b"1")
    assert open_archive(tmp_path.as_uri()).get("a").data == b"1"
    for url in ("http://127.0.0.1:1/", "https://history.example.org/base"):
        with pytest.raises(StoreMisconfigured, match="gives nothing back: give the store"):
            open_archive(url)
