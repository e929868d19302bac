"""A library of synthetic public videos: Spanish-looking words with accents, distributed by Zipf's law, as in
catalog/src/synthetic.rs. The rows are cached in bench/.cache and copied from there into a database of Rushes.

A video has a title of 3 to 8 words, up to 4 tags, a description of 6 to 20 words, and an account, a source, a processed task
and an MP4 output like every published video.
"""

import json
import random
import sqlite3
import subprocess
import unicodedata
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from scratch import CACHE
from service import SECRET, binary, clean_environment

WORDS = 56_000
TAGS = 200  # the most frequent words
ACCOUNTS = 20_000
CHUNK = 10_000
SYLLABLES = (
    "ca mi no so la ñu té rá pi lo gua des per con tra bo gó ver sal mon ta ña cue llo jue go fá bri ción men te zu rí os quí mar "
    "sol dü ex yo"
).split()
REGIONS = ["Bogotá", "Medellín", "Cali", "Córdoba", "A Coruña", "Málaga", "Quito", "Lima", "La Paz", "Asunción", "Panamá", "León"]
START_MS = 1_700_000_000_000

TABLE = """
CREATE TABLE videos(id INTEGER PRIMARY KEY, public_id TEXT, account INTEGER, title TEXT, description TEXT, tags TEXT, region TEXT,
    duration_ms INTEGER, created_ms INTEGER, published_ms INTEGER)
"""


def words() -> list[str]:
    """The vocabulary, the most frequent word first."""
    numbers, made = random.Random(7), {}
    while len(made) < WORDS:
        syllables = 2 + numbers.randrange(2 if len(made) < TAGS else 4)
        made["".join(numbers.choices(SYLLABLES, k=syllables))] = None
    return list(made)


def fold(text: str) -> str:
    """The text without accents."""
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))


def cached(count: int) -> Path:
    """A SQLite database with the rows of this number of videos."""
    path = CACHE / f"videos-{count}.sqlite"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with opened(draft) as database:
            database.execute(TABLE)
            database.executemany(f"INSERT INTO videos VALUES (?{', ?' * 9})", rows(count))
        database.close()
        draft.rename(path)
    return path


def opened(path: Path) -> sqlite3.Connection:
    """A connection for bulk loads: an interrupted load leaves a damaged file."""
    database = sqlite3.connect(path)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000", "foreign_keys = OFF"):
        database.execute(f"PRAGMA {pragma}").fetchall()
    return database


def rows(count: int) -> Iterator[tuple]:
    numbers, vocabulary = random.Random(11), words()
    weights = list(accumulate(1 / rank for rank in range(1, len(vocabulary) + 1)))
    tags = vocabulary[:TAGS]
    for first in range(1, count + 1, CHUNK):
        drawn = iter(numbers.choices(vocabulary, cum_weights=weights, k=CHUNK * 28))

        def text(length: int, drawn: Iterator[str] = drawn) -> str:
            return " ".join(next(drawn) for _ in range(length))

        for id_ in range(first, min(first + CHUNK, count + 1)):
            own = sorted(set(numbers.choices(tags, k=int(numbers.random() * 5))))
            created = START_MS + id_ * 1_000
            yield (
                id_,
                f"{numbers.getrandbits(128):032x}",
                1 + int(numbers.random() * ACCOUNTS),
                text(3 + int(numbers.random() * 6)),
                text(6 + int(numbers.random() * 15)),
                json.dumps(own, ensure_ascii=False),
                numbers.choice(REGIONS) if numbers.random() < 0.75 else None,
                1_000 + int(numbers.random() * 3_600_000),
                created,
                created + int(numbers.random() * 86_400_000),
            )


def migrate(home: Path) -> None:
    """Creates the empty database of a service in its data directory."""
    env = clean_environment() | {"RUSHES_DATA_DIR": str(home), "RUSHES_JWT_SECRET": SECRET}
    done = subprocess.run([binary(), "migrate"], env=env, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"rushes migrate failed: {done.stdout}{done.stderr}")


def insert(home: Path, count: int) -> None:
    """Inserts the videos into the empty database below `home`, with one entry in the log of changes."""
    with opened(home / "rushes.db") as database:
        database.execute("ATTACH ? AS made", [str(cached(count))])
        database.executemany(USERS, ((id_, f"owner-{id_}", f"owner-{id_}@example.com") for id_ in range(1, ACCOUNTS + 1)))
        for statement in (SOURCES, TASKS, OUTPUTS, VIDEOS, CHANGE):
            database.execute(statement)
    database.execute("PRAGMA journal_mode = WAL").fetchall()
    database.close()


def at(column: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%f+00:00', {column} / 1000.0, 'unixepoch')"


USERS = "INSERT INTO users(id, username, email, password_hash, created_at) VALUES (?, ?, ?, '', '2023-11-14T22:13:20+00:00')"
SOURCES = f"""
INSERT INTO sources(id, user_id, key, bytes, sha256, probe, created_at)
SELECT id, account, 'sources/' || public_id || '.mp4', 40000000, public_id || public_id,
    json_object('duration_us', duration_ms * 1000, 'format', 'mov,mp4,m4a,3gp,3g2,mj2'), {at("created_ms")} FROM made.videos
"""
TASKS = f"""
INSERT INTO tasks(id, user_id, source_id, file_path, timestamp, status, display_name, preset, recipe, attempt, failures, run_at_ms,
    started_at, finished_at)
SELECT id, account, id, id || '_video.mp4', {at("created_ms")}, 'processed', 'video.mp4', 'web', '{{"outputs":[{{"kind":"mp4"}}]}}',
    1, 0, 0, {at("created_ms")}, {at("created_ms")} FROM made.videos
"""
OUTPUTS = """
INSERT INTO outputs(id, task_id, position, place, name, kind, media_type, key, bytes, sha256, width_px, height_px, duration_ms)
SELECT id, id, 0, 0, 'video.mp4', 'mp4', 'video/mp4', 'outputs/' || id || '/1/video.mp4', 20000000, public_id || public_id, 1280,
    720, duration_ms FROM made.videos
"""
VIDEOS = f"""
INSERT INTO videos(id, user_id, source_id, public_id, title, description, tags, region, metadata, visibility, task_id, published_at,
    created_at, updated_at)
SELECT id, account, id, public_id, title, description, tags, region, '{{}}', 'public', id, {at("published_ms")}, {at("created_ms")},
    {at("published_ms")} FROM made.videos
"""
CHANGE = "INSERT INTO library_changes(subject, subject_id, token, at_ms) VALUES ('video', 1, 1, CAST(strftime('%s') AS INTEGER) * 1000)"
