//! Datasets and analytics: what is loaded, when it is seen, and the answers of all queries beside an oracle.

use crate::imports::ended;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use tests::{Caller, Reply, TestApp};
use tokio::time::sleep;

const AGES: [&str; 6] = ["<=24", "25-34", "35-44", "45-54", "55-64", ">=65"];
const GENDERS: [&str; 2] = ["F", "M"];

/// A fact: month, region, age, gender, and the amount in cents.
type Fact = (u32, String, &'static str, &'static str, i64);

/// Facts whose sums are known: 12 months, 76 of 102 regions, 6 ages, 2 genders.
fn facts() -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut seed = 7_u64;
    for month in 1..=12 {
        for region in 0..76 {
            for (index, age) in AGES.into_iter().enumerate() {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let cents = i64::try_from(seed >> 40).unwrap() - 2_000_000;
                facts.push((month, (28_001 + region).to_string(), age, GENDERS[index % 2], cents));
            }
        }
    }
    facts
}

fn csv(facts: &[Fact]) -> String {
    let mut csv = String::from("id,p_month,postal_code,p_age,p_gender,amount\n");
    for (index, (month, region, age, gender, cents)) in facts.iter().enumerate() {
        let (sign, cents) = (if *cents < 0 { "-" } else { "" }, cents.abs());
        let amount = format!("{sign}{}.{:02}", cents / 100, cents % 100);
        writeln!(csv, "{index},2015-{month:02}-01,{region},{age},{gender},{amount}").unwrap();
    }
    csv
}

/// Squares of 0.08 degrees in a row of which each has a code.
fn regions() -> String {
    let mut csv = String::from("code,name,the_geom\n");
    for index in 0..102_u32 {
        let (west, east) = (f64::from(index) * 0.1, f64::from(index) * 0.1 + 0.08);
        let ring = json!([[west, 40.0], [east, 40.0], [east, 40.08], [west, 40.08], [west, 40.0]]);
        let geometry = json!({"type": "Polygon", "coordinates": [ring]})
            .to_string()
            .replace('"', "\"\"");
        writeln!(csv, "{},Region {index},\"{geometry}\"", 28_001 + index).unwrap();
    }
    csv
}

fn fact_columns() -> Value {
    json!({"facts": {"time": "p_month", "granularity": "month", "region": "postal_code", "regions": "codes", "id": "id",
        "metrics": {"turnover": "amount"}, "groups": {"age": "p_age", "gender": "p_gender"}}})
}

async fn put(caller: &Caller, name: &str, columns: &Value) -> Reply {
    let request = caller
        .request(Method::PUT, &format!("/api/datasets/{name}"))
        .json(columns);
    Reply::read(request.send().await.unwrap()).await
}

async fn send(caller: &Caller, name: &str, file: impl Into<Vec<u8>>) -> Reply {
    let form = Form::new().part("file", Part::bytes(file.into()).file_name("rows"));
    let request = caller.request(Method::POST, &format!("/api/datasets/{name}/versions"));
    Reply::read(request.multipart(form).send().await.unwrap()).await
}

async fn load(caller: &Caller, name: &str, file: impl Into<Vec<u8>>) -> Value {
    let reply = send(caller, name, file).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    ended(caller, reply.body["id"].as_i64().unwrap()).await
}

/// Two datasets: regions, and the facts of [`facts`].
async fn loaded(caller: &Caller) {
    let columns = json!({"regions": {"code": "code", "name": "name", "geometry": "the_geom"}});
    assert_eq!(put(caller, "codes", &columns).await.status, 200);
    assert_eq!(load(caller, "codes", regions()).await["status"], "done");
    assert_eq!(put(caller, "turnover", &fact_columns()).await.status, 200);
    let import = load(caller, "turnover", csv(&facts())).await;
    assert_eq!(
        (&import["status"], &import["rows"]["created"]),
        (&"done".into(), &facts().len().into()),
        "{import}"
    );
}

async fn query(caller: &Caller, path: &str) -> Value {
    let reply = caller.get(&format!("/api/analytics/turnover/{path}")).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.body
}

/// A sum of cents as the API shows it.
#[allow(clippy::cast_precision_loss, reason = "sums of a test are small")]
fn amount(cents: i64) -> Value {
    json!(cents as f64 / 100.0)
}

/// The sums of facts by a key.
fn oracle<K: Ord>(keep: impl Fn(&Fact) -> bool, key: impl Fn(&Fact) -> K) -> BTreeMap<K, (i64, i64)> {
    let mut sums = BTreeMap::new();
    for fact in facts().iter().filter(|fact| keep(fact)) {
        let (sum, n) = sums.entry(key(fact)).or_insert((0, 0));
        *sum += fact.4;
        *n += 1;
    }
    sums
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_agrees_with_an_oracle() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    loaded(&caller).await;

    let total = query(&caller, "total?metric=turnover").await;
    let (sum, n) = oracle(|_| true, |_| ())[&()];
    assert_eq!((&total["total"], &total["n"]), (&amount(sum), &n.into()));
    assert_eq!(
        total["range"],
        json!({"first": "2015-01-01T00:00:00Z", "last": "2015-12-01T00:00:00Z"})
    );

    let some = query(
        &caller,
        "total?from=2015-03&to=2015-05-01&group.gender=F&region=28003&region=28070",
    )
    .await;
    let keep = |fact: &Fact| (3..5).contains(&fact.0) && fact.3 == "F" && ["28003", "28070"].contains(&&*fact.1);
    assert_eq!(some["total"], amount(oracle(keep, |_| ())[&()].0));

    let series = query(&caller, "series?split_by=gender&from=2014-12&to=2015-03").await;
    let sums = oracle(|_| true, |fact| (fact.0, fact.3));
    let expected: Vec<Value> = [(2014, 12), (2015, 1), (2015, 2)]
        .into_iter()
        .flat_map(|(year, month)| GENDERS.map(|gender| (year, month, gender)))
        .map(|(year, month, gender)| {
            let (sum, n) = if year == 2014 { (0, 0) } else { sums[&(month, gender)] };
            json!({"start": format!("{year}-{month:02}-01T00:00:00Z"), "by": gender, "value": amount(sum), "n": n})
        })
        .collect();
    assert_eq!(series["data"], Value::from(expected));

    let year = query(&caller, "series?bucket=year").await;
    assert_eq!(
        year["data"],
        json!([{"start": "2015-01-01T00:00:00Z", "value": amount(sum), "n": n}])
    );

    let by = query(&caller, "by/age?cross=gender").await;
    let expected: Vec<Value> = oracle(|_| true, |fact| (fact.2, fact.3))
        .into_iter()
        .map(|((age, gender), (sum, n))| json!({"key": age, "cross": gender, "value": amount(sum), "n": n}))
        .collect();
    let sorted = |values: &[Value]| values.iter().map(Value::to_string).collect::<BTreeSet<_>>();
    assert_eq!(sorted(by["data"].as_array().unwrap()), sorted(&expected));

    // The squares from 0.5 to 1.08 degrees meet the box, also those that only touch it.
    let map = query(&caller, "map?bbox=0.58,40,1.0,40.05&precision=full").await;
    let sums = oracle(|_| true, |fact| fact.1.clone());
    let features = map["features"].as_array().unwrap();
    let codes: Vec<&str> = features.iter().map(|feature| feature["id"].as_str().unwrap()).collect();
    assert_eq!(codes, ["28006", "28007", "28008", "28009", "28010", "28011"]);
    for feature in features {
        assert_eq!(
            feature["properties"]["value"],
            amount(sums[feature["id"].as_str().unwrap()].0),
            "{feature}"
        );
        assert_eq!(feature["geometry"]["type"], "Polygon");
    }
    let all = query(&caller, "map").await;
    assert_eq!(all["features"].as_array().unwrap().len(), 102);
    let inside = query(&caller, "total?bbox=0.58,40,1.0,40.05").await;
    assert_eq!(inside["total"], amount(codes.iter().map(|code| sums[*code].0).sum()));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_reply_is_not_sent_again_and_a_table_is_csv() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    loaded(&caller).await;
    let get = |path: &str| caller.request(Method::GET, &format!("/api/analytics/turnover/{path}"));

    let first = get("by/gender").send().await.unwrap();
    let etag = first.headers()["etag"].clone();
    let known = get("by/gender").header("if-none-match", &etag).send().await.unwrap();
    assert_eq!((known.status().as_u16(), &known.headers()["etag"]), (304, &etag));
    let other = get("by/age").header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(other.status(), 200);
    let map = get("map").send().await.unwrap();
    assert_eq!(map.headers()["content-type"], "application/geo+json");
    let tag = map.headers()["etag"].clone();
    assert_eq!(
        get("map").header("if-none-match", tag).send().await.unwrap().status(),
        304
    );

    let table = get("by/gender").header("accept", "text/csv").send().await.unwrap();
    assert!(
        table.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/csv")
    );
    let sums = oracle(|_| true, |fact| fact.3);
    let row = |gender: &str| format!("{gender},,{},{}\r\n", amount(sums[gender].0), sums[gender].1);
    assert_eq!(
        table.text().await.unwrap(),
        format!("gender,cross,turnover,n\r\n{}{}", row("F"), row("M"))
    );

    assert_eq!(load(&caller, "turnover", csv(&facts()[1..])).await["status"], "done");
    let changed = get("by/gender").header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_the_same_dataset_twice_changes_nothing() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    loaded(&caller).await;
    let before = query(&caller, "total").await;
    let first = caller.get("/api/datasets/turnover").await.body["loaded"].clone();

    let again = send(&caller, "turnover", csv(&facts())).await;

    assert_eq!(again.body["id"], first["import_id"], "{again:?}");
    assert_eq!(query(&caller, "total").await, before);
    // After another file, the first one is loaded again.
    assert_eq!(load(&caller, "turnover", csv(&facts()[..10])).await["status"], "done");
    assert_eq!(query(&caller, "total").await["n"], 10);
    assert_eq!(load(&caller, "turnover", csv(&facts())).await["status"], "done");
    assert_eq!(query(&caller, "total").await, before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_seen_whole_or_not_at_all() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    loaded(&caller).await;
    let before = query(&caller, "total").await["n"].as_i64().unwrap();
    let doubled: Vec<Fact> = facts().into_iter().chain(facts()).collect();
    let import = send(&caller, "turnover", csv(&doubled)).await.body["id"]
        .as_i64()
        .unwrap();
    let begun = Instant::now();
    loop {
        let n = query(&caller, "total").await["n"].as_i64().unwrap();
        if n == 2 * before {
            break;
        }
        assert_eq!(n, before);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(ended(&caller, import).await["status"], "done");

    // One that is canceled, and one without a valid row, change nothing.
    let other = send(&caller, "turnover", csv(&facts()[2..])).await.body["id"]
        .as_i64()
        .unwrap();
    let canceled = caller.post(&format!("/api/imports/{other}/cancel"), &Value::Null).await;
    if canceled.status == 200 {
        assert_eq!(query(&caller, "total").await["n"], 2 * before);
    }
    let header = csv(&[]);
    let invalid = load(&caller, "turnover", header + "1,2015-01-01,none,<=24,F,1.00\n").await;
    assert_eq!(invalid["status"], "done_with_errors", "{invalid}");
    assert_ne!(query(&caller, "total").await["n"], 0);
    until_only_loaded_rows(&app).await;
    app.stop().await;
}

/// Waits until the rows of past versions are removed.
async fn until_only_loaded_rows(app: &TestApp) {
    let count = async |sql: &str| {
        let row = app
            .db
            .query_one_raw(sea_orm::Statement::from_string(app.db.get_database_backend(), sql))
            .await;
        row.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap()
    };
    let begun = Instant::now();
    loop {
        let unused = "SELECT COUNT(*) FROM dataset_facts f WHERE NOT EXISTS \
            (SELECT 1 FROM datasets d WHERE d.id = f.dataset_id AND d.version = f.version)";
        let versions = "SELECT COUNT(*) FROM dataset_versions";
        if count(unused).await == 0 && count(versions).await <= 2 {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "rows of past versions are kept"
        );
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_row_has_an_error_and_the_others_are_loaded() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    loaded(&caller).await;
    let mut file = csv(&facts()[..3]);
    for row in [
        "0,2015-01-01,28001,<=24,F,77.00",
        "90,2015-13-01,28001,<=24,F,1",
        "91,2015-01-01,28001,<=24,F,1e999",
        "92,2015-01-01,99999,<=24,F,1",
        "93,2015-01-01,28001,<=24,F,1.005",
        ",2015-01-01,28001,<=24,F,1",
    ] {
        file.push_str(row);
        file.push('\n');
    }
    let repeated = file.lines().nth(1).unwrap().to_owned();
    let import = load(&caller, "turnover", file + &repeated + "\n").await;
    let rows = &import["rows"];
    assert_eq!(
        (&rows["created"], &rows["duplicate"], &rows["error"]),
        (&3.into(), &1.into(), &6.into()),
        "{import}"
    );
    let errors = caller
        .get(&format!("/api/imports/{}/rows?status=error", import["id"]))
        .await
        .body;
    let errors: Vec<_> = errors["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let error = &row["error"];
            (
                row["line"].as_i64().unwrap(),
                error["field"].as_str().unwrap().to_owned(),
                error["code"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [
        (5, "id", "id_conflict"),
        (6, "p_month", "date_invalid"),
        (7, "amount", "number_invalid"),
        (8, "postal_code", "region_unknown"),
        (9, "amount", "number_invalid"),
        (10, "id", "row_id_invalid"),
    ];
    assert_eq!(
        errors,
        expected.map(|(line, field, code)| (line, field.to_owned(), code.to_owned()))
    );
    assert_eq!(query(&caller, "total").await["n"], 3);

    let columns = json!({"regions": {"code": "code", "geometry": "g"}});
    assert_eq!(put(&caller, "shapes", &columns).await.status, 200);
    let polygon = |ring: Value| json!({"type": "Polygon", "coordinates": [ring]});
    let rows = [
        json!({"code": 1, "g": polygon(json!([[0, 0], [1, 0], [1, 1], [0, 0]]))}),
        json!({"code": 2, "g": {"type": "Point", "coordinates": [0, 0]}}),
        json!({"code": 3, "g": polygon(json!([[0, 0], [1, 0], [1, 1], [0, 1]]))}),
        json!({"code": 4, "g": polygon(json!([[0, 0], [200, 0], [1, 1], [0, 0]]))}),
        json!({"code": 5, "g": "0103000000FFFFFFFF"}),
        json!({"code": 6, "g": "no geometry"}),
        json!({"code": 1, "g": polygon(json!([[0, 0], [2, 0], [1, 1], [0, 0]]))}),
    ];
    let file: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let import = load(&caller, "shapes", file).await;
    let errors = caller
        .get(&format!("/api/imports/{}/rows?status=error", import["id"]))
        .await
        .body;
    let codes: Vec<&str> = errors["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["error"]["code"].as_str().unwrap())
        .collect();
    let expected = [
        "geometry_kind",
        "ring_open",
        "geometry_out_of_bounds",
        "geometry_invalid",
        "geometry_invalid",
        "id_conflict",
    ];
    assert_eq!(codes, expected, "{errors}");
    let region = caller.get("/api/regions/shapes/1").await;
    assert_eq!(
        (region.status, &region.body["geometry"]["type"]),
        (200, &"Polygon".into()),
        "{region:?}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_query_names_what_is_accepted() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    loaded(&caller).await;
    for (path, status, code) in [
        ("turnover/total?metric=visits", 400, "metric_unknown"),
        ("turnover/total?from=2015-02&to=2015-01", 400, "period_invalid"),
        ("turnover/total?from=tomorrow", 400, "period_invalid"),
        ("turnover/total?bbox=1,2,3", 400, "bbox_invalid"),
        ("turnover/total?bbox=0,5,1,-5", 400, "bbox_invalid"),
        ("turnover/total?group.height=1", 400, "dimension_unknown"),
        ("turnover/total?group.region=1", 400, "dimension_unknown"),
        ("turnover/total?other=1", 400, "query_invalid"),
        ("turnover/total?from=2015&from=2016", 400, "query_invalid"),
        ("turnover/series?bucket=day", 400, "bucket_too_fine"),
        ("turnover/series?bucket=week", 400, "bucket_too_fine"),
        ("turnover/series?bucket=decade", 400, "query_invalid"),
        ("turnover/series?split_by=height", 400, "dimension_unknown"),
        ("turnover/by/height", 400, "dimension_unknown"),
        ("turnover/by/age?cross=age", 400, "dimension_unknown"),
        ("turnover/map?precision=best", 400, "query_invalid"),
        ("codes/total", 404, "dataset_not_found"),
        ("nothing/total", 404, "dataset_not_found"),
        ("No%20name/total", 404, "dataset_not_found"),
    ] {
        let reply = caller.get(&format!("/api/analytics/{path}")).await;
        assert_eq!(
            (reply.status, &reply.body["code"]),
            (status, &code.into()),
            "{path}: {reply:?}"
        );
        assert!(
            reply.body["detail"].is_string() || code == "dataset_not_found",
            "{path}: {reply:?}"
        );
    }
    for (path, code) in [("turnover/28001", "dataset_not_found"), ("codes/1", "region_not_found")] {
        let reply = caller.get(&format!("/api/regions/{path}")).await;
        assert_eq!(
            (reply.status, &reply.body["code"]),
            (404, &code.into()),
            "{path}: {reply:?}"
        );
    }
    let other = put(&caller, "codes", &fact_columns()).await;
    assert_eq!((other.status, &other.body["code"]), (409, &"dataset_kind_fixed".into()));
    let reserved = put(&caller, "usage", &fact_columns()).await;
    assert_eq!(
        (reserved.status, &reserved.body["code"]),
        (400, &"name_invalid".into()),
        "{reserved:?}"
    );
    let missing = load(&caller, "turnover", "id,amount\n1,2\n").await;
    assert_eq!(
        (&missing["status"], &missing["error"]["code"]),
        (&"failed".into(), &"columns_missing".into())
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn years_of_hours_are_too_many() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    let columns = json!({"facts": {"time": "t", "granularity": "hour", "metrics": {"sum": "v"}, "scales": {"sum": 0}}});
    assert_eq!(put(&caller, "turnover", &columns).await.status, 200);
    let import = load(
        &caller,
        "turnover",
        "t,v\n1969-12-31T23:30:00Z,1\n1970-01-01 00:10,2\n1970-02-01T00:00:00Z,4\n",
    )
    .await;
    assert_eq!(import["status"], "done", "{import}");
    let reply = caller.get("/api/analytics/turnover/series?from=2014&to=2025").await;
    assert_eq!(
        (reply.status, &reply.body["code"]),
        (400, &"too_many_buckets".into()),
        "{reply:?}"
    );
    let days = query(&caller, "series?bucket=day&to=1970-01-02").await;
    let values: Vec<_> = days["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|day| (&day["start"], &day["value"]))
        .collect();
    let (first, second) = (json!("1969-12-31T00:00:00Z"), json!("1970-01-01T00:00:00Z"));
    assert_eq!(values, [(&first, &json!(1.0)), (&second, &json!(2.0))]);
    let months = query(&caller, "series?bucket=month").await;
    let values: Vec<_> = months["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|month| &month["value"])
        .collect();
    assert_eq!(values, [&json!(1.0), &json!(2.0), &json!(4.0)]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_dataset_leaves_no_rows() {
    let mut app = TestApp::start().await;
    let caller = app.caller().await;
    loaded(&caller).await;
    for name in ["turnover", "codes"] {
        let removed = caller
            .request(Method::DELETE, &format!("/api/datasets/{name}"))
            .send()
            .await
            .unwrap();
        assert_eq!(removed.status(), 204);
    }
    assert_eq!(caller.get("/api/datasets").await.body["data"], json!([]));
    until_only_loaded_rows(&app).await;
    app.stop().await;
}
