import subprocess
import sys
from pathlib import Path

import alibabacloud_oss_v2 as official
import pytest

import fake_oss
from fake_oss import SERVER_BUSY, FakeOss, Fault
from fake_oss.conftest import MakeClient
from fake_oss.refusals import refusal

KEY = "root/v1/a"


def test_a_fake_of_its_own_process_has_the_same_surface(client_of: MakeClient) -> None:
    with fake_oss.running(latency=0.05, root="other/place") as oss:
        assert oss.url() == f"oss://history/other/place?region=cn-hangzhou&endpoint={oss.endpoint}"
        client = client_of(endpoint=oss.endpoint, credentials=oss.environment("operator"))
        oss.add(Fault(SERVER_BUSY, times=1))
        with refusal() as told:
            client.put_object(official.PutObjectRequest("history", "other/place/v1/a", body=b"data"))
        assert told.code == "ServerBusy"
        client.put_object(official.PutObjectRequest("history", "other/place/v1/a", body=b"data"))
        assert oss.keys() == ["other/place/v1/a"]
        assert oss.get("other/place/v1/a") == b"data"
        asked = oss.requests(operation="PutObject", status=200)
        assert [one.seconds >= 0.05 for one in asked] == [True]
        assert oss.counts()["PutObject"] == 2
        with pytest.raises(KeyError):
            oss.environment("nobody")


@pytest.mark.parametrize("size", [0, 10, 1 << 20])
def test_a_folder_keeps_objects_over_a_restart(tmp_path: Path, client_of: MakeClient, size: int) -> None:
    def client(oss: FakeOss) -> official.Client:
        return client_of(endpoint=oss.endpoint, credentials=oss.environment())

    data = bytes(i * 7 % 251 for i in range(size))
    with FakeOss(folder=tmp_path / "objects") as oss:
        for key in (KEY, "root/v1/gone", "root/v1/replaced"):
            client(oss).put_object(official.PutObjectRequest("history", key, body=data))
        put = client(oss).put_object(official.PutObjectRequest("history", "root/v1/replaced", body=b"new"))
        client(oss).delete_object(official.DeleteObjectRequest("history", "root/v1/gone"))
    with (tmp_path / "objects" / "index.jsonl").open("a") as index:
        index.write('{"number": 4, "key": "root/v1/torn')
    for _ in range(2):
        with FakeOss(folder=tmp_path / "objects") as oss:
            assert oss.keys() == [KEY, "root/v1/replaced"]
            assert oss.get("root/v1/replaced") == b"new"
            got = client(oss).get_object(official.GetObjectRequest("history", "root/v1/replaced"))
            assert (got.body.read(), got.etag) == (b"new", put.etag)
            assert client(oss).get_object(official.GetObjectRequest("history", KEY)).body.read() == data
            if size:
                part = official.GetObjectRequest("history", KEY, range_header="bytes=1-3")
                assert client(oss).get_object(part).body.read() == data[1:4]
            client(oss).put_object(official.PutObjectRequest("history", KEY, body=data))
    files = [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    assert len(files) == 3  # two objects and the index


def test_it_ends_with_whoever_started_it() -> None:
    with fake_oss.running() as oss:
        pid = oss.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


def test_it_says_where_it_is(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "fake_oss"],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert [line.rpartition(":")[0] for line in told.stdout.split()[1:]] == ["http://127.0.0.1"] * 3
