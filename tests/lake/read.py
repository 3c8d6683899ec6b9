"""Reads a folder of the lake as an analyst would, with one of the engines that analysts use.

    read.py ENGINE rows FOLDER [DEVICE]   all readings, or a device's
    read.py ENGINE sql FOLDER             a query from standard input; s3://<bucket>/readings in it stands for FOLDER

FOLDER has the partitions, day=…/hour=…. Prints JSON: {"types": {column: the engine's name for its type}, "rows": [[…]]},
times as microseconds since 1970, days as text. ENGINE is pyarrow, duckdb, polars or spark; sql is for duckdb and spark.
"""

import datetime
import json
import re
import sys

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


def pyarrow_rows(folder, device):
    import pyarrow as pa
    import pyarrow.dataset as ds

    # pyarrow takes partitions for text or int32 unless told.
    partitions = ds.partitioning(pa.schema([("day", pa.date32()), ("hour", pa.int32())]), flavor="hive")
    table = ds.dataset(folder, format="parquet", partitioning=partitions).to_table(
        filter=ds.field("device") == device if device else None
    )
    types = {field.name: str(field.type) for field in table.schema}
    return types, [tuple(row.values()) for row in table.to_pylist()]


def polars_rows(folder, device):
    import polars as pl

    frame = pl.scan_parquet(folder, hive_partitioning=True)
    if device:
        frame = frame.filter(pl.col("device") == device)
    frame = frame.collect()
    return {name: str(kind) for name, kind in frame.schema.items()}, frame.rows()


def duckdb_rows(folder, device):
    # DuckDB takes an hour for text, for its leading zero.
    hive = "hive_partitioning = true, hive_types = {'day': DATE, 'hour': INTEGER}"
    query = f"SELECT * FROM read_parquet('{folder}/**/*.parquet', {hive})"
    return duckdb_query(query + (f" WHERE device = '{device}'" if device else ""))


def duckdb_query(query):
    import duckdb

    # As the other engines have it: else times come in the zone of this machine.
    duckdb.sql("SET TimeZone = 'UTC'")
    found = duckdb.sql(query)
    return dict(zip(found.columns, map(str, found.types))), found.fetchall()


def spark_session():
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    builder = builder.config("spark.sql.session.timeZone", "UTC").config("spark.log.level", "ERROR")
    return builder.getOrCreate()


def spark_rows(folder, device):
    frame = spark_session().read.parquet(folder)
    return spark_frame(frame.where(frame.device == device) if device else frame)


def spark_query(query):
    return spark_frame([spark_session().sql(statement) for statement in query.split(";") if statement.strip()][-1])


def spark_frame(frame):
    # As numbers: Spark hands out times without their zone.
    times = [name for name, kind in frame.dtypes if kind == "timestamp"]
    types = dict(frame.dtypes)
    for name in times:
        frame = frame.selectExpr(*(f"unix_micros(`{c}`) AS `{c}`" if c == name else f"`{c}`" for c in frame.columns))
    return types, [tuple(row) for row in frame.collect()]


def plain(value):
    """A value as JSON has it; a time without a zone is an error."""
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // MICROSECOND
    return value.isoformat() if isinstance(value, datetime.date) else value


def main(engine, what, folder, device=None):
    if what == "rows":
        types, rows = globals()[f"{engine}_rows"](folder, device)
    else:
        query = re.sub(r"s3a?://[^/']+/readings", folder, sys.stdin.read())
        types, rows = globals()[f"{engine}_query"](query)
    json.dump({"types": types, "rows": [[plain(value) for value in row] for row in rows]}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
