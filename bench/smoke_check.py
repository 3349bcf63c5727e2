#!/usr/bin/python3
"""Checks the results of bench/smoke: that they are complete, and what of them is exact."""
import json
import platform
import sys

FIGURES = {
    'exact': ('recall', 'qps', 'p50_us', 'p95_us', 'p99_us', 'server_cpu_us', 'buffers'),
    'batch': ('recall', 'seconds', 'cpu_s'),
    'copy': ('seconds', 'us_per_row', 'wal_bytes_per_row'),
    'ann': ('recall', 'qps', 'p50_us', 'p95_us', 'p99_us', 'server_cpu_us'),
    'filter': ('recall', 'qps', 'server_cpu_us'),
    'build': ('build_s', 'build_cpu_s', 'index_mb'),
    'insert': ('us_per_row', 'cpu_us_per_row', 'wal_bytes_per_row'),
    'vacuum': ('seconds', 'cpu_s', 'index_mb'),
    'growth': ('recall', 'server_cpu_us'),
}
PAGE = 8192
# Of the dense data set: rows of 32 dimensions, 144 bytes each.
WAL_PER_COPIED_ROW = {'scan': 200, 'flat': 650, 'hnsw': 4500}
# On x86-64 with AVX2, the most valgrind knows.
INSTRUCTIONS = {'flat': 750_000, 'hnsw': 780_000, 'insert flat': 36_000, 'insert hnsw': 750_000}
PAGES_PER_QUERY = {40: 120, 320: 640}
failures = []


def check(condition, text):
    if not condition:
        failures.append(text)


def main():
    with open(sys.argv[1]) as file:
        results = json.load(file)['results']
    for experiment, figures in FIGURES.items():
        rows = [row for row in results if row['experiment'] == experiment and row['system'] == 'vektonn']
        check(rows, f'{experiment}: no results')
        for row in rows:
            for figure in figures:
                check(isinstance(row.get(figure), (int, float)), f'{experiment} {row["dataset"]} {row["algorithm"]}: no {figure}')
    for row in results:
        name = f'{row["experiment"]} {row["dataset"]} {row["system"]} {row["algorithm"]}'
        if row['system'] != 'vektonn':
            continue
        if row['algorithm'] in ('scan', 'flat') and 'recall' in row:
            check(row['recall'] == 1.0, f'{name}: exact search has recall {row["recall"]}')
        if row['experiment'] == 'ann' and row['ef'] == 320:
            check(row['recall'] >= 0.95, f'{name}: recall {row["recall"]} with ef 320')
        if row['experiment'] == 'filter' and row['metric'] == 'l2':
            check(row['recall'] >= 0.85, f'{name} {row["where"]}: recall {row["recall"]}')
    check_flat_pages(results)
    check_budgets(results)
    if len(sys.argv) > 2:
        check_instructions(sys.argv[2])
    for line in failures:
        print('wrong: ' + line)
    if not failures:
        print(f'{len(results)} results are complete and right')
    sys.exit(1 if failures else 0)


def check_flat_pages(results):
    """A flat scan of dense vectors reads its index once: no more pages than it has, plus the rows returned."""
    sizes = {row['dataset']: row['index_mb'] * 1e6 / PAGE for row in results
             if row['experiment'] == 'build' and row['system'] == 'vektonn' and row['algorithm'] == 'flat'}
    for row in results:
        if row['experiment'] == 'exact' and row['algorithm'] == 'flat' and row['system'] == 'vektonn':
            limit = sizes[row['dataset']] * 1.1 + 2 * row['k'] + 20
            check(row['buffers'] <= limit, f'exact {row["dataset"]}: {row["buffers"]} pages, the index has {limit:.0f}')


def check_budgets(results):
    for row in results:
        if row['system'] != 'vektonn' or row['metric'] != 'l2':
            continue
        name = f'{row["experiment"]} {row["dataset"]} {row["algorithm"]}'
        if row['experiment'] == 'copy':
            check(row['wal_bytes_per_row'] <= WAL_PER_COPIED_ROW[row['algorithm']],
                  f'{name}: {row["wal_bytes_per_row"]} bytes of WAL per row')
        if row['experiment'] == 'ann':
            check(row['buffers'] <= PAGES_PER_QUERY[row['ef']], f'{name}: {row["buffers"]} pages per query with ef {row["ef"]}')


def check_instructions(path):
    with open(path) as file:
        counts = json.load(file)
    print('instructions: ' + ', '.join(f'{name} {count:,.0f}' for name, count in counts.items()))
    check(counts.keys() == INSTRUCTIONS.keys(), 'instructions: not all were counted')
    for name, count in counts.items():
        check(platform.machine() != 'x86_64' or 0 < count <= INSTRUCTIONS[name], f'{name}: {count:,.0f} instructions')


if __name__ == '__main__':
    main()
