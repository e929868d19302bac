"""The peer of the benchmark `library`: full-text search of Postgres. Run by bench/library.py with psycopg.

Arguments: URL of a database, number of videos, file with the requests, requests per second, connections. Prints the
latencies as JSON.

A column `document` (tsvector, weights as in Rushes: title, tags, description; configuration `simple` with `unaccent`) has a
GIN index, and so have the tags. Hits are ordered by `ts_rank`. If fewer than three videos match, the words are replaced by
similar ones with `pg_trgm`, as its documentation suggests (F.35.5, "Text Search Integration").
"""

import json
import sqlite3
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(str(Path(__file__).resolve().parent.parent))

import psycopg

import videos
from open_loop import latencies_ms

SETUP = """
CREATE EXTENSION unaccent;
CREATE EXTENSION pg_trgm;
CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION plain ALTER MAPPING FOR hword, hword_part, word WITH unaccent, simple;
CREATE UNLOGGED TABLE rows(id bigint, title text, description text, tags text[], region text, duration_ms bigint,
    published_at timestamptz);
CREATE TABLE words(word text PRIMARY KEY);
"""
# For all sessions that follow. Compiling a query would take longer than running it.
SETTINGS = ["maintenance_work_mem = '512MB'", "work_mem = '64MB'", "jit = off", "effective_cache_size = '4GB'"]
INDEX = [
    """CREATE TABLE videos AS SELECT *, setweight(to_tsvector('plain', title), 'A') ||
        setweight(to_tsvector('plain', array_to_string(tags, ' ')), 'B') || setweight(to_tsvector('plain', description), 'D')
        AS document FROM rows""",
    "DROP TABLE rows",
    "ALTER TABLE videos ADD PRIMARY KEY (id)",
    "CREATE INDEX ON videos USING gin (document)",
    "CREATE INDEX ON videos USING gin (tags)",
    "CREATE INDEX ON words USING gin (word gin_trgm_ops)",
    "VACUUM ANALYZE videos",
    "VACUUM ANALYZE words",
]

MATCH = "document @@ to_tsquery('plain', %(query)s)"
TAGGED = f"{MATCH} AND tags @> ARRAY[%(tag)s]"
PAGE = """
SELECT id, title, description, tags, region, duration_ms, published_at, ts_rank(document, to_tsquery('plain', %(query)s)) AS rank
FROM videos WHERE {} ORDER BY rank DESC, id DESC LIMIT 20
"""
SIMILAR = "SELECT word FROM words WHERE word %% %(word)s ORDER BY similarity(word, %(word)s) DESC, word LIMIT 3"
# Of at most 10,000 hits, like `total` of Rushes.
FACETS = f"""
WITH hits AS MATERIALIZED (SELECT tags, region FROM videos WHERE {MATCH} LIMIT 10000)
(SELECT tag, count(*) FROM hits, unnest(tags) tag GROUP BY tag ORDER BY count(*) DESC LIMIT 20) UNION ALL
(SELECT region, count(*) FROM hits GROUP BY region ORDER BY count(*) DESC LIMIT 20)
"""


def fill(url: str, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as database:
        for setting in SETTINGS:
            database.execute(f"ALTER DATABASE postgres SET {setting}")
        database.execute(SETUP)
        with database.cursor() as cursor:
            with cursor.copy("COPY rows FROM STDIN") as copy:
                for row in made(count):
                    copy.write_row(row)
            with cursor.copy("COPY words FROM STDIN") as copy:
                for word in sorted(set(map(videos.fold, videos.words()))):
                    copy.write_row([word])
    # A new session, so that the settings hold.
    with psycopg.connect(url, autocommit=True) as database:
        for statement in INDEX:
            database.execute(statement)


def made(count: int):
    database = sqlite3.connect(videos.cached(count))
    columns = f"id, title, description, tags, region, duration_ms, {videos.at('published_ms')}"
    for id_, title, description, tags, *others in database.execute(f"SELECT {columns} FROM videos ORDER BY id"):
        yield id_, title, description, json.loads(tags), *others


def all_of(words: list[str], typing: bool) -> str:
    return " & ".join(words) + (":*" if typing else "")


def connect(url: str):
    database = psycopg.connect(url, autocommit=True)

    def search(query: dict) -> None:
        page = PAGE.format(TAGGED if query["tag"] else MATCH)
        words = [videos.fold(word) for word in query["words"]]
        parameters = {"query": all_of(words, query["typing"]), "tag": query["tag"]}
        found = database.execute(page, parameters).fetchall()
        if len(found) < 3:
            parameters["query"] = " & ".join(f"({' | '.join(similar(word))})" for word in words)
            found = database.execute(page, parameters).fetchall()
        if query["facets"]:
            database.execute(FACETS, parameters).fetchall()
        if not found:
            search.empty += 1

    def similar(word: str) -> list[str]:
        return [word, *(row[0] for row in database.execute(SIMILAR, {"word": word}))]

    search.empty = 0
    return search


def main(url: str, count: str, file: str, rate: str, connections: str) -> None:
    requests = json.loads(Path(file).read_text())
    begun = time.perf_counter()
    fill(url, int(count))
    filled_s = time.perf_counter() - begun
    clients = []

    def client():
        clients.append(connect(url))
        return clients[-1]

    seconds = len(requests["measured"]) / float(rate)
    latencies_ms(client, requests["warm_up"], connections=1, limit_s=seconds)
    clients.clear()
    at_rate = latencies_ms(client, requests["measured"], connections=int(connections), rate=float(rate), limit_s=seconds * 1.5)
    empty = sum(search.empty for search in clients)
    in_turn = latencies_ms(client, requests["measured"], connections=1, limit_s=seconds)
    print(json.dumps({"filled_s": filled_s, "at_rate": at_rate, "in_turn": in_turn, "empty": empty}))


if __name__ == "__main__":
    main(*sys.argv[1:])
