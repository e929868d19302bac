//! What a browser shows for the address of the service alone.

use reqwest::Method;
use tests::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_shown_a_page_in_its_language_that_loads_nothing_from_elsewhere() {
    let app = TestApp::idle().await;
    let stranger = app.stranger();
    for (language, words) in [("en-US,en;q=0.9", "Error codes"), ("es", "Códigos de error")] {
        let request = stranger.request(Method::GET, "/").header("accept-language", language);
        let reply = request.header("accept", "text/html,*/*;q=0.8").send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let header = |name: &str| reply.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(header("vary"), "accept-language");
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let page = reply.text().await.unwrap();
        assert!(
            page.contains(words) && !page.contains("://") && !page.contains("<script"),
            "{page}"
        );
        for link in page
            .split("href=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
        {
            assert_eq!(
                stranger.request(Method::GET, link).send().await.unwrap().status(),
                200,
                "{link}"
            );
        }
    }
    let icon = stranger.request(Method::GET, "/favicon.ico").send().await.unwrap();
    assert_eq!(
        (icon.status().as_u16(), icon.headers()["content-type"].to_str().unwrap()),
        (200, "image/svg+xml")
    );
    let elsewhere = stranger.get("/nowhere").await;
    assert_eq!((elsewhere.status, elsewhere.code()), (404, "route_not_found"));
}
