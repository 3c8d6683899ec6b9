"""What pyarrow needs for the rows that `whole_lake DIR` has left in DIR: sorted and written with the same codec and encodings.

Prints milliseconds of one core for 1,000 readings and bytes a reading, beside Tidegate's of the same run. Takes DIR.
"""

import json
import pathlib
import statistics
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq

RUNS = 15
# As shared/lake/src/schema.rs.
ZSTD_LEVEL = 3
ROW_GROUP_ROWS = 1 << 20
DELTA = dict.fromkeys(["at", "received", "integer"], "DELTA_BINARY_PACKED")


def encode(table):
    table = table.sort_by([(name, "ascending") for name in ("device", "metric", "at", "seq")])
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[name for name in table.column_names if name not in DELTA],
        column_encoding=DELTA,
        row_group_size=ROW_GROUP_ROWS,
    )
    return sink.getvalue()


def milliseconds(work):
    """CPU time of one call: the median of some."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e3


def main(folder):
    pa.set_cpu_count(1)
    folder = pathlib.Path(folder)
    ours = json.loads((folder / "encode.json").read_text())
    # In the order of arrival, as ours got them.
    table = pq.read_table(folder / "archived.parquet").sort_by([("received", "ascending")]).combine_chunks()
    columns, schema = table.to_pydict(), table.schema
    thousands = table.num_rows / 1000
    assert table.num_rows == ours["readings"], "the two measure different rows"

    bytes_a_reading = encode(table).size / table.num_rows
    from_table = milliseconds(lambda: encode(table)) / thousands
    from_lists = milliseconds(lambda: encode(pa.Table.from_pydict(columns, schema=schema))) / thousands
    per_thousand, own_bytes = ours["milliseconds"] / thousands, ours["bytes"] / ours["readings"]
    print(f"\n{table.num_rows:,} readings sorted and encoded, on one core:\n")
    print("| | CPU per 1,000 readings | against Tidegate | bytes a reading |\n|---|---|---|---|")
    print(f"| Tidegate, from spans | {per_thousand:.3f} ms | 1 | {own_bytes:.2f} |")
    print(f"| pyarrow {pa.__version__}, from a table | {from_table:.3f} ms | {from_table / per_thousand:.1f} | {bytes_a_reading:.2f} |")
    print(f"| pyarrow, from lists of Python values | {from_lists:.3f} ms | {from_lists / per_thousand:.1f} | {bytes_a_reading:.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
