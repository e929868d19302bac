//! Addresses that lead into the network of the service: no listener sees a connection, in any spelling, by a name or by
//! a redirect. With an exception for all addresses, the same URLs do reach the listener.

use crate::clients::{client, get};
use crate::host::{Host, empty, redirect};
use crate::names::Names;
use crate::{rerun, skip};
use outbound::{Client, Error};

/// Spellings of loopback and of "this host", with which a connection to this machine is made.
const LOCAL: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.0.0.2",
    "127.1.2.3",
    "127.127.127.127",
    "127.255.255.254",
    "2130706433",
    "2130706433.",
    "0x7f000001",
    "0X7F000001",
    "0x7f.0.0.1",
    "0x7F.1",
    "0x7f.0x0.0x0.0x1",
    "127.0x1",
    "0x000000000000007f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "0177.1",
    "00000177.0.0.1",
    "127.000.000.001",
    "127.00000.1",
    "127.0.0.0x1",
    "0x7f.0.1",
    "0177.0x0.1",
    "0x7f.0.0.1.",
    "%31%32%37.0.0.1",
    "127%2e0%2E0%2e1",
    "%6Cocalhost",
    "１２７.０.０.１",
    "127。0。0。1",
    "127．0．0．1",
    "127｡0｡0｡1",
    "①②⑦.⓪.⓪.①",
    "𝟏𝟐𝟕.𝟎.𝟎.𝟏",
    "₁₂₇.₀.₀.₁",
    "¹²⁷.⁰.⁰.¹",
    "０ｘ７ｆ.１",
    "127.0.0.\u{ad}1",
    "127\u{200b}.0.0.1",
    "0",
    "0.0",
    "0.0.0.0",
    "0.0.0.0.",
    "0x0",
    "0x",
    "00",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::0001]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::0.0.0.1]",
    "[::]",
    "[0::0]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::ffff:127.1.2.3]",
    "[::ffff:0.0.0.0]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "ｌｏｃａｌｈｏｓｔ",
    "localhost.localdomain",
    "127.0.0.1.nip.test",
    "bücher.test",
    "xn--bcher-kva.test",
    "a.b.c.test",
    "6.test",
    "0x7f.test",
];

/// Other addresses, as literals. In a network in which every address is local they reach a listener.
const OTHER: &[&str] = &[
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "192.168.255.254",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.254",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.7",
    "203.0.113.9",
    "240.0.0.1",
    "250.1.2.3",
    "255.255.255.254",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fdff:ffff::1]",
    "[fec0::1]",
    "[fe00::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[2002:7f00:1::1]",
    "[2002:a9fe:a9fe::]",
    "[2001:0:7f00:1::]",
    "[2001:2::1]",
    "[2001:3::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[2001:1ff::1]",
    "[2620:4f:8000::1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b::8.8.8.8]",
    "[64:ff9b:1::10.0.0.1]",
    "[100::1]",
    "[100:0:0:1::1]",
    "[5f00::1]",
    "[::7f00:1]",
    "[::10.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::ffff:8.8.8.8]",
    "[::ffff:0:127.0.0.1]",
    "[200::1]",
    "[1::1]",
    "[4000::1]",
    "[8000::1]",
    "[::2]",
];

/// Public addresses that this machine has in that network.
const OWN: &[&str] = &["8.8.8.8", "1.1.1.1", "[2606:4700::1]"];

/// Spellings of some of the other addresses.
const OTHER_SPELLINGS: &[&str] = &[
    "0xA9FEA9FE",
    "2852039166",
    "0251.0376.0251.0376",
    "169.254.43518",
    "0xa9.0376.169.254",
    "１６９.２５４.１６９.２５４",
    "10.1",
    "012.1",
    "0xa.1",
    "167772161",
    "3232235777",
    "0xac.0x10.1",
    "192.168.257",
    "[FD00::1]",
    "[64:FF9B::a00:1]",
];

/// Hosts to which no connection can be made on Linux: multicast, broadcast, link-local without a zone, and no hosts.
const UNREACHABLE: &[&str] = &[
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "0xffffffff",
    "[ff02::1]",
    "[ff0e::1]",
    "[ff05::1:3]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[fe80::5efe:127.0.0.1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[::1%25lo]",
    "[::1%lo]",
    "256.0.0.1",
    "6425673729",
    "127.0.0.1.1",
    "0x7f.0.0.0.1",
    "127.0.0.256",
    "08.0.0.1",
    "0x7g.1",
    "1.2.3.4.5",
    "[::ffff:127.0.0.256]",
    "[::1",
    "::1",
    "[1::2::3]",
    "%5B::1%5D",
    "127.0.0.1%00",
    "127.0.0.1%20",
    "127.0.0.1%09",
    "12\t7.0.0.1",
    "127.0\n.0.1",
    "a%2fb",
    "exa mple.test",
    "",
];

/// URLs around the address. `#` is the port.
const URLS: &[&str] = &[
    "http:127.0.0.1:#",
    "http:/127.0.0.1:#/",
    "http:\\\\127.0.0.1:#\\",
    "http:////127.0.0.1:#/",
    "HtTp://127.0.0.1:#/",
    "http://127.0.0.1:#\\@good.test/",
    "http://127.0.0.1:#?@good.test/",
    "http://127.0.0.1:000#/",
    "http://@127.0.0.1:#/",
    "http://:@127.0.0.1:#/",
];

/// URLs that are refused for another reason. With exceptions for all addresses they reach nothing either.
const OTHER_URLS: &[&str] = &[
    "\u{1}\n http://127.0.0.1:#/",
    "ht\ntp://127.0.0.1:#/",
    "http://good.test@127.0.0.1:#/",
    "http://a:b@127.0.0.1:#/",
    "http://:b@127.0.0.1:#/",
    "http://a%40b@127.0.0.1:#/",
    "ftp://127.0.0.1:#/",
    "file://127.0.0.1:#/",
    "gopher://127.0.0.1:#/",
    "ws://127.0.0.1:#/",
    "dict://127.0.0.1:#/",
    "//127.0.0.1:#/",
    "127.0.0.1:#",
    "http://127.0.0.1:#1111/",
    "http://127.0.0.1:-#/",
    "jar:http://127.0.0.1:#!/",
];

/// The names of [`LOCAL`] with the address of loopback, and a name for each other address.
fn names() -> Names {
    let local = [
        "localhost",
        "localhost.",
        "localhost.localdomain",
        "127.0.0.1.nip.test",
        "xn--bcher-kva.test",
    ];
    let local = local
        .into_iter()
        .chain(["a.b.c.test", "6.test", "0x7f.test", "good.test"]);
    let names = local.fold(Names::default(), |names, name| names.with(name, &["127.0.0.1"]));
    let named = OTHER.iter().enumerate();
    named.fold(names, |names, (number, literal)| {
        names.with(&name(number), &[literal.trim_matches(['[', ']'])])
    })
}

/// The name of an address of [`OTHER`].
fn name(number: usize) -> String {
    format!("other-{number}.test")
}

/// All hostile URLs, and true if they reach a listener when all addresses are permitted.
fn urls(port: u16, every_address_is_local: bool) -> Vec<(String, bool)> {
    let of = |host: &str| format!("http://{host}:{port}/");
    let with_port = |url: &&str| url.replace('#', &port.to_string());
    let local = LOCAL.iter().map(|host| (of(host), true));
    let other = OTHER
        .iter()
        .chain(OTHER_SPELLINGS)
        .map(|host| (of(host), every_address_is_local));
    let own = OWN.iter().filter(|_| every_address_is_local);
    let own = own.map(|host| (of(host), true));
    let named = (0..OTHER.len()).map(|number| (of(&name(number)), every_address_is_local));
    let unreachable = UNREACHABLE.iter().map(|host| (of(host), false));
    let around = URLS.iter().map(|url| (with_port(url), true));
    let refused = OTHER_URLS.iter().map(|url| (with_port(url), false));
    local
        .chain(other)
        .chain(own)
        .chain(named)
        .chain(unreachable)
        .chain(around)
        .chain(refused)
        .collect()
}

/// The number of connections after all that were begun have been accepted.
async fn connections(host: &Host) -> usize {
    let client = client("good.test", names());
    get(&client, &host.url("good.test")).await.unwrap();
    host.connections() - 1
}

async fn assert_refused(client: &Client, url: &str) {
    let error = get(client, url)
        .await
        .err()
        .unwrap_or_else(|| panic!("{url:?} was reached"));
    let is_expected = matches!(
        error,
        Error::Address { .. }
            | Error::Invalid
            | Error::Scheme
            | Error::Credentials
            | Error::Location
            | Error::Redirects
    );
    assert!(is_expected, "{url:?}: {error:?}");
}

async fn check(every_address_is_local: bool) {
    // Accepts connections of both families.
    let host = Host::at("[::]:0", vec![empty()]).await;
    let urls = urls(host.port(), every_address_is_local);
    assert!(urls.len() >= 120);
    let (strict, open) = (client("", names()), client("0.0.0.0/0,::/0", names()));
    for (url, _) in &urls {
        assert_refused(&strict, url).await;
    }
    assert_eq!(connections(&host).await, 0);

    for (number, (url, _)) in urls.iter().filter(|(_, is_reached)| *is_reached).enumerate() {
        get(&open, url)
            .await
            .map_err(|error| format!("{url:?}: {error:?}"))
            .unwrap();
        assert_eq!(host.connections(), number + 2, "{url:?}");
    }
}

#[tokio::test]
async fn no_listener_is_reached_at_an_address_that_is_not_public() {
    check(false).await;
}

#[test]
fn no_listener_is_reached_where_every_address_is_one_of_this_machine() {
    if rerun::is_rerun() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check(true));
    } else if !rerun::in_own_network(
        "hostile_addresses::no_listener_is_reached_where_every_address_is_one_of_this_machine",
    ) {
        skip::missing("unshare, ip and user namespaces");
    }
}

#[tokio::test]
async fn no_listener_is_reached_by_a_redirect() {
    let host = Host::at("[::]:0", vec![empty()]).await;
    let is_header_value = |url: &String| url.bytes().all(|byte| byte >= b' ');
    let urls = urls(host.port(), false)
        .into_iter()
        .map(|(url, _)| url)
        .filter(is_header_value);
    let client = client("good.test", names());
    for url in urls {
        let redirecting = Host::new(vec![redirect(&url)]).await;
        // A reference such as `127.0.0.1:80` or `http:127.0.0.1` is a path of the redirecting host itself.
        assert_refused(&client, &redirecting.url("good.test")).await;
    }
    assert_eq!(connections(&host).await, 0);
}
