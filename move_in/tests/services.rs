//! Lists of services from recorded replies: which row each asset becomes, or why it has none.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use move_in::{Counts, Error, Lister, Options, Service, Skipped};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const NO_DOWNLOADS: &str = r#"{"success":true,"result":{}}"#;
const READY: &str =
    r#"{"result":{"default":{"status":"ready","url":"https://cf.example/aa1.mp4","percentComplete":100}}}"#;
const IN_PROGRESS: &str = r#"{"result":{"default":{"status":"inprogress","url":"https://cf.example/x.mp4"}}}"#;

/// A server whose replies are chosen by the first lines of requests. `BASE` in a reply is its address.
struct Host {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Host {
    async fn start(replies: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (base, log) = (url.clone(), Arc::clone(&requests));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let line = head.split(" HTTP").next().unwrap().to_owned();
                let earlier = log.lock().unwrap().iter().filter(|old| old.starts_with(&line)).count();
                log.lock().unwrap().push(head);
                // Replies with the same line follow each other; the last one repeats.
                let matching: Vec<_> = replies.iter().filter(|(request, _)| *request == line).collect();
                let reply = matching.get(earlier).or(matching.last());
                let reply = match reply.map(|(_, reply)| *reply) {
                    None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
                    Some(raw) if raw.starts_with("HTTP/") => raw.to_owned(),
                    Some(body) => {
                        let body = body.replace("BASE", &base);
                        let length = body.len();
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
                    }
                };
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
        });
        Self { url, requests }
    }

    fn lines(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|head| head.split(" HTTP").next().unwrap().to_owned())
            .collect()
    }
}

type Listed = (Counts, Vec<Value>, Vec<Skipped>);

async fn list(host: &Host, service: Service, limit: Option<u64>) -> Result<Listed, Error> {
    let lister = Lister::new(service, &host.url, Some("Bearer secret"))?;
    let options = Options {
        preset: Some("web".to_owned()),
        limit,
    };
    let (mut file, mut skipped) = (Vec::new(), Vec::new());
    let mut report = |entry: &Skipped| skipped.push(entry.clone());
    let counts = lister.write(&options, &mut file, &mut report).await?;
    let lines = String::from_utf8(file).unwrap();
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((counts.rows, counts.skipped), (rows.len() as u64, skipped.len() as u64));
    Ok((counts, rows, skipped))
}

fn ids(skipped: &[Skipped]) -> Vec<&str> {
    skipped.iter().map(|entry| entry.id.as_str()).collect()
}

const MUX: &[(&str, &str)] = &[
    ("GET /video/v1/assets?limit=100", include_str!("fixtures/mux_1.json")),
    (
        "GET /video/v1/assets?limit=100&cursor=page+2%26x",
        include_str!("fixtures/mux_2.json"),
    ),
];

#[tokio::test]
async fn mux_has_masters_and_public_renditions() {
    let host = Host::start(MUX).await;
    let (_, rows, skipped) = list(&host, Service::Mux, None).await.unwrap();
    assert_eq!(
        rows,
        [
            json!({"source_url": "https://stream.mux.com/pb1/highest.mp4", "title": "=SUM(A1) \"quoted\", and  more",
                "external_id": "mux:a1", "preset": "web"}),
            json!({"source_url": "https://master.mux.com/a3/master.mp4?signature=x", "title": "Master",
                "external_id": "mux:a3", "preset": "web"}),
            json!({"source_url": "https://stream.mux.com/pb5/high.mp4", "external_id": "mux:a5", "preset": "web"}),
        ]
    );
    assert_eq!(ids(&skipped), ["a2", "(no id)", "a4", "a6"]);
    let requests = host.requests.lock().unwrap();
    assert!(
        requests
            .iter()
            .all(|head| head.to_lowercase().contains("authorization: bearer secret"))
    );
}

#[tokio::test]
async fn a_limit_ends_the_list_early() {
    let host = Host::start(MUX).await;
    let (counts, ..) = list(&host, Service::Mux, Some(1)).await.unwrap();
    assert_eq!(counts.rows, 1);
    assert_eq!(host.lines().len(), 1);
}

const CLOUDFLARE: &[(&str, &str)] = &[
    (
        "GET /accounts/acc/stream?asc=true",
        include_str!("fixtures/cloudflare_1.json"),
    ),
    (
        "GET /accounts/acc/stream?asc=true&start=2024-01-03T00%3A00%3A00Z",
        include_str!("fixtures/cloudflare_2.json"),
    ),
    ("GET /accounts/acc/stream/aa1/downloads", READY),
    ("GET /accounts/acc/stream/aa3/downloads", NO_DOWNLOADS),
    ("POST /accounts/acc/stream/aa3/downloads", IN_PROGRESS),
    ("GET /accounts/acc/stream/aa4/downloads", IN_PROGRESS),
];

#[tokio::test]
async fn cloudflare_has_videos_with_a_download_and_makes_one_only_on_demand() {
    for prepare in [false, true] {
        let host = Host::start(CLOUDFLARE).await;
        let service = Service::Cloudflare {
            account: "acc".to_owned(),
            prepare,
        };
        let (_, rows, skipped) = list(&host, service, None).await.unwrap();
        assert_eq!(
            rows,
            [
                json!({"source_url": "https://cf.example/aa1.mp4", "title": "First; \"one\"",
                "external_id": "cloudflare:aa1", "preset": "web"})
            ]
        );
        assert_eq!(ids(&skipped), ["(no id)", "aa2", "aa3", "aa4"]);
        assert_eq!(skipped[2].reason.contains("--prepare"), !prepare, "{skipped:?}");
        let posts = host.lines().iter().filter(|line| line.starts_with("POST")).count();
        assert_eq!(posts, usize::from(prepare));
    }
}

#[tokio::test]
async fn peertube_has_the_largest_file_of_each_video() {
    let host = Host::start(&[
        (
            "GET /api/v1/video-channels/chan/videos?sort=publishedAt&count=100&start=0",
            include_str!("fixtures/peertube_1.json"),
        ),
        (
            "GET /api/v1/video-channels/chan/videos?sort=publishedAt&count=100&start=2",
            include_str!("fixtures/peertube_2.json"),
        ),
        (
            "GET /api/v1/videos/11111111-0000-4000-8000-000000000001",
            include_str!("fixtures/peertube_video_1.json"),
        ),
        (
            "GET /api/v1/videos/11111111-0000-4000-8000-000000000002",
            include_str!("fixtures/peertube_video_2.json"),
        ),
    ])
    .await;
    let service = Service::Peertube {
        channel: Some("chan".to_owned()),
        account: None,
    };
    let (_, rows, skipped) = list(&host, service, None).await.unwrap();
    let id = |last: u8| format!("peertube:11111111-0000-4000-8000-00000000000{last}");
    assert_eq!(
        rows,
        [
            json!({"source_url": "https://tube.example/download/1-1080.mp4", "title": "@One  two",
                "description": "Line 1\nLine 2", "tags": ["a b", "c"], "external_id": id(1), "preset": "web"}),
            json!({"source_url": "https://tube.example/hls/2-720.mp4", "title": "Two", "external_id": id(2),
                "preset": "web"}),
        ]
    );
    assert_eq!(ids(&skipped), ["(no id)", "11111111-0000-4000-8000-000000000003"]);
}

#[tokio::test]
async fn mediacms_has_the_files_that_were_uploaded() {
    let host = Host::start(&[
        ("GET /api/v1/media", include_str!("fixtures/mediacms_1.json")),
        ("GET /api/v1/media?page=2", include_str!("fixtures/mediacms_2.json")),
        ("GET /api/v1/media/tok1", include_str!("fixtures/mediacms_media_1.json")),
        ("GET /api/v1/media/tok2", include_str!("fixtures/mediacms_media_2.json")),
        ("GET /api/v1/media/tok3", include_str!("fixtures/mediacms_media_3.json")),
    ])
    .await;
    let (_, rows, skipped) = list(&host, Service::Mediacms, None).await.unwrap();
    let url = format!("{}/media/original/user/admin/one%20file.mp4", host.url);
    assert_eq!(
        rows,
        [json!({"source_url": url, "title": "-One", "tags": ["x"], "external_id": "mediacms:tok1", "preset": "web"})]
    );
    assert_eq!(ids(&skipped), ["(no id)", "tok2", "tok3"]);
}

#[tokio::test]
async fn the_token_goes_to_no_other_address() {
    let host = Host::start(&[(
        "GET /api/v1/media",
        r#"{"results":[],"next":"http://127.0.0.2:1/api/v1/media?page=2"}"#,
    )])
    .await;
    let error = list(&host, Service::Mediacms, None).await.unwrap_err();
    assert!(matches!(error, Error::Reply { .. }), "{error}");
}

#[tokio::test]
async fn limits_of_the_service_are_obeyed_and_other_errors_end_the_list() {
    let limited = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let host = Box::leak(Box::new(vec![("GET /video/v1/assets?limit=100", limited)]));
    host.push(("GET /video/v1/assets?limit=100", r#"{"data":[]}"#));
    let host = Host::start(host).await;
    let (counts, ..) = list(&host, Service::Mux, None).await.unwrap();
    assert_eq!((counts, host.lines().len()), (Counts::default(), 2));

    let replies: [(&'static [(&str, &str)], &str); 4] = [
        (&[("GET /video/v1/assets?limit=100", "<html>")], "not JSON"),
        (&[("GET /video/v1/assets?limit=100", "{}")], "no list of videos"),
        (&[], "404"),
        (
            &[(
                "GET /video/v1/assets?limit=100",
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            )],
            "302",
        ),
    ];
    for (replies, reason) in replies {
        let host = Host::start(replies).await;
        let error = list(&host, Service::Mux, None).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
