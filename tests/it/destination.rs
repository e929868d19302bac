//! Outputs in the bucket of a customer: what is written there, and what happens when the bucket, its credential or its
//! address is wrong.

use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::path::Path;
use tests::clip::Clip;
use tests::faulty_bucket::{Fault, FaultyBucket};
use tests::file_host::FileHost;
use tests::server::Server;
use tests::{Bucket, Caller, MP4, Options, Reply, TestApp};

const SECRET: &str = "secret-of-tests";

fn permit(config: &mut backend::Config) {
    config.app.outbound = "127.0.0.1/32,127.0.0.3/32".parse().unwrap();
}

/// A service that may reach servers of the test.
async fn service() -> TestApp {
    TestApp::with(Options {
        config: permit,
        ..Options::default()
    })
    .await
}

fn body(name: &str, endpoint: &str, secret: &str) -> Value {
    json!({ "name": name, "endpoint": endpoint, "access_key_id": "key-of-tests", "secret_access_key": secret })
}

async fn credential(caller: &Caller, name: &str, endpoint: &str, secret: &str) {
    let created = caller.post("/api/credentials", &body(name, endpoint, secret)).await;
    assert_eq!(created.status, 201, "{created:?}");
}

fn recipe(outputs: &Value, url: &str, name: &str) -> String {
    json!({ "outputs": outputs, "destination": { "url": url, "credential": name } }).to_string()
}

/// The recipe of one small file.
fn poster(url: &str) -> String {
    recipe(&json!([{ "kind": "poster" }]), url, "media")
}

async fn submit(app: &TestApp, caller: &Caller, recipe: &str) -> i64 {
    let clip = Clip::default().make(app.directory.path());
    caller.task(&clip, &[("recipe", recipe)]).await
}

/// The destination in the report of a task.
async fn reported(caller: &Caller, task: i64) -> Value {
    let report = caller.get(&format!("/api/tasks/{task}/report")).await.body;
    report["report"]["destination"].clone()
}

fn files(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_outputs_of_a_task_are_in_the_bucket_of_the_customer_when_it_is_processed() {
    let app = service().await;
    let caller = app.caller().await;
    let bucket = Bucket::start(&app.directory.path().join("customer")).await;
    credential(&caller, "media", &format!("http://{}", bucket.address), SECRET).await;
    let outputs = json!([{ "kind": "mp4" }, { "kind": "hls", "ladder": [90] }, { "kind": "poster" }]);
    let url = "s3://bucket/out/{date}/{task_id}/{source}-{output}.{ext}";
    let id = submit(&app, &caller, &recipe(&outputs, url, "media")).await;
    let task = caller.ended(id).await;
    assert_eq!(task["status"], "processed", "{task}");
    let name = task["display_name"].as_str().unwrap().strip_suffix(".mp4").unwrap();
    let prefix = format!("out/{}/{id}/{name}-", &task["timestamp"].as_str().unwrap()[..10]);
    let written = reported(&caller, id).await;
    let expected = ["video.mp4", "hls/master.m3u8", "poster.jpg"];
    for ((written, name), link) in written
        .as_array()
        .unwrap()
        .iter()
        .zip(expected)
        .zip(task["download"].as_array().unwrap())
    {
        assert_eq!(written["url"], format!("s3://bucket/{prefix}{name}"), "{written}");
        let bytes = std::fs::read(bucket.directory.join(format!("{prefix}{name}"))).unwrap();
        assert!(caller.download(link.as_str().unwrap()).await == bytes, "{name}");
    }
    // All files of the set, under the names by which they refer to each other.
    let in_set = files(&bucket.directory.join(format!("{prefix}hls")));
    assert_eq!(written[1]["files"], in_set, "{written}");
    assert!(in_set > 3, "{in_set}");

    // The same file again: nothing is reused, because the files have to be in another place.
    let again = submit(&app, &caller, &recipe(&outputs, url, "media")).await;
    let again = caller.ended(again).await;
    assert_eq!(again["status"], "processed", "{again}");
    assert_eq!(files(&bucket.directory.join("out")), 2 * (in_set + 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_bucket_cuts_changes_or_loses_is_written_again_until_its_bytes_are_right() {
    let app = service().await;
    let caller = app.caller().await;
    for fault in [Fault::Truncate, Fault::Corrupt, Fault::Forget] {
        let bucket = FaultyBucket::start(&[fault]).await;
        let name = format!("{fault:?}").to_lowercase();
        credential(&caller, &name, &bucket.url, SECRET).await;
        let recipe = recipe(&json!([{ "kind": "poster" }]), "s3://media/{task_id}.jpg", &name);
        let id = submit(&app, &caller, &recipe).await;
        let task = caller.ended(id).await;
        assert_eq!(
            (&task["status"], &task["failures"]),
            (&"processed".into(), &0.into()),
            "{task}"
        );
        assert_eq!(bucket.writes(), 2, "{fault:?}");
        let link = task["download"][0].as_str().unwrap();
        assert!(
            bucket.objects()[&format!("/media/{id}.jpg")] == caller.download(link).await,
            "{fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_or_bucket_fails_the_task_at_once_and_says_so() {
    let app = service().await;
    let caller = app.caller().await;
    let bucket = Bucket::start(&app.directory.path().join("customer")).await;
    let endpoint = format!("http://{}", bucket.address);
    // The server of the tests would create a bucket.
    let absent = FaultyBucket::start(&[Fault::Status(404)]).await;
    credential(&caller, "absent", &absent.url, SECRET).await;
    credential(&caller, "wrong", &endpoint, "another-secret").await;
    let private = FileHost::start("127.0.0.3", Vec::new(), &[]).await;
    let redirecting = FaultyBucket::start(&[Fault::Redirect(private.url.clone().leak())]).await;
    credential(&caller, "redirect", &redirecting.url, SECRET).await;
    let outputs = json!([{ "kind": "poster" }]);
    for recipe in [
        recipe(&outputs, "s3://bucket/{task_id}.jpg", "wrong"),
        recipe(&outputs, "s3://bucket/{task_id}.jpg", "absent"),
        recipe(&outputs, "s3://bucket/{task_id}.jpg", "redirect"),
    ] {
        let task = caller.ended(submit(&app, &caller, &recipe).await).await;
        assert_eq!(task["error"]["code"], "destination_refused", "{task}");
        assert_eq!(
            (&task["attempt"], &task["error"]["retryable"]),
            (&1.into(), &false.into()),
            "{task}"
        );
        assert_eq!(task["download"], json!([]));
    }
    assert_eq!(files(&bucket.directory), 0);
    assert_eq!(private.requests(), Vec::<String>::new(), "a redirect is not followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_down_is_tried_again_in_a_later_attempt() {
    let app = service().await;
    let caller = app.caller().await;
    // Nothing listens there.
    let address = tests::port::free_address();
    credential(&caller, "media", &format!("http://{address}"), SECRET).await;
    let id = submit(&app, &caller, &poster("s3://media/{task_id}.jpg")).await;
    let task = caller.until(id, |task| task["failures"].as_i64() > Some(0)).await;
    let row = entity::task::by_id(&app.db, domain::TaskId(id)).await.unwrap().unwrap();
    assert_eq!(row.error_code.as_deref(), Some("destination_unreachable"), "{task}");
    assert_eq!(row.error_detail.as_deref(), Some("the host refused the connection"));
    let canceled = caller.post(&format!("/api/tasks/{id}/cancel"), &json!({})).await;
    assert_eq!(canceled.status, 200, "{canceled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_of_this_network_is_reached_through_a_credential() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let private = FileHost::start("127.0.0.1", Vec::new(), &[]).await;
    let port = private.url.rsplit(':').next().unwrap().split('/').next().unwrap();
    for endpoint in [
        "http://169.254.169.254".to_owned(),
        format!("http://127.0.0.1:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("http://2130706433:{port}"),
        "http://10.0.0.1".to_owned(),
    ] {
        let refused = caller.post("/api/credentials", &body("media", &endpoint, SECRET)).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "destination_forbidden"),
            "{endpoint}"
        );
    }
    for endpoint in [
        "ftp://example.com",
        "https://a:b@example.com",
        "https://example.com/path",
        "https://example.com/?",
        "https://example.com\n",
        "https://example.com/\0",
        "example.com",
        "",
    ] {
        let refused = caller.post("/api/credentials", &body("media", endpoint, SECRET)).await;
        assert_eq!((refused.status, refused.code()), (400, "request_invalid"), "{endpoint}");
        assert_eq!(refused.body["errors"][0]["field"], "endpoint");
    }
    let odd = body("odd", " HTTPS:\\\\Example.com:443/#x ", SECRET);
    let created = caller.post("/api/credentials", &odd).await;
    assert_eq!(
        (created.status, &created.body["endpoint"]),
        (201, &json!("https://example.com")),
        "{created:?}"
    );
    // A name is looked up for each connection only.
    credential(&caller, "media", &format!("http://localhost:{port}"), SECRET).await;
    let task = caller
        .ended(submit(&app, &caller, &poster("s3://media/{task_id}.jpg")).await)
        .await;
    assert_eq!(task["error"]["code"], "destination_forbidden", "{task}");
    assert_eq!(private.requests(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_or_credential_that_cannot_be_used_is_refused_with_its_field() {
    let app = TestApp::idle_with(permit).await;
    let (caller, other) = (app.caller().await, app.caller().await);
    credential(&caller, "media", "http://127.0.0.1:9", SECRET).await;
    credential(&other, "other", "http://127.0.0.1:9", SECRET).await;
    let one = json!([{ "kind": "mp4" }]);
    let two = json!([{ "kind": "mp4" }, { "kind": "poster" }]);
    let set = json!([{ "kind": "hls" }]);
    let ask = async |recipe: String| caller.upload("clip.mp4", MP4.to_vec(), &[("recipe", &recipe)]).await;
    for (outputs, url) in [
        (&one, "s3://media/{unknown}.mp4"),
        (&one, "s3://media/../{task_id}.mp4"),
        (&one, "s3://media//absolute"),
        (&one, "s3://media/"),
        (&one, "https://media/a"),
        (&two, "s3://media/{task_id}/{ext}"),
        (&set, "s3://media/{task_id}.{ext}"),
    ] {
        let refused = ask(recipe(outputs, url, "media")).await;
        assert_eq!((refused.status, refused.code()), (400, "recipe_invalid"), "{url}");
        assert_eq!(refused.body["errors"][0]["field"], "destination.url", "{url}");
    }
    for name in ["absent", "other"] {
        let refused = ask(recipe(&one, "s3://media/{task_id}.mp4", name)).await;
        assert_eq!((refused.status, refused.code()), (400, "recipe_invalid"), "{name}");
        assert_eq!(refused.body["errors"][0]["field"], "destination.credential");
    }
    for url in ["s3://media/{task_id}.mp4", "s3://media/{task_id}/{output}.{ext}"] {
        assert_eq!(ask(recipe(&one, url, "media")).await.status, 201, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_reply_and_not_in_the_database_and_belongs_to_one_account() {
    let app = TestApp::idle_with(permit).await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let new = body("media", "http://127.0.0.1:9", SECRET);
    let request = || {
        caller
            .request(Method::POST, "/api/credentials")
            .header("idempotency-key", "k")
    };
    for _ in 0..2 {
        let created = Reply::read(request().json(&new).send().await.unwrap()).await;
        assert_eq!(
            (created.status, &created.body["region"]),
            (201, &"us-east-1".into()),
            "{created:?}"
        );
        assert!(!created.body.to_string().contains(SECRET), "{created:?}");
    }
    let taken = caller.post("/api/credentials", &new).await;
    assert_eq!((taken.status, taken.code()), (409, "credential_name_taken"));
    let listed = caller.get("/api/credentials").await.body;
    assert_eq!(
        (listed["data"].as_array().unwrap().len(), &listed["data"][0]["name"]),
        (1, &"media".into())
    );
    assert!(!listed.to_string().contains(SECRET), "{listed}");
    let row = "SELECT sealed_secret FROM credentials";
    let row = app
        .db
        .query_one_raw(sea_orm::Statement::from_string(app.db.get_database_backend(), row));
    let sealed: String = row.await.unwrap().unwrap().try_get("", "sealed_secret").unwrap();
    assert!(!sealed.contains(SECRET) && sealed.len() > SECRET.len(), "{sealed}");

    assert_eq!(other.get("/api/credentials").await.body["data"], json!([]));
    let absent = other.delete("/api/credentials/media").await;
    assert_eq!((absent.status, absent.code()), (404, "credential_not_found"));
    assert_eq!(caller.delete("/api/credentials/media").await.status, 200);
    assert_eq!(
        caller.delete("/api/credentials/media").await.code(),
        "credential_not_found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_while_it_writes_leaves_no_second_copy() {
    let app = TestApp::idle_with(permit).await;
    let caller = app.caller().await;
    let bucket = FaultyBucket::start(&[Fault::None, Fault::Hang]).await;
    credential(&caller, "media", &bucket.url, SECRET).await;
    let outputs = json!([{ "kind": "poster" }, { "kind": "mp4" }]);
    let id = submit(
        &app,
        &caller,
        &recipe(&outputs, "s3://media/{task_id}/{output}.{ext}", "media"),
    )
    .await;
    let worker = |name: &str| {
        let home = app.directory.path().join(name);
        std::fs::create_dir(&home).unwrap();
        let mut environment = app.environment.clone();
        environment.push(("RUSHES_OUTBOUND_ALLOW", "127.0.0.1/32".to_owned()));
        environment.push(("RUSHES_SEALING_KEY", tests::SECRET.to_owned()));
        Server::start_in("worker", &home, &environment)
    };
    let killed = worker("killed");
    let begun = std::time::Instant::now();
    while bucket.writes() < 2 {
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(100),
            "nothing was written"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(
        caller.get(&format!("/api/tasks/{id}")).await.body["status"],
        "processing"
    );
    killed.end("-KILL").await;
    let _other = worker("other");
    let task = caller.ended(id).await;
    assert_eq!(
        (&task["status"], &task["attempt"]),
        (&"processed".into(), &2.into()),
        "{task}"
    );
    let objects = bucket.objects();
    let names: Vec<&String> = objects.keys().collect();
    assert_eq!(
        names,
        [&format!("/media/{id}/poster.jpg"), &format!("/media/{id}/video.mp4")]
    );
    for (object, link) in objects.values().zip(task["download"].as_array().unwrap()) {
        assert!(*object == caller.download(link.as_str().unwrap()).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_credential_is_removed_fails_and_says_so() {
    let app = TestApp::idle_with(permit).await;
    let caller = app.caller().await;
    credential(&caller, "media", "http://127.0.0.1:9", SECRET).await;
    let id = submit(&app, &caller, &poster("s3://media/{task_id}.jpg")).await;
    assert_eq!(caller.delete("/api/credentials/media").await.status, 200);
    let home = app.directory.path().join("worker");
    std::fs::create_dir(&home).unwrap();
    let _worker = Server::start_in("worker", &home, &app.environment);
    let task = caller.ended(id).await;
    assert_eq!(task["error"]["code"], "credential_not_found", "{task}");
}
