#!/usr/bin/python3
"""Loads a data set into a table, builds an index, and measures queries: recall, speed, CPU.

    bench/query.py DIR load  --table t [--elem halfvec] [--storage plain]
    bench/query.py DIR build --sql "CREATE INDEX t_flat ON t USING vektonn (v vector_l2_ops)"
    bench/query.py DIR query --table t [--k 10] [--set "vektonn.ef_search=40,80,160"] [--where "part = 3"]

Connects by PGHOST, PGPORT, PGDATABASE, PGUSER.  'query' prints for each value of --set one line: recall of
the k nearest (ties count), queries per second of one connection, latencies, CPU of the backend per query.
With --where recall is against the exact answer under the condition, computed by a sequential scan.
"""
import argparse
import itertools
import json
import sys

import numpy as np

import server
from datasets import DataError, Dataset


def settings_grid(options):
    """--set a=1,2 --set b=x: every combination, as lists of SET commands with a label."""
    choices = []
    for option in options or ():
        name, _, values = option.partition('=')
        if not values:
            raise DataError(f'--set {option}: write name=value[,value...]')
        choices.append([(f'{name}={each}', f"SET {name} = '{each}'") for each in values.split(',')])
    for combination in itertools.product(*choices):
        yield ' '.join(label for label, _ in combination), [command for _, command in combination]


def recall_under_condition(dataset, statement, answers, args):
    """Share of the exact answers by a sequential scan; equal distances count."""
    exact = ['SET enable_indexscan = off', 'SET enable_bitmapscan = off']
    _, truth = server.run_queries(dataset, statement, args.elem, args.k, exact, args.queries, warmup=0)
    found = wanted = 0
    for i, answer in enumerate(answers):
        right, answer = truth[i][truth[i] >= 0], np.unique(answer[answer >= 0])
        wanted += len(right)
        if len(right) == 0 or len(answer) == 0:
            continue
        limit = dataset.exact_distances(i, right).max()
        near = dataset.exact_distances(i, answer) <= limit + 1e-6 * abs(limit) + 1e-12
        found += min(len(right), int(near.sum()))
    return found / wanted if wanted else 1.0


def query(dataset, args):
    where = f'WHERE {args.where}' if args.where else ''
    statement = args.sql or server.knn_sql(args.table, dataset.metric, dataset.sparse, args.elem, args.k, where)
    for label, setup in settings_grid(args.set):
        setup = setup + ['SET plan_cache_mode = ' + args.plan_cache_mode]
        if args.exact:
            setup += ['SET enable_indexscan = off']
        plan = server.plan(statement, dataset, args.elem, setup)
        result, ids = server.run_queries(dataset, statement, args.elem, args.k, setup, args.queries,
                                         args.passes, args.warmup)
        if args.where:
            recall = recall_under_condition(dataset, statement, ids, args)
        else:
            recall = dataset.recall(ids, args.k)
        nodes = [line.strip(' ->') for line in plan.splitlines() if 'Scan' in line]
        print(json.dumps({'set': label, 'recall': round(recall, 4), **result, 'plan': nodes[0] if nodes else plan}),
              flush=True)
        if args.explain:
            print(plan)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('directory', help='made by bench/datasets.py')
    parser.add_argument('action', choices=('load', 'build', 'query'))
    parser.add_argument('--table')
    parser.add_argument('--elem', choices=('vector', 'halfvec'), default='vector')
    parser.add_argument('--storage', choices=('plain', 'external', 'extended', 'main'))
    parser.add_argument('--sql', help='build: the CREATE INDEX; query: the whole statement, the vector is $1')
    parser.add_argument('--k', type=int, default=10)
    parser.add_argument('--queries', type=int, help='use only the first queries')
    parser.add_argument('--passes', type=int, default=1)
    parser.add_argument('--warmup', type=int, help='queries before the measured ones; default: all of them once')
    parser.add_argument('--set', action='append', help='name=value[,value...]; several: every combination')
    parser.add_argument('--where')
    parser.add_argument('--exact', action='store_true', help='without index scan')
    parser.add_argument('--explain', action='store_true')
    parser.add_argument('--plan-cache-mode', default='auto')
    args = parser.parse_args()
    dataset = Dataset(args.directory)
    if args.action == 'build':
        if not args.sql:
            raise DataError('build needs --sql "CREATE INDEX name ON ..."')
        print(json.dumps(server.build_index(args.sql)))
        return
    if not args.table and not (args.action == 'query' and args.sql):
        raise DataError(f'{args.action} needs --table')
    if args.action == 'load':
        print(json.dumps(server.load_table(args.table, dataset, args.elem, args.storage)))
    else:
        query(dataset, args)


if __name__ == '__main__':
    try:
        main()
    except (DataError, OSError) as error:
        sys.exit(f'error: {error}')
