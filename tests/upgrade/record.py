"""Records what a version of Tidegate stores, for the test `upgrade`: later versions have to read it.

    record.py CHECKOUT CLOUD OUT    run by CHECKOUT/.local/venv-sam/bin/python

CHECKOUT is a checkout of the version. It has the command built (target/debug/tidegate) and the tools
installed. The local cloud runs in the folder CLOUD meanwhile. OUT must not exist: a recording is made once.
LAKE_PYTHON names the Python that has pyarrow and DuckDB (CHECKOUT/.local/venv-lake/bin/python without it).

Devices connect over mutual TLS and publish. The deployed functions store. Then tables and objects are copied
as they are, together with what the version's own command and two other engines read of them.
"""

import base64
import contextlib
import gzip
import json
import os
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time

PATIENCE_SECONDS = 60
DAY_MICROS = 86_400 * 1_000_000

# Devices that stay connected until all is recorded.
CONNECTED = ["lab/plain-1", "lab/line-1", "plant-1/shellyplus1pm-a8032abe54dc"]
# Payloads of two shipped profiles come from one device there; here each profile has a device of its own.
RENAMED = {
    "dt/plant-1/F4:C6:46:2C:3E:B4/ruuvi-df5": "dt/plant-1/CB:B8:33:4C:88:4F/ruuvi-df5",
    "dt/plant-1/meter-3/lorawan-lpp": "dt/plant-1/meter-4/lorawan-lpp",
}

PROFILES = {
    "cold-room": """
name = "cold-room"
description = "Probes in the cold rooms; their clocks have no zone"
devices = "*/cold-*"
interval = "5s"

[time]
field = "when"
zone = "Europe/Berlin"

[[metric]]
from = "*.t"
name = "{1}.temperature"
scale = 0.1
unit = "degF"
range = [-60, 120]
deadband = 0.5
""",
    "uptime-counter": """
name = "uptime-counter"
description = "A counter of milliseconds that has 32 bits and runs over"
devices = "lab/counter-*"

[time]
field = "ticks"
unit = "ms"
bits = 32
""",
    "member-gateway": """
name = "member-gateway"
description = "A gateway whose payload names its devices"
topics = "dt/+/+/members"
format = "json"
gateway = "members"
""",
}

RULES = {
    "vessel-pressure": """
name = "vessel-pressure"
severity = "critical"
message = "the pressure is above 10 bar for 10 minutes"
devices = "lab/vessel-*"
for = "10m"

[condition]
metric = "pressure"
above = 1000000
unit = "Pa"
""",
    "door-forced": """
name = "door-forced"
severity = "critical"
message = "somebody has forced the door"
devices = "lab/door-*"
latch = true

[condition]
metric = "forced"
equals = true
""",
    "press-fault": """
name = "press-fault"
severity = "info"
message = "the press says that it is faulty"
devices = "lab/press-*"
repeat = "10s"

[condition]
metric = "state"
equals = "fault"
""",
    "room-climate": """
name = "room-climate"
severity = "warning"
message = "the air is too dry, too damp or used up"
devices = "lab/room-*"
clear_after = "1m"

[condition]
any = [
    { metric = "humidity", outside = [30, 60], clear = [35, 55] },
    { metric = "co2", above = 1000, clear = 800 },
]
""",
    "valve-flutter": """
name = "valve-flutter"
severity = "warning"
message = "the valve is open too far"
devices = "lab/valve-*"
flapping = { transitions = 3, within = "10m" }

[condition]
metric = "opening"
above = 90
""",
    "low-flow": """
name = "low-flow"
severity = "warning"
message = "nothing flows for 10 seconds"
devices = "lab/late-*"
for = "10s"

[condition]
metric = "flow"
below = 1
""",
    "probe-broken": """
name = "probe-broken"
severity = "info"
message = "the probe says what no probe measures"
devices = "lab/plain-*"
quality = "bad"

[condition]
metric = "probe.temperature"
below = -100
""",
    "load-of-the-day": """
name = "load-of-the-day"
severity = "info"
message = "the load is unusual for this time of day"
devices = "lab/motor-2"

[condition]
metric = "load"
anomaly = { season = "daily", warm_up = 11 }
above = 6
""",
    "quiet": """
name = "quiet"
severity = "warning"
message = "the device has been silent for 5 seconds"
devices = "lab/quiet-*"

[condition]
silent = "5s"
""",
    "cold-room-silent": """
name = "cold-room-silent"
severity = "warning"
message = "the probe has missed three readings"
profile = "cold-room"

[condition]
silent_intervals = 3
""",
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def wait(what, condition, seconds=PATIENCE_SECONDS):
    """Waits until `condition` gives something true, and returns that."""
    until = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > until:
            raise SystemExit(f"error: after {seconds} s: {what}")
        time.sleep(0.3)


def now_millis():
    return time.time_ns() // 1_000_000


class Connection:
    """MQTT 3.1.1 over mutual TLS, as far as a device needs it."""

    def __init__(self, broker, name, files):
        context = ssl.create_default_context(cafile=broker["ca"])
        context.check_hostname = False
        context.load_cert_chain(*files)
        self.socket = context.wrap_socket(
            socket.create_connection((broker["mqtt_host"], broker["mqtt_port"]))
        )
        self.socket.settimeout(PATIENCE_SECONDS)
        self.packet = 0
        # A clean session, and no keep-alive.
        self.send(0x10, text("MQTT") + bytes([4, 2, 0, 0]) + text(name))
        self.receive(0x20)

    def send(self, kind, body):
        self.socket.sendall(bytes([kind]) + length(len(body)) + body)

    def read(self, count):
        found = b""
        while len(found) < count:
            part = self.socket.recv(count - len(found))
            if not part:
                raise SystemExit("error: the broker has closed a connection")
            found += part
        return found

    def receive(self, wanted):
        """Reads until a packet of this kind has come."""
        while True:
            kind, size, shift = self.read(1)[0], 0, 0
            while True:
                byte = self.read(1)[0]
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            self.read(size)
            if kind & 0xF0 == wanted:
                return

    def publish(self, topic, payload):
        """Publishes with QoS 1, and waits until the broker has it."""
        self.packet += 1
        self.send(0x32, text(topic) + struct.pack("!H", self.packet) + payload)
        self.receive(0x40)

    def close(self):
        self.send(0xE0, b"")
        self.socket.close()

    def cut(self):
        """Ends without a word, as when a device loses its network."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def text(value):
    return struct.pack("!H", len(value.encode())) + value.encode()


def length(number):
    """The variable length of MQTT, which is Protocol Buffers' varint as well."""
    encoded = b""
    while number >= 0x80:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


class EdgeNode:
    """A Sparkplug edge node as tests/src/sparkplug.rs has it: the test goes on where this one ends."""

    INT64, DOUBLE, STRING = 4, 10, 12

    def __init__(self, group, name):
        self.group, self.name, self.seq = group, name, 0

    def births(self, at):
        def unit(text):
            value = self.field(1, self.STRING) + self.bytes(8, text)
            return self.bytes(9, self.bytes(1, b"engUnit") + self.bytes(2, value))

        def metric(name, alias):
            head = self.bytes(1, name) + self.field(2, alias)
            return head + self.field(3, at) + self.field(4, self.DOUBLE)

        session = self.bytes(1, b"bdSeq") + self.field(4, self.INT64) + self.field(11, 1)
        temperature = metric(b"Temperature", 1) + unit(b"degC") + self.double(20.5)
        speed = metric(b"Speed", 2) + unit(b"rpm") + self.double(900.0)
        return [
            self.message("NBIRTH", "", at, session, temperature),
            self.message("DBIRTH", "/pump", at, speed),
        ]

    def temperature(self, celsius, at):
        return self.message("NDATA", "", at, self.field(2, 1) + self.double(celsius))

    def speed(self, rpm, at):
        return self.message("DDATA", "/pump", at, self.field(2, 2) + self.double(rpm))

    def message(self, kind, device, at, *metrics):
        payload = (
            self.field(1, at)
            + b"".join(self.bytes(2, metric) for metric in metrics)
            + self.field(3, self.seq)
        )
        self.seq = (self.seq + 1) % 256
        return f"spBv1.0/{self.group}/{kind}/{self.name}{device}", payload

    @staticmethod
    def field(tag, number):
        return length(tag << 3) + length(number)

    @staticmethod
    def bytes(tag, content):
        return length(tag << 3 | 2) + length(len(content)) + content

    @staticmethod
    def double(number):
        return bytes([13 << 3 | 1]) + struct.pack("<d", number)


class Stack:
    """The deployed stack, and its devices."""

    def __init__(self, checkout, folder):
        import boto3

        self.checkout, self.folder = checkout, folder
        self.cloud = json.loads((folder / "cloud.json").read_text())
        self.outputs = self.cloud["outputs"]
        session = boto3.Session("test", "test", region_name=self.cloud["region"])

        def client(service):
            return session.client(service, endpoint_url=self.cloud["endpoint"])

        self.iot, self.dynamodb, self.s3, self.sqs = map(client, ["iot", "dynamodb", "s3", "sqs"])
        self.functions, self.broker = client("lambda"), client("iot-data")
        self.certificates, self.connections = {}, {}

    def tidegate(self, *words, **options):
        command = [self.checkout / "target/debug/tidegate", *words, "--dir", self.folder]
        return run(command, cwd=self.checkout, **options)

    def files(self, name, site, policies):
        """Registers a device; returns the files of its certificate and its key."""
        if name not in self.certificates:
            attributes = {"attributes": {"site": site}}
            self.iot.create_thing(thingName=name, attributePayload=attributes)
            made = self.iot.create_keys_and_certificate(setAsActive=True)
            for policy in policies:
                self.iot.attach_policy(policyName=self.outputs[policy], target=made["certificateArn"])
            self.iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
            files = [self.folder / "fleet" / f"{len(self.certificates)}.{kind}" for kind in ("pem", "key")]
            files[0].write_text(made["certificatePem"])
            files[1].write_text(made["keyPair"]["PrivateKey"])
            self.certificates[name] = files
        return self.certificates[name]

    def connect(self, device, *policies):
        """Connects a device, or goes on with its connection."""
        if device not in self.connections:
            site, name = device.split("/")
            files = self.files(name, site, policies or ["DevicePolicyName", "DeviceAnswersPolicyName"])
            self.connections[device] = Connection(self.cloud, name, files)
        return self.connections[device]

    def publish(self, topic, payload):
        """Publishes from the device that the topic names."""
        if not isinstance(payload, bytes):
            payload = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
        levels = topic.split("/")
        if topic.startswith("spBv1.0/"):
            connection = self.connect(
                f"{levels[1]}/{levels[3]}", "DevicePolicyName", "SparkplugNodePolicyName"
            )
        else:
            connection = self.connect("/".join(levels[1:3]))
        connection.publish(topic, payload)

    def state(self, device, *payloads):
        for payload in payloads:
            self.publish(f"dt/{device}/state", payload)

    def items(self, table):
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.outputs[table])
        return [item for page in pages for item in page["Items"]]

    def item(self, table, key):
        return self.dynamodb.get_item(TableName=self.outputs[table], Key=key).get("Item", {})

    def objects(self, prefix):
        bucket = self.outputs["BucketName"]
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))
        return {key: self.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def invoke(self, output, event):
        answer = self.functions.invoke(FunctionName=self.outputs[output], Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read() or b"null")

    def alerts(self):
        """State by device and rule, as `tidegate alerts list` says it."""
        rows = lines(self.tidegate("alerts", "list", "--all", "--json"))
        return {(row["device"], row["rule"]): row for row in rows}

    def wait_for_alert(self, device, rule, state):
        what = f"the alert {rule} of {device} is not {state}"
        wait(what, lambda: self.alerts().get((device, rule), {}).get("state") == state)

    def drain(self):
        """Waits until all that was published is stored, and archived."""
        queue = self.outputs["TelemetryQueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

        def is_empty():
            counts = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
            return not any(int(count) for count in counts.values())

        def picture():
            return (
                self.items("ReadingsTableName"),
                sorted(self.objects("readings/")),
                self.items("DevicesTableName"),
            )

        def is_calm():
            before = picture()
            time.sleep(4)
            return is_empty() and before == picture()

        wait("the pipeline does not drain", is_calm)


def run(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(map(str, command))}: {done.stderr}{done.stdout}")
    return done.stdout


def line(value, **options):
    """A line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), **options) + "\n"


def lines(texts):
    return [json.loads(line) for line in texts.splitlines()]


# ── What is published ──


def fixture(stack, name):
    """One of the payloads that the tests have; what is called .hex stands for bytes."""
    content = (stack.checkout / "tests/payloads" / name).read_bytes()
    return bytes.fromhex(content.decode()) if name.endswith(".hex") else content


def publish_shipped_profiles(stack):
    """The payloads of every shipped profile, the broken ones too."""
    for topic_file in sorted((stack.checkout / "tests/profiles").glob("*/*/topic")):
        topic = topic_file.read_text().strip()
        for file in sorted(topic_file.parent.iterdir()):
            if file != topic_file and not file.name.endswith(".expected.jsonl"):
                stack.publish(RENAMED.get(topic, topic), file.read_bytes())


def publish_plain(stack):
    """JSON in the shapes that devices send, measured in an hour of the past and in the present one."""
    past = now_millis() - 26 * 3_600_000
    device = "lab/plain-1"
    stack.state(
        device,
        {"ts": past, "temperature": 22.5, "count": 7, "on": True, "mode": "auto", "nothing": None},
        {"ts": past + 1_000, "battery": {"level": 80, "charging": False}, "accel": [0.1, -0.25, 9.81]},
        # Integers that no double holds, below and above 63 bits, and beyond 64.
        f'{{"ts": {past + 2_000}, "counter": 9007199254740993, "lowest": -9223372036854775808,'
        f' "highest": 18446744073709551615, "beyond": 36893488147419103232}}',
        {
            "ts": past + 3_000,
            "third": 0.1 + 0.2,
            "small": -2.5e-7,
            "large": 1e125,
            "whole": 22.0,
            "zero": -0.0,
        },
        {
            "ts": past + 4_000,
            "text": 'grüße ☀ "quoted" \\ \t\u0001',
            "empty": "",
            "name with spaces/and.dots %": 1,
        },
        [{"ts": past + 10_000 + 250 * n, "t1": 20 + n / 4} for n in range(5)],
        {"ts": past + 20_000, "values": {"t1": 30, "t2": 31.5}},
        [{"name": "t1", "value": 40, "unit": "Cel"}, {"n": "t3", "v": 41, "u": "degF"}],
        {"ts": [past + 30_000, past + 31_000], "t1": [50, 51]},
        json.dumps(json.dumps({"ts": past + 40_000, "t1": 60})),
        [{"t4": 20.5}, {"t4": 20.75}, {"t4": 21}],
        {"now": 1},
    )
    # Units: converted, beside the value, at the end of the name, unknown and kept.
    stack.state(
        device,
        {
            "ts": past + 50_000,
            "temperature_F": 72.5,
            "pressure_hPa": 1013.25,
            "energy_kWh": 1.5,
            "flow": {"value": 3, "unit": "l/min"},
        },
        {
            "ts": past + 51_000,
            "temperature": {"value": 300, "unit": "K"},
            "dose": {"value": 4, "unit": "drops"},
        },
        # One metric, its unit changing within a span.
        {"ts": past + 52_000, "flow": {"value": 5, "unit": "m3/s"}, "dose": 5},
    )
    # Numbers that are no measurement, one metric of three qualities.
    stack.state(
        device,
        {"ts": past + 60_000, "probe": {"temperature": {"value": 21.5, "unit": "C"}}},
        {"ts": past + 61_000, "probe": {"temperature": {"value": 85, "unit": "C"}}},
        {"ts": past + 62_000, "probe": {"temperature": {"value": -127, "unit": "C"}}},
    )
    # Times: outside of what is accepted, before and ahead; since the device was switched on; no time at all.
    stack.state(
        "lab/clock-1",
        {"ts": 1_577_836_800_000, "temperature": 21},
        {"ts": now_millis() + 3_600_000, "temperature": 22},
        [{"ts": f"2000-01-01T00:0{n}:40Z", "boot": n} for n in range(3)],
        {"when": "2026-11-26T07:00:00", "temperature": 23},
    )
    stack.state(
        "lab/counter-1",
        {"ticks": past % 2**32, "temperature": 24},
        {"ticks": (past + 1_500) % 2**32, "temperature": 25},
    )
    for minute in range(3):
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(past / 1_000 + 3_600 + minute))
        stack.state("lab/cold-1", {"when": when, "left": {"t": 412 + minute}, "right": {"t": 9_999}})


def publish_again(stack, at):
    """A device sends two readings twice, one with another value: the later received stands."""
    stack.state(
        "lab/twice-1",
        {"ts": at, "temperature": 20.5, "seq": 1},
        {"ts": at + 1_000, "temperature": 20.75, "seq": 2},
    )
    stack.drain()
    stack.state(
        "lab/twice-1",
        {"ts": at, "temperature": 20.5, "seq": 1},
        {"ts": at + 1_000, "temperature": 99.5, "seq": 2},
    )


def publish_formats(stack):
    """The other formats, as the topic's last level names them."""
    for device, form, names in [
        ("lab/cbor-1", "cbor", ["nan.hex", "large-integers.hex", "tagged-time.hex", "batch.hex"]),
        ("lab/msgpack-1", "msgpack", ["flat.hex", "timestamps.hex", "extension-and-bytes.hex"]),
        (
            "lab/senml-1",
            "senml",
            ["base-value-keeps-digits.json", "lwm2m-paths.json", "times-to-the-microsecond-and-sums.json"],
        ),
        (
            "lab/senml-2",
            "senml",
            ["rfc-8428-5.1.5-multiple-data-types.json", "rfc-8428-5.1.3-multiple-measurements.json"],
        ),
        ("lab/lora-1", "lorawan", ["aws-decoded.json", "chirpstack-4.json", "the-things-stack.json"]),
    ]:
        for name in names:
            stack.publish(f"dt/{device}/{form}", fixture(stack, f"{form}/{name}"))
    stack.state("lab/zipped-1", gzip.compress(b'{"temperature": 19.5}', mtime=0))
    at = now_millis()
    stack.publish(
        "dt/lab/gateway-1/members",
        {
            "Device A": [{"ts": at, "values": {"t1": 1.5}}],
            "Device B": [{"ts": at, "values": {"t1": 2.5, "t2": "on"}}],
        },
    )
    stack.publish("dt/lab/urgent-1/urgent", {"ts": at, "smoke": True})


def publish_sparkplug(stack):
    """A node that lives on, one that has gone, and the messages of one that makes every mistake."""
    node = EdgeNode("lab", "line-1")
    at = now_millis()
    for topic, payload in [
        *node.births(at),
        node.temperature(21.5, at + 1),
        node.speed(60.0, at + 2),
        node.temperature(22.5, at + 3),
    ]:
        stack.publish(topic, payload)
    session = stack.checkout / "tests/sparkplug/line"
    for line in (session / "messages").read_text().splitlines()[:18]:
        name, topic = line.split(" ")
        stack.publish(topic, bytes.fromhex((session / name).read_text()))


def publish_broken(stack):
    """Broken messages: the quarantine keeps them whole, with the reason."""
    for payload in [
        b"",
        b"\xff\xfe",
        b'{"seq": 1',
        b'{"seq": NaN}',
        b"[" * 40,
        b'{"a": "' + b"x" * 1_100 + b'"}',
    ]:
        stack.state("lab/broken-1", payload)
    for name in ["senml/bad-version.json", "msgpack/bad-cut-short.hex", "cbor/bad-cut-short.hex"]:
        stack.publish(f"dt/lab/broken-1/{name.split('/')[0]}", fixture(stack, name))
    # Records of which not even the envelope can be read.
    envelope = {"payload": base64.b64encode(b'{"t": 1}').decode(), "client": "nobody"}
    for body in [
        "no envelope at all",
        json.dumps(envelope),
        '{"payload": "not base64!", "topic": "dt/lab/x/y"}',
    ]:
        stack.sqs.send_message(QueueUrl=stack.outputs["TelemetryQueueUrl"], MessageBody=body)


def raise_alerts(stack):
    """Alerts in every state that an alert can be in."""
    at = now_millis() - 60_000
    ovens = [f"lab/oven-{number}" for number in range(1, 6)]
    for oven in ovens:
        stack.state(
            oven,
            {"ts": at, "temperature": {"value": 22.5, "unit": "C"}},
            {"ts": at + 5_000, "temperature": {"value": 60.25, "unit": "C"}},
        )
    stack.state("lab/door-1", {"ts": at, "forced": True}, {"ts": at + 1_000, "forced": False})
    stack.state("lab/door-2", {"ts": at, "forced": True}, {"ts": at + 1_000, "forced": False})
    stack.state("lab/vessel-1", {"ts": at - 300_000, "pressure_bar": 12}, {"ts": at, "pressure_bar": 12.5})
    stack.state(
        "lab/vessel-2", [{"ts": at - 60_000 * (12 - n), "pressure_bar": 12 + n / 8} for n in range(12)]
    )
    stack.state("lab/press-1", {"ts": at - 30_000, "state": "fault"}, {"ts": at, "state": "fault"})
    stack.state("lab/room-1", {"ts": at, "humidity": {"value": 20.5, "unit": "%RH"}, "co2": 700})
    stack.state(
        "lab/room-2",
        {"ts": at - 200_000, "co2": 1_200},
        {"ts": at - 100_000, "co2": 700},
        {"ts": at, "co2": 690},
    )
    stack.state(
        "lab/valve-1", [{"ts": at - 10_000 * (10 - n), "opening": 95 if n % 2 else 10} for n in range(10)]
    )
    stack.state("lab/tank-1", [{"ts": at - 60_000 * (24 - n), "level": 90 - n / 2} for n in range(25)])
    usual = [{"ts": at - 10_000 * (60 - n), "vibration": 1 + (n * 7 % 10) / 100} for n in range(50)]
    stack.state("lab/motor-1", usual + [{"ts": at - 10_000 * (10 - n), "vibration": 9} for n in range(10)])
    stack.state("lab/motor-2", [{"ts": at - 10_000 * (40 - n), "load": 40 + n * 3 % 7} for n in range(40)])
    stack.state(
        "lab/pump-1",
        [{"ts": at - 10_000 * (5 - n), "power": {"value": 750, "unit": "W"}, "flow": 0} for n in range(5)],
    )
    # A late reading retracts this one.
    stack.state("lab/late-1", {"ts": at, "flow": 0.5}, {"ts": at + 10_000, "flow": 0.25})
    stack.wait_for_alert("lab/late-1", "low-flow", "active")
    stack.state("lab/late-1", {"ts": at + 5_000, "flow": 8})
    for oven in ovens:
        stack.wait_for_alert(oven, "over-temperature", "active")
    for door in ["lab/door-1", "lab/door-2"]:
        stack.wait_for_alert(door, "door-forced", "latched")
    stack.tidegate("alerts", "ack", "lab/oven-2", "over-temperature", "--by", "ada")
    stack.tidegate("alerts", "ack", "lab/door-2", "door-forced", "--by", "grace")
    for oven in ["lab/oven-3", "lab/oven-5"]:
        stack.tidegate("alerts", "shelve", oven, "over-temperature", "--for", "700h", "--by", "ada")
    for oven in ["lab/oven-4", "lab/oven-5"]:
        stack.state(oven, {"ts": at + 20_000, "temperature": {"value": 30.5, "unit": "C"}})
    stack.wait_for_alert("lab/oven-4", "over-temperature", "cleared")
    stack.wait_for_alert("lab/oven-5", "over-temperature", "cleared")
    for device, rule, state in [
        ("lab/vessel-2", "vessel-pressure", "active"),
        ("lab/press-1", "press-fault", "active"),
        ("lab/room-1", "room-climate", "active"),
        ("lab/room-2", "room-climate", "cleared"),
        ("lab/tank-1", "tank-leak", "active"),
        ("lab/motor-1", "unusual-vibration", "active"),
        ("lab/pump-1", "dry-running-pump", "active"),
    ]:
        stack.wait_for_alert(device, rule, state)


def fall_silent(stack):
    """Two devices fall silent, one by the rule's own time and one by its profile's interval."""
    event = {"source": "aws.events", "detail-type": "Scheduled Event"}

    def is_noticed():
        stack.invoke("PresenceFunctionName", event)
        # By the item: `alerts list` of 0.1 knows no intervals, and calls the second one normal.
        return all(
            stack.item("AlertsTableName", {"device": {"S": device}}).get("alerts", {}).get("M", {}).get(rule)
            for device, rule in [("lab/quiet-1", "quiet"), ("lab/cold-1", "cold-room-silent")]
        )

    wait("the silence of two devices raises no alert", is_noticed)


def leave_something_to_publish(stack):
    """The broker refuses an alert's document: the item keeps it in its outbox."""
    name = stack.outputs["AlertFunctionName"]
    variables = stack.functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    variables |= {"AWS_ENDPOINT_URL_IOT_DATA_PLANE": "http://127.0.0.1:9"}
    stack.functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    objects = stack.objects("readings/").keys()
    stack.state("lab/oven-9", {"ts": now_millis(), "temperature": {"value": 75.5, "unit": "C"}})
    key = {"device": {"S": "lab/oven-9"}}
    wait("the outbox is empty", lambda: "outbox" in stack.item("AlertsTableName", key))
    # MiniStack brings the readings to `archive` only when `alert` has given up.
    wait("the last reading is not archived", lambda: stack.objects("readings/").keys() != objects, 150)
    stack.drain()


def disconnect(stack):
    """Ends all connections but a few; waits until the devices table says so."""
    for number, device in enumerate(sorted(stack.connections)):
        if device not in CONNECTED:
            connection = stack.connections.pop(device)
            connection.cut() if number % 5 == 0 else connection.close()

    def is_known():
        for item in stack.items("DevicesTableName"):
            device = item["device"]["S"]
            if device.split("/")[1] in stack.certificates:
                online = item.get("presence", {}).get("M", {}).get("online", {}).get("BOOL")
                if online != (device in CONNECTED):
                    say(f"  {device} is {'online' if online else 'not known to be offline'}")
                    return False
        return True

    wait("the devices' presence is not known", is_known, 90)


# ── What is recorded ──


def dump(stack, out):
    def write(path, content):
        path = out / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def write_lines(path, rows):
        write(path, "".join(map(line, rows)))

    write("template.yaml", (stack.checkout / "template.yaml").read_bytes())

    tables = {
        "readings": ("ReadingsTableName", ["device", "span"]),
        "devices": ("DevicesTableName", ["device"]),
        "alerts": ("AlertsTableName", ["device"]),
        "config": ("ConfigTableName", ["kind", "name"]),
    }
    stored = {}
    for name, (output, keys) in tables.items():
        items = sorted(stack.items(output), key=lambda item: [item[key]["S"] for key in keys])
        stored[name] = items
        write(f"tables/{name}.jsonl", "".join(line(item, sort_keys=True) for item in items))
    for item in stored["config"]:
        folder = {"profile": "profiles", "alert-rule": "rules"}.get(item["kind"]["S"])
        if folder:
            write(f"{folder}/{item['name']['S']}.json", item["document"]["S"])

    objects = stack.objects("readings/")
    for key, body in objects.items():
        write(f"lake/{key}", body)
    for key, body in stack.objects("quarantine/").items():
        write(key, body)

    # What the version reads of its own.
    readings = []
    for device in [item["device"]["S"] for item in stored["devices"]]:
        words = ["--from", "2026-01-01T00:00:00Z", "--to", "2027-01-01T00:00:00Z", "--format", "json"]
        readings += lines(stack.tidegate("query", device, *words))
    write_lines("readings.jsonl", readings)
    write_lines("devices.jsonl", lines(stack.tidegate("devices", "--json")))
    write_lines("alerts.jsonl", lines(stack.tidegate("alerts", "list", "--all", "--json")))
    topics = sorted(
        retained["topic"]
        for retained in stack.broker.list_retained_messages(maxResults=200)["retainedTopics"]
    )
    retained = {topic: stack.broker.get_retained_message(topic=topic)["payload"] for topic in topics}
    write_lines(
        "documents.jsonl",
        ({"topic": topic, "document": json.loads(body)} for topic, body in retained.items()),
    )
    shadows = []
    for item in stored["devices"]:
        thing = item["device"]["S"].split("/")[1]
        # A thing whose shadow was never updated has none.
        with contextlib.suppress(stack.broker.exceptions.ClientError):
            shadow = stack.broker.get_thing_shadow(thingName=thing, shadowName="telemetry")
            reported = json.loads(shadow["payload"].read())["state"].get("reported")
            shadows.append({"device": item["device"]["S"], "reported": reported})
    write_lines("shadows.jsonl", shadows)

    # And what other engines read of the lake.
    python = os.environ.get("LAKE_PYTHON", stack.checkout / ".local/venv-lake/bin/python")
    rows = lines(run([python, __file__, "rows", out / "lake"]))
    write_lines("lake.jsonl", rows)
    return {
        **{name: len(items) for name, items in stored.items()},
        "objects": len(objects),
        "rows": len(rows),
        "distinct readings": len(readings),
        "alerts.jsonl": len(stack.alerts()),
        "shadows": len(shadows),
    }


def lake_rows(folder):
    """All rows of the lake by pyarrow, object by object, compared with DuckDB's."""
    import datetime

    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    duckdb.sql("SET TimeZone = 'UTC'")
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

    def plain(value):
        is_time = isinstance(value, datetime.datetime)
        return (value - epoch) // datetime.timedelta(microseconds=1) if is_time else value

    for path in sorted(pathlib.Path(folder).rglob("*.parquet")):
        table = pq.ParquetFile(path).read()
        assert all(
            pa.types.is_timestamp(kind) is (name in ("at", "received", "time_sent"))
            for name, kind in zip(table.schema.names, table.schema.types, strict=True)
        )
        rows = [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]
        found = duckdb.sql(f"SELECT * FROM read_parquet('{path}', hive_partitioning = false)")
        others = [dict(zip(found.columns, map(plain, row), strict=True)) for row in found.fetchall()]
        assert rows == others, f"two engines read {path} differently"
        for row in rows:
            known = {name: value for name, value in row.items() if value is not None}
            print(line({"object": str(path.relative_to(folder)), **known}), end="")


def record(checkout, folder, out):
    if out.exists():
        raise SystemExit(f"error: {out} is there already; a recording is made once")
    say("a local cloud")
    run([checkout / "target/debug/tidegate", "up", "--dir", folder], cwd=checkout)
    try:
        stack = Stack(checkout, folder)
        (folder / "fleet").mkdir(exist_ok=True)
        record_stack(stack, out)
    finally:
        run([checkout / "target/debug/tidegate", "down", "--dir", folder], cwd=checkout)


def record_stack(stack, out):
    sources = {"profiles": stack.folder / "profiles", "rules": stack.folder / "rules"}
    for kind, folder, shipped, own in [
        ("profile", sources["profiles"], "profiles", PROFILES),
        ("alert-rule", sources["rules"], "alert-rules", RULES),
    ]:
        shutil.copytree(stack.checkout / "infra" / shipped, folder, dirs_exist_ok=True)
        for name, toml in own.items():
            (folder / f"{name}.toml").write_text(toml.lstrip())
        stack.tidegate(kind, "put", *sorted(folder.iterdir()))
    time.sleep(2)  # what is put counts after a second on the local cloud

    for act in [publish_plain, publish_shipped_profiles, publish_formats, publish_sparkplug, publish_broken]:
        say(act.__doc__.splitlines()[0])
        act(stack)
    stack.state("lab/quiet-1", {"temperature": 18})
    seven = 1_795_417_200_000  # 2026-11-23T07:00:00Z, when the payloads of the shipped profiles were measured
    publish_again(stack, seven + 600_000)
    stack.drain()
    say("compaction")
    summary = stack.invoke("CompactFunctionName", {})
    say(f"  {summary}")
    # Two hours that are compacted get more: one of them is compacted again, the other waits.
    stack.state("lab/twice-1", {"ts": seven - 600_000, "temperature": 19.5, "seq": 0})
    stack.drain()
    say(f"  {stack.invoke('CompactFunctionName', {})}")
    stack.state(
        "lab/twice-1",
        {"ts": seven + 660_000, "temperature": 21.5, "seq": 3},
        {"ts": seven + 601_000, "temperature": 98.5, "seq": 2},
    )
    say(raise_alerts.__doc__)
    raise_alerts(stack)
    say(fall_silent.__doc__)
    fall_silent(stack)
    say(disconnect.__doc__)
    disconnect(stack)
    stack.drain()
    for day in sorted({key.split("/")[1].removeprefix("day=") for key in stack.objects("readings/")}):
        say(f"  {day}: {stack.tidegate('lake', 'verify', day).strip().splitlines()[-1]}")
    say(leave_something_to_publish.__doc__)
    leave_something_to_publish(stack)
    say("recording")
    for _ in range(5):
        shutil.rmtree(out, ignore_errors=True)
        before = [
            stack.items(table) for table in ("AlertsTableName", "DevicesTableName", "ReadingsTableName")
        ]
        counts = dump(stack, out)
        if before == [
            stack.items(table) for table in ("AlertsTableName", "DevicesTableName", "ReadingsTableName")
        ]:
            break
    else:
        raise SystemExit("error: the stack does not stand still")
    for name, folder in sources.items():
        for file in folder.iterdir():
            shutil.copy(file, out / name / file.name)
    say(json.dumps(counts))


if __name__ == "__main__":
    if sys.argv[1] == "rows":
        lake_rows(sys.argv[2])
    else:
        record(*(pathlib.Path(word).absolute() for word in sys.argv[1:4]))
