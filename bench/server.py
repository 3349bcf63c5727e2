"""The server under test: psql, the client program, and what the catalogue and /proc say.

Everything goes through psql and bench/client.c, so that no driver is needed.  The connection is that
of the libpq environment variables (PGHOST, PGPORT, PGDATABASE, PGUSER).
"""
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import numpy as np

from datasets import DataError

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
CLIENT = 'build/bench/client'
OPERATORS = {'l2': '<->', 'ip': '<#>', 'cosine': '<=>', 'l1': '<+>', 'jaccard': '<%>'}
COPY_HEADER = b'PGCOPY\n\xff\r\n\0' + struct.pack('>ii', 0, 0)
COPY_END = struct.pack('>h', -1)
CHUNK = 5000


def client_program():
    """Builds bench/client.c when it is newer than its program."""
    source = os.path.join(HERE, 'client.c')
    program = os.path.join(TOP, CLIENT)
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        make = subprocess.run(['make', '-s', '-C', TOP, CLIENT], capture_output=True, text=True, check=False)
        if make.returncode:
            raise DataError(f'make {CLIENT}: {make.stderr.strip()}')
    return program


def psql_program():
    found = shutil.which('psql')
    if not found:
        raise DataError('psql is not on PATH')
    return found


def sql(text, data=None):
    """Runs SQL; rows as lists of text.  data is what COPY FROM STDIN reads, bytes or an iterable of them."""
    command = [psql_program(), '-XAtq', '-F', '\x1f', '-v', 'ON_ERROR_STOP=1', '-c', text]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if data is not None:
        try:
            for piece in ([data] if isinstance(data, bytes) else data):
                process.stdin.write(piece)
        except BrokenPipeError:
            pass
    out, err = process.communicate()
    if process.returncode:
        raise DataError(f'{text.splitlines()[0][:200]}: {err.decode().strip()}')
    return [line.split('\x1f') for line in out.decode().splitlines()]


def value(text):
    rows = sql(text)
    return rows[0][0] if rows else None


# ---- vectors in binary

def vector_type(sparse, elem):
    return 'sparsevec' if sparse else elem


def row_bytes(dim):
    """Bytes of a table row of load_table with a dense float vector, when it is stored in line."""
    return 24 + 4 * 4 + 8 + 4 * dim


def dense_values(matrix, elem):
    """The binary values of all rows, as a byte matrix."""
    dtype = '>f4' if elem == 'vector' else '>f2'
    head = np.zeros((matrix.shape[0], 2), '>i2')
    head[:, 0] = matrix.shape[1]
    body = np.ascontiguousarray(matrix).astype(dtype)
    return np.concatenate([head.view(np.uint8), body.view(np.uint8)], axis=1)


def sparse_value(matrix, row):
    start, end = matrix.indptr[row], matrix.indptr[row + 1]
    return (struct.pack('>iii', matrix.shape[1], end - start, 0) +
            matrix.indices[start:end].astype('>i4').tobytes() + matrix.data[start:end].astype('>f4').tobytes())


def binary_values(matrix, elem):
    """The binary value of each row."""
    if isinstance(matrix, np.ndarray):
        return [row.tobytes() for row in dense_values(matrix, elem)]
    return [sparse_value(matrix, row) for row in range(matrix.shape[0])]


def copy_rows(matrix, elem, columns):
    """COPY data: the integer columns, then the vector."""
    yield COPY_HEADER
    count = matrix.shape[0]
    for start in range(0, count, CHUNK):
        rows = min(CHUNK, count - start)
        head = np.zeros((rows, 1), '>i2')
        head[:, 0] = len(columns) + 1
        pieces = [head.view(np.uint8)]
        for column in columns:
            pair = np.empty((rows, 2), '>i4')
            pair[:, 0] = 4
            pair[:, 1] = column[start:start + rows]
            pieces.append(pair.view(np.uint8))
        if isinstance(matrix, np.ndarray):
            body = dense_values(matrix[start:start + rows], elem)
            length = np.full((rows, 1), body.shape[1], '>i4')
            yield np.concatenate(pieces + [length.view(np.uint8), body], axis=1).tobytes()
        else:
            heads = np.concatenate(pieces, axis=1)
            out = []
            for i in range(rows):
                body = sparse_value(matrix, start + i)
                out += [heads[i].tobytes(), struct.pack('>i', len(body)), body]
            yield b''.join(out)
    yield COPY_END


# ---- tables and indexes

def load_table(table, dataset, elem='vector', storage=None, labels=None, parts=100):
    """Makes the table anew: id, shuffled (0..rows-1 in random order), part, label, v.  Seconds and WAL bytes."""
    typ = vector_type(dataset.sparse, elem)
    rows = dataset.rows
    rng = np.random.default_rng(7)
    sql(f'DROP TABLE IF EXISTS {table};'
        f'CREATE TABLE {table} (id int NOT NULL, shuffled int NOT NULL, part int NOT NULL, label int NOT NULL,'
        f' v {typ}({dataset.dim}) NOT NULL) WITH (autovacuum_enabled = off);'
        + (f'ALTER TABLE {table} ALTER v SET STORAGE {storage};' if storage else ''))
    columns = [np.arange(rows), rng.permutation(rows), rng.integers(0, parts, rows),
               labels if labels is not None else np.zeros(rows, np.int32)]
    wal = value('SELECT pg_current_wal_insert_lsn()')
    start = time.monotonic()
    sql(f'COPY {table} FROM STDIN (FORMAT binary)', copy_rows(dataset.base, elem, columns))
    seconds = time.monotonic() - start
    result = {'load_s': round(seconds, 3), 'rows_per_s': round(rows / seconds),
              'wal_mb': round(int(value(f"SELECT pg_current_wal_insert_lsn() - '{wal}'::pg_lsn")) / 1e6, 2)}
    sql(f'VACUUM (ANALYZE, FREEZE) {table}')
    result['table_mb'] = round(int(value(f"SELECT pg_total_relation_size('{table}')")) / 1e6, 2)
    return result


def load_queries(table, dataset, count):
    """Makes a table of the first queries: id, v."""
    sql(f'DROP TABLE IF EXISTS {table};'
        f"CREATE TABLE {table} (id int NOT NULL, v {vector_type(dataset.sparse, 'vector')}({dataset.dim}) NOT NULL)")
    sql(f'COPY {table} FROM STDIN (FORMAT binary)', copy_rows(dataset.queries[:count], 'vector', [np.arange(count)]))


def copy_rate(table, dataset, definition=None):
    """COPY of all rows into an empty table, with the index when given: what run_copy measures."""
    sql(f'TRUNCATE {table}')
    if definition:
        sql(definition)
    sql('CHECKPOINT')
    wal = value('SELECT pg_current_wal_insert_lsn()')
    columns = [np.arange(dataset.rows)] * 4
    data = b''.join(copy_rows(dataset.base, 'vector', columns))
    start = time.monotonic()
    sql(f'COPY {table} FROM STDIN (FORMAT binary)', [data])
    seconds = time.monotonic() - start
    return {'seconds': round(seconds, 3), 'us_per_row': round(seconds / dataset.rows * 1e6, 1),
            'wal_bytes_per_row': round(int(value(f"SELECT pg_current_wal_insert_lsn() - '{wal}'::pg_lsn")) / dataset.rows)}


def run_watched(statement, before='DO $$ BEGIN END $$'):
    """Runs a statement in a session of its own: seconds, CPU of the backend and its workers, private memory, WAL.

    What runs before, without output, is not measured.
    """
    wal = value('SELECT pg_current_wal_insert_lsn()')
    # The backend lives on until watch() has read its CPU time at the end, however late that comes.
    command = [psql_program(), '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', before, '-c', 'SELECT pg_backend_pid()',
               '-c', statement, '-c', "SELECT 'done'", '-c', 'SELECT pg_sleep(60)']
    with tempfile.TemporaryFile() as errors:
        # Unbuffered: select() sees only what no buffer has taken.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, bufsize=0)
        first = process.stdout.readline()
        start = time.monotonic()
        usage = watch(int(first), process) if first else {}
        process.wait()
        seconds = usage.pop('done', start) - start
        if seconds == 0:
            errors.seek(0)
            raise DataError(errors.read().decode().strip())
    usage['seconds'] = round(seconds, 3)
    usage['wal_mb'] = round(int(value(f"SELECT pg_current_wal_insert_lsn() - '{wal}'::pg_lsn")) / 1e6, 3)
    return usage


def build_index(definition):
    """Runs CREATE INDEX: what run_watched gives, and the size."""
    name = re.search(r'INDEX\s+(?:CONCURRENTLY\s+)?(?:IF NOT EXISTS\s+)?(\S+)\s+ON', definition, re.I)
    if not name:
        raise DataError('name the index: CREATE INDEX name ON ...')
    usage = run_watched(definition)
    return {'build_s': usage['seconds'], 'build_cpu_s': usage['cpu_s'], 'peak_mb': usage['peak_mb'],
            'index_mb': relation_mb(name.group(1)), 'build_wal_mb': usage['wal_mb']}


def relation_mb(name):
    return round(int(value(f"SELECT pg_relation_size('{name}')")) / 1e6, 3)


def process_cpu(pid):
    with open(f'/proc/{pid}/schedstat') as file:
        return int(file.read().split()[0]) / 1e9


def process_anon_mb(pid):
    """Private memory: what the process allocated, without shared buffers."""
    with open(f'/proc/{pid}/status') as file:
        return sum(int(line.split()[1]) for line in file if line.startswith('RssAnon')) / 1024


def leader_and_workers(pid):
    """The backend and its parallel workers: children of the same postmaster that name it as leader."""
    return [pid] + [int(row[0]) for row in sql(f'SELECT pid FROM pg_stat_activity WHERE leader_pid = {pid} AND pid <> {pid}')]


def watch(pid, process):
    """Samples the backend pid and its workers until the statement is done, and reads the backend once more then."""
    cpu, memory = {}, {}
    try:
        before = process_cpu(pid)
    except (FileNotFoundError, ProcessLookupError):
        before = 0
    peak = 0
    pause = 0.01
    done = None
    while process.poll() is None and done is None:
        if select.select([process.stdout], [], [], pause)[0]:
            if not process.stdout.readline():
                break
            done = time.monotonic()
            pids = [pid]
        else:
            try:
                pids = leader_and_workers(pid)
            except DataError:
                pids = [pid]
        for each in pids:
            try:
                cpu[each] = process_cpu(each)
                memory[each] = process_anon_mb(each)
            except (FileNotFoundError, ProcessLookupError):
                memory[each] = 0
        peak = max(peak, sum(memory.get(each, 0) for each in pids))
        pause = min(0.3, pause * 1.5)
    # Ends the sleep; when the statement failed, psql is gone already.
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    process.wait()
    result = {'cpu_s': round(max(sum(cpu.values()) - before, 0), 3), 'peak_mb': round(peak, 1)}
    if done is not None:
        result['done'] = done
    return result


# ---- queries

def write_queries(file, matrix, elem, extra=()):
    """One value per query; extra: further parameters, each a list of int4."""
    for i, body in enumerate(binary_values(matrix, elem)):
        file.write(struct.pack('=i', len(body)) + body)
        for column in extra:
            file.write(struct.pack('=i', 4) + struct.pack('>i', int(column[i])))


def knn_sql(table, metric, sparse, elem, k, where=''):
    typ = vector_type(sparse, elem)
    return f"SELECT id FROM {table} {where} ORDER BY v {OPERATORS[metric]} $1::{typ} LIMIT {k}"


def run_queries(dataset, statement, elem='vector', k=10, setup=(), queries=None, passes=1, warmup=None, extra=()):
    """Runs the prepared statement for the queries of the data set: (measures, ids[query, k]).

    A pass over all queries warms up unless told otherwise: a new backend pays for the first touch of each page.
    """
    matrix = dataset.queries[:queries] if queries else dataset.queries
    if warmup is None:
        warmup = matrix.shape[0]
    with tempfile.TemporaryDirectory() as directory:
        queries_path = os.path.join(directory, 'queries')
        results_path = os.path.join(directory, 'results')
        with open(queries_path, 'wb') as file:
            write_queries(file, matrix, elem, extra)
        command = [client_program(), '-q', queries_path, '-o', results_path, '-k', str(k), '-n', str(passes),
                   '-w', str(warmup), '-t', ','.join([vector_type(dataset.sparse, elem)] + ['int4'] * len(extra))]
        for statement_before in setup:
            command += ['-s', statement_before]
        run = subprocess.run(command + [statement], capture_output=True, text=True, check=False)
        if run.returncode:
            raise DataError(run.stderr.strip())
        ids = np.fromfile(results_path, np.int64).reshape(-1, k)
    return json.loads(run.stdout), ids


def plan(statement, dataset, elem='vector', setup=(), extra=()):
    """The plan of the statement for the first query, as text."""
    text = literal_statement(statement, dataset, elem, extra)
    return '\n'.join(row[0] for row in sql(';'.join([*setup, '']) + 'EXPLAIN (COSTS OFF) ' + text))


def buffers(statement, dataset, elem='vector', setup=(), extra=()):
    """Pages the first query touches, after one execution that warms up."""
    text = literal_statement(statement, dataset, elem, extra)
    rows = sql(';'.join([*setup, '']) + f'{text}; EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, FORMAT JSON) {text}')
    output = '\n'.join(row[0] for row in rows)
    plan_tree = json.loads(output[output.index('[\n'):])[0]['Plan']
    return plan_tree['Shared Hit Blocks'] + plan_tree['Shared Read Blocks']


def literal_statement(statement, dataset, elem, extra):
    """The statement with the first query's values in place of the parameters."""
    typ = vector_type(dataset.sparse, elem)
    text = statement.replace(f'$1::{typ}', f"'{text_value(dataset.queries[:1], 0)}'::{typ}")
    for number, column in enumerate(extra):
        text = text.replace(f'${number + 2}', str(int(column[0])))
    return text


def text_value(matrix, row):
    if isinstance(matrix, np.ndarray):
        return '[' + ','.join(repr(float(x)) for x in matrix[row]) + ']'
    start, end = matrix.indptr[row], matrix.indptr[row + 1]
    return '{' + ','.join(f'{i + 1}:{float(x)!r}' for i, x in zip(matrix.indices[start:end], matrix.data[start:end])) \
        + '}/' + str(matrix.shape[1])


def describe_server():
    """What a reader of the results must know of the server."""
    settings = ('server_version', 'shared_buffers', 'max_parallel_workers_per_gather', 'jit')
    result = {name: value(f'SHOW {name}') for name in settings}
    for name, version in sql("SELECT extname, extversion FROM pg_extension WHERE extname IN ('vektonn', 'vector')"):
        result[name] = version
    return result
