//! Two accounts that change, publish, hide and remove their videos and tasks from many clients at once, and try that
//! with those of the other. Afterwards every list is what the database says.

use domain::Visibility;
use reqwest::Method;
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tests::random::Random;
use tests::{Caller, MP4, Reply, TestApp};

const CLIENTS: u64 = 4;
const REQUESTS: usize = 60;
/// Videos of each account.
const VIDEOS: usize = 4;

/// For the catalog to be at the end of the log, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A video and its processed task.
type Subject = (i64, i64);

async fn processed(app: &TestApp, caller: &Caller) -> Subject {
    let upload = caller.upload("clip.mp4", MP4.to_vec(), &[]).await;
    assert_eq!(upload.status, 201, "{upload:?}");
    let (task, video) = (
        upload.body["id"].as_i64().unwrap(),
        upload.body["video_id"].as_i64().unwrap(),
    );
    app.finish(task, &[("video.mp4", "mp4", "video/mp4", b"x")]).await;
    (video, task)
}

/// Sends a random request about a video. Returns what it was and its reply.
async fn act(caller: &Caller, subject: Subject, random: &mut Random) -> (&'static str, Reply) {
    let (video, task) = subject;
    let path = format!("/api/videos/{video}");
    let (name, method, path, body) = match random.below(12) {
        0..=2 => {
            let number = random.below(50);
            let patch = json!({ "title": format!("clip {number}"), "tags": [format!("tag{}", number % 5)],
                "external_id": format!("id-{}", number % 3), "metadata": { "n": number } });
            ("change", Method::PATCH, path, patch)
        }
        3..=4 => ("publish", Method::POST, format!("{path}/publish"), json!({})),
        5 => (
            "publish task",
            Method::POST,
            format!("/api/tasks/{task}/publish"),
            json!({ "visibility": "unlisted" }),
        ),
        6..=7 => ("hide", Method::POST, format!("{path}/unpublish"), json!({})),
        8 => ("show", Method::GET, path, Value::Null),
        9 => (
            "search",
            Method::GET,
            "/api/videos/search?q=clip&facets=tags".to_owned(),
            Value::Null,
        ),
        10 if random.below(8) == 0 => ("remove", Method::DELETE, path, Value::Null),
        10 => ("retry", Method::POST, format!("/api/tasks/{task}/retry"), Value::Null),
        _ if random.below(8) == 0 => ("remove task", Method::DELETE, format!("/api/tasks/{task}"), Value::Null),
        _ => ("show public", Method::GET, format!("/api/library/{video}"), Value::Null),
    };
    let request = caller.request(method, &path);
    let request = if body.is_null() { request } else { request.json(&body) };
    (name, Reply::read(request.send().await.unwrap()).await)
}

/// The facts about a video in a list: its visibility, title and tags.
type Shown = BTreeMap<i64, (String, String, Value)>;

async fn listed(caller: &Caller, path: &str) -> Shown {
    let (mut shown, mut next) = (Shown::new(), String::new());
    loop {
        let page = caller.get(&format!("{path}{next}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        for video in page.body["data"].as_array().unwrap() {
            let text = |name: &str| video[name].as_str().unwrap().to_owned();
            let row = (text("visibility"), text("title"), video["tags"].clone());
            assert_eq!(
                shown.insert(video["id"].as_i64().unwrap(), row),
                None,
                "{path}: repeated"
            );
        }
        match page.body["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return shown,
        }
    }
}

/// The videos in the database of an account, or the public ones of all.
async fn stored(app: &TestApp, account: Option<&Caller>) -> Shown {
    let account = match account {
        Some(caller) => entity::user::find_by_username(&app.db, &caller.username).await.unwrap(),
        None => None,
    };
    let rows = entity::video::Entity::find().order_by_asc(entity::video::Column::Id);
    let rows = rows
        .all(&app.db)
        .await
        .unwrap()
        .into_iter()
        .filter(|row| match &account {
            Some(account) => row.user_id == account.id,
            None => Visibility::from(row.visibility) == Visibility::Public,
        });
    rows.map(|row| {
        (
            row.id,
            (
                Visibility::from(row.visibility).as_str().to_owned(),
                row.title,
                row.tags,
            ),
        )
    })
    .collect()
}

/// Waits until a list is what the database says, which no client changes any more.
async fn check(app: &TestApp, caller: &Caller, path: &str, account: Option<&Caller>) {
    let (expected, begun) = (stored(app, account).await, Instant::now());
    loop {
        let shown = listed(caller, path).await;
        if shown == expected {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{path}: {shown:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_changes_cause_no_5xx_no_foreign_change_and_lists_equal_the_database() {
    let app = TestApp::idle().await;
    let accounts = [app.caller().await, app.caller().await];
    let mut subjects = Vec::new();
    for caller in &accounts {
        let mut own = Vec::new();
        for _ in 0..VIDEOS {
            own.push(processed(&app, caller).await);
        }
        subjects.push(own);
    }
    let mut clients = tokio::task::JoinSet::new();
    for (number, caller) in accounts.iter().enumerate() {
        for client in 0..CLIENTS {
            let (caller, own, foreign) = (caller.clone(), subjects[number].clone(), subjects[1 - number].clone());
            let mut random = Random::new(client * 2 + u64::try_from(number).unwrap());
            clients.spawn(async move {
                let mut counts: BTreeMap<String, usize> = BTreeMap::new();
                for _ in 0..REQUESTS {
                    let is_foreign = random.below(6) == 0;
                    let subject = *random.one_of(if is_foreign { &foreign } else { &own });
                    let (name, reply) = act(&caller, subject, &mut random).await;
                    assert!(reply.status < 500, "{name}: {reply:?}");
                    let is_of_all = ["search", "show public"].contains(&name);
                    assert!(!is_foreign || is_of_all || reply.status == 404, "{name}: {reply:?}");
                    *counts.entry(format!("{name} {}", reply.status)).or_default() += 1;
                }
                counts
            });
        }
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(ended) = clients.join_next().await {
        for (reply, count) in ended.unwrap() {
            *counts.entry(reply).or_default() += count;
        }
    }
    println!("{counts:?}");
    for required in [
        "change 200",
        "publish 200",
        "publish task 200",
        "hide 200",
        "change 404",
    ] {
        assert!(counts.contains_key(required), "no reply was {required}: {counts:?}");
    }
    for caller in &accounts {
        check(&app, caller, "/api/videos?max=3", Some(caller)).await;
        check(
            &app,
            caller,
            "/api/videos/search?q=clip&max=3&sort=newest",
            Some(caller),
        )
        .await;
    }
    check(&app, &app.anonymous(), "/api/library?max=3", None).await;
    check(&app, &app.anonymous(), "/api/library/search?q=clip&max=3", None).await;
}
