"""Readings in an object store: a local S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pytest

from tempfit.config import FleetConfig, ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.partitions import find_partitions
from tests.readings.fleets import by_sensor, read

pytestmark = pytest.mark.integration

BY = FleetConfig(by="sensor")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[pyarrow.fs.FileSystem]:
    """A store with a bucket, `fleet`, which fsspec finds by the environment."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "nobody"),
        ("AWS_SECRET_ACCESS_KEY", "nothing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("NO_PROXY", "127.0.0.1"),
    ):
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    store.makedirs("fleet", exist_ok=True)  # moto's buckets are the process's
    try:
        yield pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(store))
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()


def test_a_fleet_in_an_object_store(bucket: pyarrow.fs.FileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a/b", "ü"] * 500
    t_u = [float(k) for k in range(1000)]
    table = pa.table({"sensor": names, "t_u": t_u, "t_c": t_u})
    expected = {"a/b": [(k, k) for k in t_u[::2]], "ü": [(k, k) for k in t_u[1::2]]}
    tree = ds.partitioning(pa.schema([("sensor", pa.string())]), flavor="hive")
    ds.write_dataset(table, "fleet/tree", filesystem=bucket, format="parquet", partitioning=tree)
    ds.write_dataset(table, "fleet/csv", filesystem=bucket, format="csv")
    ds.write_dataset(
        table, "fleet/long", filesystem=bucket, format="parquet", max_rows_per_group=300, max_rows_per_file=1000
    )
    monkeypatch.setattr("tempfit.readings.partitions.PARTITION_BYTES", 1)
    monkeypatch.setattr("tempfit.readings.partitions.PARTITION_ROWS", 500)
    for source in ("s3://fleet/tree", "s3://fleet/csv", "s3://fleet/long", "s3://fleet/long/part-0.parquet"):
        assert by_sensor(read(source, BY)) == expected, source
    parts = find_partitions("s3://fleet/long", BY, ReadingsConfig())
    assert len(parts) == 2
    digests = [part.digest() for part in parts]
    assert digests == [part.digest() for part in find_partitions("s3://fleet/long", BY, ReadingsConfig())]
    assert len(set(digests)) == 2
    for source in ("s3://fleet/nowhere.csv", "s3://nobody/x.csv"):
        with pytest.raises(ReadingsError, match=f"^{source}: no such file; check the path"):
            read(source, BY)


def test_who_says_not_who_they_are_is_told_where_to(
    bucket: pyarrow.fs.FileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(
        ReadingsError, match=r"cannot be read \('Unable to locate credentials'\); check the URL, and that"
    ):
        find_partitions("s3://fleet/x.csv", BY, ReadingsConfig())
