//! Damaged files in the media child, driven as the worker does: each leads to a verified output or to a failure with a
//! code for invalid input. `tests/fuzz` runs the test for longer.

use domain::plan::{Clips, CopyPolicy, Plan};
use domain::protocol::{SandboxMode, Session, TranscodeReport, VerifyDepth};
use domain::{Code, Failure, FailureClass, Limits, Recipe};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tests::media_executable;
use tests::mutants::{Mutant, Mutants};
use worker::child::{Child, ChildSettings, ChildStarter, Unconfirmed};

/// Seed, maximum duration and maximum number of mutants in `./test`.
const DEFAULT_SEED: u64 = 1;
const DEFAULT_TIME: Duration = Duration::from_secs(60);
const DEFAULT_COUNT: u64 = 400;

/// Recipes; each mutant selects one.
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

/// The result of processing a mutant.
type Outcome = Result<(), Failure>;

/// The state of one run, shared by its threads.
struct Campaign {
    mutants: Mutants,
    children: ChildStarter,
    next: AtomicU64,
    count: u64,
    until: Instant,
    outcomes: Mutex<BTreeMap<String, u64>>,
    /// Mutants with an outcome that is a fault of ours.
    bad: Mutex<Vec<String>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_ends_in_a_true_output_or_a_typed_failure() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let (time, seed) = (
        number("TEST_FUZZ_SECONDS"),
        number("TEST_FUZZ_SEED").unwrap_or(DEFAULT_SEED),
    );
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let campaign = Arc::new(Campaign {
        mutants: Mutants::new(folder.path(), seed),
        children: ChildStarter::new(ChildSettings::new(media_executable())).unwrap(),
        next: AtomicU64::new(0),
        count: if time.is_some() { u64::MAX } else { DEFAULT_COUNT },
        until: begun + time.map_or(DEFAULT_TIME, Duration::from_secs),
        outcomes: Mutex::default(),
        bad: Mutex::default(),
    });
    let runners = [(); 2].map(|()| tokio::spawn(process_mutants(Arc::clone(&campaign))));
    for runner in runners {
        runner.await.unwrap();
    }
    let outcomes = campaign.outcomes.lock().unwrap().clone();
    println!(
        "{} mutants of {} clips, seed {seed}, {:.0} s: {outcomes:?}",
        outcomes.values().sum::<u64>(),
        campaign.mutants.clips(),
        begun.elapsed().as_secs_f64()
    );
    assert!(outcomes.values().sum::<u64>() > 0, "no mutant was processed");
    let bad = campaign.bad.lock().unwrap();
    assert!(bad.is_empty(), "{} bad outcomes:\n{}", bad.len(), bad.join("\n"));
}

/// Processes mutants until the time is over or the number is reached.
async fn process_mutants(campaign: Arc<Campaign>) {
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
        let recipe = RECIPES[mutant.choice % RECIPES.len()];
        let outcome = process(&campaign.children, source, scratch, recipe).await;
        let word = outcome
            .as_ref()
            .map_or_else(|failure| failure.code.as_str(), |()| "output");
        *campaign.outcomes.lock().unwrap().entry(word.to_owned()).or_default() += 1;
        if !is_acceptable(&outcome) {
            let kept = keep(&mutant);
            let line = format!("{}: {outcome:?}, {recipe}", kept.display());
            println!("{line}");
            campaign.bad.lock().unwrap().push(line);
        }
    }
}

/// Processes a file like a task: if packets that were copied turn out to be damaged, transcodes again without copies.
async fn process(children: &ChildStarter, source: PathBuf, scratch: PathBuf, recipe: &str) -> Outcome {
    let mut child = children
        .start(session(vec![source.clone()], &scratch), Unconfirmed::Fail)
        .await?;
    let probe = child.probe(0).await?;
    let recipe = Recipe::parse(recipe).unwrap();
    let planned = |copies| domain::plan(&recipe, &probe, Clips::default(), &Limits::default(), copies);
    let plan = planned(CopyPolicy::default())?;
    let first = transcode_and_verify(children, child, &plan, &scratch).await;
    let Some(copies) = domain::plan::next_copy_policy(&plan, first.as_ref()) else {
        return first.map(drop);
    };
    let scratch = scratch.join("decoded");
    std::fs::create_dir(&scratch).unwrap();
    let child = children
        .start(session(vec![source], &scratch), Unconfirmed::Fail)
        .await?;
    let plan = planned(copies)?;
    transcode_and_verify(children, child, &plan, &scratch).await.map(drop)
}

/// Transcodes, verifies the outputs in a second child that never read the source, and returns the report of the first.
async fn transcode_and_verify(
    children: &ChildStarter,
    mut child: Child,
    plan: &Plan,
    scratch: &Path,
) -> Result<TranscodeReport, Failure> {
    let report = child.transcode(plan.clone(), Duration::from_secs(90), |_| ()).await?;
    child.finish().await;
    let mut verifier = children.start(session(Vec::new(), scratch), Unconfirmed::Fail).await?;
    let outputs = plan.outputs.iter().cloned().zip(report.outputs.iter().cloned());
    let checks = verifier.verify(outputs.collect(), Duration::from_mins(1)).await?;
    let files = plan.outputs.iter().zip(&report.outputs).zip(&checks);
    for ((planned, output), check) in files {
        domain::plan::verify(plan, planned, output, check)?;
    }
    verifier.finish().await;
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
        depth: VerifyDepth::Fast,
    }
}

/// Returns false for hangs, crashes, outputs that fail verification, and failures of the service.
fn is_acceptable(outcome: &Outcome) -> bool {
    let Err(failure) = outcome else { return true };
    match failure.class() {
        FailureClass::Input | FailureClass::Unsupported => true,
        FailureClass::ResourceLimit => failure.code == Code::MediaMemory,
        FailureClass::MediaCrash
        | FailureClass::Infrastructure
        | FailureClass::WorkerCrash
        | FailureClass::Postponed => false,
    }
}

/// Writes a mutant with a bad outcome into a directory that stays after the test.
fn keep(mutant: &Mutant) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(&mutant.name);
    std::fs::write(&path, &mutant.bytes).unwrap();
    path
}
