//! Files in the bucket of a customer, on a real S3 server.

use outbound::{Client, Policy};
use storage::{BucketAddress, Destination, DestinationError, DestinationFile, S3Credentials, s3_server};

/// A destination on a server of its own, and the directory of its bucket.
async fn destination(home: &std::path::Path, policy: &str) -> Destination {
    std::fs::create_dir_all(home.join("media")).unwrap();
    let (address, _serving) = s3_server::start(home, "key", "secret").await.unwrap();
    let address = BucketAddress {
        endpoint: format!("http://{address}/"),
        region: "us-east-1".to_owned(),
        bucket: "media".to_owned(),
    };
    let keys = S3Credentials {
        access_key_id: "key".to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    Destination::new(address, keys, Client::new(policy.parse::<Policy>().unwrap()).unwrap())
}

#[tokio::test]
async fn a_large_file_is_written_in_parts_and_may_be_written_again() {
    let home = tempfile::tempdir().unwrap();
    let destination = destination(home.path(), "127.0.0.1/32").await;
    let local = home.path().join("local");
    for bytes in [0, 1, 8 << 20, (20 << 20) + 7] {
        let content: Vec<u8> = (0..251).cycle().take(bytes).collect();
        std::fs::write(&local, &content).unwrap();
        for _ in 0..2 {
            let file = DestinationFile {
                key: "a/b c.mp4",
                local: &local,
                media_type: "video/mp4",
            };
            let written = destination.write(file).await.unwrap();
            assert_eq!(written.bytes, bytes as u64);
        }
        assert!(
            std::fs::read(home.path().join("media/a/b c.mp4")).unwrap() == content,
            "{bytes}"
        );
    }
}

#[tokio::test]
async fn a_link_is_not_followed_and_an_address_that_is_not_permitted_is_not_reached() {
    let home = tempfile::tempdir().unwrap();
    let local = home.path().join("local");
    std::os::unix::fs::symlink("/etc/hostname", &local).unwrap();
    let file = DestinationFile {
        key: "a",
        local: &local,
        media_type: "text/plain",
    };
    let permitted = destination(home.path(), "127.0.0.1/32").await;
    let failed = permitted.write(file).await.unwrap_err();
    assert!(matches!(failed, DestinationError::LocalFile(_)), "{failed:?}");
    std::fs::remove_file(&local).unwrap();
    std::fs::write(&local, "x").unwrap();
    let refused = destination(home.path(), "").await.write(file).await.unwrap_err();
    assert!(matches!(refused, DestinationError::Forbidden), "{refused:?}");
}
