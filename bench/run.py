#!/usr/bin/python3
"""The benchmark: exact and approximate search, filters, writes and growth, of all systems that are there.

    bench/run.py [--data DIR ...] [--systems vektonn,pgvector,hnswlib,faiss] [--experiments exact,ann,...]
                 [--rounds 3] [--out results]

Data sets are directories made by bench/datasets.py; without --data a dense and a sparse one are generated.
Systems and settings take turns within each round; figures are medians over the rounds.  Writes OUT.json and
OUT.csv; bench/report.py makes pictures and tables of them.  See bench/README.md.
"""
import argparse
import csv
import datetime
import json
import os
import re
import statistics
import subprocess
import sys

import numpy as np

import datasets
import kafka
import server
import systems
from datasets import DataError

EF_SWEEP = (3, 10, 20, 40, 80, 160, 320)
SELECTIVITIES = (0.001, 0.01, 0.1, 0.5)
PARTS = 100
LIMIT_BYTES = 50e6
EXPERIMENTS = ('exact', 'batch', 'ann', 'filter', 'copy', 'writes', 'growth', 'kafka')


def report(line):
    print(f'-- {line}', file=sys.stderr, flush=True)


class Run:
    """Collects rows: one per measured case, medians over the rounds."""

    def __init__(self, args):
        self.args = args
        self.rows = []
        self.hnsw = {'m': args.m, 'ef_construction': args.ef_construction}

    def add(self, experiment, dataset, system, algorithm, measures, **facts):
        row = {'experiment': experiment, 'dataset': dataset.name, 'rows_in_table': dataset.rows, 'dim': dataset.dim,
               'metric': dataset.metric, 'system': system.name, 'version': system.version, 'algorithm': algorithm,
               **facts, **measures}
        self.rows.append(row)
        report(' '.join(f'{key}={row[key]}' for key in ('experiment', 'dataset', 'system', 'algorithm', *facts)
                        if key in row) + ' ' + ' '.join(f'{key}={value}' for key, value in measures.items()
                                                        if key in ('recall', 'qps', 'server_cpu_us', 'build_s', 'seconds',
                                                                    'points_per_s', 'p50_ms')))

    def build(self, experiment, system, dataset, algorithm, options=None):
        """True if the index is there now; its measures are a row of their own."""
        try:
            measures = system.build(dataset, algorithm, options or self.hnsw)
        except (systems.Absent, DataError) as reason:
            report(f'{experiment} {dataset.name} {system.name} {algorithm} is left out: {reason}')
            return False
        if measures:
            facts = dict(self.hnsw) if algorithm == 'hnsw' else {}
            self.add('build', dataset, system, algorithm, measures, **facts)
        return True

    def interleave(self, experiment, cases):
        """cases: (facts, dataset, system, algorithm, function giving (measures, recall)).  Medians of all rounds."""
        collected = [[] for _ in cases]
        for _ in range(self.args.rounds):
            for number, (facts, dataset, system, algorithm, function) in enumerate(cases):
                if collected[number] is None:
                    continue
                try:
                    collected[number].append(function())
                except (systems.Absent, DataError) as reason:
                    report(f'{experiment} {dataset.name} {system.name} {algorithm} {facts} is left out: {reason}')
                    collected[number] = None
        for (facts, dataset, system, algorithm, _), runs in zip(cases, collected):
            if runs:
                self.add(experiment, dataset, system, algorithm, medians(runs), rounds=len(runs), **facts)


def medians(runs):
    result = {}
    for key, first in runs[0].items():
        if isinstance(first, (int, float)) and not isinstance(first, bool):
            result[key] = round(statistics.median(run[key] for run in runs), 4)
        else:
            result[key] = first
    return result


def query_case(system, dataset, algorithm, k, ef=None, queries=None):
    def measure():
        measures, ids = system.query(dataset, algorithm, k, ef, queries=queries)
        return {'recall': round(dataset.recall(ids, min(k, dataset.truth_ids.shape[1])), 4), **measures}
    return measure


# ---- experiments

def exact(run, dataset, found):
    """Exact search: sequential scan, flat index, and the limit that memory bandwidth sets for one core."""
    queries = min(run.args.exact_queries, dataset.queries.shape[0])
    for algorithm in ('inline', 'scan', 'flat'):
        cases = []
        for system in found:
            if algorithm in system.offers(dataset) and run.build('exact', system, dataset, algorithm):
                cases.append(({'k': 10, 'queries_used': queries}, dataset, system, algorithm,
                              query_case(system, dataset, algorithm, 10, queries=queries)))
        run.interleave('exact', cases)
    size = dataset.base.nbytes if not dataset.sparse else dataset.base.data.nbytes + dataset.base.indices.nbytes
    # Smaller data are in the cache.
    bandwidth = memory_bandwidth() if size > LIMIT_BYTES else None
    if bandwidth:
        limit = Limit()
        run.add('exact', dataset, limit, 'memory',
                {'server_cpu_us': round(size / bandwidth / 1e3, 1), 'gb_per_s': bandwidth, 'data_mb': round(size / 1e6, 1)})


def batch(run, dataset, found):
    """Exact search for many queries in one call."""
    queries = min(run.args.batch_queries, dataset.queries.shape[0])
    cases = []
    for system in found:
        if hasattr(system, 'batch') and 'flat' in system.offers(dataset) and run.build('batch', system, dataset, 'flat'):
            cases.append(({'k': 10}, dataset, system, 'flat', batch_case(system, dataset, queries)))
    run.interleave('batch', cases)


def batch_case(system, dataset, queries):
    def measure():
        measures, ids = system.batch(dataset, 10, queries)
        return {'recall': round(dataset.recall(ids, min(10, dataset.truth_ids.shape[1])), 4), **measures}
    return measure


class Limit:
    name = 'limit'
    version = ''


def memory_bandwidth():
    """GB/s of the best plain read loop, by bench/kernels.c."""
    make = subprocess.run(['make', '-s', '-C', server.TOP, 'build/bench/kernels'], capture_output=True, text=True, check=False)
    if make.returncode:
        report('memory bandwidth is left out: bench/kernels.c does not build')
        return None
    out = subprocess.run([os.path.join(server.TOP, 'build/bench/kernels'), '-b', '-r', '20'], capture_output=True,
                         text=True, check=True)
    return float(out.stdout)


def ann(run, dataset, found):
    """Recall against speed over ef_search."""
    cases = []
    for system in found:
        if 'hnsw' in system.offers(dataset) and run.build('ann', system, dataset, 'hnsw'):
            for ef in (each for each in run.args.ef if each >= system.smallest_ef):
                cases.append(({'k': 10, 'ef': ef, **run.hnsw}, dataset, system, 'hnsw',
                              query_case(system, dataset, 'hnsw', 10, ef, run.args.queries)))
    run.interleave('ann', cases)


def filtered_case(system, dataset, algorithm, where, queries):
    def measure():
        measures, ids = system.query(dataset, algorithm, 10, run_ef(system), where=where, queries=queries)
        _, truth = system.query(dataset, 'scan', 10, where=where, queries=queries)
        return {'recall': round(recall_against(dataset, ids, truth), 4), **measures}
    return measure


def run_ef(system):
    return None if isinstance(system, systems.Library) else 40


def recall_against(dataset, answers, truth):
    found = wanted = 0
    for i, answer in enumerate(answers):
        right, answer = truth[i][truth[i] >= 0], np.unique(answer[answer >= 0])
        wanted += len(right)
        if len(right) and len(answer):
            limit = dataset.exact_distances(i, right).max()
            near = dataset.exact_distances(i, answer) <= limit + 1e-6 * abs(limit) + 1e-12
            found += min(len(right), int(near.sum()))
    return found / wanted if wanted else 1.0


def filters(run, dataset, found):
    """Search under a condition: any share of the rows, and a split column where the index has one."""
    queries = min(run.args.filter_queries, dataset.queries.shape[0])
    servers = [system for system in found if isinstance(system, systems.PgSystem)]
    cases = []
    for system in servers:
        if 'hnsw' not in system.offers(dataset) or not run.build('filter', system, dataset, 'hnsw'):
            continue
        for share in SELECTIVITIES:
            where = f'shuffled < {max(10, int(dataset.rows * share))}'
            cases.append(({'k': 10, 'ef': 40, 'where': where, 'selectivity': share}, dataset, system, 'hnsw',
                          filtered_case(system, dataset, 'hnsw', where, queries)))
    run.interleave('filter', cases)
    cases = []
    for system in servers:
        if 'hnsw' in system.offers(dataset) and \
                run.build('filter', system, dataset, 'hnsw', {**run.hnsw, 'split': ['part']}):
            for where in ('part = 3', 'part IN (3, 4, 5)'):
                cases.append(({'k': 10, 'ef': 40, 'where': where, 'selectivity': (where.count(',') + 1) / PARTS, 'split': 'part'},
                              dataset, system, 'hnsw', filtered_case(system, dataset, 'hnsw', where, queries)))
    run.interleave('filter', cases)


def copies(run, dataset, found):
    """COPY of all rows into an empty table, without an index and with one."""
    cases = []
    for system in found:
        if isinstance(system, systems.PgSystem):
            cases += [({}, dataset, system, algorithm, copy_case(run, system, dataset, algorithm))
                      for algorithm in ('scan', 'flat', 'hnsw') if algorithm in system.offers(dataset)]
    run.interleave('copy', cases)


def copy_case(run, system, dataset, algorithm):
    def measure():
        system.load(dataset)
        system.drop_indexes(dataset)
        system.changed(dataset)
        return server.copy_rate(system.table(dataset), dataset,
                                None if algorithm == 'scan' else system.index_sql(dataset, algorithm, run.hnsw))
    return measure


def writes(run, dataset, found):
    """Single-row inserts into an index, deletion of a tenth of the rows, and VACUUM."""
    inserts = min(run.args.inserts, dataset.rows // 10)
    for system in found:
        if not isinstance(system, systems.PgSystem):
            continue
        for algorithm in ('scan', 'flat', 'hnsw'):
            if algorithm not in system.offers(dataset) or not run.build('writes', system, dataset, algorithm):
                continue
            system.use()
            table = system.table(dataset)
            if algorithm == 'scan':
                system.drop_indexes(dataset)
            try:
                measure_writes(run, dataset, system, algorithm, table, inserts)
            except DataError as reason:
                report(f'writes {dataset.name} {system.name} {algorithm} is left out: {reason}')
            system.changed(dataset)


def measure_writes(run, dataset, system, algorithm, table, inserts):
    server.sql(f'DROP TABLE IF EXISTS fresh; CREATE TABLE fresh AS SELECT id, shuffled, part, label, v FROM {table} '
               f'ORDER BY shuffled LIMIT {inserts}; ALTER TABLE fresh ADD PRIMARY KEY (id); CHECKPOINT')
    usage = server.run_watched(f"""DO $$ DECLARE r record; BEGIN
        FOR r IN SELECT * FROM fresh LOOP
            INSERT INTO {table} VALUES ({dataset.rows} + r.id, r.shuffled, r.part, r.label, r.v);
        END LOOP; END $$""")
    run.add('insert', dataset, system, algorithm,
            {**usage, 'inserts': inserts, 'us_per_row': round(usage['seconds'] / inserts * 1e6, 1),
             'cpu_us_per_row': round(usage['cpu_s'] / inserts * 1e6, 1),
             'wal_bytes_per_row': round(usage['wal_mb'] * 1e6 / inserts)})
    server.sql(f'DELETE FROM {table} WHERE id % 10 = 7; CHECKPOINT')
    usage = server.run_watched(f'VACUUM {table}')
    index = server.value(f"SELECT max(indexrelid::regclass::text) FROM pg_index WHERE indrelid = '{table}'::regclass")
    run.add('vacuum', dataset, system, algorithm,
            {**usage, 'deleted': dataset.rows // 10, 'index_mb': server.relation_mb(index) if index else 0})


def growth(run, found, directory):
    """Cost per query over the number of rows, same distribution."""
    for rows in run.args.growth:
        path = os.path.join(directory, f'growth_{rows}')
        dataset = generated(path, generate='gaussian', rows=rows, dim=run.args.growth_dim, queries=200)
        cases = []
        for system in found:
            for algorithm in ('flat', 'hnsw'):
                if algorithm in system.offers(dataset) and run.build('growth', system, dataset, algorithm):
                    facts = {'k': 10, 'ef': 80 if algorithm == 'hnsw' else None}
                    run.interleave('growth', [(facts, dataset, system, algorithm,
                                               query_case(system, dataset, algorithm, 10, facts['ef']))])
        run.interleave('growth', cases)


class Points:
    """What stands in the place of a data set in rows of the experiment kafka."""
    name = 'points'
    metric = 'l2'

    def __init__(self, rows, dim):
        self.rows = rows
        self.dim = dim


def ingest(run, found):
    """Kafka to index, when --kafka names a broker."""
    vektonn = next((system for system in found if system.name == 'vektonn'), None)
    if vektonn is None or not run.args.kafka:
        report('kafka is left out: ' + ('no vektonn' if run.args.kafka else 'give --kafka HOST:PORT or --kafka mock'))
        return
    vektonn.use()
    points = Points(run.args.kafka_points, run.args.dim)
    broker = None
    try:
        broker = kafka.Broker(run.args.kafka)
        rate, latency = kafka.measure(broker, points.rows, points.dim)
        run.add('ingest', points, vektonn, 'flat', rate, broker=run.args.kafka)
        run.add('latency', points, vektonn, 'flat', latency, broker=run.args.kafka)
    except (systems.Absent, DataError) as reason:
        report(f'kafka is left out: {reason}')
    finally:
        if broker:
            broker.close()


# ---- the whole

def generated(path, **options):
    """Makes the data set unless it is there."""
    if not os.path.exists(os.path.join(path, 'meta.json')):
        arguments = [path]
        for name, each in options.items():
            arguments += ['--' + name, str(each)]
        report('generates ' + path)
        datasets.prepare(datasets.parser().parse_args(arguments))
    return named(path)


def named(path):
    dataset = datasets.Dataset(path)
    dataset.name = re.sub(r'\W', '_', os.path.basename(os.path.normpath(path)))
    return dataset


def machine():
    facts = {}
    with open('/proc/cpuinfo') as file:
        facts['cpu'] = next((line.split(':')[1].strip() for line in file if line.startswith('model name')), 'unknown')
    with open('/proc/meminfo') as file:
        facts['memory_gb'] = round(int(file.readline().split()[1]) / 1e6, 1)
    facts['cores'] = os.cpu_count()
    facts['kernel'] = os.uname().release
    facts['load_average'] = os.getloadavg()[0]
    return facts


def write_results(run, found, path):
    try:
        commit = subprocess.run(['git', '-C', server.TOP, 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True,
                                check=False).stdout.strip()
    except FileNotFoundError:
        commit = ''
    result = {'date': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
              'command': ' '.join(['bench/run.py'] + sys.argv[1:]), 'commit': commit, 'machine': machine(),
              'server': server.describe_server(), 'systems': {system.name: system.version for system in found},
              'results': run.rows}
    with open(path + '.json', 'w') as file:
        json.dump(result, file, indent=1)
        file.write('\n')
    columns = list(dict.fromkeys(key for row in run.rows for key in row))
    with open(path + '.csv', 'w', newline='') as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(run.rows)


def numbers(text):
    return [int(each) for each in text.split(',')]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', nargs='+', default=[], help='directories made by bench/datasets.py')
    parser.add_argument('--systems', default='vektonn,pgvector,hnswlib,faiss')
    parser.add_argument('--experiments', default=','.join(EXPERIMENTS))
    parser.add_argument('--algorithms', help='only these of: scan, inline, flat, hnsw')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--out', default='bench/results/latest')
    parser.add_argument('--work', default='/tmp/vektonn-bench', help='where data sets and index files are made')
    parser.add_argument('--m', type=int, default=16)
    parser.add_argument('--ef-construction', type=int, default=200)
    parser.add_argument('--ef', type=numbers, default=list(EF_SWEEP))
    parser.add_argument('--rows', type=int, default=100000, help='of generated data sets')
    parser.add_argument('--dim', type=int, default=128)
    parser.add_argument('--queries', type=int, help='use only the first queries for approximate search')
    parser.add_argument('--exact-queries', type=int, default=100)
    parser.add_argument('--batch-queries', type=int, default=1000)
    parser.add_argument('--filter-queries', type=int, default=100)
    parser.add_argument('--inserts', type=int, default=1000)
    parser.add_argument('--growth', type=numbers, default=[10000, 30000, 100000, 300000])
    parser.add_argument('--kafka', help='HOST:PORT of a broker, or mock')
    parser.add_argument('--kafka-points', type=int, default=15000,
                        help='the mock broker keeps 5 MB of a partition')
    parser.add_argument('--growth-dim', type=int, default=64)
    args = parser.parse_args()
    for name in args.experiments.split(','):
        if name not in EXPERIMENTS:
            parser.error(f'no experiment is called {name}; there are ' + ', '.join(EXPERIMENTS))
    return args


def main():
    args = parse_arguments()
    os.makedirs(args.work, exist_ok=True)
    os.makedirs(os.path.dirname(args.out) or '.', exist_ok=True)
    found = systems.available(args.systems.split(','), args.work, report)
    functions = {'exact': exact, 'batch': batch, 'ann': ann, 'filter': filters, 'copy': copies, 'writes': writes}
    wanted = args.experiments.split(',')
    if not set(wanted) & set(functions):
        data = []
    elif args.data:
        data = [named(path) for path in args.data]
    else:
        data = [generated(os.path.join(args.work, f'gaussian_{args.rows}_{args.dim}'), generate='gaussian',
                          rows=args.rows, dim=args.dim, queries=500),
                generated(os.path.join(args.work, f'zipf_{args.rows // 4}'), generate='zipf', rows=args.rows // 4,
                          dim=50000, queries=200)]
    if args.algorithms:
        for system in found:
            system.only = args.algorithms.split(',')
    run = Run(args)
    for name in wanted:
        for dataset in data if name in functions else []:
            functions[name](run, dataset, found)
            write_results(run, found, args.out)
        if name == 'growth':
            growth(run, found, args.work)
        if name == 'kafka':
            ingest(run, found)
    write_results(run, found, args.out)
    report(f'{len(run.rows)} results in {args.out}.json and {args.out}.csv')


if __name__ == '__main__':
    try:
        main()
    except (DataError, OSError) as error:
        sys.exit(f'error: {error}')
