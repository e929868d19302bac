//! A bucket without space, while the database has some: uploads are refused with a code, tasks are retried and end
//! with that code, and the service resumes without a restart.

use sea_orm::ConnectionTrait;
use std::path::Path;
use tests::clip::Clip;
use tests::server::Server;
use tests::{Bucket, Caller, MP4, PNG, SECRET, TestApp};

const POSTER: &str = r#"{ "outputs": [{ "kind": "poster" }] }"#;

/// The replies of full servers: `MinIO`, Ceph, and others.
const REPLIES: [(u16, &str); 3] = [
    (507, "XMinioStorageFull"),
    (403, "QuotaExceeded"),
    (507, "InsufficientStorage"),
];

/// A short clip of its own length, so that tasks share no outputs.
fn clip(seconds: f64, directory: &Path) -> std::path::PathBuf {
    let clip = Clip {
        seconds,
        ..Clip::default()
    };
    clip.make(directory)
}

fn files_below(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files_below(&path)),
            path => found.push(path.display().to_string()),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_bucket_refuses_uploads_and_delays_tasks_until_it_has_space() {
    let app = TestApp::idle().await;
    let directory = app.directory.path();
    let bucket = Bucket::start(&directory.join("full")).await;
    let mut settings = Bucket::settings_instead(bucket.address, &app.environment);
    settings.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    let mut server = Server::start_in("backend", directory, &settings);
    server.ready().await;
    let caller = Caller::sign_up(&server.url).await;

    // An object of one request, and one of several parts.
    let (small, large) = (MP4.to_vec(), [MP4, &[7; 12 << 20]].concat());
    for (status, code) in REPLIES {
        bucket.space.exhaust(status, code);
        for bytes in [&small, &large] {
            let reply = caller.upload("clip.mp4", bytes.clone(), &[]).await;
            assert_eq!((reply.status, reply.code()), (507, "storage_full"), "{code}: {reply:?}");
        }
        let reply = caller.image("mark", PNG.to_vec()).await;
        assert_eq!((reply.status, reply.code()), (507, "storage_full"), "{code}: {reply:?}");
    }
    assert_eq!(files_below(&bucket.directory), Vec::<String>::new());
    assert!(
        caller.get("/api/tasks").await.body["data"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let refused = server.metric(r#"rushes_storage_errors_total{operation="write",reason="full"}"#);
    assert!(refused.await >= 9.0);
    bucket.space.free();
    assert_eq!(caller.upload("clip.mp4", large, &[]).await.status, 201);
    assert_eq!(caller.image("mark", PNG.to_vec()).await.status, 201);

    // The worker reads the sources, but cannot store the outputs.
    let retried = caller.task(&clip(0.2, directory), &[("recipe", POSTER)]).await;
    let last_try = caller.task(&clip(0.24, directory), &[("recipe", POSTER)]).await;
    let failed_before = format!("UPDATE tasks SET failures = 3 WHERE id = {last_try}");
    app.db.execute_unprepared(&failed_before).await.unwrap();
    bucket.space.exhaust(507, "XMinioStorageFull");
    let home = directory.join("worker");
    std::fs::create_dir(&home).unwrap();
    let worker = Server::start_in("worker", &home, &settings);
    let failed = caller.ended(last_try).await;
    let error = &failed["error"];
    assert_eq!(
        (&failed["status"], &error["code"]),
        (&"failed".into(), &"storage_full".into()),
        "{failed}"
    );
    assert_eq!(error["retryable"], true);
    caller.until(retried, |task| task["failures"].as_u64() >= Some(1)).await;
    bucket.space.free();
    let task = caller.ended(retried).await;
    assert_eq!(task["status"], "processed", "{task}");
    let outputs = files_below(&bucket.directory);
    let outputs: Vec<_> = outputs.iter().filter(|file| file.contains("/outputs/")).collect();
    let own = format!("/outputs/{retried}/{}/", task["attempt"]);
    assert!(outputs.len() == 1 && outputs[0].contains(&own), "{outputs:?}");
    assert!(worker.stop().await.success());
    assert!(server.stop().await.success());
}
