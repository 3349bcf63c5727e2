#!/usr/bin/python3
"""Streams on a real broker: rate of a backlog beside COPY, CPU by process, and how soon a message is seen.

bench/streams calls this with a server and a broker of its own.  Every figure is also a condition: the table must
have the rows the messages make.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import server
from datasets import DataError

SAMPLE_S = 0.1
LIMIT_S = 900
TICK = os.sysconf('SC_CLK_TCK')
UPLOADS = 200
WAITS = 20
IDLE_S = 20


def cpu_of(path):
    """User and system seconds of a process or thread; 0 when it is gone."""
    try:
        with open(f'{path}/stat', encoding='ascii') as file:
            fields = file.read().rsplit(')', 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def private_mb(pid):
    """Memory of a process that it shares with none."""
    try:
        with open(f'/proc/{pid}/status', encoding='ascii') as file:
            return int(next(line for line in file if line.startswith('RssAnon')).split()[1]) / 1024
    except (OSError, StopIteration):
        return 0.0


def named(pattern):
    """Process ids whose command line has a pattern."""
    found = subprocess.run(['pgrep', '-f', pattern], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def prefer(pids):
    """Before other work on the machine, as if it were idle; takes root."""
    for pid in pids:
        try:
            os.setpriority(os.PRIO_PROCESS, pid, -20)
            with open(f'/proc/{pid}/autogroup', 'w', encoding='ascii') as file:
                file.write('-20')
        except OSError:
            pass


class Meter:
    """CPU seconds of the processes that take part."""

    def __init__(self, broker):
        self.broker = broker
        self.before = {}
        self.peak_mb = 0.0
        self.now = {}

    def read(self, workers):
        for pid in workers:
            total = cpu_of(f'/proc/{pid}')
            self.peak_mb = max(self.peak_mb, private_mb(pid))
            main = cpu_of(f'/proc/{pid}/task/{pid}')
            self.now[f'main {pid}'] = main
            self.now[f'fetch {pid}'] = total - main
        for pid in self.broker:
            self.now[f'broker {pid}'] = cpu_of(f'/proc/{pid}')
        for kind, pid in server.sql("SELECT backend_type, pid FROM pg_stat_activity WHERE backend_type IN "
                                    "('walwriter', 'background writer', 'checkpointer')"):
            self.now[f'writers {kind}{pid}'] = cpu_of(f'/proc/{pid}')
        with open('/proc/stat', encoding='ascii') as file:
            busy = [int(field) for field in file.readline().split()[1:]]
        self.now['machine'] = (sum(busy[:8]) - busy[3] - busy[4]) / TICK

    def start(self):
        self.before = dict(self.now)

    def micros(self, messages):
        """CPU microseconds per message by part; others: what does not belong to this run."""
        sums = {'worker': 0.0, 'worker_fetch_threads': 0.0, 'broker': 0.0, 'writers': 0.0}
        names = {'main': 'worker', 'fetch': 'worker_fetch_threads', 'broker': 'broker', 'writers': 'writers'}
        for key, value in self.now.items():
            if key != 'machine':
                sums[names[key.split()[0]]] += value - self.before.get(key, 0.0)
        sums['everything_else'] = self.now['machine'] - self.before['machine'] - sum(sums.values())
        return {name: round(seconds / messages * 1e6, 2) for name, seconds in sums.items()}


def stream_pids():
    return [int(row[0]) for row in server.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'vektonn stream worker'")]


def applied():
    return int(server.value('SELECT coalesce(sum(next_offset), 0) FROM vektonn.stream_offset') or 0)


def backlog(args, topic, workers=1, flat=False):
    """Reads a topic that is there from its beginning to its end."""
    server.sql('DROP TABLE IF EXISTS t; CHECKPOINT; '
               f'CREATE TABLE t (id bigint PRIMARY KEY, n bigint, v vector({args.dim})); ALTER TABLE t ALTER v SET STORAGE {args.storage}')
    if flat:
        server.sql('CREATE INDEX ON t USING vektonn (v vector_l2_ops)')
    wal = server.value('SELECT pg_current_wal_insert_lsn()')
    options = {'bulk_load': False}
    if args.batch:
        options['batch_messages'] = args.batch
    begin = time.monotonic()
    server.sql(f"SELECT vektonn.create_stream('bench', 't', 'k', '{topic}', workers => {workers}, options => '{json.dumps(options)}')")
    meter = Meter(args.broker_pids)
    first = None
    preferred = set()
    while True:
        done, at = applied(), time.monotonic()
        pids = stream_pids()
        meter.read(pids)
        if args.priority:
            prefer(set(pids) - preferred)
            preferred |= set(pids)
        if done > 0 and first is None:
            first = (done, at)
            meter.start()
        if done >= args.messages:
            break
        if at - begin > LIMIT_S:
            raise DataError(f'{done} of {args.messages} messages after {LIMIT_S} s: '
                            + str(server.sql('SELECT DISTINCT last_error FROM vektonn.stream_status')))
        time.sleep(SAMPLE_S)
    rows, total = (int(x) for x in server.sql('SELECT count(*), sum(n) FROM t')[0])
    letters = int(server.value('SELECT count(*) FROM vektonn.dead_letter'))
    if rows != args.topics[topic]['ids'] or total != args.topics[topic]['sum'] or letters:
        raise DataError(f'{rows} rows, sum {total}, {letters} dead letters, of {args.topics[topic]}')
    result = {'workers': workers, 'flat_index': flat, 'messages': args.messages,
              'rows_written': int(server.value('SELECT sum(upserted) FROM vektonn.stream_offset')), 'rows': rows,
              'seconds': round(at - begin, 2), 'messages_per_s': round((done - first[0]) / (at - first[1])),
              'cpu_us_per_message': meter.micros(done - first[0]),
              'worker_private_mb': round(meter.peak_mb, 1),
              'wal_bytes_per_message': round(int(server.value(f"SELECT pg_current_wal_insert_lsn() - '{wal}'::pg_lsn")) / args.messages)}
    server.sql("SELECT vektonn.drop_stream('bench')")
    while stream_pids():
        time.sleep(SAMPLE_S)
    return result


def copy(args):
    """A binary COPY of the rows of t, from a file of the server's."""
    path = os.path.join(args.work, 'rows')
    with open(path, 'wb') as file:
        subprocess.run([server.psql_program(), '-XAtq', '-c', 'COPY t TO STDOUT (FORMAT binary)'], stdout=file, check=True)
    os.chmod(path, 0o644)
    server.sql('DROP TABLE IF EXISTS c; CREATE TABLE c (LIKE t INCLUDING ALL); CHECKPOINT')
    cpu = "SELECT split_part(s, ' ', 12)::int + split_part(s, ' ', 13)::int, extract(epoch FROM clock_timestamp()) " \
          "FROM substr(pg_read_file('/proc/self/stat'), strpos(pg_read_file('/proc/self/stat'), ')') + 2) s"
    out = server.sql(f"{cpu}; COPY c FROM '{path}' (FORMAT binary); {cpu}")
    rows = int(server.value('SELECT count(*) FROM c'))
    seconds = float(out[1][1]) - float(out[0][1])
    server.sql('DROP TABLE c')
    os.unlink(path)
    return {'rows': rows, 'rows_per_s': round(rows / seconds),
            'cpu_us_per_row': round((int(out[1][0]) - int(out[0][0])) / TICK / rows * 1e6, 2)}


def idle_cpu():
    """Percent of a core that a worker which has nothing to do takes, all threads."""
    pids = stream_pids()
    before, at = sum(cpu_of(f'/proc/{pid}') for pid in pids), time.monotonic()
    time.sleep(IDLE_S)
    return round((sum(cpu_of(f'/proc/{pid}') for pid in pids) - before) / (time.monotonic() - at) * 100, 2)


def latency(args):
    server.sql("SELECT vektonn.ensure_topic('k', 'latency', 1); DROP TABLE IF EXISTS latency;"
               f"CREATE TABLE latency (id bigint PRIMARY KEY, n bigint, v vector({args.dim}));"
               "SELECT vektonn.create_stream('latency', 'latency', 'k', 'latency')")
    server.sql("SELECT vektonn.wait_for('latency', '60 s')")
    run = subprocess.run([args.client, 'latency', args.broker, 'latency', str(args.latency_messages), str(args.latency_rate),
                          str(args.dim), 'latency'], capture_output=True, text=True, check=False)
    if run.returncode:
        raise DataError(run.stderr.strip())
    waits = server.sql(';'.join("SELECT extract(epoch FROM clock_timestamp()) * 1000; SELECT vektonn.wait_for('latency', '60 s')"
                                for _ in range(WAITS)) + ';SELECT extract(epoch FROM clock_timestamp()) * 1000')
    times = [float(row[0]) for row in waits[::2]]
    idle = idle_cpu()
    server.sql("SELECT vektonn.drop_stream('latency')")
    return {'messages_per_s': args.latency_rate, 'wait_for_mean_ms': round((times[-1] - times[0]) / WAITS, 1),
            'idle_cpu_percent': idle} | json.loads(run.stdout)


def uploads(args):
    """vektonn.upload(... wait), one point at a time in one session."""
    server.sql(f"SELECT vektonn.create_data_source('Bench', '1', vector_dimension => {args.dim}, attribute_types => "
               "'{\"id\": \"Int64\"}', permanent_attributes => '{id}', server => 'k');"
               "SELECT vektonn.create_index('Bench', '1', 'Bench', '1', algorithm => 'L2', id_attributes => '{id}')")
    server.sql("SELECT vektonn.wait_for('Bench', '1', timeout => '60 s')")
    point = ("jsonb_build_array(jsonb_build_object('attributes', jsonb_build_object('id', %d), "
             f"'vector', array_fill(0.5::float8, ARRAY[{args.dim}])))")
    rows = server.sql(';'.join(
        "SELECT extract(epoch FROM clock_timestamp()) * 1000;"
        f"SELECT count FROM vektonn.upload('Bench', '1', {point % i}, wait => '60 s');"
        "SELECT extract(epoch FROM clock_timestamp()) * 1000" for i in range(UPLOADS)))
    values = [float(row[0]) for row in rows]
    times = sorted(values[i + 2] - values[i] for i in range(0, len(values), 3))
    server.sql("SELECT vektonn.drop_data_source('Bench', '1', cascade => true)")
    return {'uploads': UPLOADS, 'p50_ms': round(times[UPLOADS // 2], 2), 'p99_ms': round(times[UPLOADS * 99 // 100], 2)}


def fill(args, topic, partitions):
    run = subprocess.run([args.client, 'fill', args.broker, topic, str(partitions), str(args.messages), str(args.dim)],
                         capture_output=True, text=True, check=False)
    if run.returncode:
        raise DataError(run.stderr.strip())
    os.sync()
    args.topics[topic] = json.loads(run.stdout)


EXPERIMENTS = ('one', 'flat', 'two', 'latency', 'upload')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--broker', required=True, help='HOST:PORT')
    parser.add_argument('--client', required=True, help='build/bench/stream_client')
    parser.add_argument('--work', required=True, help='a folder for files')
    parser.add_argument('--messages', type=int, default=2_000_000)
    parser.add_argument('--dim', type=int, default=128)
    parser.add_argument('--batch', type=int, help='the stream option batch_messages')
    parser.add_argument('--storage', default='external', help='of the vector column')
    parser.add_argument('--experiments', default=','.join(EXPERIMENTS), help='some of: %(default)s')
    parser.add_argument('--rounds', type=int, default=1, help='of the backlogs; every round is reported')
    parser.add_argument('--latency-messages', type=int, default=20_000)
    parser.add_argument('--latency-rate', type=int, default=1000)
    parser.add_argument('--priority', action='store_true',
                        help='worker and broker before all else on the machine: for one that is busy; as root')
    parser.add_argument('--out', help='the result as JSON, beside the output')
    args = parser.parse_args()
    wanted = args.experiments.split(',')
    if unknown := set(wanted) - set(EXPERIMENTS):
        parser.error(f'no such experiment: {", ".join(unknown)}')

    args.topics = {}
    args.broker_pids = named(f'{args.work}/kafka/server.properties')
    server.sql('CREATE EXTENSION vektonn')
    server.sql(f"CREATE SERVER k FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '{args.broker}')")
    if args.priority:
        prefer(args.broker_pids)
        prefer(int(row[0]) for row in server.sql("SELECT pid FROM pg_stat_activity WHERE backend_type IN ('walwriter', 'checkpointer', "
                                                 "'background writer')"))
    result = {'server': server.describe_server(), 'cores': os.cpu_count(), 'dim': args.dim, 'load_before': os.getloadavg()[0]}
    if {'one', 'flat'} & set(wanted):
        fill(args, 'one', 1)
    if 'two' in wanted:
        fill(args, 'two', 2)
    result['topics'] = args.topics
    for number in range(args.rounds):
        backlogs = result.setdefault('backlogs', [])
        if 'one' in wanted:
            backlogs.append(backlog(args, 'one'))
            backlogs[-1]['copy'] = copy(args)
            backlogs[-1]['ratio_to_copy'] = round(backlogs[-1]['messages_per_s'] / backlogs[-1]['copy']['rows_per_s'], 2)
        if 'flat' in wanted:
            backlogs.append(backlog(args, 'one', flat=True))
        if 'two' in wanted:
            backlogs.extend([backlog(args, 'two', 1), backlog(args, 'two', 2)])
    if 'latency' in wanted:
        result['latency'] = latency(args)
    if 'upload' in wanted:
        result['upload'] = uploads(args)
    text = json.dumps(result, indent=2)
    print(text)
    if args.out:
        with open(args.out, 'w', encoding='utf-8') as file:
            file.write(text + '\n')


if __name__ == '__main__':
    try:
        main()
    except DataError as error:
        sys.exit(f'bench/streams.py: {error}')
