//! URLs with which a client writes parts to a bucket itself.

use std::time::Duration;
use storage::{Error, Key, S3Credentials, Storage};
use uuid::Uuid;

async fn signed(url: &str) -> Result<String, Error> {
    let credentials = S3Credentials {
        access_key_id: "key".to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    let storage = Storage::open(url, Some(credentials)).await?;
    let key = Key::source(Uuid::nil());
    storage.sign_part(&key, "an upload", 7, Duration::from_mins(1)).await
}

#[tokio::test]
async fn a_url_names_the_part_and_the_address_of_the_bucket_for_clients() {
    let path = "/videos/sources/00000000-0000-0000-0000-000000000000?";
    let inside = signed("s3://videos?endpoint=http://store:9000").await.unwrap();
    assert!(inside.starts_with(&format!("http://store:9000{path}")), "{inside}");
    let public = "s3://videos?endpoint=http://store:9000&public_endpoint=https://files.example.com/";
    let outside = signed(public).await.unwrap();
    assert!(
        outside.starts_with(&format!("https://files.example.com{path}")),
        "{outside}"
    );
    for part in [
        "partNumber=7",
        "uploadId=an%20upload",
        "X-Amz-Expires=60",
        "X-Amz-Signature=",
    ] {
        assert!(outside.contains(part), "{part}: {outside}");
    }
    assert!(!outside.contains("secret"), "{outside}");
}

#[tokio::test]
async fn a_directory_signs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    assert!(matches!(signed(&url).await, Err(Error::NotFound { .. })));
    let storage = Storage::open(&url, None).await.unwrap();
    let begun = storage.begin_presigned(&Key::source(Uuid::nil()), 1).await.unwrap();
    assert!(begun.is_none());
}
