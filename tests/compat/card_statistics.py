"""The five questions that clients of a service of card statistics asked, beside an oracle.

That service loaded monthly turnover by postal code, age and gender, and doubled everything when a file was loaded
twice. Usage: card_statistics.py URL TOKEN
"""

import random
import struct
import sys
from collections import defaultdict
from decimal import Decimal

from client import Client, check

AGES = ["<=24", "25-34", "35-44", "45-54", "55-64", ">=65"]
GENDERS = ["F", "M"]
MONTHS = [f"2015-{month:02}-01" for month in range(1, 13)]
CODES = [28001 + index for index in range(102)]


def make_facts():
    """10,652 facts in 76 of 102 regions."""
    draw = random.Random(1)
    cells = [(m, c, a, g) for m in MONTHS for c in CODES[:76] for a in AGES for g in GENDERS]
    chosen = draw.sample(cells, 10_652)
    return [(number, *cell, Decimal(draw.randrange(1, 10**7)) / 100) for number, cell in enumerate(chosen)]


def square(index):
    """A multipolygon as EWKB in hexadecimal digits, as PostGIS prints it."""
    west, south = index * 0.1, 40.0
    ring = [(west, south), (west + 0.08, south), (west + 0.08, south + 0.08), (west, south + 0.08), (west, south)]
    points = b"".join(struct.pack("<dd", *point) for point in ring)
    polygon = struct.pack("<BIII", 1, 3, 1, len(ring)) + points
    return (struct.pack("<BIII", 1, 0x20000006, 4326, 1) + polygon).hex().upper()


def sums(facts, key):
    """The oracle: sums by a key."""
    found = defaultdict(Decimal)
    for fact in facts:
        found[key(fact)] += fact[5]
    return {key: float(value) for key, value in found.items()}


def load(client, facts):
    """Loads both tables."""
    client.put("/api/datasets/postal-codes", {"regions": {"code": "code", "geometry": "the_geom"}})
    regions = "id,code,the_geom\n" + "".join(f"{i},{code},{square(i)}\n" for i, code in enumerate(CODES))
    columns = {"time": "p_month", "granularity": "month", "region": "postal_code", "regions": "postal-codes", "id": "id",
               "metrics": {"turnover": "amount"}, "groups": {"age": "p_age", "gender": "p_gender"}}
    client.put("/api/datasets/paystats", {"facts": columns})
    lines = "".join(f"{amount},{month},{age},{gender},{code},{number}\n" for number, month, code, age, gender, amount in facts)
    table = "amount,p_month,p_age,p_gender,postal_code,id\n" + lines
    for name, file in [("postal-codes", regions), ("paystats", table)]:
        begun = client.form(f"/api/datasets/{name}/versions", f"{name}.csv", file.encode())
        check(f"rows of {name}", client.ended(begun["id"])["rows"]["created"], file.count("\n") - 1)
        again = client.form(f"/api/datasets/{name}/versions", f"{name}.csv", file.encode())
        check(f"{name} loaded twice", again["id"], begun["id"])


def main():
    """Asks the five questions."""
    client = Client(*sys.argv[1:3])
    facts = make_facts()
    load(client, facts)
    source = "/api/analytics/paystats"
    total = client.get(f"{source}/total", **{"from": "2015-01", "to": "2016-01"})
    check("total turnover", total["total"], sums(facts, lambda fact: ())[()])
    by = client.get(f"{source}/by/age", cross="gender")["data"]
    check("by age and gender", {(v["key"], v["cross"]): v["value"] for v in by}, sums(facts, lambda fact: fact[3:5]))
    series = client.get(f"{source}/series", bucket="month", split_by="gender")["data"]
    expected = {(f"{month}T00:00:00Z", gender): value for (month, gender), value in sums(facts, lambda f: (f[1], f[4])).items()}
    check("series by month and gender", {(v["start"], v["by"]): v["value"] for v in series}, expected)
    shapes = client.get(f"{source}/map", precision="full")["features"]
    by_code = sums(facts, lambda fact: str(fact[2]))
    check("map", {shape["id"]: shape["properties"]["value"] for shape in shapes}, {str(c): by_code.get(str(c), 0.0) for c in CODES})
    code = str(CODES[5])
    one = client.get(f"{source}/by/age", cross="gender", region=code)["data"]
    mine = [fact for fact in facts if str(fact[2]) == code]
    check("by age and gender of a region", {(v["key"], v["cross"]): v["value"] for v in one}, sums(mine, lambda fact: fact[3:5]))
    shape = client.get(f"/api/regions/postal-codes/{code}")["geometry"]
    check("geometry of a region", shape["coordinates"][0][0], [0.5, 40])


if __name__ == "__main__":
    main()
