//! Damaged files through the real child, driven and watched as the worker does: each becomes an output that holds what
//! it promises, or a failure that says what it is. `tests/fuzz` runs it for longer.

use domain::plan::{Clips, Plan};
use domain::protocol::{Depth, Report, SandboxMode, Session};
use domain::{Code, Failure, FailureKind, Limits, Probe, Recipe};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tests::mutants::{Mutant, Mutants};
use tests::program;
use worker::child::{Child, ChildSettings};

/// What `./test` tries: a minute of it, and no more than this many, all of which are known to end well.
const USUAL_SEED: u64 = 1;
const USUAL_TIME: Duration = Duration::from_secs(60);
const USUAL_COUNT: u64 = 400;

/// What is made of them, in turn.
const RECIPES: [&str; 8] = [
    r#"{"outputs":[{"kind":"hls","ladder":[96,48],"segment_ms":1000}]}"#,
    r#"{"outputs":[{"kind":"mp4"},{"kind":"poster"}]}"#,
    r#"{"trim":{"start":0.5,"end":1.1},"outputs":[{"kind":"mp4"},{"kind":"audio"}]}"#,
    r#"{"frame":{"max_short_side_px":64,"fps":"12"},"outputs":[{"kind":"mp4"},{"kind":"audio","format":"opus"}]}"#,
    r#"{"frame":{"max_short_side_px":64},"outputs":[{"kind":"webm","video":{"speed":"fastest"}},{"kind":"sprite","every_ms":500}]}"#,
    r#"{"outputs":[{"kind":"gif"},{"kind":"audio","format":"mp3"}]}"#,
    r#"{"trim":{"mode":"fast","start":0.5},"outputs":[{"kind":"mp4"}]}"#,
    r#"{"audio":{"mode":"normalize"},"trim":{"ranges":[{"start":1},{"end":0.7}]},"outputs":[{"kind":"mp4"}]}"#,
];

/// How a mutant ended.
type End = Result<(), Failure>;

/// The mutants of one run, shared by those who try them.
struct Campaign {
    mutants: Mutants,
    next: AtomicU64,
    count: u64,
    until: Instant,
    ends: Mutex<BTreeMap<String, u64>>,
    /// Those that ended as none may: what was done, and how it ended.
    bad: Mutex<Vec<String>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_ends_in_a_true_output_or_a_typed_failure() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let (time, seed) = (
        number("TEST_FUZZ_SECONDS"),
        number("TEST_FUZZ_SEED").unwrap_or(USUAL_SEED),
    );
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let campaign = Arc::new(Campaign {
        mutants: Mutants::new(folder.path(), seed),
        next: AtomicU64::new(0),
        count: if time.is_some() { u64::MAX } else { USUAL_COUNT },
        until: begun + time.map_or(USUAL_TIME, Duration::from_secs),
        ends: Mutex::default(),
        bad: Mutex::default(),
    });
    let tries = [(); 2].map(|()| tokio::spawn(try_in_turn(Arc::clone(&campaign))));
    for tried in tries {
        tried.await.unwrap();
    }
    let ends = campaign.ends.lock().unwrap().clone();
    println!(
        "{} mutants of {} clips, seed {seed}, {:.0} s: {ends:?}",
        ends.values().sum::<u64>(),
        campaign.mutants.clips(),
        begun.elapsed().as_secs_f64()
    );
    assert!(ends.values().sum::<u64>() > 0, "nothing was tried");
    let bad = campaign.bad.lock().unwrap();
    assert!(bad.is_empty(), "{} ended badly:\n{}", bad.len(), bad.join("\n"));
}

/// Takes the next number until the time or the numbers are over.
async fn try_in_turn(campaign: Arc<Campaign>) {
    while Instant::now() < campaign.until {
        let number = campaign.next.fetch_add(1, Ordering::Relaxed);
        if number >= campaign.count {
            return;
        }
        let mutant = campaign.mutants.mutant(number);
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        std::fs::write(&source, &mutant.bytes).unwrap();
        let scratch = folder.path().join("out");
        std::fs::create_dir(&scratch).unwrap();
        let recipe = RECIPES[mutant.dice % RECIPES.len()];
        let end = made(source, scratch, recipe).await;
        let word = end.as_ref().map_or_else(|failure| failure.code.as_str(), |()| "output");
        *campaign.ends.lock().unwrap().entry(word.to_owned()).or_default() += 1;
        if !is_well(&end) {
            let kept = keep(&mutant);
            let line = format!("{}: {end:?}, {recipe}", kept.display());
            println!("{line}");
            campaign.bad.lock().unwrap().push(line);
        }
    }
}

/// The way of a task: what copies packets that turn out to be damaged is made again without copies.
async fn made(source: PathBuf, scratch: PathBuf, recipe: &str) -> End {
    let settings = ChildSettings::new(program());
    let mut child = Child::spawn(&settings, session(vec![source.clone()], &scratch)).await?;
    let probe = child.probe(0).await?;
    let recipe = Recipe::parse(recipe).unwrap();
    let planned = |probe: &Probe| domain::plan(&recipe, probe, Clips::default(), &Limits::default());
    let plan = planned(&probe)?;
    let first = taken(&settings, child, &plan, &scratch).await;
    let Some(unfit) = domain::plan::unfit(&plan, first.as_ref()) else {
        return first.map(drop);
    };
    let scratch = scratch.join("decoded");
    std::fs::create_dir(&scratch).unwrap();
    let child = Child::spawn(&settings, session(vec![source], &scratch)).await?;
    let plan = planned(&probe.without_copies_of(unfit))?;
    taken(&settings, child, &plan, &scratch).await.map(drop)
}

/// Transcode, and verify in a second child that never saw the source; returns the report of the first one.
async fn taken(settings: &ChildSettings, mut child: Child, plan: &Plan, scratch: &Path) -> Result<Report, Failure> {
    let report = child.transcode(plan.clone(), Duration::from_secs(90), |_| ()).await?;
    child.finish().await;
    let mut checker = Child::spawn(settings, session(Vec::new(), scratch)).await?;
    let outputs = plan.outputs.iter().cloned().zip(report.outputs.iter().cloned());
    let checked = checker.verify(outputs.collect(), Duration::from_mins(1)).await?;
    let files = plan.outputs.iter().zip(&report.outputs).zip(&checked);
    for ((planned, made), checked) in files {
        domain::plan::verify(plan, planned, made, checked)?;
    }
    checker.finish().await;
    Ok(report)
}

fn session(sources: Vec<PathBuf>, scratch: &Path) -> Session {
    Session {
        sources,
        images: Vec::new(),
        scratch: scratch.to_owned(),
        sandbox: SandboxMode::Require,
        max_memory_bytes: 4 << 30,
        max_cpu_s: 120,
        max_file_bytes: 1 << 30,
        threads: 2,
        depth: Depth::Fast,
    }
}

/// Bad are hangs, crashes, outputs that are not what they should be, and whatever would be our own trouble.
fn is_well(end: &End) -> bool {
    let Err(failure) = end else { return true };
    match failure.kind {
        FailureKind::Input | FailureKind::Unsupported => true,
        FailureKind::ResourceLimit => failure.code == Code::MediaMemory,
        FailureKind::MediaCrash | FailureKind::Infrastructure | FailureKind::Transfer | FailureKind::Postponed => false,
    }
}

/// Keeps a mutant that ended badly, for whoever looks into it.
fn keep(mutant: &Mutant) -> PathBuf {
    let shelf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    std::fs::create_dir_all(&shelf).unwrap();
    let path = shelf.join(&mutant.name);
    std::fs::write(&path, &mutant.bytes).unwrap();
    path
}
