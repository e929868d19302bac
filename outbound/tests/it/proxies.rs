//! Proxies of the environment: not used.

use crate::clients::{LIMITS, fetch};
use crate::host::{Host, empty};
use crate::rerun;

#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if rerun::is_rerun() {
        let host = runtime.block_on(Host::new(vec![empty()]));
        runtime.block_on(fetch(&host, LIMITS)).unwrap();
        assert_eq!(host.connections(), 1);
        return;
    }
    let proxy = runtime.block_on(Host::new(vec![empty()]));
    let url = format!("http://{}", proxy.address);
    let names = [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ];
    let variables = names.map(|name| (name, url.as_str()));
    rerun::again("proxies::a_proxy_of_the_environment_is_not_used", &variables);
    assert_eq!(proxy.connections(), 0);
}
