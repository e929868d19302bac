//! `rushes backup`, backups with `pg_dump`, and the database file after a stop.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use tests::clip::Clip;
use tests::server::Server;
use tests::{Bucket, Caller, MP4, PNG, Postgres, executable, skip};

fn backup(data: &Path, to: &Path) -> Output {
    backup_of(&settings(data), to)
}

/// Makes a backup of a service with these settings.
fn backup_of(settings: &[(&'static str, String)], to: &Path) -> Output {
    let mut command = Command::new(executable());
    command.arg("backup").arg(to).env_clear().envs(settings.iter().cloned());
    command.output().unwrap()
}

/// The settings of a service that keeps everything in its data directory.
fn settings(data: &Path) -> Vec<(&'static str, String)> {
    vec![("RUSHES_DATA_DIR", data.display().to_string())]
}

/// A client that creates and removes tasks until it is stopped. Returns how many it created and kept.
async fn load(caller: Caller, stop: tokio_util::sync::CancellationToken) -> u64 {
    let mut created = 0;
    while !stop.is_cancelled() {
        let mut bytes = MP4.to_vec();
        bytes.extend_from_slice(&u64::to_le_bytes(created));
        let kept = caller.upload("kept.mp4", bytes.clone(), &[]).await;
        assert_eq!(kept.status, 201, "{kept:?}");
        let removed = caller.upload("removed.mp4", bytes, &[]).await;
        let id = removed.body["task_id"].as_i64().unwrap();
        let removed = caller.delete(&format!("/api/tasks/{id}")).await;
        assert_eq!(removed.status, 200, "{removed:?}");
        created += 1;
    }
    created
}

/// Starts three such clients. The returned future ends after them.
fn start_load(caller: &Caller, stop: &tokio_util::sync::CancellationToken) -> impl Future<Output = ()> + use<> {
    let clients = (0..3).map(|_| tokio::spawn(load(caller.clone(), stop.clone())));
    let clients: Vec<_> = clients.collect();
    async {
        for created in futures::future::join_all(clients).await {
            assert!(created.unwrap() > 0, "a client created nothing");
        }
    }
}

/// Asserts that the files of a backup are those that its database names, and that they have the recorded hashes.
/// Returns how many there are.
async fn check_backup(copy: &Path) -> usize {
    let db = entity::connect(&format!("sqlite://{}/rushes.db", copy.display()), 1)
        .await
        .unwrap();
    let named = entity::backup::stored_files(&db).await.unwrap();
    entity::close(db).await.unwrap();
    for file in &named {
        let object = copy.join("objects").join(&file.key);
        let path = file.entry.as_ref().map_or(object.clone(), |entry| object.join(entry));
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", file.key));
        assert_eq!(hex::encode(Sha256::digest(bytes)), file.sha256, "{}", file.key);
    }
    let keys: BTreeSet<_> = named.iter().map(|file| file.key.clone()).collect();
    for path in files_below(&copy.join("objects")) {
        let key = path
            .strip_prefix(copy.join("objects"))
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let is_named = keys.contains(&key) || keys.iter().any(|set| set.ends_with('/') && key.starts_with(set));
        assert!(is_named, "{key} is in the backup, and no row names it");
    }
    named.len()
}

fn files_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files_below(&path)),
            path => found.push(path),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_complete_and_starts_as_a_server_with_the_same_accounts() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory.path().join("data"));
    check_backups_under_load(directory.path(), settings, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_fetches_the_files_of_a_bucket_and_starts_as_a_server_without_the_bucket() {
    let directory = tempfile::tempdir().unwrap();
    let bucket = Bucket::start(&directory.path().join("s3")).await;
    let mut settings = settings(&directory.path().join("data"));
    settings.extend(Bucket::settings(bucket.address));
    check_backups_under_load(directory.path(), settings, 2).await;
}

/// Makes some backups of a service while clients create and remove tasks, compares the files of each backup with its
/// rows, and starts the last one as a server.
async fn check_backups_under_load(directory: &Path, settings: Vec<(&'static str, String)>, count: u32) {
    let mut server = Server::start("up", &directory.join("data.log"), &settings);
    server.ready().await;
    let caller = Caller::sign_up(&server.url).await;
    let clip = Clip::default().make(directory);
    let task = caller.processed(&clip, &[("preset", "hls")]).await;
    let link = task["download"][0].as_str().unwrap().to_owned();
    let video = caller.download(&link).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let clients = start_load(&caller, &stop);
    let mut files = 0;
    for round in 0..count {
        let to = directory.join(format!("copy-{round}"));
        let from = settings.clone();
        let path = to.clone();
        let output = tokio::task::spawn_blocking(move || backup_of(&from, &path))
            .await
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        assert!(text.contains("is complete"), "{text}");
        files = check_backup(&to).await;
    }
    stop.cancel();
    clients.await;
    assert!(files > 4, "the clip, its outputs, and files of the load: {files}");
    assert!(server.end("-TERM").await.success());

    let restored = Server::up(&directory.join(format!("copy-{}", count - 1))).await;
    let mut again = caller.clone();
    again.url.clone_from(&restored.url);
    let same = again.get(&format!("/api/tasks/{}", task["id"])).await;
    assert_eq!(
        same.status, 200,
        "token and task of the original are valid in the copy: {same:?}"
    );
    assert_eq!(same.body["outputs"][0]["sha256"], task["outputs"][0]["sha256"]);
    let link = same.body["download"][0].as_str().unwrap().to_owned();
    assert_eq!(again.download(&link).await, video);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_the_database_file_contains_all_commits() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::up(&data).await;
    let caller = Caller::sign_up(&server.url).await;
    assert!(server.end("-TERM").await.success());
    let log = std::fs::metadata(data.join("rushes.db-wal")).map_or(0, |wal| wal.len());
    assert_eq!(log, 0, "the write-ahead log has been checkpointed");
    let alone = directory.path().join("alone.db");
    std::fs::copy(data.join("rushes.db"), &alone).unwrap();
    let db = entity::connect(&format!("sqlite://{}", alone.display()), 1)
        .await
        .unwrap();
    let account = entity::user::find_by_username(&db, &caller.username).await.unwrap();
    assert!(account.is_some());
}

#[tokio::test]
async fn a_backup_refuses_a_target_that_is_not_empty_and_leaves_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let says = |output: Output, words: &str| {
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(words), "{text}");
    };
    says(backup(&data, &directory.path().join("copy")), "there is no database at");
    assert!(!directory.path().join("copy.partial").exists());
    let server = Server::up(&data).await;
    Caller::sign_up(&server.url).await;
    says(backup(&data, directory.path()), "is not empty");
    let copy = directory.path().join("copy");
    std::fs::create_dir(directory.path().join("copy.partial")).unwrap();
    says(backup(&data, &copy), "another backup is writing it, or one was killed");
    std::fs::remove_dir(directory.path().join("copy.partial")).unwrap();
    assert!(backup(&data, &copy).status.success());
    let mut postgres = Command::new(executable());
    postgres
        .args(["backup", "elsewhere"])
        .env_clear()
        .env("RUSHES_DATA_DIR", &data);
    says(
        postgres
            .env("DATABASE_URL", "postgres://a:b@127.0.0.1:1/c")
            .output()
            .unwrap(),
        "pg_dump",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_and_damaged_files_are_listed_and_the_rest_is_backed_up() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::up(&data).await;
    let caller = Caller::sign_up(&server.url).await;
    for name in ["lost", "damaged", "kept"] {
        let reply = caller.image(name, [PNG, name.as_bytes()].concat()).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    let clip = Clip::default().make(directory.path());
    let source = std::fs::read(&clip).unwrap();
    caller.processed(&clip, &[("preset", "hls")]).await;
    for path in files_below(&data.join("objects")) {
        let bytes = std::fs::read(&path).unwrap();
        let is_segment = path.extension().is_some_and(|extension| extension == "m4s");
        if bytes.ends_with(b"lost") || bytes == source || is_segment {
            std::fs::remove_file(&path).unwrap();
        } else if bytes.ends_with(b"damaged") {
            std::fs::write(&path, b"rotten").unwrap();
        }
    }
    let copy = directory.path().join("copy");
    let output = backup(&data, &copy);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("4 files that rows name are missing in storage or damaged"),
        "{stderr}"
    );
    let listed = std::fs::read_to_string(copy.join("lost.txt")).unwrap();
    let kinds = ["images/", "images/", "outputs/", "sources/"];
    assert!(
        listed.lines().zip(kinds).all(|(key, kind)| key.starts_with(kind)),
        "{listed}"
    );
    assert_eq!(listed.lines().count(), kinds.len(), "{listed}");
    let kept = files_below(&copy.join("objects"));
    let images: Vec<_> = kept
        .iter()
        .filter(|path| path.to_string_lossy().contains("/images/"))
        .collect();
    assert_eq!(images.len(), 1, "{kept:?}");
    assert!(std::fs::read(images[0]).unwrap().ends_with(b"kept"));
    assert!(copy.join("rushes.db").exists());
}

/// Copies a directory like the `rsync -a` of `docs/OPERATIONS.md`: files that were removed since the last copy stay in
/// the copy.
fn copy_files(from: &Path, to: &Path) {
    let mut copy = Command::new("cp");
    copy.args(["-a", "--no-target-directory"])
        .args([from, to])
        .env("LC_ALL", "C");
    // cp reports files that were removed while it ran; they are expected.
    let stderr = String::from_utf8(copy.output().unwrap().stderr).unwrap();
    assert!(
        stderr.lines().all(|line| line.contains("No such file or directory")),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_postgres_between_two_copies_of_the_files_starts_as_a_server_with_the_same_accounts() {
    if std::env::var("TEST_DATABASE_URL").is_err() {
        return skip::other_setup("dumps Postgres");
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let path = |name: &str| home.path().join(name);
    std::fs::create_dir(path("tables")).unwrap();
    let Some(postgres) = Postgres::start(&path("tables"), &path("tables"), &[]) else {
        return;
    };
    let environment = |database: &str, name: &str| {
        [
            ("RUSHES_DATA_DIR", path(name).join("data").display().to_string()),
            ("DATABASE_URL", database.to_owned()),
            (
                "STORAGE_URL",
                format!("file://{}", path(name).join("objects").display()),
            ),
            ("RUSHES_JWT_SECRET", tests::SECRET.to_owned()),
        ]
    };
    std::fs::create_dir_all(path("first/objects")).unwrap();
    let mut server = Server::start("up", &path("first.log"), &environment(&postgres.url, "first"));
    server.ready().await;
    let caller = Caller::sign_up(&server.url).await;
    let task = caller
        .processed(&Clip::default().make(home.path()), &[("preset", "hls")])
        .await;
    let link = task["download"][0].as_str().unwrap().to_owned();
    let video = caller.download(&link).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let clients = start_load(&caller, &stop);
    let (objects, dump) = (path("first/objects"), path("rushes.dump").display().to_string());
    std::fs::create_dir(path("second")).unwrap();
    let (files, copy) = (objects.clone(), path("second/objects"));
    let file = format!("--file={dump}");
    let (postgres, url) = tokio::task::spawn_blocking(move || {
        copy_files(&files, &copy);
        postgres.client("pg_dump", &["--format=custom", &file, &postgres.url]);
        copy_files(&files, &copy);
        let url = postgres.url.replace("/postgres", "/restored");
        postgres.client("createdb", &[&format!("--maintenance-db={}", postgres.url), "restored"]);
        postgres.client("pg_restore", &["--no-owner", &format!("--dbname={url}"), &dump]);
        (postgres, url)
    })
    .await
    .unwrap();
    stop.cancel();
    clients.await;
    assert!(server.stop().await.success());

    let db = entity::connect(&url, 1).await.unwrap();
    let mut whole = 0;
    for file in entity::backup::stored_files(&db).await.unwrap() {
        let object = path("second/objects").join(&file.key);
        let path = file.entry.as_ref().map_or(object.clone(), |entry| object.join(entry));
        // A file that was uploaded and removed between the two copies is missing, but its row is in the dump.
        if let Ok(bytes) = std::fs::read(path) {
            assert_eq!(hex::encode(Sha256::digest(bytes)), file.sha256, "{}", file.key);
            whole += 1;
        }
    }
    assert!(whole > 2, "the clip, its outputs, and what the load left: {whole}");
    let mut restored = Server::start("up", &path("second.log"), &environment(&url, "second"));
    restored.ready().await;
    let mut again = caller.clone();
    again.url.clone_from(&restored.url);
    let same = again.get(&format!("/api/tasks/{}", task["id"])).await;
    assert_eq!(
        same.body["outputs"][0]["sha256"], task["outputs"][0]["sha256"],
        "{same:?}"
    );
    let link = same.body["download"][0].as_str().unwrap().to_owned();
    assert_eq!(again.download(&link).await, video);
    assert!(restored.stop().await.success());
    drop(postgres);
}
