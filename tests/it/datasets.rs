//! Datasets: the rows that are loaded, and the moment at which queries see them.

use crate::imports::ended;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use tests::{Caller, Reply, TestApp};
use tokio::time::sleep;

const AGES: [&str; 6] = ["<=24", "25-34", "35-44", "45-54", "55-64", ">=65"];
pub(crate) const GENDERS: [&str; 2] = ["F", "M"];

/// A fact: month, region, age, gender, and the amount in cents.
pub(crate) type Fact = (u32, String, &'static str, &'static str, i64);

/// Facts whose sums are known: 12 months, 76 of 102 regions, 6 ages, 2 genders.
pub(crate) fn facts() -> Vec<Fact> {
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

pub(crate) fn csv(facts: &[Fact]) -> String {
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

pub(crate) fn fact_columns() -> Value {
    json!({"facts": {"time": "p_month", "granularity": "month", "region": "postal_code", "regions": "codes", "id": "id",
        "metrics": {"turnover": "amount"}, "groups": {"age": "p_age", "gender": "p_gender"}}})
}

pub(crate) async fn put(caller: &Caller, name: &str, columns: &Value) -> Reply {
    let request = caller
        .request(Method::PUT, &format!("/api/datasets/{name}"))
        .json(columns);
    Reply::read(request.send().await.unwrap()).await
}

pub(crate) async fn send(caller: &Caller, name: &str, file: impl Into<Vec<u8>>) -> Reply {
    let form = Form::new().part("file", Part::bytes(file.into()).file_name("rows"));
    let request = caller.request(Method::POST, &format!("/api/datasets/{name}/versions"));
    Reply::read(request.multipart(form).send().await.unwrap()).await
}

pub(crate) async fn load(caller: &Caller, name: &str, file: impl Into<Vec<u8>>) -> Value {
    let reply = send(caller, name, file).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    ended(caller, reply.body["id"].as_i64().unwrap()).await
}

/// Two datasets: regions, and the facts of [`facts`].
pub(crate) async fn loaded(caller: &Caller) {
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

pub(crate) async fn query(caller: &Caller, path: &str) -> Value {
    let reply = caller.get(&format!("/api/analytics/turnover/{path}")).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.body
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
