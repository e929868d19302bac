//! Measurements with a million videos. Run them alone, with optimization:
//! `cargo test --release -p catalog -- --ignored --nocapture`.

use catalog::synthetic::{Library, Numbers};
use catalog::{Catalog, Change, Facet, Position};
use domain::library::{Filter, PageSize, Query, Scope, Sort};
use domain::search::Search;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const VIDEOS: i64 = 1_000_000;
const QUERIES: u64 = 400;

/// Time between two queries: 50 per second.
const INTERVAL: Duration = Duration::from_millis(20);

fn query(sort: Sort) -> Query {
    Query {
        scope: Scope::Public,
        filter: Filter::default(),
        sort,
        page: PageSize::default(),
    }
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

/// CPU time of this process in milliseconds. It does not depend on other processes as the elapsed time does.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks * 10.0
}

async fn fill(catalog: &Catalog, library: &Library) {
    let mut filling = catalog.fill().await.unwrap();
    let cpu = cpu_ms();
    let (mut pushing, started) = (Duration::ZERO, Instant::now());
    for first in (1..=VIDEOS).step_by(5_000) {
        let page: Vec<_> = (first..first + 5_000).map(|id| library.video(id)).collect();
        let push = Instant::now();
        filling.push(&page).await.unwrap();
        pushing += push.elapsed();
    }
    let generating = started.elapsed() - pushing;
    let building = Instant::now();
    let filled = filling.finish(Position { seq: 0, as_of_ms: 0 }).await.unwrap();
    filled.publish().await.unwrap();
    let (rows, indexes) = (pushing.as_secs_f64(), building.elapsed().as_secs_f64());
    println!(
        "fill of {VIDEOS}: {:.1} s (rows {rows:.1}, indexes {indexes:.1}); generating them took {:.1}; CPU {:.1} s with it",
        rows + indexes,
        generating.as_secs_f64(),
        (cpu_ms() - cpu) / 1_000.0
    );
}

/// A word of the library with two letters swapped.
fn misspelt(word: &str) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let middle = letters.len() / 2;
    letters.swap(middle, middle - 1);
    letters.into_iter().collect()
}

fn text(kind: &str, library: &Library, numbers: &mut Numbers) -> String {
    let mut word = || loop {
        let word = library.word(numbers).to_owned();
        if word.chars().count() > 4 {
            return word;
        }
    };
    match kind {
        "one word" | "one word, facets" | "one word by votes" => word(),
        "two words" => format!("{} {}", word(), word()),
        "word and prefix" => format!("{} {}", word(), word().chars().take(3).collect::<String>()),
        "prefix" => word().chars().take(2).collect(),
        _ => misspelt(&word()),
    }
}

async fn measure(catalog: &Catalog, library: &Library, kind: &str) {
    let mut numbers = Numbers::new(11);
    let mut times = Vec::new();
    let mut found = 0;
    let cpu = cpu_ms();
    let mut ticks = tokio::time::interval(INTERVAL);
    for _ in 0..QUERIES {
        let search = Search::parse(&text(kind, library, &mut numbers), kind.contains("prefix")).unwrap();
        let sort = if kind.contains("votes") {
            Sort::Votes
        } else {
            Sort::Relevance
        };
        let facets: &[Facet] = if kind.contains("facets") {
            &[Facet::Tags, Facet::Region]
        } else {
            &[]
        };
        ticks.tick().await;
        let started = Instant::now();
        let page = catalog.search(&search, &query(sort), None, facets).await.unwrap();
        times.push(started.elapsed());
        found += u64::from(page.total > 0);
    }
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1_000.0;
    let cpu = (cpu_ms() - cpu) / QUERIES as f64;
    let (middle, high, highest) = (at(50), at(99), at(100));
    println!(
        "  {kind:20} p50 {middle:6.1} p99 {high:6.1} max {highest:6.1} ms, CPU {cpu:5.1} ms, {found} of {QUERIES}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fills a million videos"]
async fn a_million_videos() {
    let directory = tempfile::tempdir().unwrap();
    let library = Library::new(60_000);
    println!("memory before: {}", memory());
    let (catalog, _) = Catalog::open(directory.path()).await.unwrap();
    fill(&catalog, &library).await;
    let sizes = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len());
    println!(
        "size: {} MB; memory after the fill: {}",
        sizes.sum::<u64>() / 1_000_000,
        memory()
    );
    let kinds = [
        "one word",
        "one word, facets",
        "one word by votes",
        "two words",
        "word and prefix",
        "prefix",
        "typing error",
    ];
    println!("undisturbed");
    for kind in kinds {
        measure(&catalog, &library, kind).await;
    }
    println!("memory: {}", memory());
    println!("while 200 changes are applied at a time, with pauses of 100 ms");
    let ends = Arc::new(AtomicBool::new(false));
    let applying = tokio::spawn(apply(catalog.clone(), library.clone(), ends.clone()));
    for kind in kinds {
        measure(&catalog, &library, kind).await;
    }
    ends.store(true, Ordering::Relaxed);
    applying.await.unwrap();
    println!("memory: {}", memory());
    let started = Instant::now();
    drop(catalog);
    Catalog::open(directory.path()).await.unwrap();
    println!("opening: {:.2} s", started.elapsed().as_secs_f64());
}

/// Changes texts of a tenth and counts of nine tenths of 200 videos at a time.
async fn apply(catalog: Catalog, library: Library, ends: Arc<AtomicBool>) {
    let mut numbers = Numbers::new(5);
    let mut times = Vec::new();
    while !ends.load(Ordering::Relaxed) {
        let changes = (0..200).map(|number| {
            let id = 1 + numbers.below(VIDEOS.unsigned_abs()).cast_signed();
            let mut video = library.video(id);
            video.votes += 1;
            if number % 10 == 0 {
                video.title = library.video(id + 1).title;
            }
            Change::Video(Box::new(video))
        });
        let changes: Vec<Change> = changes.collect();
        let seq = i64::try_from(times.len()).unwrap() + 1;
        let started = Instant::now();
        catalog.apply(&changes, Position { seq, as_of_ms: seq }).await.unwrap();
        times.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    times.sort();
    let last = times.len() - 1;
    println!(
        "  {} batches applied: p50 {:?} p99 {:?} max {:?}",
        times.len(),
        times[last / 2],
        times[last * 99 / 100],
        times[last]
    );
}
