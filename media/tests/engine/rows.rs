//! What must come out right, case by case, and the tests that show it. A test that is renamed is renamed here.

use std::fs;
use std::path::Path;

/// A case: its number, what it is and what is expected, and the tests, below `media/tests/engine` unless their file says
/// otherwise.
type Row = (u8, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    (
        1,
        "HDR is brought down to BT.709 and tagged so; broken mastering data is ignored; Dolby Vision is its base layer",
        &[
            "colors::high_dynamic_range_is_brought_down_and_tagged",
            "colors::a_wedge_in_pq_keeps_its_order_its_black_and_its_gray",
            "colors::broken_mastering_data_changes_nothing",
            "colors_told::mastering_data_that_only_the_container_tells_changes_nothing",
            "colors_told::hdr_that_only_the_container_tells_is_hdr",
            "colors_told::a_copy_keeps_the_color_that_only_the_container_tells",
            "boxes::dolby_vision_is_its_base_layer_or_refused_but_for_its_sound",
        ],
    ),
    (
        2,
        "10 bits, 4:2:2, 4:4:4 and full range become 8 bits, 4:2:0 and limited, with a warning",
        &[
            "colors::other_samples_become_eight_bits_of_limited_range",
            "colors::black_gray_and_white_keep_their_brightness_whatever_the_samples",
        ],
    ),
    (
        3,
        "orientation is baked in once, its matrix cleared, and the size as shown reported",
        &["looks::orientation_is_baked_in_once"],
    ),
    (
        4,
        "a portrait goes by its short side and is never enlarged",
        &[
            "looks::a_portrait_goes_by_its_short_side_and_is_never_enlarged",
            "domain/src/plan/ladder.rs::the_ladder_goes_by_the_shorter_side_and_never_above_the_source",
        ],
    ),
    (
        5,
        "odd sides become even, tiny ones pass, huge ones are refused",
        &[
            "looks::pixels_become_square_and_sides_even",
            "looks::a_square_is_where_it_was_after_odd_sides_and_oblong_pixels",
            "looks::a_picture_over_the_limit_is_refused_before_it_is_made",
            "domain/src/plan/geometry.rs::sides_are_even_and_bounds_hold",
        ],
    ),
    (
        6,
        "oblong pixels become square",
        &[
            "looks::pixels_become_square_and_sides_even",
            "looks::a_square_is_where_it_was_after_odd_sides_and_oblong_pixels",
        ],
    ),
    (
        7,
        "variable rates, 1000 fps clocks and clocks that jump: a sensible rate, picture and sound end together",
        &[
            "timing::a_variable_rate_becomes_constant_and_keeps_every_moment",
            "clocks::pictures_and_sound_end_together_whatever_their_clocks_do",
            "clocks::a_clock_that_jumps_parts_neither_picture_and_sound_nor_leaves_a_hole",
        ],
    ),
    (
        8,
        "no sound: a movie without, and a stream without a group of sound",
        &["streams::a_source_without_sound_makes_a_stream_without_a_group_of_sound"],
    ),
    (
        9,
        "sound alone and covers: sound files work, movies are refused",
        &[
            "outputs::sound_without_pictures_makes_no_film",
            "outputs::a_cover_is_no_film_and_its_sound_is_kept",
            "streams::a_cover_does_not_stand_in_for_a_video",
        ],
    ),
    (
        10,
        "other streams stay behind, and a warning names them",
        &[
            "streams::only_pictures_and_sound_travel_and_the_rest_is_named",
            "containers::nothing_that_is_named_in_a_source_travels",
        ],
    ),
    (
        11,
        "no length or a wrong one in the header: it is measured, and progress moves",
        &[
            "containers::a_recording_of_a_browser_has_no_length_and_gets_one",
            "clocks::a_wrong_length_in_the_header_neither_cuts_nor_stretches",
            "clocks::progress_moves_although_the_header_of_a_recording_has_no_length",
        ],
    ),
    (
        12,
        "cut off, without an index, garbage inside: a typed failure, or the loss is told",
        &[
            "clocks::whatever_breaks_off_tells_how_much_is_missing",
            "containers::a_file_that_breaks_off_tells_its_loss_where_its_header_has_a_length",
            "hostile::an_mp4_without_its_index_is_damaged",
            "hostile::an_index_without_any_media_is_damaged",
            "hostile::a_source_that_breaks_off_is_kept_as_far_as_it_goes_and_the_loss_is_told",
            "hostile::garbage_in_the_middle_is_survived_and_told",
            "hostile::a_single_damaged_picture_is_told_on_any_number_of_threads",
            "copy_refusals::damaged_packets_of_every_codec_are_not_copied",
        ],
    ),
    (
        13,
        "5.1 and 7.1 become stereo with their centre, without clipping",
        &["outputs::surround_is_mixed_down_with_its_centre_and_without_clipping"],
    ),
    (
        14,
        "several languages: the default, the first or the one asked for; the others are named",
        &["streams::of_several_languages_the_default_or_the_one_asked_for_is_heard"],
    ),
    (
        15,
        "offsets, edit lists, priming, negative times: it starts at 0 and in step",
        &[
            "timing::sound_stays_with_its_picture_whatever_the_container_and_its_offsets",
            "containers::fragments_and_edit_lists_are_understood",
            "outputs::sound_files_have_the_length_of_the_span_and_the_beep_at_its_place",
        ],
    ),
    (
        16,
        "interlaced by its header or its frames: woven, and nothing else is",
        &[
            "looks::interlaced_pictures_are_woven_and_others_left_alone",
            "clocks::fields_are_found_in_flags_and_in_frames_and_their_comb_is_gone",
            "clocks::frames_that_only_look_like_fields_are_left_alone",
        ],
    ),
    (
        17,
        "a trim begins and ends at the picture asked",
        &[
            "timing::a_trim_begins_and_ends_at_the_picture_asked",
            "tracks::a_trim_of_a_stream_that_is_refreshed_bit_by_bit_begins_with_the_picture_asked",
            "timing::sound_stays_with_its_picture_after_a_trim_and_under_a_bumper",
            "joins::spans_are_joined_to_the_picture_in_any_order",
        ],
    ),
    (
        18,
        "adaptive streams",
        &[
            "hls::every_rung_shows_every_picture_once_across_the_borders_of_segments",
            "hls::the_sound_is_a_group_of_its_own_in_step_with_the_pictures",
            "hls_playlists::the_master_playlist_tells_the_truth",
            "hls_playlists::segments_of_a_fractional_rate_begin_together_and_are_no_longer_than_promised",
            "hls_playlists::the_ladder_of_a_portrait_goes_by_the_shorter_side_and_silence_has_no_group",
            "hls_copies::a_rung_that_is_the_source_keeps_its_packets_and_begins_each_segment_with_a_keyframe",
            "hls_copies::rungs_below_begin_their_segments_with_the_same_pictures",
            "hls_copies::sound_is_cut_where_the_copied_pictures_are",
            "hls_copies::the_master_playlist_tells_the_profile_and_the_rates_of_the_copy",
            "hls_copies::keyframes_too_far_apart_for_the_segments_are_made_anew",
            "hls_damage::a_stream_that_nobody_touched_is_right",
        ],
    ),
    (
        19,
        "one frame, groups of one picture, no keyframe at the start",
        &[
            "looks::a_single_picture_makes_a_film_of_one_frame",
            "clocks::single_pictures_and_groups_of_one_are_cut_at_the_picture_asked",
            "containers::a_stream_that_begins_between_keyframes_still_becomes_a_film",
        ],
    ),
    (
        20,
        "two video streams, fragments, missing and lying tables, empty tracks, sound that nobody decodes",
        &[
            "streams::of_two_video_streams_the_main_one_is_shown",
            "streams::tables_that_are_missing_or_lie_cost_no_picture",
            "streams::a_track_without_a_single_sample_is_passed_over",
            "streams::sound_that_nobody_can_decode_costs_the_sound_alone",
            "containers::fragments_and_edit_lists_are_understood",
        ],
    ),
    (
        21,
        "hangs, crashes and leaks of the codecs end in a typed failure",
        &[
            "worker/src/child/tests.rs::a_crash_tells_the_signal_and_an_exit_tells_the_status",
            "worker/src/child/tests.rs::a_kill_by_the_kernel_is_a_limit_and_one_from_outside_is_no_fault_of_the_file",
            "worker/src/child/tests.rs::a_silent_child_is_stalled",
            "tests/it/mutants.rs::a_damaged_file_ends_in_a_true_output_or_a_typed_failure",
        ],
    ),
    (
        22,
        "the movie lasts as long as its longest stream; first and last picture stand, and what is dropped is told",
        &[
            "stands::the_last_picture_stands_while_sound_goes_on",
            "stands::a_span_behind_the_pictures_shows_the_last_one",
            "stands::copied_pictures_and_segments_last_as_long_as_the_sound",
            "stands::the_last_picture_lasts_as_long_as_its_file_says",
            "stands::sound_before_the_first_picture_is_kept_and_the_first_picture_stands",
            "stands::a_stream_that_was_cut_tells_how_much_of_its_beginning_is_lost",
            "media/src/engine/audio/fifo/tests.rs::what_finds_no_room_is_told",
            "dropped::frames_of_a_camera_that_is_too_fast_are_told_unless_a_rate_was_asked_for",
            "dropped::frames_of_a_variable_rate_that_fall_on_one_frame_are_told_and_a_constant_rate_drops_none",
        ],
    ),
    (
        23,
        "the aspect of the container wins while it is plausible, then the frames decide; the language is kept",
        &[
            "tracks::the_aspect_of_the_container_wins_over_that_of_the_bitstream",
            "tracks::an_aspect_that_cannot_be_is_asked_of_the_frames",
            "aspects::the_size_of_the_track_and_the_shape_of_a_pixel_are_believed_each_alone",
            "aspects::where_the_container_cannot_be_right_the_frames_win_over_the_headers_of_the_bitstream",
            "tracks::the_language_of_the_sound_is_kept_in_every_container",
        ],
    ),
    (
        24,
        "profiles and levels that browsers do not play, and headers that change inside, are not copied",
        &[
            "copy_profiles::only_profiles_and_levels_that_browsers_play_are_copied",
            "copy_profiles::profiles_that_no_encoder_here_makes_are_not_copied_either",
            "copy_profiles::films_joined_without_encoding_whose_headers_change_are_encoded",
            "copy_profiles::headers_that_are_only_repeated_are_copied",
            "copy_profiles::sound_whose_rate_changes_inside_is_encoded",
        ],
    ),
    (
        25,
        "of several streams of pictures the one that moves is the movie; the default flag and size decide later",
        &[
            "tracks::the_movie_is_what_moves_and_not_a_few_large_stills",
            "tracks::of_two_movies_the_default_one_is_shown_and_then_the_larger",
        ],
    ),
    (
        26,
        "sound that begins late is right in players that ignore empty edits",
        &["hls_copies::sound_that_comes_late_begins_with_silence_and_not_with_an_edit"],
    ),
    (
        27,
        "HDR without primaries, full range of wide pictures: a sensible assumption, and the range changed once",
        &[
            "colors::hdr_that_does_not_tell_its_primaries_is_taken_for_that_of_bt2020",
            "colors::the_range_of_wide_and_hdr_pictures_is_changed_once_whether_they_are_scaled_or_not",
        ],
    ),
    (
        28,
        "H.264 in AVI, clocks that go back, jump or wrap, streams cut anywhere",
        &[
            "jumps::pictures_of_an_avi_have_their_own_rate_although_it_counts_slots",
            "jumps::a_clock_may_jump_again_and_again_and_for_pictures_and_sound_at_different_places",
            "jumps::a_clock_of_33_bits_wraps",
            "jumps::a_recording_of_a_stream_that_begins_anew_goes_on_where_it_was",
            "jumps::a_transport_stream_plays_wherever_it_was_cut",
            "jumps::a_stream_that_is_cut_inside_its_only_keyframe_plays",
            "domain/src/transport.rs::a_stream_is_known_wherever_it_was_cut",
        ],
    ),
    (
        29,
        "many streams: only pictures and sound count, and the rest is bounded before anything is decoded",
        &[
            "crowds::fonts_and_subtitles_do_not_count_as_pictures_and_sound",
            "crowds::other_streams_have_a_bound_of_their_own",
            "crowds::a_thousand_streams_are_told_by_their_code",
            "crowds::more_streams_than_ffmpeg_opens_are_told_by_their_number",
            "media/tests/sandbox/crowds.rs::many_streams_are_told",
        ],
    ),
    (
        30,
        "DTS, TrueHD, MLP and LATM are heard; too many channels, absurd rates and encryption are told",
        &[
            "crowds::sound_of_films_that_browsers_do_not_know_is_heard",
            "crowds::more_channels_than_eight_are_told_alone_and_beside_pictures",
            "crowds::absurd_headers_of_sound_cost_no_memory",
            "locked::encrypted_tracks_of_mp4_are_told_whatever_their_scheme",
            "locked::encrypted_tracks_of_matroska_and_webm_are_told",
            "locked::scrambled_transport_streams_and_protected_asf_are_told",
            "locked::clear_files_are_not_taken_for_encrypted_ones",
        ],
    ),
    (
        31,
        "a size, or a shape of the pixels, that changes on the way gets bars",
        &[
            "tracks::a_turn_of_the_phone_in_mid_recording_gets_bars",
            "aspects::pixels_whose_shape_changes_on_the_way_get_bars",
        ],
    ),
    (
        32,
        "animated pictures are films: delays as in browsers, loops once, every picture shown; WebP is told; MXF, DV, FFV1, \
         CineForm and other formats of cameras and editing, whole and damaged",
        &[
            "animations::an_animation_is_played_once_with_every_picture_in_its_place",
            "animations::delays_of_a_gif_are_those_that_browsers_take",
            "animations::a_picture_of_an_apng_without_a_delay_is_shown_for_a_tenth_of_a_second",
            "animations::pictures_with_odd_delays_are_all_shown",
            "animations::an_animated_webp_is_told_not_to_be_decoded",
            "animations::a_canvas_that_is_too_large_is_refused_before_it_is_drawn",
            "animations::animations_that_break_off_or_lie_are_films_or_failures_of_the_file",
            "intermediates::a_beep_is_heard_where_the_flash_is_seen_in_formats_of_cameras_and_editing",
            "intermediates::every_codec_that_keeps_pictures_whole_keeps_every_picture",
            "intermediates::an_mxf_of_more_streams_than_are_looked_into_is_refused",
            "intermediates::files_that_break_off_or_lie_are_films_or_failures_of_the_file",
        ],
    ),
    (
        33,
        "hour-long stills, slow encoders and hung ones: progress is what moved in each stage",
        &[
            "stands::sound_is_kept_under_a_picture_that_stands_for_minutes",
            "hangs::a_picture_that_stands_for_an_hour_moves_with_each_of_its_frames",
            "media/src/engine/stage.rs::a_stage_that_hangs_is_seen_although_others_move_wait_or_are_done",
            "worker/src/child/tests.rs::words_without_movement_are_no_progress",
            "worker/src/child/tests.rs::a_stage_that_hangs_is_noticed_although_the_others_move",
            "worker/src/child/tests.rs::work_that_moves_goes_on_although_no_percent_and_no_frame_is_counted",
        ],
    ),
    (
        34,
        "alpha is kept by a copy into WebM and lies on black elsewhere; 360° and 3D are told",
        &[
            "transparency::what_is_transparent_lies_on_black_and_is_told",
            "transparency::an_alpha_channel_that_lets_nothing_through_is_not_told",
            "transparency::a_copy_into_webm_keeps_its_alpha_and_what_is_encoded_into_webm_lies_on_black",
            "transparency::pictures_for_a_sphere_or_for_two_eyes_are_told",
        ],
    ),
];

#[test]
fn every_case_has_tests_and_every_test_named_here_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert!(ROWS.iter().map(|(number, ..)| *number).eq(1..=34), "a case is missing");
    for (number, case, tests) in ROWS {
        assert!(!tests.is_empty(), "nothing shows {number}: {case}");
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
                "case {number}: there is no {test}"
            );
        }
    }
}
