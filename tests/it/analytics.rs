//! Analytics: the answers of all queries beside an oracle, and the errors of queries that are not accepted.

use crate::datasets::{Fact, GENDERS, csv, fact_columns, facts, load, loaded, put, query};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::TestApp;

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
        ("turnover/total?region=%00", 400, "query_invalid"),
        ("turnover/total?group.age=a%00", 400, "query_invalid"),
        ("%00/total", 404, "dataset_not_found"),
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
