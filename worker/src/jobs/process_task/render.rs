//! Renders the outputs of one attempt in media children.
//!
//! *Mechanism.* A first child probes the source and transcodes. A second child, which never saw the source, opens the
//! outputs again and reports what is in them; [`domain::plan::verify`] compares that with the plan. It starts while the
//! first one works, and waits.
//!
//! *Invariants.* The first child and all of its process group have ended before the second one opens the outputs: a
//! child that a hostile file took over cannot change an output after its verification.
//!
//! *Second pass.* Damaged packets, changed headers, gaps and a variable frame rate show only when all packets are read.
//! When the first pass copied such packets ([`domain::plan::next_copy_policy`]), the outputs are rendered again
//! without copies, or without copies of the audio or of the video.

use super::destination::DestinationWriter;
use super::inputs::Inputs;
use super::outcome::MeasuredCost;
use super::report::{FinishedWork, ReportBuilder, speed};
use super::store;
use crate::child::{Child, Unconfirmed};
use crate::database::QUERY_TIMEOUT;
use crate::env::Env;
use crate::failure::{self, internal};
use crate::session::{InputFiles, wall_limit_s};
use domain::plan::{CopyPolicy, carry_over_warnings, next_copy_policy, verify};
use domain::protocol::{OutputFacts, Phase, Progress, SandboxStatus, TranscodeReport, VerifyDepth};
use domain::{Code, Failure, Plan, Probe, Recipe};
use entity::task::Claimed;
use entity::trace::AttemptRecord;
use entity::{output, source, with_timeout};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;

/// Length of a source whose container states none, for the wall clock limit.
const UNKNOWN_LENGTH_US: u64 = 120_000_000;

/// Renders the outputs of one attempt.
pub(crate) struct Renderer<'a> {
    pub(crate) env: &'a Env,
    pub(crate) task: &'a Claimed,
    pub(crate) recipe: &'a Recipe,
    pub(crate) inputs: &'a Inputs,
    /// Progress that clients see, written with the next renewal of the lease.
    pub(crate) progress: &'a watch::Sender<Progress>,
}

/// The result of a successful rendering.
pub(crate) struct Rendering {
    /// Rows of the stored outputs, not written yet.
    pub(crate) outputs: Vec<output::New>,
    pub(crate) report: AttemptRecord,
    pub(crate) cost: Option<MeasuredCost>,
}

/// The files and the mode of one pass.
struct PassInput<'a> {
    files: &'a InputFiles,
    /// The directory of the outputs.
    out: &'a Path,
    /// The streams that may be copied.
    copies: CopyPolicy,
}

/// The result of one pass.
struct Pass {
    plan: Plan,
    report: TranscodeReport,
    sandbox: SandboxStatus,
    /// Storage keys of the outputs.
    targets: Vec<storage::Target>,
    /// The facts of the outputs, or the reason why they are not those of the plan.
    checked: Result<Vec<OutputFacts>, Failure>,
}

impl Renderer<'_> {
    /// Fetches the inputs, probes, plans, transcodes, verifies and stores.
    ///
    /// Dropping the future kills the children and removes the scratch directory. Files that were stored are on the
    /// trash list.
    ///
    /// # Errors
    /// The failure of the attempt; `report` then holds what is known so far.
    pub(crate) async fn run(&self, report: &mut ReportBuilder) -> Result<Rendering, Failure> {
        let env = self.env;
        let destination = match (&self.recipe.destination, &self.inputs.credential) {
            (Some(destination), Some(credential)) => {
                Some(DestinationWriter::new(env, self.task, destination, credential)?)
            }
            _ => None,
        };
        let scratch = env.scratch.directory(self.task).map_err(|error| failure::io(&error))?;
        let files = self.inputs.fetch(env, scratch.path()).await?;
        report.phase_ended(|timings| &mut timings.fetch_ms);
        let directory = |name| scratch.create_dir(name).map_err(|error| failure::io(&error));
        let mut out = directory("out")?;
        let first = PassInput {
            files: &files,
            out: &out,
            copies: CopyPolicy::default(),
        };
        let mut pass = self.pass(first, report).await?;
        let result = pass.checked.as_ref().map(|_| &pass.report);
        if let Some(copies) = next_copy_policy(&pass.plan, result) {
            // The outputs of both passes would need twice the space.
            if let Err(error) = tokio::fs::remove_dir_all(&out).await {
                tracing::warn!(%error, "failed to remove the outputs of the first pass");
            }
            out = directory("decoded")?;
            let first_warnings = pass.report.warnings;
            let second = PassInput {
                files: &files,
                out: &out,
                copies,
            };
            pass = self.pass(second, report).await?;
            carry_over_warnings(&first_warnings, &mut pass.report.warnings);
        }
        if pass.checked.is_ok() {
            self.enter(Phase::Store);
            if let Some(destination) = destination {
                report.written(destination.write(&pass.plan, &out).await?);
            }
        }
        self.store(pass, &out, report).await
    }

    /// Stores the outputs of a pass and completes the report.
    async fn store(&self, pass: Pass, out: &Path, report: &mut ReportBuilder) -> Result<Rendering, Failure> {
        let checked = pass.checked?;
        let outputs = store::store(self.env, &pass.targets, &pass.plan, &checked, out).await?;
        metrics::histogram!("rushes_realtime_factor").record(speed(&pass.plan, &pass.report));
        report.phase_ended(|timings| &mut timings.store_ms);
        let work = FinishedWork {
            plan: &pass.plan,
            report: &pass.report,
            outputs: &outputs,
            sandbox: &pass.sandbox,
            depth: self.env.settings.verify_depth,
            bytes_in: self.bytes_in(),
        };
        let report = std::mem::replace(report, ReportBuilder::new());
        let (report, cost) = report.finished(&work);
        Ok(Rendering { outputs, report, cost })
    }

    /// Probes, plans, transcodes and verifies. Both children have ended when it returns.
    async fn pass(&self, input: PassInput<'_>, report: &mut ReportBuilder) -> Result<Pass, Failure> {
        let children = &self.env.children;
        let session = self.env.session(input.files.clone(), input.out.to_owned());
        let unconfirmed = Unconfirmed::of_task(self.task.attempt, self.task.failures);
        let mut child = children.start(session, unconfirmed).await?;
        let sandbox = child.status().clone();
        let start_verifier = || {
            let session = self.env.session(InputFiles::default(), input.out.to_owned());
            children.start(session, unconfirmed)
        };
        let (transcoded, verifier) = match self.probe(&mut child, report).await {
            Ok(probes) => {
                // The second child starts in the meantime and waits.
                let transcode = self.transcode(&mut child, &input, &probes, report);
                let (transcoded, verifier) = tokio::join!(transcode, start_verifier());
                (transcoded, verifier.ok())
            }
            Err(failure) => (Err(failure), None),
        };
        report.sandbox(&sandbox);
        let stderr = child.stderr_tail();
        if !stderr.is_empty() {
            // For operators only: the messages of FFmpeg do not help the people who upload. It also writes them for
            // files that have no error.
            match &transcoded {
                Ok(_) => tracing::debug!(stderr, "standard error of the media child"),
                Err(_) => tracing::info!(stderr, "standard error of the media child"),
            }
        }
        let (plan, child_report) = transcoded?;
        // See the invariants above.
        child.finish().await;
        let mut verifier = match verifier {
            Some(verifier) if !verifier.has_ended() => verifier,
            // The machine may have lacked a resource when it started, or ended it since then, as the OOM killer does.
            // That must not cost the transcode.
            _ => start_verifier().await?,
        };
        report.phase_ended(|timings| &mut timings.transcode_ms);
        self.enter(Phase::Verify);
        let outputs = plan.outputs.iter().cloned().zip(child_report.outputs.iter().cloned());
        let (checked, targets) = tokio::join!(
            verifier.verify(outputs.collect(), self.verify_timeout(&plan)),
            store::announce(self.env, self.task, &plan),
        );
        let checked = checked.and_then(|checked| compare(&plan, &child_report, &checked).map(|()| checked));
        report.phase_ended(|timings| &mut timings.verify_ms);
        Ok(Pass {
            plan,
            report: child_report,
            sandbox,
            targets: targets?,
            checked,
        })
    }

    /// Probes all sources.
    async fn probe(&self, child: &mut Child, report: &mut ReportBuilder) -> Result<Vec<Probe>, Failure> {
        let mut probes = Vec::with_capacity(self.inputs.sources.len());
        for index in 0..self.inputs.sources.len() {
            probes.push(child.probe(index).await?);
        }
        report.phase_ended(|timings| &mut timings.probe_ms);
        Ok(probes)
    }

    /// Plans and transcodes. The probes are stored in parallel.
    async fn transcode(
        &self,
        child: &mut Child,
        input: &PassInput<'_>,
        probes: &[Probe],
        report: &mut ReportBuilder,
    ) -> Result<(Plan, TranscodeReport), Failure> {
        let transcode = async {
            let plan = self.plan(probes, input.copies, report)?;
            let wall = wall_limit(probes, &plan);
            let on_progress = |progress| {
                self.progress.send_replace(progress);
            };
            let report = child.transcode(plan.clone(), wall, on_progress).await?;
            Ok((plan, report))
        };
        tokio::join!(transcode, self.store_probes(probes)).0
    }

    /// Timeout of the verification. With [`VerifyDepth::Full`] all outputs are decoded.
    fn verify_timeout(&self, plan: &Plan) -> Duration {
        let settings = &self.env.settings;
        match settings.verify_depth {
            VerifyDepth::Fast => settings.child.probe_timeout,
            VerifyDepth::Full => wall_limit(&[], plan).max(settings.child.probe_timeout),
        }
    }

    fn plan(&self, probes: &[Probe], copies: CopyPolicy, report: &mut ReportBuilder) -> Result<Plan, Failure> {
        let source = probes.first().ok_or_else(|| internal(&"a task without a source"))?;
        let settings = &self.env.settings;
        let plan = domain::plan(self.recipe, source, self.inputs.clips(probes), &settings.limits, copies)?;
        report.planned(&plan, source, settings.threads);
        Ok(plan)
    }

    /// Stores the probes of all sources. They are informational, so an error does not fail the attempt.
    async fn store_probes(&self, probes: &[Probe]) {
        for (row, probe) in self.inputs.sources.iter().zip(probes) {
            let Ok(probe) = serde_json::to_value(probe) else {
                continue;
            };
            if let Err(error) = with_timeout(QUERY_TIMEOUT, source::set_probe(&self.env.db, row.id, probe)).await {
                tracing::warn!(%error, "failed to store the probe of a source");
            }
        }
    }

    /// Size of all sources.
    fn bytes_in(&self) -> u64 {
        let sizes = self
            .inputs
            .sources
            .iter()
            .map(|row| u64::try_from(row.bytes).unwrap_or(0));
        sizes.sum()
    }

    /// Shows a phase after the transcode. These phases are short and share the last percent.
    fn enter(&self, phase: Phase) {
        self.progress
            .send_modify(|progress| (progress.phase, progress.percent) = (phase, 99));
    }
}

/// Wall clock limit of a transcode: that of all sources or of all outputs, whichever is longer.
fn wall_limit(probes: &[Probe], plan: &Plan) -> Duration {
    let lengths_us = probes.iter().map(|probe| match probe.duration_us {
        0 => UNKNOWN_LENGTH_US,
        known => known,
    });
    Duration::from_secs(wall_limit_s(lengths_us.sum::<u64>().max(plan.span_us)))
}

/// Compares the outputs with the plan.
fn compare(plan: &Plan, report: &TranscodeReport, checked: &[OutputFacts]) -> Result<(), Failure> {
    if report.outputs.len() != plan.outputs.len() || checked.len() != plan.outputs.len() {
        let detail = format!(
            "{} outputs planned, {} reported, {} verified",
            plan.outputs.len(),
            report.outputs.len(),
            checked.len()
        );
        return Err(Failure::new(Code::OutputInvalid, detail));
    }
    let rows = plan.outputs.iter().zip(&report.outputs).zip(checked);
    rows.into_iter()
        .try_for_each(|((planned, rendered), checked)| verify(plan, planned, rendered, checked))
}
