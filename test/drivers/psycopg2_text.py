#!/usr/bin/python3
"""psycopg2 from Debian's packages, which speaks text: types found with
to_regtype, literals cut at commas, as pgvector's client libraries do it.

Speaks TAP; finds its server in PGHOST, PGPORT and so on.
"""
import io

import psycopg2
from psycopg2.extensions import adapt, new_array_type, new_type, register_adapter, register_type

tests = 0


def ok(condition, name):
    global tests
    tests += 1
    print(f"{'ok' if condition else 'not ok'} {tests} - {name}", flush=True)


class Vector(list):
    pass


def read_dense(value, cur):
    return None if value is None else Vector(float(x) for x in value[1:-1].split(','))


def read_sparse(value, cur):
    if value is None:
        return None
    items, dim = value.split('/')
    return int(dim), {int(i): float(x) for i, x in (item.split(':') for item in items[1:-1].split(',') if item)}


def register(conn):
    cur = conn.cursor()
    for name, read in (('vector', read_dense), ('halfvec', read_dense), ('sparsevec', read_sparse)):
        cur.execute('SELECT to_regtype(%s)::oid, to_regtype(%s)::oid', (name, f'_{name}'))
        oid, array_oid = cur.fetchone()
        ok(oid and array_oid, f'{name}: type and array type found')
        scalar = new_type((oid,), name, read)
        register_type(scalar, conn)
        register_type(new_array_type((array_oid,), f'{name}[]', scalar), conn)
    register_adapter(Vector, lambda v: adapt('[' + ','.join(map(repr, v)) + ']'))


def main():
    conn = psycopg2.connect('')
    conn.autocommit = True
    cur = conn.cursor()
    cur.execute('SET client_min_messages = warning')
    cur.execute('DROP EXTENSION IF EXISTS vektonn CASCADE')
    cur.execute('CREATE EXTENSION vektonn')
    register(conn)

    value = Vector([1.0, -2.5, 0.1, 1e-05, 12345678.0])
    cur.execute('CREATE TEMP TABLE item (id serial, v vector(5), h halfvec(5), s sparsevec(5))')
    cur.execute('INSERT INTO item (v, s) VALUES (%s, %s)', (value, '{1:1,5:-2.5}/5'))
    cur.execute('SELECT v, s, h, ARRAY[v, v], v <-> %s FROM item', (value,))
    ok(cur.fetchone() == (value, (5, {1: 1.0, 5: -2.5}), None, [value, value], 0.0), 'values, NULL and arrays')
    cur.execute('SELECT %s::halfvec', (Vector([0.5, 65504.0]),))
    ok(cur.fetchone() == (Vector([0.5, 65504.0]),), 'halfvec')
    cur.execute('SELECT %s::vector', ([1.0, 2.0],))
    ok(cur.fetchone() == (Vector([1.0, 2.0]),), 'a list travels as numeric[]')

    cur.copy_expert('COPY item (v, h) FROM STDIN', io.StringIO('[1,2,3,4,5]\t[5,4,3,2,1]\n\\N\t\\N\n'))
    out = io.StringIO()
    cur.copy_expert('COPY (SELECT v, h FROM item ORDER BY id) TO STDOUT', out)
    ok(out.getvalue() == '[1,-2.5,0.1,1e-05,1.2345678e+07]\t\\N\n[1,2,3,4,5]\t[5,4,3,2,1]\n\\N\t\\N\n', 'COPY')

    for literal, code, text in (('[1,x]', '22P02', 'invalid input syntax for type vector: "[1,x]"'),
                                ('[1,2]', '22000', 'expected 5 dimensions, not 2'),
                                ('[1e39]', '22003', '"1e39" is out of range for type vector')):
        try:
            cur.execute('INSERT INTO item (v) VALUES (%s)', (literal,))
            seen = None
        except psycopg2.Error as e:
            seen = (e.pgcode, e.diag.message_primary)
        ok(seen == (code, text), f'{code} {text}')
    cur.execute('DROP EXTENSION vektonn CASCADE')
    print(f'1..{tests}')


main()
