"""The systems that are compared, behind one interface.

A system has name, version and, per data set:
    algorithms(dataset)                      names it can build: 'scan' (no index), 'inline' (no index, rows kept out of
                                             TOAST), 'flat', 'hnsw'
    build(dataset, algorithm, options)       makes the index, returns measures
    query(dataset, algorithm, k, ef, ...)    returns (measures, ids)
    batch(dataset, k, queries)               the same for many queries in one call, where it has one
Absent(reason) says why one is left out.
"""
import json
import os
import subprocess
import tempfile

import numpy as np

import server
from datasets import DataError


SCANS = ('scan', 'inline')
TOAST_BYTES = 2032      # rows above are moved out of line
PAGE_BYTES = 8160       # rows above cannot stay in line


class Absent(Exception):
    """Why a system or an algorithm is left out; printed, never a number."""


def scans(dataset):
    """Sequential scans that are worth a measure: rows in line as well where PostgreSQL would move them out."""
    inline = not dataset.sparse and TOAST_BYTES < server.row_bytes(dataset.dim) <= PAGE_BYTES
    return list(SCANS) if inline else ['scan']


class System:
    only = None     # algorithms the user wants measured; all when None
    smallest_ef = 10    # elsewhere a search finds no more rows than its beam holds

    def algorithms(self, dataset):
        raise NotImplementedError

    def offers(self, dataset):
        return [each for each in self.algorithms(dataset) if self.only is None or each in self.only]


class PgSystem(System):
    """An extension of the server, in a database of its own, since both have a type called vector."""

    def __init__(self, name, extension, default_database):
        self.name = name
        self.default_database = default_database
        self.database = 'bench_' + extension
        self.use(default_database)
        if not server.value(f"SELECT 1 FROM pg_available_extensions WHERE name = '{extension}'"):
            raise Absent(f'the extension {extension} is not installed in this server')
        server.sql(f'DROP DATABASE IF EXISTS {self.database} WITH (FORCE)')
        server.sql(f'CREATE DATABASE {self.database}')
        self.use()
        server.sql(f'CREATE EXTENSION IF NOT EXISTS {extension} CASCADE')
        self.version = server.value(f"SELECT extversion FROM pg_extension WHERE extname = '{extension}'")
        self.loaded = {}
        self.indexed = {}

    def use(self, database=None):
        os.environ['PGDATABASE'] = database or self.database

    def table(self, dataset):
        return 't_' + dataset.name

    def load(self, dataset, storage=None):
        self.use()
        key = (dataset.name, storage)
        if self.loaded.get(dataset.name) != key:
            self.measures = server.load_table(self.table(dataset), dataset, storage=storage)
            self.loaded[dataset.name] = key
            self.indexed.pop(dataset.name, None)
            return self.measures
        return {}

    def changed(self, dataset):
        """The table is no longer the data set: the next build loads it again."""
        self.loaded.pop(dataset.name, None)

    def operator_class(self, dataset):
        return f"{server.vector_type(dataset.sparse, 'vector')}_{dataset.metric}_ops"

    def index_sql(self, dataset, algorithm, options):
        raise NotImplementedError

    def drop_indexes(self, dataset):
        self.use()
        self.indexed.pop(dataset.name, None)
        for row in server.sql('SELECT indexrelid::regclass FROM pg_index '
                              f"WHERE indrelid = '{self.table(dataset)}'::regclass"):
            server.sql(f'DROP INDEX {row[0]}')

    def build(self, dataset, algorithm, options):
        self.load(dataset, 'plain' if algorithm == 'inline' else None)
        if algorithm in SCANS:
            return {}
        definition = self.index_sql(dataset, algorithm, options)
        if self.indexed.get(dataset.name) == definition:
            return {}
        self.drop_indexes(dataset)
        measures = server.build_index(definition)
        self.indexed[dataset.name] = definition
        return measures

    def settings(self, algorithm, ef, where):
        return []

    def query(self, dataset, algorithm, k, ef=None, where='', queries=None, extra=()):
        self.use()
        statement = server.knn_sql(self.table(dataset), dataset.metric, dataset.sparse, 'vector', k,
                                   f'WHERE {where}' if where else '')
        setup = ['SET max_parallel_workers_per_gather = 0', 'SET jit = off'] + self.settings(algorithm, ef, where)
        if algorithm in SCANS:
            setup += ['SET enable_indexscan = off', 'SET enable_bitmapscan = off']
        elif not where:
            setup += ['SET enable_seqscan = off']
        plan = server.plan(statement, dataset, 'vector', setup, extra)
        if algorithm not in SCANS and not where and 'Index Scan' not in plan:
            raise Absent(f'{self.name}: the planner does not use the index: {plan.splitlines()[-1].strip()}')
        measures, ids = server.run_queries(dataset, statement, 'vector', k, setup, queries,
                                           warmup=2 if algorithm in SCANS else None, extra=extra)
        measures['buffers'] = server.buffers(statement, dataset, 'vector', setup, extra)
        measures['plan'] = next((line.strip(' ->') for line in plan.splitlines() if 'Scan' in line), '')
        return measures, ids


class Vektonn(PgSystem):
    smallest_ef = 1

    def __init__(self, default_database):
        super().__init__('vektonn', 'vektonn', default_database)

    def algorithms(self, dataset):
        return scans(dataset) + ['flat'] + ([] if dataset.metric == 'jaccard' else ['hnsw'])

    def index_sql(self, dataset, algorithm, options):
        columns = f'v {self.operator_class(dataset)}' + ''.join(f', {each}' for each in options.get('split', ()))
        graph = f", m = {options['m']}, ef_construction = {options['ef_construction']}" if algorithm == 'hnsw' else ''
        return (f'CREATE INDEX {self.table(dataset)}_v ON {self.table(dataset)} USING vektonn ({columns})'
                f' WITH (algorithm = {algorithm}{graph})')

    def settings(self, algorithm, ef, where):
        return [f'SET vektonn.ef_search = {ef}'] if ef else []

    def batch(self, dataset, k, queries):
        """vektonn.knn over the first queries; they come from a table, the answer goes nowhere."""
        self.use()
        table = self.table(dataset)
        server.load_queries('batch_queries', dataset, queries)
        answers = (f"vektonn.knn('{table}_v', (SELECT array_agg(v ORDER BY id) FROM batch_queries), {k}) a "
                   f'JOIN {table} t ON t.ctid = a.ctid')
        total = (f"sum(a.distance) FROM vektonn.knn('{table}_v', "
                 f'(SELECT array_agg(v ORDER BY id) FROM batch_queries), {k}) a')
        usage = server.run_watched('SELECT ' + total, before=f'DO $$ BEGIN PERFORM {total}; END $$')
        rows = server.sql(f'SELECT a.query_number - 1, a.rank - 1, t.id FROM {answers}')
        ids = np.full((queries, k), -1, np.int64)
        for query, rank, row in rows:
            ids[int(query), int(rank)] = int(row)
        return {'queries': queries, 'seconds': usage['seconds'], 'cpu_s': usage['cpu_s'], 'peak_mb': usage['peak_mb']}, ids


class Pgvector(PgSystem):
    def __init__(self, default_database):
        super().__init__('pgvector', 'vector', default_database)

    def algorithms(self, dataset):
        if dataset.metric == 'jaccard':
            return []
        return scans(dataset) + ['hnsw']

    def index_sql(self, dataset, algorithm, options):
        if dataset.sparse and np.diff(dataset.base.indptr).max() > 1000:
            raise Absent('pgvector cannot index sparse vectors of more than 1000 values')
        if options.get('split'):
            raise Absent('pgvector has no multicolumn index')
        return (f'CREATE INDEX {self.table(dataset)}_v ON {self.table(dataset)} USING hnsw '
                f"(v {self.operator_class(dataset)}) WITH (m = {options['m']}, "
                f"ef_construction = {options['ef_construction']})")

    def settings(self, algorithm, ef, where):
        result = [f'SET hnsw.ef_search = {ef}'] if ef else []
        if where and algorithm == 'hnsw':
            result.append('SET hnsw.iterative_scan = strict_order')
        return result


class Library(System):
    """A program that builds an index file and runs queries against it."""

    def __init__(self, name, version, program, directory):
        self.name = name
        self.version = version
        self.program = program
        self.directory = directory
        self.built = {}

    def run(self, *arguments):
        process = subprocess.run([*self.program, *map(str, arguments)], capture_output=True, text=True, check=False)
        if process.returncode:
            raise DataError(f'{self.name}: {process.stderr.strip()[-500:]}')
        return json.loads(process.stdout)

    def index_path(self, dataset, algorithm):
        return os.path.join(self.directory, f'{self.name}_{dataset.name}_{algorithm}')

    def build(self, dataset, algorithm, options):
        path = self.index_path(dataset, algorithm)
        if self.built.get(path) == options:
            return {}
        self.built[path] = dict(options)
        return self.run('build', dataset.metric, os.path.join(dataset.directory, 'base.npy'),
                        path, options['m'] if algorithm == 'hnsw' else 0,
                        options['ef_construction'])

    def query(self, dataset, algorithm, k, ef=None, where='', queries=None, extra=(), command='query'):
        if where:
            raise Absent(f'{self.name} has no conditions')
        with tempfile.TemporaryDirectory() as directory:
            results = os.path.join(directory, 'results')
            path = os.path.join(directory, 'query.npy')
            np.save(path, dataset.queries[:queries] if queries else dataset.queries)
            measures = self.run(command, dataset.metric, path, self.index_path(dataset, algorithm), k, ef or 0, results)
            return measures, np.fromfile(results, np.int64).reshape(-1, k)


class Hnswlib(Library):
    def __init__(self, directory):
        program = os.path.join(server.TOP, 'build/bench/peer_hnswlib')
        make = subprocess.run(['make', '-s', '-C', server.TOP, 'build/bench/peer_hnswlib'],
                              capture_output=True, text=True, check=False)
        if make.returncode:
            raise Absent('hnswlib does not build (apt install libhnswlib-dev g++): ' +
                         (make.stderr.strip().splitlines() or ['?'])[0])
        super().__init__('hnswlib', debian_version('libhnswlib-dev'), [program], directory)

    def algorithms(self, dataset):
        return ['hnsw'] if not dataset.sparse and dataset.metric in ('l2', 'ip', 'cosine') else []


class Faiss(Library):
    def __init__(self, directory):
        program = ['/usr/bin/python3', os.path.join(server.HERE, 'peer_faiss.py')]
        check = subprocess.run(['/usr/bin/python3', '-c', 'import faiss; print(faiss.__version__)'],
                               capture_output=True, text=True, check=False)
        if check.returncode:
            raise Absent('Faiss is not installed (apt install python3-faiss)')
        super().__init__('faiss', check.stdout.strip(), program, directory)

    def batch(self, dataset, k, queries):
        return self.query(dataset, 'flat', k, queries=queries, command='batch')

    def algorithms(self, dataset):
        return ['flat', 'hnsw'] if not dataset.sparse and dataset.metric in ('l2', 'ip', 'cosine') else []


def debian_version(package):
    query = subprocess.run(['dpkg-query', '-W', '-f', '${Version}', package], capture_output=True, text=True, check=False)
    return query.stdout.strip() or 'unknown'


def available(names, directory, report):
    """The systems that are there; report(line) is told why others are not."""
    database = os.environ.get('PGDATABASE', 'postgres')
    makers = {'vektonn': lambda: Vektonn(database), 'pgvector': lambda: Pgvector(database),
              'hnswlib': lambda: Hnswlib(directory), 'faiss': lambda: Faiss(directory)}
    found = []
    for name in names:
        if name not in makers:
            raise DataError(f'no system is called {name}; there are ' + ', '.join(makers))
        try:
            found.append(makers[name]())
        except Absent as reason:
            report(f'{name} is left out: {reason}')
    return found
