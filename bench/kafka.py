"""From Kafka to the index: rate of a backlog, CPU of the worker, and latency of single points.

The broker is given as HOST:PORT, or 'mock': librdkafka's mock cluster, in a process of our own.  The server
must have vektonn in shared_preload_libraries.
"""
import os
import subprocess
import time

import server
from datasets import DataError
from systems import Absent

CHUNK = 1000
LATENCY_POINTS = 30
CONSUME_LIMIT_S = 180
# The mock cluster does not answer a waiting fetch when a message comes, but only when its time is up.
MOCK_OPTIONS = "fetch_wait_max_ms '5'"


class Broker:
    """A mock broker that ends with this object, or one that is there."""

    def __init__(self, address):
        self.process = None
        self.address = address
        if address == 'mock':
            program = os.path.join(server.TOP, 'build/mock_kafka')
            make = subprocess.run(['make', '-s', '-C', server.TOP, 'build/mock_kafka'], capture_output=True, text=True,
                                  check=False)
            if make.returncode:
                raise Absent('the mock broker does not build (apt install librdkafka-dev)')
            self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.address = self.process.stdout.readline().split()[0].removeprefix('plaintext=')

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


def points_sql(first, count, dim):
    """A jsonb array of random points; correlated with i, so that each is drawn anew."""
    return (f"(SELECT jsonb_agg(jsonb_build_object('attributes', jsonb_build_object('id', i), 'vector', "
            f"(SELECT jsonb_agg(round(random()::numeric, 4)) FROM generate_series(1, {dim}) WHERE i >= 0))) "
            f"FROM generate_series({first}, {first + count - 1}) i)")


def measure(broker, points, dim):
    """(ingest, latency): measures of both."""
    if 'vektonn' not in server.value('SHOW shared_preload_libraries'):
        raise Absent('vektonn is not in shared_preload_libraries')
    server.sql(f"CREATE SERVER bench_kafka FOREIGN DATA WRAPPER vektonn_kafka "
               f"OPTIONS (bootstrap_servers '{broker.address}'{', ' + MOCK_OPTIONS if broker.process else ''})")
    try:
        server.sql("SELECT vektonn.create_data_source('Bench', '1.0', vector_dimension => "
                   f"{dim}, attribute_types => '{{\"id\": \"Int64\"}}', permanent_attributes => '{{id}}', server => 'bench_kafka')")
        start = time.monotonic()
        for first in range(0, points, CHUNK):
            server.sql(f"SELECT vektonn.upload('Bench', '1.0', {points_sql(first, min(CHUNK, points - first), dim)})")
        produce = time.monotonic() - start
        ingest = consume_backlog(points)
        ingest['upload_points_per_s'] = round(points / produce)
        return ingest, latencies(points, dim)
    finally:
        server.sql("SELECT vektonn.drop_index('Bench', '1.0', if_exists => true);"
                   "SELECT vektonn.drop_data_source('Bench', '1.0', if_exists => true); DROP SERVER bench_kafka")


def consume_backlog(points):
    wal = server.value('SELECT pg_current_wal_insert_lsn()')
    start = time.monotonic()
    table = server.value("SELECT vektonn.create_index('Bench', '1.0', data_source_name => 'Bench', "
                         "data_source_version => '1.0', algorithm => 'L2', id_attributes => '{id}')")
    pid, cpu = None, 0.0
    while True:
        row = server.sql('SELECT max(pid), sum(next_offset), max(last_error) FROM vektonn.stream_status')[0]
        if row[0]:
            pid = int(row[0])
            cpu = max(cpu, server.process_cpu(pid))
        if row[1] and int(row[1]) >= points:
            break
        if time.monotonic() - start > CONSUME_LIMIT_S:
            raise DataError(f'the stream has read {row[1]} of {points} points after {CONSUME_LIMIT_S} s: {row[2]}')
        time.sleep(0.05)
    seconds = time.monotonic() - start
    count = int(server.value(f'SELECT count(*) FROM {table}'))
    if count != points:
        raise DataError(f'{count} rows of {points} points')
    wal = int(server.value(f"SELECT pg_current_wal_insert_lsn() - '{wal}'::pg_lsn"))
    return {'points': points, 'seconds': round(seconds, 3), 'points_per_s': round(points / seconds),
            'cpu_us_per_point': round(cpu / points * 1e6, 1), 'wal_bytes_per_point': round(wal / points)}


def latencies(points, dim):
    """One point at a time, from the call of upload until the index has it, in milliseconds; within one session."""
    rows = server.sql('DO $$ BEGIN END $$;' + ';'.join(
        "SELECT extract(epoch FROM clock_timestamp()) * 1000 AS t;"
        f"SELECT count FROM vektonn.upload('Bench', '1.0', {points_sql(points + i, 1, dim)}, wait => '30 s');"
        "SELECT extract(epoch FROM clock_timestamp()) * 1000" for i in range(LATENCY_POINTS)))
    values = [float(row[0]) for row in rows]
    times = sorted(values[i + 2] - values[i] for i in range(0, len(values), 3))
    return {'points': LATENCY_POINTS, 'p50_ms': round(times[len(times) // 2], 2), 'max_ms': round(times[-1], 2)}
