//! Watched folders: moves within a bucket, and what stands in the way of a directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use storage::{Folder, S3Credentials, Storage, s3_server};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A watched prefix of a bucket on a server of its own.
struct Bucket {
    folder: Folder,
    /// The directory with the objects of the prefix.
    objects: PathBuf,
    server: JoinHandle<()>,
    _directory: TempDir,
}

impl Bucket {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let objects = directory.path().join("media/in [1] 5%");
        fs::create_dir_all(&objects).unwrap();
        let (address, server) = s3_server::start(directory.path(), "key", "secret").await.unwrap();
        let credentials = S3Credentials {
            access_key_id: "key".to_owned(),
            secret_access_key: "secret".to_owned(),
        };
        let url = format!("s3://media/in%20[1]%205%25?endpoint=http://{address}");
        Self {
            folder: Folder::open(&url, Some(credentials)).unwrap(),
            objects,
            server,
            _directory: directory,
        }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test]
async fn an_object_keeps_its_name_when_it_is_moved() {
    let bucket = Bucket::start().await;
    let names = [
        "clip [1] 50%~.mp4",
        "a{b}#c^d|e.mp4",
        "%5B.mp4",
        "d\u{ed}a \"?*<>`\\.mp4",
    ];
    for name in names {
        fs::write(bucket.objects.join(name), name).unwrap();
    }
    let files = bucket.folder.list().await.unwrap();
    assert_eq!(files.len(), names.len());
    for file in files {
        assert!(names.contains(&file.name.as_str()), "{}", file.name);
        let target = format!("done/{}", file.name);
        assert!(!bucket.folder.exists(&target).await.unwrap());
        assert!(bucket.folder.move_to(&file, &target).await.unwrap());
        assert!(bucket.folder.exists(&target).await.unwrap());
        assert_eq!(fs::read_to_string(bucket.objects.join(&target)).unwrap(), file.name);
        assert!(!bucket.objects.join(&file.name).exists());
    }
}

#[tokio::test]
async fn an_object_of_the_same_length_with_other_content_is_no_copy() {
    let bucket = Bucket::start().await;
    fs::create_dir(bucket.objects.join("done")).unwrap();
    for (name, content) in [("clip.mp4", "one"), ("done/clip.mp4", "two"), ("done/copy.mp4", "one")] {
        fs::write(bucket.objects.join(name), content).unwrap();
    }
    let file = bucket.folder.list().await.unwrap().remove(0);
    assert!(!bucket.folder.move_to(&file, "done/clip.mp4").await.unwrap());
    assert!(bucket.objects.join("clip.mp4").exists());
    assert!(bucket.folder.move_to(&file, "done/copy.mp4").await.unwrap());
    assert!(!bucket.objects.join("clip.mp4").exists());
}

#[test]
fn a_link_or_a_file_in_place_of_a_folder_for_moved_files_is_refused() {
    let (directory, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = || Folder::open(directory.path().to_str().unwrap(), None);
    let reason = || {
        let error = open().unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    let below = directory.path().join("failed");
    symlink(outside.path(), &below).unwrap();
    assert_eq!(reason(), "`failed` is a link or a file, not a directory");
    fs::remove_file(&below).unwrap();
    fs::write(&below, "").unwrap();
    assert_eq!(reason(), "`failed` is a link or a file, not a directory");
    fs::remove_file(&below).unwrap();
    open().unwrap();
}

#[tokio::test]
async fn links_that_are_put_into_a_watched_directory_are_not_followed_by_writes_and_moves() {
    let (directory, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = Folder::open(directory.path().to_str().unwrap(), None).unwrap();
    let (failed, secret) = (directory.path().join("failed"), outside.path().join("secret"));
    fs::write(&secret, "secret").unwrap();
    for name in ["a.error.json", "a.error.json.tmp"] {
        symlink(&secret, failed.join(name)).unwrap();
    }
    folder.write("failed/a.error.json", b"{}".to_vec()).await.unwrap();
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    let written = failed.join("a.error.json");
    assert_eq!(fs::read_to_string(&written).unwrap(), "{}");
    assert_eq!(
        fs::symlink_metadata(&written).unwrap().permissions().mode() & 0o7777,
        0o644
    );

    fs::write(directory.path().join("clip.mp4"), "clip").unwrap();
    let file = folder.list().await.unwrap().remove(0);
    let done = directory.path().join("done");
    fs::remove_dir(&done).unwrap();
    symlink(outside.path(), &done).unwrap();
    folder.move_to(&file, "done/clip.mp4").await.unwrap_err();
    folder.write("done/clip.mp4", Vec::new()).await.unwrap_err();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    fs::remove_file(&done).unwrap();
    assert!(folder.move_to(&file, "done/clip.mp4").await.unwrap());
    assert!(done.join("clip.mp4").exists());
}

#[tokio::test]
async fn a_pipe_or_a_link_that_takes_the_name_of_a_file_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("a.mp4"), "a").unwrap();
    fs::write(path("b.mp4"), "b").unwrap();
    let folder = Folder::open(&format!("file://{}", directory.path().display()), None).unwrap();
    let files = folder.list().await.unwrap();
    assert_eq!(files.len(), 2);
    nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::rename(path("pipe"), path("a.mp4")).unwrap();
    fs::rename(path("b.mp4"), path("other")).unwrap();
    symlink(path("other"), path("b.mp4")).unwrap();
    for file in files {
        let read = tokio::time::timeout(std::time::Duration::from_secs(5), folder.read(&file));
        assert!(read.await.expect("it blocks").is_err(), "{}", file.name);
    }
}

#[tokio::test]
async fn a_new_file_with_the_name_length_time_and_inode_of_an_earlier_one_is_another_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.mp4");
    let folder = Folder::open(directory.path().to_str().unwrap(), None).unwrap();
    let old = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    let mut etags = std::collections::HashSet::new();
    for _ in 0..2 {
        let file = fs::File::create(&path).unwrap();
        file.set_times(old).unwrap();
        assert!(etags.insert(folder.list().await.unwrap()[0].etag.clone()));
        fs::remove_file(&path).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[tokio::test]
async fn the_password_of_an_endpoint_is_refused_and_not_repeated() {
    let url = "s3://media/in?endpoint=http://me:hush@127.0.0.1:9";
    let credentials = || S3Credentials {
        access_key_id: "key".to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    let folder = Folder::open(url, Some(credentials())).unwrap_err().to_string();
    let storage = Storage::open(&url.replace("/in", ""), Some(credentials()))
        .await
        .err()
        .unwrap()
        .to_string();
    for text in [folder, storage] {
        assert!(text.contains("user name") && !text.contains("hush"), "{text}");
    }
}
