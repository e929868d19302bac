//! Planning again without copies, if a copy turns out to be unusable.
//!
//! *Problem.* The index of a file does not show if its packets are damaged, if its codec headers change, or if its
//! audio has gaps. The header of a Matroska file does not show if its frame rate is variable. All packets would have to
//! be read to find out, which costs as much as the copy itself.
//!
//! *Mechanism.* The first pass copies what the probe allows, and detects such faults while copying.
//! [`next_copy_policy`] decides from its report, or from its failed verification, which streams must be encoded. The
//! worker then plans the task again with this [`CopyPolicy`] and renders it in a second pass. [`carry_over_warnings`]
//! keeps the warnings of the first pass that only a copy detects.

use super::{CopyPolicy, Plan, Warning, WarningCode};
use crate::code::Code;
use crate::failure::Failure;
use crate::protocol::TranscodeReport;

/// Decides from the report or the failure of the first pass if the task must be planned again with fewer copies.
/// Returns the policy of the second pass; `None` if the copies are fine or there are none.
///
/// A copy cannot conceal damaged packets, changing headers or gaps as a decoder does.
#[must_use]
pub fn next_copy_policy(plan: &Plan, outcome: Result<&TranscodeReport, &Failure>) -> Option<CopyPolicy> {
    let concerns_all =
        |warning: &Warning| matches!(warning.code, WarningCode::SourceDamaged | WarningCode::HeadersChange);
    let is_all = match outcome {
        Ok(report) => report.warnings.iter().any(concerns_all),
        Err(failure) => failure.code == Code::OutputInvalid,
    };
    if is_all {
        return plan.copies().then_some(CopyPolicy::NoStream);
    }
    // Many players play the audio after a gap too early.
    let has_gaps = outcome.is_ok_and(|report| report.source_audio_gap_us > 0) && plan.copies_audio();
    let has_variable_rate = outcome.is_ok_and(|report| report.has_variable_frame_rate) && plan.copies_video();
    match (has_gaps, has_variable_rate) {
        (true, true) => Some(CopyPolicy::NoAudioNoVideo),
        (true, false) => Some(CopyPolicy::NoAudio),
        (false, true) => Some(CopyPolicy::NoVideo),
        (false, false) => None,
    }
}

/// Adds warnings of the first pass to those of the second pass, which excluded the copies: changing headers, and damage
/// that the decoders of the second pass concealed. Only a copy detects these.
pub fn carry_over_warnings(first: &[Warning], second: &mut Vec<Warning>) {
    for code in [WarningCode::HeadersChange, WarningCode::SourceDamaged] {
        let has_code = |warning: &&Warning| warning.code == code;
        if !second.iter().any(|warning| has_code(&warning)) {
            second.extend(first.iter().find(has_code).cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{AudioFacts, Probe, Stream, StreamKind};
    use crate::{Limits, Recipe, plan};

    /// Plans a recipe for a source with an AAC stream.
    fn plan_for_aac(json: &str) -> Plan {
        let facts = AudioFacts {
            sample_rate_hz: 48_000,
            channels: 2,
            duration_us: Some(20_000_000),
            start_us: 0,
            bitrate_bps: Some(128_000),
            plain: true,
        };
        let stream = Stream {
            index: 0,
            codec: "aac".into(),
            decodable: true,
            default: true,
            language: None,
            kind: StreamKind::Audio(facts),
        };
        let probe = Probe {
            container: "mov,mp4,m4a,3gp,3g2,mj2".into(),
            bytes: 400_000,
            duration_us: 20_000_000,
            start_us: 0,
            origin_us: None,
            jumps: false,
            streams: vec![stream],
        };
        let recipe: Recipe = serde_json::from_str(json).unwrap();
        plan::plan(
            &recipe,
            &probe,
            plan::Clips::default(),
            &Limits::default(),
            CopyPolicy::default(),
        )
        .unwrap()
    }

    #[test]
    fn gaps_of_the_source_exclude_copied_audio_and_lost_audio_of_an_output_does_not() {
        let copied = plan_for_aac(r#"{"outputs":[{"kind":"audio"}]}"#);
        let encoded = plan_for_aac(r#"{"outputs":[{"kind":"audio","bitrate_bps":96000}]}"#);
        assert!(copied.copies() && !encoded.copies());
        let report = |source_audio_gap_us, codes: &[WarningCode]| TranscodeReport {
            warnings: codes.iter().map(|code| Warning::new(*code, "20 ms lost")).collect(),
            source_audio_gap_us,
            ..TranscodeReport::default()
        };
        let gap = report(2_000_000, &[WarningCode::SoundShortened]);
        let lost_audio = report(0, &[WarningCode::SoundShortened]);
        let damage = report(2_000_000, &[WarningCode::SourceDamaged, WarningCode::SoundShortened]);
        let invalid = Failure::new(Code::OutputInvalid, "");
        assert_eq!(next_copy_policy(&copied, Ok(&gap)), Some(CopyPolicy::NoAudio));
        assert_eq!(next_copy_policy(&copied, Ok(&lost_audio)), None);
        assert_eq!(next_copy_policy(&copied, Ok(&damage)), Some(CopyPolicy::NoStream));
        assert_eq!(next_copy_policy(&copied, Err(&invalid)), Some(CopyPolicy::NoStream));
        let variable = TranscodeReport {
            has_variable_frame_rate: true,
            ..TranscodeReport::default()
        };
        assert_eq!(next_copy_policy(&copied, Ok(&variable)), None, "no video is copied");
        assert_eq!(next_copy_policy(&encoded, Ok(&gap)), None);
        assert_eq!(next_copy_policy(&encoded, Ok(&damage)), None);
    }

    #[test]
    fn the_second_run_has_each_warning_of_the_first_run_about_copies_once() {
        let warning = |code| Warning::new(code, "first");
        let first = [
            warning(WarningCode::HeadersChange),
            warning(WarningCode::SourceDamaged),
            warning(WarningCode::SoundShortened),
        ];
        let own = Warning::new(WarningCode::SourceDamaged, "second");
        let mut second = vec![own.clone()];
        carry_over_warnings(&first, &mut second);
        assert_eq!(second, [own, warning(WarningCode::HeadersChange)]);
    }
}
