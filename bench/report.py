#!/usr/bin/python3
"""Pictures and tables of results written by bench/run.py.

    bench/report.py RESULTS.json ... [--docs docs] [--readme README.md]

Writes docs/benchmarks.md and docs/bench-*.svg, and with --readme replaces the lines between the markers
<!-- bench --> and <!-- /bench --> there by the main table.  Pictures need matplotlib (apt install
python3-matplotlib); without it the tables are written and a line says so.
"""
import argparse
import json
import os
import sys

COLORS = {'vektonn': '#0b6e4f', 'pgvector': '#c1440e', 'hnswlib': '#5b5ea6', 'faiss': '#8a8d91', 'limit': '#000000'}


def select(results, experiment, **facts):
    return [row for row in results if row['experiment'] == experiment
            and all(row.get(key) == each for key, each in facts.items())]


def names(rows, key):
    return list(dict.fromkeys(row[key] for row in rows))


def number(value):
    if value is None:
        return ''
    if isinstance(value, float):
        return f'{value:,.0f}' if value >= 1000 else f'{value:.3g}'
    return f'{value:,}' if isinstance(value, int) else str(value)


def table(rows, columns):
    """columns: (title, key or function of the row)."""
    lines = ['| ' + ' | '.join(title for title, _ in columns) + ' |',
             '|' + '|'.join('---' if index < 2 else '---:' for index in range(len(columns))) + '|']
    for row in rows:
        cells = [each(row) if callable(each) else row.get(each) for _, each in columns]
        lines.append('| ' + ' | '.join(cell if isinstance(cell, str) else number(cell) for cell in cells) + ' |')
    return '\n'.join(lines)


def at_recall(rows, wanted, key='server_cpu_us', beyond='≤ '):
    """A measure at a recall, between the two settings around it; None when not reached, with beyond when always exceeded."""
    rows = sorted(rows, key=lambda row: row['recall'])
    for low, high in zip([None] + rows, rows):
        if high['recall'] >= wanted:
            if low is None:
                return beyond + number(high[key])
            share = (wanted - low['recall']) / (high['recall'] - low['recall'])
            return low[key] + share * (high[key] - low[key])
    return None


def main_table(results):
    """One line per data set and system: the figures a reader compares first."""
    lines = []
    for dataset in names(results, 'dataset'):
        for system in names(select(results, 'ann', dataset=dataset) + select(results, 'exact', dataset=dataset), 'system'):
            if system == 'limit':
                continue
            runs = select(results, 'ann', dataset=dataset, system=system)
            exact = select(results, 'exact', dataset=dataset, system=system)
            flat = [row for row in exact if row['algorithm'] == 'flat'] or exact
            build = select(results, 'build', dataset=dataset, system=system, algorithm='hnsw')
            first = (runs + exact)[0]
            title = f"{dataset}: {first['rows_in_table']:,} x {first['dim']:,}, {first['metric']}"
            lines.append({'dataset': title, 'system': system,
                          'exact': flat[0]['server_cpu_us'] / 1000 if flat else None,
                          'at95': at_recall(runs, 0.95), 'at99': at_recall(runs, 0.99),
                          'qps95': at_recall(runs, 0.95, 'qps', '≥ '), 'qps99': at_recall(runs, 0.99, 'qps', '≥ '),
                          'build': build[0]['build_cpu_s'] if build else None,
                          'size': build[0]['index_mb'] if build else None})
    return table(lines, [('data', 'dataset'), ('system', 'system'), ('exact, ms', 'exact'),
                         ('hnsw at recall 0.95, µs', 'at95'), ('at 0.99, µs', 'at99'),
                         ('queries/s at 0.95', 'qps95'), ('at 0.99', 'qps99'),
                         ('hnsw build, CPU s', 'build'), ('index, MB', 'size')])


def describe(run):
    machine = run['machine']
    systems = ', '.join(f'{name} {version}' for name, version in run['systems'].items())
    return (f"{run['date'][:10]}, {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
            f"PostgreSQL {run['server'].get('server_version', '?')}, {systems}. "
            'Commands, the commit, and the load average at the end of each:\n\n'
            + '\n'.join(f'- `{command}` ({commit}, {load:.1f})' for command, load, commit in run['commands']))


def sections(run):
    results = run['results']
    yield '## Summary', ('Median CPU time per query of one backend or process, and queries per second of one client, k = 10. Empty: not '
                         'reached, or not offered.\n\n'
                         + main_table(results))
    columns = [('data', 'dataset'), ('system', 'system')]
    yield '## Exact search', table(select(results, 'exact'), columns + [
        ('how', 'algorithm'), ('recall', 'recall'), ('pages', 'buffers'), ('CPU µs', 'server_cpu_us'), ('p50 µs', 'p50_us'),
        ('p99 µs', 'p99_us'), ('queries/s', 'qps')])
    yield '## Exact search, many queries in one call', table(select(results, 'batch'), columns + [
        ('queries', 'queries'), ('recall', 'recall'), ('s', 'seconds'), ('CPU s', 'cpu_s')])
    yield '## Approximate search', table(select(results, 'ann'), columns + [
        ('ef', 'ef'), ('recall@10', 'recall'), ('pages', 'buffers'), ('CPU µs', 'server_cpu_us'), ('p50 µs', 'p50_us'), ('p95 µs', 'p95_us'),
        ('p99 µs', 'p99_us'), ('queries/s', 'qps'), ('first pass of a connection, µs', 'warmup_us')])
    yield '## Builds', table(select(results, 'build'), columns + [
        ('how', 'algorithm'), ('s', 'build_s'), ('CPU s', 'build_cpu_s'), ('private memory MB', 'peak_mb'),
        ('index MB', 'index_mb'), ('WAL MB', 'build_wal_mb')])
    yield '## Search under a condition', table(select(results, 'filter'), columns + [
        ('condition', lambda row: '`' + row['where'] + '`' + (', split column' if row.get('split') else '')),
        ('recall@10', 'recall'), ('CPU µs', 'server_cpu_us'), ('p99 µs', 'p99_us'), ('plan', 'plan')])
    yield '## COPY into an empty table', table(select(results, 'copy'), columns + [
        ('index', 'algorithm'), ('s', 'seconds'), ('µs per row', 'us_per_row'), ('WAL bytes per row', 'wal_bytes_per_row')])
    yield '## Inserts, one row at a time', table(select(results, 'insert'), columns + [
        ('index', 'algorithm'), ('rows', 'inserts'), ('µs per row', 'us_per_row'), ('CPU µs per row', 'cpu_us_per_row'),
        ('WAL bytes per row', 'wal_bytes_per_row')])
    yield '## VACUUM after deleting a tenth', table(select(results, 'vacuum'), columns + [
        ('index', 'algorithm'), ('rows deleted', 'deleted'), ('s', 'seconds'), ('CPU s', 'cpu_s'), ('WAL MB', 'wal_mb'),
        ('index MB', 'index_mb')])
    yield '## Growth', table(select(results, 'growth'), columns + [
        ('how', 'algorithm'), ('rows', 'rows_in_table'), ('recall@10', 'recall'), ('CPU µs', 'server_cpu_us')])
    yield '## Kafka to index', table(select(results, 'ingest'), columns + [
        ('broker', 'broker'), ('points', 'points'), ('dim', 'dim'), ('points/s', 'points_per_s'),
        ('worker CPU µs per point', 'cpu_us_per_point'), ('WAL bytes per point', 'wal_bytes_per_point')])
    yield '## Read your own write through Kafka', table(select(results, 'latency'), columns + [
        ('broker', 'broker'), ('points', 'points'), ('p50 ms', 'p50_ms'), ('max ms', 'max_ms')])


def pictures(run, directory):
    """Draws what there are results for; returns (file, caption)."""
    try:
        import matplotlib
    except ImportError:
        print('pictures are left out: apt install python3-matplotlib', file=sys.stderr)
        return
    matplotlib.use('svg')
    # The same input gives the same file.
    matplotlib.rcParams.update({'svg.hashsalt': 'vektonn', 'font.size': 9, 'axes.spines.top': False,
                                'axes.spines.right': False, 'axes.grid': True, 'grid.alpha': 0.3})
    from matplotlib import pyplot

    def draw(name, rows, x, y, labels, title, line_key, log='xy'):
        figure, axes = pyplot.subplots(figsize=(6, 4))
        for label in names(rows, line_key):
            points = sorted((row[x], row[y]) for row in rows if row[line_key] == label and row.get(y) is not None)
            axes.plot(*zip(*points), marker='o', markersize=3, label=label, color=COLORS.get(label.split()[0]),
                      linestyle='--' if 'flat' in label else '-')
        if 'x' in log:
            axes.set_xscale('log')
        if 'y' in log:
            axes.set_yscale('log')
        axes.set(xlabel=labels[0], ylabel=labels[1], title=title)
        axes.legend()
        figure.tight_layout()
        figure.savefig(os.path.join(directory, name), metadata={'Date': None})
        pyplot.close(figure)
        return name, title

    results = run['results']
    for dataset in names(select(results, 'ann'), 'dataset'):
        rows = [dict(row, per_cpu_second=1e6 / row['server_cpu_us'])
                for row in select(results, 'ann', dataset=dataset) if row['server_cpu_us']]
        yield draw(f'bench-recall-{dataset}.svg', rows, 'recall', 'per_cpu_second',
                   ('recall@10', 'queries per CPU second'), f'{dataset}: recall and speed', 'system', 'y')
    rows = [dict(row, line=f"{row['system']} {row['algorithm']}") for row in select(results, 'growth')]
    if rows:
        yield draw('bench-growth.svg', rows, 'rows_in_table', 'server_cpu_us', ('rows', 'CPU µs per query'),
                   'Growth with the number of rows', 'line')
    for dataset in names(select(results, 'filter'), 'dataset'):
        rows = [row for row in select(results, 'filter', dataset=dataset) if not row.get('split')]
        if rows:
            yield draw(f'bench-filter-{dataset}.svg', rows, 'selectivity', 'server_cpu_us',
                       ('share of the rows that pass', 'CPU µs per query'), f'{dataset}: search under a condition', 'system')


def replace_between(path, text):
    with open(path) as file:
        content = file.read()
    start, end = '<!-- bench -->\n', '<!-- /bench -->'
    if start not in content or end not in content:
        sys.exit(f'error: {path} has no lines {start.strip()} and {end}')
    head, rest = content.split(start, 1)
    with open(path, 'w') as file:
        file.write(head + start + text + '\n' + end + rest.split(end, 1)[1])


def read_run(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {path}: {error}')


def measured(row):
    """What a later run measures anew."""
    return tuple(row.get(key) for key in ('experiment', 'dataset', 'system', 'algorithm'))


def read_runs(paths):
    """The results of all runs, of the same measurement those of the last; machine and server of the first."""
    runs = sorted(map(read_run, paths), key=lambda run: run['date'])
    whole = {**runs[0], 'results': [], 'commands': []}
    for run in runs:
        again = set(map(measured, run['results']))
        whole['results'] = [row for row in whole['results'] if measured(row) not in again] + run['results']
        whole['commands'].append((run['command'], run['machine']['load_average'], run['commit'] or 'unknown'))
        whole['systems'].update(run['systems'])
    return whole


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', nargs='+', help='several runs on one machine make one report')
    parser.add_argument('--docs', default='docs')
    parser.add_argument('--readme')
    args = parser.parse_args()
    run = read_runs(args.results)
    os.makedirs(args.docs, exist_ok=True)
    text = ['# Benchmarks', 'Written by `bench/report.py`; [bench/README.md](../bench/README.md) says how to run them.',
            describe(run)]
    for title, body in sections(run):
        if body.count('\n') > 1:
            text += [title, body]
    for name, caption in pictures(run, args.docs):
        text.append(f'![{caption}]({name})')
    with open(os.path.join(args.docs, 'benchmarks.md'), 'w') as file:
        file.write('\n\n'.join(text) + '\n')
    if args.readme:
        replace_between(args.readme, describe(run) + '\n\nCPU time per query, k = 10:\n\n' + main_table(run['results']))


if __name__ == '__main__':
    main()
