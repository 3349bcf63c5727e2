#!/usr/bin/python3
"""Instructions the executor needs per statement: exact, so a budget can be set on them.

    instructions.py PGDATA DATABASE TABLE DIM OUT.json

PGDATA is a cluster that is stopped; TABLE (id, shuffled, part, label, v) is one of bench/run.py's.  Runs a
single-user server under callgrind (without AVX-512, which valgrind does not know) and counts, per statement, what
happens between ExecutorRun and its return: the median of several queries of each kind after some that warm up.
"""
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import numpy as np

WARMUP, MEASURED = 6, 9
CASES = {'flat': ('flat', 'SELECT id FROM {table} ORDER BY v <-> {vector} LIMIT 10'),
         'hnsw': ('hnsw', 'SELECT id FROM {table} ORDER BY v <-> {vector} LIMIT 10'),
         'insert flat': ('flat', 'INSERT INTO {table} VALUES (-1, 0, 0, 0, {vector})'),
         'insert hnsw': ('hnsw', 'INSERT INTO {table} VALUES (-1, 0, 0, 0, {vector})')}


def vector(rng, dim):
    return "'[" + ','.join(f'{each:.4f}' for each in rng.standard_normal(dim)) + "]'::vector"


def commands(table, dim, algorithm, statement):
    """Lines of a single-user session.  What is planned anew each time is not counted."""
    rng = np.random.default_rng(5)
    yield 'SET enable_seqscan = off'
    yield f'DROP INDEX IF EXISTS {table}_v'
    yield f'CREATE INDEX {table}_v ON {table} USING vektonn (v vector_l2_ops) WITH (algorithm = {algorithm})'
    for _ in range(WARMUP + MEASURED):
        yield statement.format(table=table, vector=vector(rng, dim))


def count(postgres, data, database, lines):
    """Instructions of the last MEASURED statements, of the counts callgrind writes at each end of ExecutorRun."""
    directory = tempfile.mkdtemp()
    command = ['valgrind', '--tool=callgrind', '--collect-atstart=no', '--toggle-collect=standard_ExecutorRun',
               '--dump-before=standard_ExecutorRun', f'--callgrind-out-file={directory}/out',
               postgres, '--single', '-j', '-D', data, database]
    try:
        run = subprocess.run(command, input=';\n\n'.join(lines) + ';\n\n', capture_output=True, text=True, check=False)
        parts = sorted(glob.glob(directory + '/out*'), key=lambda path: int((re.findall(r'out\.(\d+)$', path) or [1 << 30])[0]))
        counts = []
        for path in parts:
            with open(path) as file:
                counts += [int(each) for each in re.findall(r'^(?:totals|summary): (\d+)$', file.read(), re.M)[:1]]
        if run.returncode or 'ERROR:' in run.stderr or len(counts) < MEASURED:
            sys.exit('error: the server under valgrind: ' + run.stderr[-2000:])
        return counts[-MEASURED:]
    finally:
        shutil.rmtree(directory)


def main():
    data, database, table, dim, out = sys.argv[1:]
    postgres = os.path.join(os.environ['PRIV_BIN'], 'postgres')
    results = {}
    for name, (algorithm, statement) in CASES.items():
        results[name] = statistics.median(count(postgres, data, database,
                                                list(commands(table, int(dim), algorithm, statement))))
    with open(out, 'w') as file:
        json.dump(results, file)


if __name__ == '__main__':
    main()
