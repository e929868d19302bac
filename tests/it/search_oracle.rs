//! Searches over HTTP against a scan of 20,000 videos. The scan shares no code with the product: a query is made
//! together with its meaning, so nothing parses it, and folding, matching, counting, ordering and the distance of words
//! are written again, in the simplest way.

mod rows;
mod scan;

use crate::library::second_api;
use reqwest::Method;
use rows::{insert, remove};
use scan::{Filter, Meaning, Sort, Term, Video, Videos, fold};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, Instant};
use tests::random::Random;
use tests::{Caller, SECRET, TestApp};

const VIDEOS: i64 = 20_000;
const QUERIES: usize = 500;
const WORDS: usize = 4_000;
/// Hits that are compared one by one; of more, the first ones and their number are.
const WALK: usize = 300;

const SYLLABLES: [&str; 24] = [
    "ca", "mi", "no", "so", "la", "ñu", "té", "rá", "pi", "lo", "gua", "des", "per", "con", "tra", "bo", "gó", "ver",
    "sal", "mon", "ción", "jue", "dü", "ex",
];
const REGIONS: [&str; 5] = ["Bogotá", "A Coruña", "Lima", "La Paz", "León"];

fn vocabulary(random: &mut Random) -> Vec<String> {
    let (mut words, mut known) = (Vec::new(), BTreeSet::new());
    while words.len() < WORDS {
        let syllables = 2 + random.below(3);
        let word: String = (0..syllables).map(|_| *random.one_of(&SYLLABLES)).collect();
        if known.insert(fold(&word)) {
            words.push(word);
        }
    }
    words
}

/// A word, the first ones far more often than the last ones.
fn word<'a>(words: &'a [String], random: &mut Random) -> &'a str {
    &words[random.up_to(words.len()) - 1]
}

fn text(words: &[String], random: &mut Random, length: usize) -> String {
    let mut text = String::new();
    for _ in 0..length {
        let word = word(words, random);
        let word = if random.below(4) == 0 {
            word.to_uppercase()
        } else {
            word.to_owned()
        };
        let _ = write!(text, "{word}{}", random.one_of(&[" ", " ", " ", ", ", " – ", "\n"]));
    }
    text.trim().to_owned()
}

fn videos(words: &[String], random: &mut Random) -> Vec<Video> {
    let video = |id| {
        let (title, description) = (1 + random.below(7), random.below(12));
        let tags: BTreeSet<&str> = (0..random.below(4)).map(|_| word(&words[..60], random)).collect();
        let visibility = *random.one_of(&["public", "public", "public", "private", "unlisted"]);
        Video {
            id,
            account: random.below(3),
            visibility,
            title: text(words, random, title).replace('\n', " "),
            description: text(words, random, description),
            tags: tags.into_iter().map(str::to_owned).collect(),
            region: (random.below(3) > 0).then(|| (*random.one_of(&REGIONS)).to_owned()),
            duration_ms: i64::try_from(random.below(100)).unwrap() * 500,
            created_ms: 1_700_000_000_000 + id * 1_000,
            // Some videos are published at the same time.
            published_ms: (visibility != "private")
                .then(|| 1_750_000_000_000 + i64::try_from(random.below(9_000)).unwrap() * 60_000),
        }
    };
    (1..=VIDEOS).map(video).collect()
}

/// A query as a client sends it, and what it means.
fn query(words: &[String], videos: &Videos, random: &mut Random) -> (Vec<(&'static str, String)>, Meaning) {
    let like = random.one_of(&videos.rows);
    let mut pairs = Vec::new();
    let (text, meaning) = words_of_query(words, like, random);
    pairs.push(("q", text));
    if meaning.terms.iter().any(|term| term.is_prefix) {
        pairs.push(("typing", "true".to_owned()));
    }
    let (filter, parameter) = filter_of_query(like, random);
    pairs.extend(parameter);
    let sort = *random.one_of(&[Sort::Relevance, Sort::Newest, Sort::Duration]);
    pairs.push(("sort", sort.name().to_owned()));
    let scope = (random.below(3) == 0).then(|| random.below(3));
    (
        pairs,
        Meaning {
            filter,
            sort,
            scope,
            ..meaning
        },
    )
}

fn words_of_query(words: &[String], like: &Video, random: &mut Random) -> (String, Meaning) {
    let mut any = || word(words, random).to_owned();
    let (one, two, three) = (any(), any(), any());
    let title: Vec<String> = scan::words(&like.title);
    let pair = [title[0].clone(), title.get(1).unwrap_or(&title[0]).clone()];
    let phrase = |words: &[String], is_quoted| Term::new(words, is_quoted);
    let alone = |word: &String| phrase(std::slice::from_ref(word), false);
    let (text, terms, excluded) = match random.below(10) {
        0 => (one.clone(), vec![alone(&one)], vec![]),
        1 => (format!("{one}  {two}"), vec![alone(&one), alone(&two)], vec![]),
        2 => (
            format!("{three} {one} {two}"),
            vec![alone(&one), alone(&two), alone(&three)],
            vec![],
        ),
        3 => (format!("\"{}\"", pair.join(" ")), vec![phrase(&pair, true)], vec![]),
        4 => (format!("{one} -{two}"), vec![alone(&one)], vec![alone(&two)]),
        5 => (
            format!("-\"{}\" {one}", pair.join(" ")),
            vec![alone(&one)],
            vec![phrase(&pair, true)],
        ),
        6 => {
            let start: String = two.chars().take(2 + two.chars().count() / 3).collect();
            let mut prefix = alone(&start);
            prefix.is_prefix = true;
            (format!("{one} {start}"), vec![alone(&one), prefix], vec![])
        }
        7 => (fold(&one).to_uppercase(), vec![alone(&one)], vec![]),
        8 => (format!("{}.{}", pair[0], pair[1]), vec![phrase(&pair, false)], vec![]),
        _ => {
            let letters: Vec<char> = one.chars().collect();
            let at = random.below(letters.len());
            let misspelt: String = match random.below(3) {
                0 => letters
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| *index != at)
                    .map(|(_, letter)| letter)
                    .collect(),
                1 => letters
                    .iter()
                    .enumerate()
                    .map(|(index, letter)| if index == at { 'k' } else { *letter })
                    .collect(),
                _ => letters.iter().rev().collect(),
            };
            (misspelt.clone(), vec![alone(&misspelt)], vec![])
        }
    };
    (text, Meaning::of(terms, excluded))
}

fn filter_of_query(like: &Video, random: &mut Random) -> (Filter, Vec<(&'static str, String)>) {
    let time = |ms: i64| chrono::DateTime::from_timestamp_millis(ms).unwrap().to_rfc3339();
    let mut filter = Filter::default();
    let mut pairs = Vec::new();
    match random.below(9) {
        0 => {
            filter.tags.clone_from(&like.tags);
            pairs.extend(like.tags.iter().map(|tag| ("tag", tag.clone())));
        }
        1 => {
            filter.region.clone_from(&like.region);
            pairs.extend(like.region.clone().map(|region| ("region", region)));
        }
        2 => filter.account = Some(like.account),
        3 => {
            (filter.min_ms, filter.max_ms) = (Some(like.duration_ms), Some(like.duration_ms + 9_000));
            pairs.push(("min_duration_s", format!("{:.3}", seconds(like.duration_ms))));
            pairs.push(("max_duration_s", format!("{:.3}", seconds(like.duration_ms + 9_000))));
        }
        4 => {
            filter.after_ms = like.published_ms;
            pairs.extend(like.published_ms.map(|ms| ("published_after", time(ms))));
        }
        5 => {
            filter.before_ms = like.published_ms;
            pairs.extend(like.published_ms.map(|ms| ("published_before", time(ms))));
        }
        _ => {}
    }
    (filter, pairs)
}

fn seconds(ms: i64) -> f64 {
    f64::from(i32::try_from(ms).unwrap()) / 1_000.0
}

async fn page(caller: &Caller, path: &str, pairs: &[(&str, String)]) -> Value {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let reply = caller.get(&format!("{path}?{query}")).await;
    assert_eq!(reply.status, 200, "{path} {pairs:?}: {reply:?}");
    reply.body
}

/// Compares the answer to a query with the scan. Returns the number of hits and of corrected words.
async fn compare(caller: &Caller, pairs: &[(&'static str, String)], meaning: &Meaning, videos: &Videos) -> [usize; 2] {
    let path = if meaning.scope.is_some() {
        "/api/videos/search"
    } else {
        "/api/library/search"
    };
    let mut pairs = pairs.to_vec();
    pairs.extend([("max", "100".to_owned()), ("facets", "tags,region".to_owned())]);
    let first = page(caller, path, &pairs).await;
    let said = first["corrected"].as_array().unwrap();
    let said: Vec<(String, BTreeSet<String>)> = said
        .iter()
        .map(|one| {
            let words = one["replacements"].as_array().unwrap().iter();
            let words = words.map(|word| word.as_str().unwrap().to_owned()).collect();
            (one["word"].as_str().unwrap().to_owned(), words)
        })
        .collect();
    let expected = videos
        .search(meaning, &said)
        .unwrap_or_else(|wrong| panic!("{pairs:?}: {wrong}"));
    assert_eq!(first["total"], expected.ids.len().min(10_000), "{pairs:?}");
    assert_eq!(first["total_at_least"], expected.ids.len() > 10_000, "{pairs:?}");
    if expected.ids.len() <= 10_000 {
        assert_eq!(first["facets"], expected.facets, "{pairs:?}");
    }
    let (mut ids, mut next) = (Vec::new(), first);
    loop {
        let data = next["data"].as_array().unwrap();
        ids.extend(data.iter().map(|hit| hit["id"].as_i64().unwrap()));
        let Some(cursor) = next["next_cursor"].as_str().filter(|_| ids.len() < WALK) else {
            break;
        };
        let pairs = [&pairs[..], &[("cursor", cursor.to_owned())]].concat();
        next = page(caller, path, &pairs).await;
    }
    if meaning.sort == Sort::Relevance {
        // The scan does not rank, so only the set is compared.
        let set: BTreeSet<i64> = ids.iter().copied().collect();
        assert_eq!(set.len(), ids.len(), "{pairs:?}: a hit is repeated");
        let all: BTreeSet<i64> = expected.ids.iter().copied().collect();
        assert!(set.is_subset(&all), "{pairs:?}: {:?}", set.difference(&all));
        assert!(
            ids.len() >= WALK.min(all.len()),
            "{pairs:?}: {} of {}",
            ids.len(),
            all.len()
        );
    } else {
        let length = if ids.len() < WALK {
            expected.ids.len()
        } else {
            ids.len()
        };
        assert_eq!(ids, expected.ids[..length], "{pairs:?}");
    }
    [expected.ids.len(), said.len()]
}

/// Removes, hides and changes some videos, so that the catalog follows the log.
async fn change(app: &TestApp, callers: &[Caller], videos: &mut Vec<Video>, words: &[String], random: &mut Random) {
    for _ in 0..180 {
        let at = random.below(videos.len());
        let caller = &callers[videos[at].account];
        let path = format!("/api/videos/{}", videos[at].id);
        let status = match random.below(3) {
            0 => {
                (videos[at].visibility, videos[at].published_ms) = ("private", None);
                caller.post(&format!("{path}/unpublish"), &Value::Null).await.status
            }
            1 => {
                remove(app, videos.swap_remove(at).id).await;
                200
            }
            _ => {
                videos[at].title = text(words, random, 3).replace('\n', " ");
                let patch = json!({ "title": videos[at].title });
                let reply = caller.request(Method::PATCH, &path).json(&patch).send().await.unwrap();
                reply.status().as_u16()
            }
        };
        assert_eq!(status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_over_http_equal_a_scan_of_all_videos() {
    let app = TestApp::idle().await;
    let (mut callers, mut accounts) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let caller = app.caller().await;
        let user = entity::user::find_by_username(&app.db, &caller.username).await;
        accounts.push(user.unwrap().unwrap().id);
        callers.push(caller);
    }
    let mut random = Random::new(12);
    let words = vocabulary(&mut random);
    let mut rows = videos(&words, &mut random);
    insert(&app, &accounts, &rows).await;
    // Its catalog is filled with all videos.
    let url = second_api(&app, SECRET).await;
    let visitor = Caller::anonymous(&url);
    let begun = Instant::now();
    while visitor.get("/api/library").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(300), "the catalog is not filled");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for caller in &mut callers {
        caller.url.clone_from(&url);
    }
    let (mut found, mut corrected, mut many) = (0, 0, 0);
    for (round, queries) in [QUERIES / 2, QUERIES - QUERIES / 2].into_iter().enumerate() {
        let all = Videos::new(rows.clone());
        for _ in 0..queries {
            let (mut pairs, meaning) = query(&words, &all, &mut random);
            if let Some(account) = meaning.filter.account {
                pairs.push(("owner", callers[account].username.clone()));
            }
            let caller = meaning.scope.map_or(&visitor, |account| &callers[account]);
            let [hits, words] = compare(caller, &pairs, &meaning, &all).await;
            found += usize::from(hits > 0);
            many += usize::from(hits > 1_000);
            corrected += usize::from(words > 0);
        }
        if round == 0 {
            change(&app, &callers, &mut rows, &words, &mut random).await;
            // A change of which the API waits until the catalog has applied it, and with it all before.
            let last = rows.last_mut().unwrap();
            last.region = None;
            let patch = callers[last.account].request(Method::PATCH, &format!("/api/videos/{}", last.id));
            assert_eq!(
                patch.json(&json!({ "region": null })).send().await.unwrap().status(),
                200
            );
        }
    }
    println!("{found} of {QUERIES} queries found something, {many} over 1,000 hits, {corrected} were corrected");
    assert!(found > 250 && corrected > 20 && many > 20);
}
