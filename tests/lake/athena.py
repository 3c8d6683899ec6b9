"""Asks Athena: athena.py WORKGROUP DATABASE, the query on standard input; the endpoint and the keys come from the environment.

Prints JSON: {"columns": […], "rows": [[…]]}, values as the text that Athena hands out, null where there is none.
"""

import json
import sys
import time

import boto3

PATIENCE_SECONDS = 60


def main(workgroup, database):
    athena = boto3.client("athena")
    started = athena.start_query_execution(
        QueryString=sys.stdin.read(), WorkGroup=workgroup, QueryExecutionContext={"Database": database}
    )
    id = started["QueryExecutionId"]
    for _ in range(PATIENCE_SECONDS * 10):
        status = athena.get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]
        if status["State"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
            break
        time.sleep(0.1)
    if status["State"] != "SUCCEEDED":
        sys.exit(f"the query has {status['State'].lower()}: {status.get('StateChangeReason')}")
    rows = []
    for page in athena.get_paginator("get_query_results").paginate(QueryExecutionId=id):
        rows += [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]
    json.dump({"columns": rows[0], "rows": rows[1:]}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
