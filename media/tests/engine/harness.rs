//! Runs the engine on a file as the worker does, from probe to verification, and decodes the outputs with the `ffmpeg`
//! command line.

use crate::clips::frame_number;
use domain::plan::{Clips, CopyPolicy, Plan, PlannedOutput};
use domain::probe::Size;
use domain::protocol::{FileFacts, OutputFacts, OutputReport, Progress, TranscodeReport, VerifyDepth};
use domain::{Failure, Limits, Probe, Recipe, TaskId, preset};
use media::engine::{self, Cancel, Images, Inputs};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Once};
use tempfile::TempDir;

static INIT: Once = Once::new();

/// A recipe that was run on a source: the results of all steps. Its outputs are verified.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) probe: Probe,
    pub(crate) plan: Plan,
    pub(crate) report: TranscodeReport,
    pub(crate) checked: Vec<OutputFacts>,
    /// All progress events, in order.
    pub(crate) progress: Vec<Progress>,
    /// Holds the outputs; removed on drop.
    pub(crate) scratch: TempDir,
}

impl Run {
    /// The path of an output by its index in the recipe.
    pub(crate) fn path(&self, index: usize) -> PathBuf {
        self.scratch.path().join(&self.plan.outputs[index].file)
    }

    /// The plan, report and verification of an output that is a single file.
    pub(crate) fn output(&self, index: usize) -> (&PlannedOutput, &OutputReport, &FileFacts) {
        let OutputFacts::File(checked) = &self.checked[index] else {
            panic!("{:?} is a set of files", self.checked[index])
        };
        (&self.plan.outputs[index], &self.report.outputs[index], checked)
    }

    /// Decodes an output. Returns the luma plane of every frame, and their width and height in pixels.
    pub(crate) fn luma(&self, index: usize) -> (Vec<Vec<u8>>, usize, usize) {
        let size = self.checked[index]
            .probe()
            .unwrap()
            .main_video()
            .unwrap()
            .1
            .display_size();
        let (width, height) = (size.width_px as usize, size.height_px as usize);
        (decode_luma(&self.path(index), "0:v:0", size), width, height)
    }

    /// Decodes the first audio channel of an output, at its own sample rate.
    pub(crate) fn samples(&self, index: usize) -> Vec<f32> {
        let arguments = ["-map", "0:a:0", "-f", "f32le", "-af", "pan=mono|c0=c0"];
        decode(&self.path(index), &arguments)
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    }

    /// Decodes an output whose source is a clip of [`crate::clips::numbered`], and reads the number in each frame.
    pub(crate) fn frame_numbers(&self, index: usize) -> Vec<usize> {
        let (frames, width, height) = self.luma(index);
        frames.iter().map(|luma| frame_number(luma, width, height)).collect()
    }

    /// The starts of the beeps in an output of 48 kHz, in milliseconds. A beep is preceded by at least 0.2 s of near
    /// silence.
    pub(crate) fn beeps_ms(&self, index: usize) -> Vec<usize> {
        let (mut beeps, mut quiet) = (Vec::new(), 48_000);
        for (at, sample) in self.samples(index).iter().enumerate() {
            if sample.abs() > 0.2 {
                if quiet > 9_600 {
                    beeps.push(at / 48);
                }
                quiet = 0;
            } else {
                quiet += 1;
            }
        }
        beeps
    }
}

/// Probes a file.
pub(crate) fn probe(source: &Path) -> Result<Probe, Failure> {
    INIT.call_once(engine::init);
    engine::probe(&File::open(source).unwrap(), &Cancel::new())
}

/// The inputs of a recipe besides the source.
#[derive(Debug, Default)]
pub(crate) struct Extras<'a> {
    pub(crate) intro: Option<&'a Path>,
    pub(crate) outro: Option<&'a Path>,
    pub(crate) images: Images,
}

/// Runs a recipe on a source: probe, plan, transcode, verify.
pub(crate) fn process(source: &Path, recipe: &Recipe) -> Result<Run, Failure> {
    process_with(source, &Extras::default(), recipe)
}

/// The same with bumper clips and images.
pub(crate) fn process_with(source: &Path, extras: &Extras<'_>, recipe: &Recipe) -> Result<Run, Failure> {
    let mut recipe = recipe.clone();
    if let Some(bumper) = &mut recipe.bumper {
        // The plan only looks if a task is named. The worker resolves the ids.
        bumper.intro_task = extras.intro.map(|_| TaskId(1));
        bumper.outro_task = extras.outro.map(|_| TaskId(2));
    }
    let paths = [Some(source), extras.intro, extras.outro].into_iter().flatten();
    let sources: Vec<_> = paths.map(|path| File::open(path).unwrap()).collect();
    let probe = probe(source)?;
    let (intro, outro) = (
        extras.intro.map(self::probe).transpose()?,
        extras.outro.map(self::probe).transpose()?,
    );
    let clips = Clips {
        intro: intro.as_ref(),
        outro: outro.as_ref(),
    };
    let inputs = Inputs {
        sources: &sources,
        images: &extras.images,
    };
    let planned = |copies| domain::plan(&recipe, &probe, clips, &Limits::default(), copies);
    let plan = planned(CopyPolicy::default())?;
    let run = execute(&inputs, probe.clone(), plan.clone());
    let report = run.as_ref().map(|run| &run.report);
    // As in the worker: when copied packets must not be copied, the plan is made again without copies.
    if let Some(copies) = domain::plan::next_copy_policy(&plan, report) {
        let plan = planned(copies)?;
        let mut second = execute(&inputs, probe, plan)?;
        if let Ok(first) = run {
            domain::plan::carry_over_warnings(&first.report.warnings, &mut second.report.warnings);
        }
        return Ok(second);
    }
    run
}

/// Transcodes and verifies the outputs of a plan.
pub(crate) fn execute(inputs: &Inputs<'_>, probe: Probe, plan: Plan) -> Result<Run, Failure> {
    let scratch = tempfile::tempdir().unwrap();
    let mut progress = Vec::new();
    let cancel = Cancel::new();
    let report = engine::transcode(
        inputs,
        &plan,
        scratch.path(),
        2,
        &mut |step| progress.push(step),
        &cancel,
    )?;
    let mut checked = Vec::new();
    for (planned, made) in plan.outputs.iter().zip(&report.outputs) {
        let found = engine::verify(scratch.path(), planned, made, VerifyDepth::Fast, &cancel)?;
        domain::plan::verify(&plan, planned, made, &found)?;
        checked.push(found);
    }
    Ok(Run {
        probe,
        plan,
        report,
        checked,
        progress,
        scratch,
    })
}

/// Inputs of a transcode without images.
pub(crate) fn inputs_of(sources: &[File]) -> Inputs<'_> {
    static NO_IMAGES: LazyLock<Images> = LazyLock::new(Images::new);
    Inputs {
        sources,
        images: &NO_IMAGES,
    }
}

/// Plans a recipe without bumper clips.
pub(crate) fn plan(recipe: &Recipe, probe: &Probe) -> Result<Plan, Failure> {
    let copies = CopyPolicy::default();
    domain::plan(recipe, probe, Clips::default(), &Limits::default(), copies)
}

/// Parses a recipe.
pub(crate) fn recipe(json: &str) -> Recipe {
    serde_json::from_str(json).unwrap()
}

/// The recipe of a built-in preset.
pub(crate) fn preset(name: &str) -> Recipe {
    preset::find(name).unwrap().recipe
}

/// Decodes a video stream that `map` selects. Returns the luma plane of every frame.
pub(crate) fn decode_luma(path: &Path, map: &str, size: Size) -> Vec<Vec<u8>> {
    let pixels = (size.width_px * size.height_px) as usize;
    let arguments = [
        "-map",
        map,
        "-vsync",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
    ];
    let raw = decode(path, &arguments);
    raw.chunks(pixels * 3 / 2)
        .map(|frame| frame[..pixels].to_vec())
        .collect()
}

/// Runs `ffmpeg -i PATH ARGUMENTS -` and returns its standard output.
pub(crate) fn decode(path: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(arguments)
        .arg("-")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
