//! The page at `/`.

use reqwest::Method;
use tests::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn the_landing_page_is_in_the_language_of_the_browser_and_loads_nothing_from_other_origins() {
    let app = TestApp::idle().await;
    let anonymous = app.anonymous();
    for (language, words) in [("en-US,en;q=0.9", "Error codes"), ("es", "Códigos de error")] {
        let request = anonymous.request(Method::GET, "/").header("accept-language", language);
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
                anonymous.request(Method::GET, link).send().await.unwrap().status(),
                200,
                "{link}"
            );
        }
    }
    let icon = anonymous.request(Method::GET, "/favicon.ico").send().await.unwrap();
    assert_eq!(
        (icon.status().as_u16(), icon.headers()["content-type"].to_str().unwrap()),
        (200, "image/svg+xml")
    );
    let elsewhere = anonymous.get("/nowhere").await;
    assert_eq!((elsewhere.status, elsewhere.code()), (404, "route_not_found"));
}
