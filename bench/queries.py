"""Queries of the benchmark `library`, the same ones for Rushes and for its peer."""

import json
import random
import sqlite3
import string
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import videos


@dataclass(frozen=True)
class Query:
    """A search: all words, the last one as a prefix if `typing`, with this tag if there is one."""

    kind: str
    words: list[str]
    typing: bool = False
    tag: str | None = None
    facets: bool = False

    def path(self) -> str:
        """Path and query string of the search in Rushes."""
        parameters = {"q": " ".join(self.words)}
        parameters |= {"typing": "true"} if self.typing else {}
        parameters |= {"tag": self.tag} if self.tag else {}
        parameters |= {"facets": "tags,region"} if self.facets else {}
        return f"/api/library/search?{urlencode(parameters)}"


def mixed(count: int, library: int, seed: int) -> list[Query]:
    """Queries for a library of this number of videos. The words of a query with several words are from one video, so
    frequent words are in most of them. Half of the queries are written without accents."""
    make = Maker(random.Random(seed), library)
    kinds = make.numbers.choices(list(SHARES), weights=SHARES.values(), k=count)
    return [make.query(kind) for kind in kinds]


# Per cent of the queries.
SHARES = {
    "rare": 20,  # one word of about one of 10,000 videos
    "frequent": 15,  # one word of 1 to 10 % of the videos
    "two words": 20,
    "three words": 15,
    "typing": 10,  # a word and the first three or four letters of another one
    "misspelt": 8,  # one word with a wrong letter, which is in no video
    "tag": 8,  # a word, and a filter by tag
    "facets": 4,  # two words, with the most frequent tags and regions
}


class Maker:
    """Makes queries of a kind."""

    def __init__(self, numbers: random.Random, library: int):
        self.numbers, self.library = numbers, library
        self.vocabulary = videos.words()
        self.known = set(map(videos.fold, self.vocabulary))
        self.database = sqlite3.connect(videos.cached(library))

    def query(self, kind: str) -> Query:
        match kind:
            case "rare":
                query = Query(kind, [self.numbers.choice(self.vocabulary[10_000:30_000])])
            case "frequent":
                query = Query(kind, [self.numbers.choice(self.vocabulary[20:200])])
            case "two words" | "three words" | "facets":
                words, _ = self.of_video(3 if kind == "three words" else 2)
                query = Query(kind, words, facets=kind == "facets")
            case "typing":
                (word, last), _ = self.of_video(2)
                query = Query(kind, [word, last[: self.numbers.choice((3, 4))]], typing=True)
            case "misspelt":
                query = Query(kind, [self.misspelt()])
            case "tag":
                words, tag = self.of_video(1)
                query = Query(kind, words, tag=tag)
            case _:
                raise ValueError(kind)
        is_plain = self.numbers.random() < 0.5
        return replace(query, words=list(map(videos.fold, query.words))) if is_plain else query

    def of_video(self, count: int) -> tuple[list[str], str]:
        """Different words of the title of a random video, and one of its tags."""
        while True:
            chosen = self.numbers.randint(1, self.library)
            title, tags = self.database.execute("SELECT title, tags FROM videos WHERE id = ?", [chosen]).fetchone()
            words, tags = list(dict.fromkeys(title.split())), json.loads(tags)
            if len(words) >= count and tags:
                return self.numbers.sample(words, count), self.numbers.choice(tags)

    def misspelt(self) -> str:
        while True:
            word = self.numbers.choice(self.vocabulary[500:20_000])
            at = self.numbers.randrange(len(word))
            wrong = word[:at] + self.numbers.choice(string.ascii_lowercase) + word[at + 1 :]
            if len(word) >= 6 and videos.fold(wrong) not in self.known:
                return wrong
