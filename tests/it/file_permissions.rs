//! Permissions of stored data: directories are 0700 and files 0600, regardless of the umask.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tests::clip::Clip;
use tests::server::Server;
use tests::{Caller, TestApp};

/// Starts `rushes up` from a shell with umask 0.
async fn up(directory: &Path, environment: &[(&'static str, String)]) -> Server {
    let data = directory.join("data").display().to_string();
    let environment = [&[("RUSHES_DATA_DIR", data)][..], environment].concat();
    let log = File::create(directory.join("process.log")).unwrap();
    let mut server = Server::start_with_prefix("umask 0;", "up", log.into(), &environment);
    server.ready().await;
    server
}

/// Finds paths that group or others have any permission on.
fn accessible_to_others(path: &Path, found: &mut BTreeMap<PathBuf, u32>) {
    let Ok(facts) = std::fs::symlink_metadata(path) else {
        return;
    };
    let (mode, kind) = (facts.permissions().mode() & 0o777, facts.file_type());
    if mode & 0o077 != 0 && !kind.is_symlink() && !kind.is_socket() {
        found.insert(path.to_owned(), mode);
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        accessible_to_others(&entry.path(), found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_data_is_accessible_only_to_the_user_of_the_service() {
    let app = TestApp::idle().await;
    let directory = app.directory.path();
    let (data, files) = (directory.join("data"), directory.join("files"));
    // Directories and files that an earlier version created with wider permissions.
    for old in ["data", "data/objects/sources", "files/sources"] {
        std::fs::create_dir_all(directory.join(old)).unwrap();
    }
    for old in ["data/objects/sources/old", "files/sources/old", "data/rushes.db"] {
        std::fs::write(directory.join(old), "").unwrap();
    }
    for (path, mode) in [
        ("data", 0o755),
        ("files", 0o755),
        ("data/rushes.db", 0o644),
        ("files/sources/old", 0o644),
    ] {
        std::fs::set_permissions(directory.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut environment = app.environment.clone();
    environment.retain(|(name, _)| !name.starts_with("AWS_") && *name != "STORAGE_URL");
    environment.retain(|(_, value)| !value.starts_with("sqlite:"));
    environment.push(("STORAGE_URL", format!("file://{}", files.display())));
    let server = up(directory, &environment).await;
    let caller = Caller::sign_up(&server.url).await;
    let recipe = r#"{"outputs":[{"kind":"mp4"},{"kind":"hls","ladder":[90]},{"kind":"poster"}]}"#;
    let clip = Clip::default().make(directory);
    let id = caller.task(&clip, &[("recipe", recipe)]).await;
    let found = RefCell::new(BTreeMap::new());
    // Check at every poll while a child works in the scratch directory, and at the end.
    let check = |task: &serde_json::Value| {
        accessible_to_others(&data, &mut found.borrow_mut());
        accessible_to_others(&files, &mut found.borrow_mut());
        task["finished_at"].is_string()
    };
    let task = caller.until(id, check).await;
    assert_eq!(task["status"], "processed", "{task}");
    assert_eq!(found.into_inner(), BTreeMap::new());
    assert!(files.join("outputs").is_dir() && data.join("scratch").is_dir() && data.join("jwt_secret").is_file());
    drop(server);
}
