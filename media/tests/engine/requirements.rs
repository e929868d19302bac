//! Requirements of the engine, and the tests that show that they are met. A test that is renamed is renamed here.

use std::fs;
use std::path::Path;

/// Number, requirement, and tests. A test is `module::name` for a module of `media/tests/engine`, or `path::name`.
type Requirement = (u8, &'static str, &'static [&'static str]);

const REQUIREMENTS: &[Requirement] = &[
    (
        1,
        "HDR is tone-mapped to BT.709 and tagged; implausible mastering metadata is ignored; Dolby Vision uses its base layer",
        &[
            "colors::hdr_is_tone_mapped_and_tagged_as_bt709",
            "colors::tone_mapping_of_a_pq_wedge_keeps_order_black_and_neutral_gray",
            "colors::implausible_mastering_metadata_is_ignored",
            "container_colors::mastering_metadata_of_the_container_is_ignored",
            "container_colors::hdr_signaled_by_the_container_only_is_detected",
            "container_colors::a_stream_copy_keeps_color_signaled_by_the_container_only",
            "mp4_boxes::dolby_vision_uses_its_base_layer_or_is_refused_except_for_its_audio",
        ],
    ),
    (
        2,
        "10-bit, 4:2:2, 4:4:4 and full-range sources become 8-bit 4:2:0 in limited range, with a warning",
        &[
            "colors::other_pixel_formats_become_8_bit_limited_range",
            "colors::black_gray_and_white_are_kept_for_every_pixel_format",
        ],
    ),
    (
        3,
        "rotation and mirroring are applied once, the matrix is cleared, and the display size is reported",
        &["frame_geometry::rotation_and_mirroring_are_applied_once"],
    ),
    (
        4,
        "size limits apply to the short side of a portrait, and nothing is enlarged",
        &[
            "frame_geometry::the_size_limit_applies_to_the_short_side_and_never_enlarges",
            "domain/src/plan/ladder.rs::rungs_are_sized_by_the_shorter_side_and_not_larger_than_the_canvas",
        ],
    ),
    (
        5,
        "odd sizes become even, tiny frames are accepted, huge ones are refused",
        &[
            "frame_geometry::pixels_become_square_and_sides_even",
            "frame_geometry::positions_are_kept_for_odd_sizes_and_non_square_pixels",
            "frame_geometry::a_frame_over_the_size_limit_is_refused",
            "domain/src/plan/geometry.rs::sides_are_even_and_do_not_exceed_the_maximum",
        ],
    ),
    (
        6,
        "non-square pixels become square",
        &[
            "frame_geometry::pixels_become_square_and_sides_even",
            "frame_geometry::positions_are_kept_for_odd_sizes_and_non_square_pixels",
        ],
    ),
    (
        7,
        "variable frame rates, 1000 fps time bases and discontinuities: a plausible rate; audio and video end together",
        &[
            "frame_timing::a_variable_frame_rate_becomes_constant_with_the_same_timing",
            "stream_copy_refusals::matroska_of_a_variable_rate_is_not_copied",
            "container_timing::audio_and_video_of_variable_frame_rate_sources_end_together",
            "container_timing::a_timestamp_discontinuity_causes_no_gap_and_keeps_audio_in_sync",
        ],
    ),
    (
        8,
        "sources without audio: videos without audio, and HLS without an audio group",
        &["stream_selection::a_silent_source_becomes_hls_without_an_audio_group"],
    ),
    (
        9,
        "audio files and cover art: audio outputs work, video outputs are refused",
        &[
            "outputs::a_video_output_of_an_audio_source_is_refused",
            "outputs::cover_art_is_not_a_video_stream",
            "stream_selection::cover_art_is_not_selected_as_video",
        ],
    ),
    (
        10,
        "other streams are dropped, and a warning names them",
        &[
            "stream_selection::only_audio_and_video_are_kept_and_other_streams_are_reported",
            "containers::metadata_of_the_source_is_not_copied",
        ],
    ),
    (
        11,
        "a missing or wrong duration in the header: it is measured, and progress advances",
        &[
            "containers::duration_of_a_browser_recording_is_measured",
            "container_timing::a_wrong_duration_in_the_header_is_ignored",
            "container_timing::progress_advances_without_a_duration_in_the_header",
        ],
    ),
    (
        12,
        "truncated files, a missing index, garbage: a failure with a code, or a warning with the loss",
        &[
            "container_timing::a_truncated_file_reports_the_lost_duration",
            "container_timing::audio_stays_in_place_after_packets_that_do_not_decode",
            "containers::a_truncated_file_with_a_header_duration_reports_the_loss",
            "hostile::an_mp4_without_moov_is_reported_as_damaged",
            "hostile::an_mp4_with_an_empty_mdat_is_an_input_error",
            "hostile::a_truncated_source_is_transcoded_and_the_loss_is_reported",
            "hostile::garbage_in_the_middle_is_skipped_and_reported",
            "broken_off::a_streamed_wav_without_a_size_is_not_reported",
            "broken_off::a_wav_that_is_shorter_than_its_header_says_is_reported",
            "broken_off::an_animation_that_breaks_off_is_reported",
            "broken_off::bytes_behind_the_samples_of_a_wav_are_reported_unless_they_are_chunks",
            "concatenated_files::a_second_file_that_is_not_read_is_reported",
            "fragment_order::fragments_whose_order_is_not_known_are_reported",
            "gaps::a_gap_of_matroska_with_audio_that_may_pause_is_reported",
            "gaps::fragments_behind_a_break_of_an_mp4_are_read_and_the_loss_is_reported",
            "missing_bytes::missing_fragments_and_clusters_are_reported_although_the_audio_may_pause",
            "missing_bytes::a_file_that_is_cut_a_few_bytes_before_its_end_is_reported",
            "hostile::a_single_damaged_frame_is_reported_with_any_number_of_threads",
            "stream_copy_refusals::damaged_packets_of_every_codec_are_not_copied",
        ],
    ),
    (
        13,
        "5.1 and 7.1 are downmixed to stereo with the center channel and without clipping",
        &["outputs::surround_is_downmixed_with_its_center_channel_and_without_clipping"],
    ),
    (
        14,
        "several languages: the requested, the default or the first one is used; the others are named",
        &["stream_selection::the_default_or_requested_audio_language_is_selected"],
    ),
    (
        15,
        "offsets, edit lists, priming and negative timestamps: outputs start at 0 and in sync",
        &[
            "frame_timing::audio_is_in_sync_for_every_container_and_start_offset",
            "container_timing::frames_before_0_of_matroska_with_b_frames_are_kept_in_sync",
            "containers::fragmented_mp4_and_edit_lists_are_supported",
            "outputs::audio_outputs_have_the_length_and_timing_of_the_trim",
        ],
    ),
    (
        16,
        "sources that are interlaced by header or frames are deinterlaced, and no others",
        &[
            "deinterlacing::interlaced_video_is_deinterlaced_and_progressive_video_is_not",
            "deinterlacing::interlacing_is_detected_by_header_or_frames_and_combing_is_removed",
            "deinterlacing::progressive_video_with_line_patterns_is_not_deinterlaced",
        ],
    ),
    (
        17,
        "trims are frame-exact",
        &[
            "frame_timing::a_trim_is_frame_exact",
            "frame_timing::a_trim_of_an_intra_refresh_stream_is_frame_exact",
            "frame_timing::audio_is_in_sync_after_a_trim_and_a_bumper",
            "trim_ranges::trim_ranges_are_joined_frame_exactly_in_any_order",
        ],
    ),
    (
        18,
        "HLS outputs",
        &[
            "hls::every_rung_shows_every_frame_once_across_segments",
            "hls::audio_is_a_separate_group_aligned_with_the_video_segments",
            "hls_playlists::the_master_playlist_matches_the_renditions",
            "hls_playlists::segments_of_a_fractional_frame_rate_are_aligned_and_within_the_target_duration",
            "hls_playlists::the_ladder_of_a_portrait_uses_its_short_side_and_silent_video_has_no_audio_group",
            "hls_stream_copy::a_copied_rung_keeps_its_packets_and_starts_segments_at_keyframes",
            "hls_stream_copy::encoded_rungs_align_their_segments_with_a_copied_rung",
            "hls_stream_copy::audio_is_segmented_at_the_boundaries_of_the_copied_rung",
            "hls_stream_copy::the_master_playlist_has_the_profile_and_bandwidth_of_a_copied_rung",
            "hls_stream_copy::a_source_with_keyframes_too_far_apart_is_encoded",
            "hls_verification::an_unmodified_hls_output_is_valid",
        ],
    ),
    (
        19,
        "single frames, intra-only streams, and streams that do not start with a keyframe",
        &[
            "frame_geometry::a_source_with_one_frame_becomes_a_video_with_one_frame",
            "container_timing::intra_only_open_gop_and_single_frame_sources_are_trimmed_exactly",
            "containers::a_stream_that_starts_between_keyframes_is_transcoded",
        ],
    ),
    (
        20,
        "two video streams, fragments, missing and wrong tables, empty tracks, undecodable audio",
        &[
            "stream_selection::the_default_or_larger_video_stream_is_selected",
            "stream_selection::missing_and_wrong_mp4_tables_lose_no_frame",
            "stream_selection::a_track_without_samples_is_ignored",
            "stream_selection::undecodable_audio_is_dropped_and_video_is_kept",
            "containers::fragmented_mp4_and_edit_lists_are_supported",
        ],
    ),
    (
        21,
        "stalls, crashes and memory leaks of codecs end in a failure with a code",
        &[
            "worker/src/child/tests.rs::a_crash_and_an_exit_are_told_in_words_without_numbers",
            "media/tests/sandbox/shortage.rs::memory_that_the_machine_lacks_is_told_apart_from_the_limit_of_the_child",
            "media/tests/sandbox/shortage.rs::a_machine_without_threads_is_no_failure_of_the_task",
            "media/tests/sandbox/shortage.rs::a_machine_without_descriptors_is_no_failure_of_the_task",
            "media/tests/sandbox/memory.rs::audio_with_absurd_headers_takes_no_memory",
            "media/tests/sandbox/memory.rs::a_frame_of_the_largest_size_takes_the_memory_of_a_few_frames",
            "worker/src/child/tests.rs::a_kill_by_the_kernel_is_a_limit_and_one_from_outside_is_no_fault_of_the_file",
            "worker/src/child/tests.rs::a_silent_child_is_stalled",
            "tests/it/mutants.rs::a_damaged_file_ends_in_a_true_output_or_a_typed_failure",
        ],
    ),
    (
        22,
        "a video lasts as long as its longest stream; the first and last frame are held; dropped frames are reported",
        &[
            "held_frames::the_last_frame_is_held_until_the_audio_ends",
            "held_frames::a_trim_after_the_last_frame_holds_it",
            "held_frames::copied_video_and_hls_rungs_last_as_long_as_the_audio",
            "held_frames::the_last_frame_has_the_duration_of_its_sample_table",
            "held_frames::the_first_frame_is_held_under_earlier_audio",
            "held_frames::a_cut_stream_reports_the_loss_at_its_start",
            "media/src/engine/audio/fifo/tests.rs::samples_beyond_the_capacity_are_counted_as_lost",
            "dropped_frames::frames_dropped_by_the_rate_limit_are_reported_unless_a_rate_was_requested",
            "dropped_frames::dropped_frames_of_a_variable_rate_are_reported_and_a_constant_rate_drops_none",
        ],
    ),
    (
        23,
        "a plausible aspect ratio of the container has precedence over that of the frames; the language is kept",
        &[
            "aspect_ratios::aspect_of_the_container_overrides_the_bitstream",
            "aspect_ratios::an_implausible_aspect_is_read_from_the_frames",
            "aspect_ratios::aspect_ratio_is_read_from_tkhd_or_pasp",
            "aspect_ratios::an_implausible_container_aspect_is_replaced_by_that_of_the_frames",
            "aspect_ratios::an_aspect_of_27_to_64_against_every_frame_gives_square_pixels",
            "stream_selection::the_audio_language_is_kept_in_every_container",
        ],
    ),
    (
        24,
        "profiles and levels that browsers do not play, and streams with changing headers, are not copied",
        &[
            "stream_copy_profiles::only_profiles_and_levels_that_browsers_play_are_copied",
            "hls_copy_refusals::lossless_h264_in_a_profile_that_browsers_do_not_play_is_encoded",
            "hls_copy_refusals::joined_clips_whose_parameter_sets_differ_are_encoded",
            "stream_copy_profiles::patched_extended_and_rext_profiles_are_not_copied",
            "stream_copy_profiles::concatenated_videos_with_different_headers_are_encoded",
            "stream_copy_profiles::repeated_identical_headers_are_copied",
            "stream_copy_profiles::audio_with_a_changing_sample_rate_is_encoded",
        ],
    ),
    (
        25,
        "of several video streams the moving one is selected, then the default one, then the largest",
        &[
            "stream_selection::the_moving_stream_is_selected_over_a_few_large_stills",
            "stream_selection::of_two_videos_the_default_and_then_the_larger_is_selected",
        ],
    ),
    (
        26,
        "late audio is in sync in players that ignore empty edits",
        &["hls_stream_copy::late_audio_starts_with_silence_and_without_an_empty_edit"],
    ),
    (
        27,
        "HDR without primaries is assumed to be BT.2020; the color range is converted once",
        &[
            "colors::hdr_without_primaries_is_assumed_to_be_bt2020",
            "colors::color_range_is_converted_once_with_and_without_scaling",
        ],
    ),
    (
        28,
        "H.264 in AVI; timestamps that go back, jump or wrap; streams that are cut at any byte",
        &[
            "discontinuities::avi_with_empty_slots_keeps_the_real_frame_rate",
            "discontinuities::repeated_discontinuities_keep_audio_and_video_in_sync",
            "discontinuities::timestamps_of_33_bits_may_wrap",
            "discontinuities::a_recording_with_restarting_timestamps_continues",
            "concatenated_files::a_sample_rate_that_changes_keeps_duration_and_positions",
            "concatenated_files::a_granule_position_that_is_too_small_at_the_end_of_vorbis_is_not_a_duration",
            "concatenated_files::concatenated_matroska_with_b_frames_loses_no_frame",
            "concatenated_files::concatenated_audio_has_the_length_of_all_files_and_none_of_their_headers",
            "fragment_order::fragments_in_another_order_or_twice_are_played_in_order_and_once",
            "discontinuities::a_transport_stream_may_start_at_any_byte",
            "discontinuities::a_stream_cut_inside_its_only_keyframe_is_transcoded",
            "domain/src/mpeg_ts.rs::a_stream_is_detected_from_any_offset_in_a_packet",
        ],
    ),
    (
        29,
        "many streams: audio and video have a limit, other streams another one, and both are checked before decoding",
        &[
            "stream_limits::subtitles_and_attachments_do_not_count_as_audio_or_video",
            "stream_limits::other_streams_have_their_own_limit",
            "stream_limits::a_thousand_video_streams_are_refused",
            "stream_limits::files_with_more_streams_than_ffmpeg_opens_report_their_number",
            "media/tests/sandbox/many_streams.rs::too_many_streams_are_refused_within_tight_limits",
        ],
    ),
    (
        30,
        "DTS, TrueHD, MLP and LATM are decoded; too many channels, absurd sample rates and encryption are reported",
        &[
            "stream_limits::dts_truehd_mlp_and_latm_are_decoded",
            "stream_limits::more_than_eight_channels_are_refused_or_dropped_beside_video",
            "stream_limits::absurd_audio_headers_use_no_memory",
            "encryption::encrypted_mp4_tracks_are_reported_for_every_scheme",
            "encryption::encrypted_matroska_tracks_are_reported",
            "encryption::scrambled_transport_streams_and_protected_asf_are_reported",
            "encryption::clear_files_are_not_reported_as_encrypted",
        ],
    ),
    (
        31,
        "a frame size or pixel aspect that changes mid-stream adds bars",
        &[
            "frame_geometry::a_change_of_orientation_mid_stream_adds_bars",
            "aspect_ratios::a_change_of_the_pixel_aspect_mid_stream_adds_bars",
        ],
    ),
    (
        32,
        "animations are videos: delays as in browsers, played once, every frame shown; WebP is refused; MXF, DV, FFV1, \
         CineForm and other camera and editing formats, undamaged and damaged",
        &[
            "animations::an_animation_is_played_once_and_keeps_every_frame",
            "animations::short_gif_delays_become_100_ms_as_in_browsers",
            "animations::an_apng_frame_without_a_delay_lasts_100_ms",
            "animations::frames_with_irregular_delays_are_all_kept",
            "animations::animated_webp_is_reported_as_unsupported",
            "animations::an_animation_with_a_too_large_canvas_is_refused_by_the_probe",
            "animations::damaged_animations_become_a_video_or_fail_as_input_errors",
            "intermediate_codecs::audio_is_in_sync_for_camera_and_editing_formats",
            "intermediate_codecs::every_intermediate_codec_keeps_every_frame",
            "intermediate_codecs::an_mxf_with_too_many_streams_is_refused",
            "intermediate_codecs::damaged_camera_files_become_a_video_or_fail_as_input_errors",
        ],
    ),
    (
        33,
        "hour-long still frames, slow encoders and stalled ones: each stage reports its progress",
        &[
            "held_frames::audio_is_kept_under_a_frame_held_for_minutes",
            "stalls::repeating_one_frame_for_an_hour_counts_as_progress",
            "media/src/engine/stage.rs::a_stage_that_hangs_is_detected_although_others_are_active_or_idle",
            "worker/src/child/tests.rs::words_without_movement_are_no_progress",
            "worker/src/child/tests.rs::a_stage_that_hangs_is_noticed_although_the_others_move",
            "worker/src/child/tests.rs::work_that_moves_goes_on_although_no_percent_and_no_frame_is_counted",
        ],
    ),
    (
        34,
        "alpha is kept by a stream copy into WebM and flattened onto black otherwise; 360° and 3D are reported",
        &[
            "alpha_and_spatial::transparency_is_flattened_onto_black_with_a_warning",
            "alpha_and_spatial::an_opaque_alpha_channel_causes_no_warning",
            "alpha_and_spatial::a_webm_stream_copy_keeps_alpha_and_an_encode_flattens_it",
            "alpha_and_spatial::spherical_and_stereoscopic_layouts_are_reported",
        ],
    ),
];

#[test]
fn every_requirement_has_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert!(
        REQUIREMENTS.iter().map(|(number, ..)| *number).eq(1..=34),
        "a number is missing"
    );
    for (number, requirement, tests) in REQUIREMENTS {
        assert!(!tests.is_empty(), "no test for {number}: {requirement}");
        for test in *tests {
            let (file, name) = test.split_once("::").unwrap();
            let file = if file.contains('/') {
                root.join(file)
            } else {
                root.join("media/tests/engine").join(file).with_extension("rs")
            };
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert!(
                text.contains(&format!("fn {name}(")),
                "requirement {number}: there is no {test}"
            );
        }
    }
}
