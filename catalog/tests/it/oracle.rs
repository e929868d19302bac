//! Random queries against a scan of all videos.

use super::filled;
use super::model::{Answer, Model};
use catalog::synthetic::{Library, Numbers};
use catalog::{Catalog, EXACT_HITS, Facet, Video};
use domain::UserId;
use domain::library::{Cursor, Filter, PageSize, Query, Scope, Sort};
use domain::search::Search;

const VIDEOS: i64 = 20_000;
const QUERIES: u64 = 500;

/// Number of accounts.
const ACCOUNTS: i64 = 40;

fn videos(library: &Library) -> Vec<Video> {
    let of_few_accounts = |id| {
        let mut entry = library.video(id);
        entry.account = UserId(entry.account.0 % ACCOUNTS);
        entry.owner = format!("owner-{}", entry.account.0);
        entry
    };
    (1..=VIDEOS).map(of_few_accounts).collect()
}

fn pick<'a, T>(items: &'a [T], numbers: &mut Numbers) -> &'a T {
    &items[usize::try_from(numbers.below(items.len() as u64)).unwrap()]
}

fn random_filter(videos: &[Video], numbers: &mut Numbers) -> Filter {
    let like = pick(videos, numbers);
    let mut filter = Filter::default();
    match numbers.below(10) {
        0 => filter.tags = like.tags.iter().take(1).cloned().collect(),
        1 => filter.tags = like.tags.iter().take(2).cloned().collect(),
        2 => filter.region.clone_from(&like.region),
        3 => filter.owner = Some(like.owner.clone()),
        4 => (filter.min_duration_ms, filter.max_duration_ms) = (Some(600_000), Some(like.duration_ms.max(600_000))),
        5 => filter.published_after_ms = like.published_at_ms,
        6 => {
            filter.published_before_ms = like.published_at_ms;
            filter.region.clone_from(&like.region);
        }
        _ => {}
    }
    filter
}

fn random_query(videos: &[Video], numbers: &mut Numbers) -> Query {
    let account = UserId(i64::try_from(numbers.below(ACCOUNTS.unsigned_abs())).unwrap());
    Query {
        scope: if numbers.below(3) == 0 {
            Scope::Account(account)
        } else {
            Scope::Public
        },
        filter: random_filter(videos, numbers),
        sort: *pick(&Sort::ALL, numbers),
        page: PageSize::new(1 + numbers.below(100)).unwrap(),
    }
}

fn random_text(library: &Library, videos: &[Video], numbers: &mut Numbers) -> String {
    let mut word = || library.word(numbers).to_owned();
    let (one, two, three) = (word(), word(), word());
    let title: Vec<&str> = pick(videos, numbers).title.split(' ').collect();
    match numbers.below(9) {
        0 => one,
        1 => format!("{one} {two}"),
        2 => format!("{one} {two} {three}"),
        3 => format!("\"{}\"", title[..2].join(" ")),
        4 => format!("{one} -{two}"),
        5 => format!("{one} -\"{}\"", title[1..3].join(" ")),
        6 => format!("{one} {}", two.chars().take(1 + two.len() / 2).collect::<String>()),
        7 => two.to_uppercase().chars().rev().collect(),
        _ => one.chars().skip(1).collect::<String>() + " " + &two,
    }
}

/// Compares the first page with the answer of the model, then the rest of the walk if it is not long.
async fn compare(catalog: &Catalog, query: &Query, search: &Search, expected: &Answer) {
    let facets = [Facet::Tags, Facet::Region];
    let (mut ids, mut cursor): (Vec<i64>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = catalog.search(search, query, cursor.as_ref(), &facets).await.unwrap();
        let corrections = page
            .corrections
            .iter()
            .map(|found| (found.term, found.replacements.clone()));
        assert_eq!(corrections.collect::<Vec<_>>(), expected.corrections);
        assert_eq!(page.total as usize, expected.total.min(EXACT_HITS as usize));
        assert_eq!(page.total_at_least, expected.total > EXACT_HITS as usize);
        let counts: Vec<_> = page.facets.iter().map(|facet| facet.counts.clone()).collect();
        assert_eq!(counts, expected.facets);
        ids.extend(page.hits.iter().map(|hit| hit.video.id));
        cursor = page.next;
        if cursor.is_none() || ids.len() > 300 {
            break;
        }
    }
    let length = if cursor.is_none() {
        expected.ids.len()
    } else {
        ids.len()
    };
    assert_eq!(ids, expected.ids[..length]);
}

#[tokio::test]
async fn searches_equal_a_scan_of_all_videos() {
    let library = Library::new(5_000);
    let videos = videos(&library);
    let (_directory, catalog) = filled(&videos).await;
    let model = Model::new(&videos);
    let mut numbers = Numbers::new(42);
    let (mut found, mut corrected, mut many) = (0, 0, 0);
    for number in 0..QUERIES {
        let text = random_text(&library, &videos, &mut numbers);
        let Ok(search) = Search::parse(&text, number % 3 == 0) else {
            continue;
        };
        let query = random_query(&videos, &mut numbers);
        let expected = model.search(&query, &search);
        found += u32::from(expected.total > 0);
        corrected += u32::from(!expected.corrections.is_empty());
        many += u32::from(expected.total > EXACT_HITS as usize);
        println!("{number}: {text:?} {query:?}");
        compare(&catalog, &query, &search, &expected).await;
    }
    assert!(found > 200 && corrected > 20 && many >= 5, "{found} {corrected} {many}");
}

#[tokio::test]
async fn lists_equal_a_scan_of_all_videos() {
    let library = Library::new(5_000);
    let videos = videos(&library);
    let (_directory, catalog) = filled(&videos).await;
    let model = Model::new(&videos);
    let mut numbers = Numbers::new(43);
    for _ in 0..100 {
        let query = random_query(&videos, &mut numbers);
        let expected = model.list(&query);
        let (mut ids, mut cursor): (Vec<i64>, Option<Cursor>) = (Vec::new(), None);
        loop {
            let page = catalog.list(&query, cursor.as_ref()).await.unwrap();
            ids.extend(page.videos.iter().map(|video| video.id));
            cursor = page.next;
            if cursor.is_none() || ids.len() > 500 {
                break;
            }
        }
        let length = if cursor.is_none() { expected.len() } else { ids.len() };
        assert_eq!(ids, expected[..length], "{query:?}");
    }
}
