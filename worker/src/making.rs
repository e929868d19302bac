//! What children do for one attempt: one probes and transcodes, a fresh one that never saw the source verifies.

use crate::footage::{Files, Footage};
use crate::lease::ANSWER_WITHIN;
use crate::report::{Done, Notes, speed};
use crate::{Env, child, store};
use domain::plan::{Sample, retell, unfit, verify};
use domain::probe::Unfit;
use domain::protocol::{Checked, Depth, Phase, Progress, Report, SandboxStatus, Session};
use domain::{Code, Failure, FailureKind, Plan, Probe, Recipe};
use entity::trace::Findings;
use entity::{in_time, output, source, task};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;

/// One attempt at a task.
pub(crate) struct Job<'a> {
    pub(crate) env: &'a Env,
    pub(crate) task: &'a task::Model,
    pub(crate) recipe: &'a Recipe,
    pub(crate) footage: &'a Footage,
}

/// The stored outputs, the report, and the cost beside what was expected.
type Made = (Vec<output::New>, Findings, Option<(String, Sample)>);

/// One go at the outputs.
struct Take {
    plan: Plan,
    report: Report,
    sandbox: SandboxStatus,
    /// Where its outputs will lie.
    targets: Vec<storage::Target>,
    /// What the checker found, or why it is not what was planned.
    checked: Result<Vec<Checked>, Failure>,
}

impl Job<'_> {
    /// Fetch, probe, plan, transcode, verify, store. Dropping it kills the children and leaves nothing but trash that is
    /// listed.
    ///
    /// # Errors
    /// Whatever stands in the way; `notes` know how far it came.
    pub(crate) async fn run(&self, progress: &watch::Sender<Progress>, notes: &mut Notes) -> Result<Made, Failure> {
        let env = self.env;
        let scratch = env
            .scratch
            .directory(self.task)
            .map_err(|error| store::machine(&error))?;
        let files = self.footage.fetch(env, scratch.path()).await?;
        notes.took("fetch");
        let directory = |name| scratch.child(name).map_err(|error| store::machine(&error));
        let mut out = directory("out")?;
        let mut take = self.shoot((&files, &out, None), progress, notes).await?;
        let told = take.checked.as_ref().map(|_| &take.report);
        if let Some(unfit) = unfit(&take.plan, told) {
            // Both takes at a time would need twice the room.
            if let Err(error) = tokio::fs::remove_dir_all(&out).await {
                tracing::warn!(%error, "failed to remove what was made at first");
            }
            out = directory("decoded")?;
            let first = take.report.warnings;
            take = self.shoot((&files, &out, Some(unfit)), progress, notes).await?;
            retell(&first, &mut take.report.warnings);
        }
        let Take {
            plan,
            report,
            sandbox,
            targets,
            checked,
        } = take;
        let checked = checked?;
        enter(progress, Phase::Store);
        let outputs = store::store(env, &targets, &plan, &checked, &out).await?;
        metrics::histogram!("rushes_realtime_factor").record(speed(&plan, &report));
        notes.took("store");
        let (findings, cost) = self.report(&plan, &report, &outputs, (&sandbox, notes));
        Ok((outputs, findings, cost))
    }

    /// Probe, plan, transcode, verify; the children are gone afterwards.
    async fn shoot(
        &self,
        (files, out, unfit): (&Files, &Path, Option<Unfit>),
        progress: &watch::Sender<Progress>,
        notes: &mut Notes,
    ) -> Result<Take, Failure> {
        let source = session(self.env, files.clone(), out.to_owned());
        let children = &self.env.children;
        let mut child = children.child(source).await?;
        let sandbox = child.status().clone();
        let made = self.transcode(&mut child, (out, unfit), progress, notes).await;
        notes.child(&sandbox);
        let said = child.stderr_tail();
        if !said.is_empty() {
            // For operators alone: FFmpeg's words and numbers explain nothing to people who upload.
            tracing::info!(stderr = said, "what the media child wrote");
        }
        let (plan, report, checker) = made?;
        // What a stranger's file may have made of it must be gone before anybody looks at the outputs.
        child.finish().await;
        let mut checker = match checker {
            Some(checker) => checker,
            None => {
                children
                    .give(session(self.env, Files::default(), out.to_owned()))
                    .await?
            }
        };
        notes.took("transcode");
        enter(progress, Phase::Verify);
        let outputs = plan.outputs.iter().cloned().zip(report.outputs.iter().cloned());
        let (checked, targets) = tokio::join!(
            checker.verify(outputs.collect(), self.patience(&plan)),
            store::announce(self.env, self.task, &plan),
        );
        // To start is work for a processor, to store for the disk.
        children.restock();
        let checked = checked.and_then(|checked| compare(&plan, &report, &checked).map(|()| checked));
        notes.took("verify");
        Ok(Take {
            plan,
            report,
            sandbox,
            targets: targets?,
            checked,
        })
    }

    /// Probe, plan and transcode. Meanwhile the facts are kept, and the checker is locked in and replaced; not beside a
    /// copy, which is done sooner when no child starts.
    async fn transcode(
        &self,
        child: &mut child::Child,
        (out, unfit): (&Path, Option<Unfit>),
        progress: &watch::Sender<Progress>,
        notes: &mut Notes,
    ) -> Result<(Plan, Report, Option<child::Child>), Failure> {
        let mut probes = Vec::with_capacity(self.footage.sources.len());
        for place in 0..self.footage.sources.len() {
            probes.push(child.probe(place).await?);
        }
        notes.took("probe");
        let making = async {
            let plan = self.plan(&probes, unfit, notes)?;
            let wall = wall_limit(&probes, &plan);
            let tell = |update| {
                progress.send_replace(update);
            };
            let checker = async {
                if all_copied(&plan) {
                    return Ok(None);
                }
                let session = session(self.env, Files::default(), out.to_owned());
                self.env.children.child(session).await.map(Some)
            };
            let (report, checker) = tokio::try_join!(child.transcode(plan.clone(), wall, tell), checker)?;
            Ok((plan, report, checker))
        };
        tokio::join!(making, self.remember(&probes)).0
    }

    /// How long a verification may take.
    fn patience(&self, plan: &Plan) -> Duration {
        let settings = &self.env.settings;
        match settings.depth {
            Depth::Fast => settings.child.look,
            Depth::Full => wall_limit(&[], plan).max(settings.child.look),
        }
    }

    fn plan(&self, probes: &[Probe], unfit: Option<Unfit>, notes: &mut Notes) -> Result<Plan, Failure> {
        let source = probes
            .first()
            .ok_or_else(|| store::trouble(&"a task without a source"))?;
        let settings = &self.env.settings;
        let decoded = unfit.map(|unfit| source.without_copies_of(unfit));
        let source = decoded.as_ref().unwrap_or(source);
        let plan = domain::plan(self.recipe, source, self.footage.clips(probes), &settings.limits)?;
        notes.planned(&plan, source, settings.threads);
        Ok(plan)
    }

    /// Keeps the facts for people to see; a task does not fail for it.
    async fn remember(&self, probes: &[Probe]) {
        for (row, probe) in self.footage.sources.iter().zip(probes) {
            let Ok(facts) = serde_json::to_value(probe) else {
                continue;
            };
            if let Err(error) = in_time(ANSWER_WITHIN, source::set_probe(&self.env.db, row.id, facts)).await {
                tracing::warn!(%error, "failed to keep the facts of a source");
            }
        }
    }

    fn report(
        &self,
        plan: &Plan,
        report: &Report,
        outputs: &[output::New],
        (sandbox, notes): (&SandboxStatus, &mut Notes),
    ) -> (Findings, Option<(String, Sample)>) {
        let bytes_in = self
            .footage
            .sources
            .iter()
            .map(|row| u64::try_from(row.bytes).unwrap_or(0));
        let done = Done {
            plan,
            report,
            outputs,
            sandbox,
            depth: self.env.settings.depth,
            bytes_in: bytes_in.sum(),
        };
        std::mem::replace(notes, Notes::new()).finished(&done)
    }
}

/// Whether nothing is encoded.
fn all_copied(plan: &Plan) -> bool {
    let mut steps = plan.outputs.iter().flat_map(|output| &output.steps);
    steps.all(|step| step.done == domain::plan::Done::Copy)
}

/// The phases after the encoding are short: they share the last percent.
fn enter(progress: &watch::Sender<Progress>, phase: Phase) {
    progress.send_modify(|shown| (shown.phase, shown.percent) = (phase, 99));
}

/// What a child may touch.
pub(crate) fn session(env: &Env, files: Files, scratch: PathBuf) -> Session {
    let settings = &env.settings;
    Session {
        sources: files.sources,
        images: files.images,
        scratch,
        sandbox: settings.sandbox,
        max_memory_bytes: settings.child_memory_bytes,
        max_cpu_s: wall_limit_s(settings.limits.max_duration_us) * u64::from(settings.threads.max(1)),
        max_file_bytes: settings.limits.max_upload_bytes.saturating_mul(4),
        threads: settings.threads,
        depth: settings.depth,
    }
}

/// max(60 s, 30 × length) over all that is read and all that is made; an unknown length counts as two minutes.
fn wall_limit(probes: &[Probe], plan: &Plan) -> Duration {
    let read_us = probes.iter().map(|probe| match probe.duration_us {
        0 => 120_000_000,
        known => known,
    });
    Duration::from_secs(wall_limit_s(read_us.sum::<u64>().max(plan.span_us)))
}

const fn wall_limit_s(length_us: u64) -> u64 {
    let seconds = 30 * (length_us / 1_000_000);
    if seconds > 60 { seconds } else { 60 }
}

fn compare(plan: &Plan, made: &Report, checked: &[Checked]) -> Result<(), Failure> {
    if made.outputs.len() != plan.outputs.len() || checked.len() != plan.outputs.len() {
        let detail = format!(
            "{} planned, {} made, {} checked",
            plan.outputs.len(),
            made.outputs.len(),
            checked.len()
        );
        return Err(Failure::new(FailureKind::MediaCrash, Code::OutputInvalid, detail));
    }
    let rows = plan.outputs.iter().zip(&made.outputs).zip(checked);
    rows.into_iter()
        .try_for_each(|((planned, made), checked)| verify(plan, planned, made, checked))
}
