#!/usr/bin/python3
"""asyncpg from Debian's packages, which speaks nothing but binary and describes
every statement first: codecs as client libraries of pgvector set them, by the
schema of the type.  Prepared statements, arrays, records and binary COPY.

Speaks TAP; finds its server in PGHOST, PGPORT and so on.
"""
import asyncio
import struct

import asyncpg

tests = 0


def ok(condition, name):
    global tests
    tests += 1
    print(f"{'ok' if condition else 'not ok'} {tests} - {name}", flush=True)


def dense_codec(code):
    def encode(elements):
        return struct.pack(f'>HH{len(elements)}{code}', len(elements), 0, *elements)

    def decode(data):
        dim, unused = struct.unpack_from('>HH', data)
        return struct.unpack_from(f'>{dim}{code}', data, 4) if unused == 0 else None
    return encode, decode


def encode_sparse(value):
    dim, items = value
    return struct.pack(f'>iii{len(items)}i{len(items)}f', dim, len(items), 0, *items.keys(), *items.values())


def decode_sparse(data):
    dim, count, _ = struct.unpack_from('>iii', data)
    return dim, dict(zip(struct.unpack_from(f'>{count}i', data, 12), struct.unpack_from(f'>{count}f', data, 12 + 4 * count)))


CODECS = {'vector': dense_codec('f'), 'halfvec': dense_codec('e'), 'sparsevec': (encode_sparse, decode_sparse)}
VALUES = {'vector': (1.0, -2.5, 2.0 ** -149), 'halfvec': (1.0, -2.5, 65504.0), 'sparsevec': (10 ** 9, {0: 1.5, 10 ** 9 - 1: -3.0})}


async def set_codecs(conn, schema):
    for name, (encode, decode) in CODECS.items():
        await conn.set_type_codec(name, schema=schema, encoder=encode, decoder=decode, format='binary')


async def use(conn, schema):
    await set_codecs(conn, schema)
    for name, value in VALUES.items():
        ok(await conn.fetchval(f'SELECT $1::{schema}.{name}', value) == value, f'{schema}.{name}: there and back')
        ok(await conn.fetchval(f'SELECT $1::{schema}.{name}[]', [value, None, value]) == [value, None, value],
           f'{schema}.{name}: array')
    columns = ', '.join(f'{name[0]} {schema}.{name}' for name in VALUES)
    await conn.execute(f'CREATE TEMP TABLE item (id int, {columns})')
    rows = [(i, (float(i), 1.0), (float(i), 1.0), (5, {0: i + 1.0})) for i in range(1, 101)]
    await conn.copy_records_to_table('item', records=rows)
    ok([tuple(r) for r in await conn.fetch('SELECT * FROM item ORDER BY id')] == rows, f'{schema}: binary COPY')
    statement = await conn.prepare(f'SELECT id, v, v OPERATOR({schema}.<->) $1 FROM item ORDER BY 3 LIMIT 2')
    for target in (41.8, 7.1):
        found = [r[0] for r in await statement.fetch((target, 1.0))]
        ok(found == [round(target), int(target) if found[0] != int(target) else int(target) + 1], f'{schema}: prepared search')
    ok(await conn.fetchval('SELECT ROW(v, h, s) FROM item WHERE id = 2') == ((2.0, 1.0), (2.0, 1.0), (5, {0: 3.0})), f'{schema}: record')
    try:
        await conn.fetchval(f'SELECT $1::{schema}.vector', (1.0, float('nan')))
        seen = None
    except asyncpg.PostgresError as e:
        seen = (e.sqlstate, e.message, e.detail)
    ok(seen == ('22000', 'NaN not allowed in vector', 'It is element 2, at byte 9.'), f'{schema}: NaN is refused')
    await conn.execute('DROP TABLE item')


async def main():
    conn = await asyncpg.connect()
    await conn.execute('SET client_min_messages = warning; DROP EXTENSION IF EXISTS vektonn CASCADE; CREATE EXTENSION vektonn')
    await use(conn, 'public')
    await conn.execute('DROP EXTENSION vektonn CASCADE; CREATE SCHEMA apart; CREATE EXTENSION vektonn SCHEMA apart')
    await conn.reload_schema_state()
    await use(conn, 'apart')
    await conn.execute('DROP EXTENSION vektonn CASCADE; DROP SCHEMA apart')
    await conn.close()
    print(f'1..{tests}')


asyncio.run(main())
