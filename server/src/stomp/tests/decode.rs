//! Reading: one test for each rule of the grammar and each habit of a real client.

use bytes::Bytes;

use super::super::Command;
use super::*;

use DecodeErrorKind as Kind;
use Version::{V1_0, V1_1, V1_2};

#[test]
fn a_frame_is_command_headers_and_body() {
    let frame = frame(V1_2, b"SEND\ndestination:/a\nx:1\n\nhello\0");
    assert_eq!(frame.command, Command::Send);
    assert_eq!(pairs(&frame), [("destination", "/a"), ("x", "1")]);
    assert_eq!(frame.body, "hello");
}

#[test]
fn every_command_is_known_and_only_in_capitals() {
    for command in Command::ALL {
        assert_eq!(frame(V1_2, format!("{command}\n\n\0").as_bytes()).command, command);
    }
    assert_eq!(kind(V1_2, b"send\n\n\0"), Kind::UnknownCommand);
    assert_eq!(kind(V1_2, b"SENDX\n\n\0"), Kind::UnknownCommand);
    assert_eq!(kind(V1_2, b" SEND\n\n\0"), Kind::UnknownCommand);
}

#[test]
fn an_http_request_is_an_unknown_command() {
    assert_eq!(kind(None, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"), Kind::UnknownCommand);
}

#[test]
fn the_first_of_repeated_headers_wins_and_all_are_kept() {
    let frame = frame(V1_2, b"SEND\nfoo:World\nfoo:Hello\n\n\0");
    assert_eq!(frame.headers.get("foo"), Some("World"));
    assert_eq!(frame.headers.len(), 2);
    assert_eq!(frame.headers.get("Foo"), None);
}

#[test]
fn a_stream_in_single_octets_gives_the_same_frames() {
    let stream = b"\nSEND\nreceipt:1\n\na\0\r\n\nSEND\ncontent-length:3\n\na\0b\0\nBEGIN\ntransaction:t\n\n\0";
    let mut decoder = decoder(V1_2);
    let mut single = Vec::new();
    for octet in stream {
        decoder.push(&[*octet]);
        single.extend(only_frames(drain(&mut decoder).unwrap()));
    }
    assert_eq!(single, frames(V1_2, stream));
    assert_eq!(single.len(), 3);
}

#[test]
fn several_frames_in_one_push_are_all_given() {
    let frames = frames(V1_1, b"BEGIN\ntransaction:t\n\n\0SEND\n\na\0COMMIT\ntransaction:t\n\n\0");
    let commands: Vec<_> = frames.iter().map(|frame| frame.command).collect();
    assert_eq!(commands, [Command::Begin, Command::Send, Command::Commit]);
}

#[test]
fn head_body_and_nul_may_come_as_three_pushes() {
    // stompit
    let mut decoder = decoder(V1_2);
    decoder.push(b"SEND\ndestination:/a\n\n");
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(b"hello");
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(b"\0\n");
    let incoming = drain(&mut decoder).unwrap();
    assert_eq!(only_frames(incoming)[0].body, "hello");
}

#[test]
fn the_version_takes_effect_between_two_frames_of_one_push() {
    let mut decoder = decoder(None);
    decoder.push(b"CONNECT\naccept-version:1.2\nlogin:a\\c\n\n\0SEND\nx:a\\c\n\n\0");
    let connect = decoder.next().unwrap();
    decoder.version(V1_2);
    let send = decoder.next().unwrap();
    let values: Vec<_> = only_frames([connect, send].into_iter().flatten().collect())
        .iter()
        .map(|frame| frame.headers.iter().last().unwrap().1.to_owned())
        .collect();
    assert_eq!(values, ["a\\c", "a:"]);
}

// Line ends and heart-beats

#[test]
fn lf_and_cr_lf_between_frames_are_heartbeats_in_every_version() {
    for version in [None, Some(V1_0), Some(V1_1), Some(V1_2)] {
        for beat in ["\n", "\r\n"] {
            let mut decoder = decoder(version);
            decoder.push(beat.as_bytes());
            assert_eq!(drain(&mut decoder), Ok(vec![Incoming::Heartbeat]), "{beat:?} {version:?}");
            assert_eq!(decoder.buffered(), 0);
        }
    }
}

#[test]
fn a_cr_lf_split_in_two_is_one_heartbeat() {
    let mut decoder = decoder(V1_1);
    decoder.push(b"\r");
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(b"\n");
    assert_eq!(drain(&mut decoder), Ok(vec![Incoming::Heartbeat]));
}

#[test]
fn a_long_run_of_line_ends_is_one_heartbeat_a_push() {
    let mut decoder = decoder(V1_2);
    decoder.push(&b"\n".repeat(100_000));
    assert_eq!(drain(&mut decoder), Ok(vec![Incoming::Heartbeat]));
    decoder.push(b"\n\nSEND\n\n\0\n\n\nSEND\n\n\0\n");
    let beats = drain(&mut decoder).unwrap();
    assert_eq!(beats.iter().filter(|incoming| **incoming == Incoming::Heartbeat).count(), 1);
    assert_eq!(only_frames(beats).len(), 2);
}

#[test]
fn line_ends_inside_a_frame_are_no_heartbeats() {
    let mut decoder = decoder(V1_2);
    decoder.push(b"SEND\n\n\n\n");
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(b"\n\0");
    assert_eq!(only_frames(drain(&mut decoder).unwrap())[0].body, "\n\n\n");
}

#[test]
fn cr_lf_ends_lines_in_1_2_and_before_the_negotiation() {
    for version in [None, Some(V1_2)] {
        let frame = frame(version, b"SEND\r\na:1\r\n\r\nhello\r\n\0");
        assert_eq!(pairs(&frame), [("a", "1")]);
        assert_eq!(frame.body, "hello\r\n");
    }
}

#[test]
fn in_1_1_a_cr_belongs_to_the_value_but_not_to_the_blank_line() {
    let frame = frame(V1_1, b"SEND\r\na:1\r\n\r\n\0");
    assert_eq!(pairs(&frame), [("a", "1\r")]);
}

// Headers

#[test]
fn escapes_are_undone_in_names_and_values() {
    let frame = frame(V1_2, b"SEND\na\\cb:\\\\x\\n\\r\\c\\\\n\n\n\0");
    assert_eq!(pairs(&frame), [("a:b", "\\x\n\r:\\n")]);
    assert_eq!(pairs(&super::frame(V1_1, b"SEND\na:\\n\\c\\\\\n\n\0")), [("a", "\n:\\")]);
}

#[test]
fn undefined_escapes_are_errors_in_1_1_and_1_2() {
    for value in ["\\t", "\\", "a\\", "\\ ", "\\N", "\\\u{e9}"] {
        let stream = format!("SEND\na:{value}\n\n\0");
        assert_eq!(kind(V1_1, stream.as_bytes()), Kind::BadEscape, "{value}");
        assert_eq!(kind(V1_2, stream.as_bytes()), Kind::BadEscape, "{value}");
    }
    assert_eq!(kind(V1_1, b"SEND\na:\\r\n\n\0"), Kind::BadEscape);
}

#[test]
fn nothing_is_unescaped_in_1_0_nor_in_connect_frames() {
    assert_eq!(pairs(&frame(V1_0, b"SEND\na:\\c\\t\n\n\0")), [("a", "\\c\\t")]);
    for command in ["CONNECT", "STOMP", "CONNECTED"] {
        for version in [None, Some(V1_1), Some(V1_2)] {
            let stream = format!("{command}\naccept-version:1.2\npasscode:a\\tb\n\n\0");
            assert_eq!(frame(version, stream.as_bytes()).headers.get("passcode"), Some("a\\tb"));
        }
    }
}

#[test]
fn white_space_is_trimmed_in_1_0_only() {
    let stream = b"SEND\n destination : /a b \t\n\n\0";
    assert_eq!(pairs(&frame(V1_0, stream)), [("destination", "/a b")]);
    assert_eq!(pairs(&frame(V1_1, stream)), [(" destination ", " /a b \t")]);
    assert_eq!(pairs(&frame(V1_2, stream)), [(" destination ", " /a b \t")]);
}

#[test]
fn a_connect_without_accept_version_is_trimmed_as_one_of_1_0() {
    assert_eq!(pairs(&frame(None, b"CONNECT\nlogin: a\n\n\0")), [("login", "a")]);
    let newer = frame(None, b"CONNECT\naccept-version:1.2\npasscode: a\n\n\0");
    assert_eq!(newer.headers.get("passcode"), Some(" a"));
    assert_eq!(kind(None, b"CONNECT\n :a\n\n\0"), Kind::EmptyHeaderName);
}

#[test]
fn a_raw_colon_in_a_value_is_read_as_it_is() {
    // StompProtocolAndroid escapes nothing.
    for version in Version::ALL {
        let frame = frame(version, b"SEND\ndestination:/a:b::\n\n\0");
        assert_eq!(frame.headers.get("destination"), Some("/a:b::"));
    }
}

#[test]
fn a_value_may_be_empty_but_a_name_may_not() {
    assert_eq!(pairs(&frame(V1_2, b"SEND\na:\n\n\0")), [("a", "")]);
    assert_eq!(kind(V1_2, b"SEND\n:a\n\n\0"), Kind::EmptyHeaderName);
    assert_eq!(kind(V1_0, b"SEND\n :a\n\n\0"), Kind::EmptyHeaderName);
}

#[test]
fn a_header_needs_a_colon() {
    assert_eq!(kind(V1_2, b"SEND\ndestination\n\n\0"), Kind::HeaderWithoutColon);
}

#[test]
fn headers_are_utf_8() {
    let frame = frame(V1_2, "SEND\nname:방 \u{1F600}\n\n\0".as_bytes());
    assert_eq!(frame.headers.get("name"), Some("방 \u{1F600}"));
    assert_eq!(kind(V1_2, b"SEND\na:\xFF\n\n\0"), Kind::NotUtf8);
    assert_eq!(kind(V1_2, b"\xFF\n\n\0"), Kind::NotUtf8);
}

#[test]
fn a_nul_in_the_headers_is_an_error_as_soon_as_it_is_there() {
    assert_eq!(kind(V1_2, b"SUBSCRIBE\nid:1\n\0"), Kind::NulInHeader);
    assert_eq!(kind(V1_2, b"SEND\na:\0"), Kind::NulInHeader);
    assert_eq!(kind(V1_2, b"\0"), Kind::NulInHeader);
}

// Body

#[test]
fn without_content_length_the_body_ends_at_the_first_nul() {
    assert_eq!(frame(V1_2, b"SEND\n\na\n\nb\n\n\0").body, "a\n\nb\n\n");
}

#[test]
fn with_content_length_the_body_is_that_many_octets_whatever_they_are() {
    let body: Vec<u8> = (0..=255).collect();
    let mut stream = b"SEND\ncontent-length:256\n\n".to_vec();
    stream.extend(&body);
    stream.push(0);
    assert_eq!(frame(V1_2, &stream).body, body);
}

#[test]
fn what_follows_content_length_octets_must_be_a_nul() {
    assert_eq!(kind(V1_2, b"SEND\ncontent-length:2\n\nabc\0"), Kind::MissingNul);
    assert_eq!(kind(V1_2, b"SEND\ncontent-length:0\n\na"), Kind::MissingNul);
}

#[test]
fn content_length_is_digits_and_padding_is_forgiven() {
    for value in ["", "x", "-1", "+1", "1.0", "0x1", "1 1"] {
        let stream = format!("SEND\ncontent-length:{value}\n\na\0");
        assert_eq!(kind(V1_2, stream.as_bytes()), Kind::BadContentLength, "{value}");
    }
    assert_eq!(frame(V1_2, b"SEND\ncontent-length: 1\n\n\0\0").body, "\0");
    assert_eq!(frame(V1_1, b"SEND\r\ncontent-length:1\r\n\r\n\0\0").body, "\0");
}

#[test]
fn the_first_of_repeated_content_lengths_wins() {
    assert_eq!(frame(V1_2, b"SEND\ncontent-length:1\ncontent-length:2\n\na\0").body, "a");
}

#[test]
fn content_length_0_is_fine_on_frames_without_a_body() {
    // Krossbow sends it on every frame.
    let frame = frame(V1_2, b"SUBSCRIBE\nid:0\ndestination:/a\ncontent-length:0\n\n\0");
    assert!(frame.body.is_empty());
}

#[test]
fn only_send_message_and_error_have_a_body() {
    for command in Command::ALL {
        let plain = format!("{command}\n\na\0");
        let counted = format!("{command}\ncontent-length:1\n\na\0");
        for stream in [plain, counted] {
            if matches!(command, Command::Send | Command::Message | Command::Error) {
                assert_eq!(frame(V1_2, stream.as_bytes()).body, "a");
            } else {
                assert_eq!(kind(V1_2, stream.as_bytes()), Kind::BodyNotAllowed, "{command}");
            }
        }
    }
}

#[test]
fn a_body_of_line_ends_where_none_may_be_is_dropped() {
    let frames = frames(V1_1, b"CONNECT\naccept-version:1.1\n\n\r\n\n\0SEND\n\na\0");
    assert!(frames[0].body.is_empty());
    assert_eq!(frames[1].body, "a");
}

// Limits

#[test]
fn as_many_headers_as_allowed_pass_and_one_more_is_refused_before_the_block_ends() {
    let headers = "a:1\n".repeat(LIMITS.headers);
    assert_eq!(frame(V1_2, format!("SEND\n{headers}\n\0").as_bytes()).headers.len(), 8);
    let stream = format!("SEND\n{headers}a:1\n");
    assert_eq!(kind(V1_2, stream.as_bytes()), Kind::TooManyHeaders { limit: 8 });
}

#[test]
fn a_header_block_of_the_limit_passes_and_one_octet_more_is_refused() {
    let with_value = |octets: usize| format!("SEND\na:{}\n\n", "x".repeat(octets));
    let fits = with_value(LIMITS.header_bytes - with_value(0).len());
    assert_eq!(frame(V1_2, format!("{fits}\0").as_bytes()).headers.len(), 1);
    let too_large = with_value(LIMITS.header_bytes - with_value(0).len() + 1);
    assert_eq!(kind(V1_2, too_large.as_bytes()), Kind::HeadersTooLarge { limit: 256 });
}

#[test]
fn headers_without_end_are_refused_when_the_limit_is_passed() {
    let mut decoder = decoder(V1_2);
    decoder.push(&b"x".repeat(LIMITS.header_bytes));
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(b"x");
    let kind = decoder.next().unwrap_err().kind;
    assert_eq!(kind, Kind::HeadersTooLarge { limit: 256 });
}

#[test]
fn a_body_of_the_limit_passes_counted_or_not() {
    let body = "x".repeat(LIMITS.body_bytes);
    assert_eq!(frame(V1_2, format!("SEND\n\n{body}\0").as_bytes()).body, body);
    let counted = format!("SEND\ncontent-length:1024\n\n{body}\0");
    assert_eq!(frame(V1_2, counted.as_bytes()).body, body);
}

#[test]
fn a_body_announced_too_large_is_refused_before_it_comes() {
    let too_large = Kind::BodyTooLarge { limit: 1024 };
    assert_eq!(kind(V1_2, b"SEND\ncontent-length:1025\n\n"), too_large);
    let absurd = format!("SEND\ncontent-length:{}\n\n", "9".repeat(60));
    assert_eq!(kind(V1_2, absurd.as_bytes()), too_large);
}

#[test]
fn a_body_that_grows_too_large_is_refused_before_its_nul_comes() {
    let mut decoder = decoder(V1_2);
    decoder.push(b"SEND\n\n");
    decoder.push(&b"x".repeat(LIMITS.body_bytes));
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(b"x");
    assert_eq!(decoder.next().unwrap_err().kind, Kind::BodyTooLarge { limit: 1024 });
}

#[test]
fn limits_may_grow_between_two_frames() {
    let mut decoder = Decoder::new(Limits { body_bytes: 0, ..LIMITS });
    decoder.push(b"CONNECT\n\n\0SEND\n\na\0");
    assert!(matches!(decoder.next(), Ok(Some(Incoming::Frame(_)))));
    decoder.limits(LIMITS);
    assert_eq!(only_frames(drain(&mut decoder).unwrap())[0].body, "a");
}

#[test]
fn too_large_tells_limits_from_grammar() {
    assert!(Kind::BodyTooLarge { limit: 1 }.too_large());
    assert!(Kind::HeadersTooLarge { limit: 1 }.too_large());
    assert!(Kind::TooManyHeaders { limit: 1 }.too_large());
    assert!(!Kind::BadEscape.too_large());
}

#[test]
fn a_large_body_octet_by_octet_takes_linear_time() {
    // Quadratic would be 2^39 steps: not to be waited for.
    let mut decoder = Decoder::new(Limits::default());
    decoder.version(V1_2);
    decoder.push(b"SEND\n\n");
    for _ in 0..1 << 20 {
        decoder.push(b"x");
        assert_eq!(decoder.next(), Ok(None));
    }
    decoder.push(b"\0");
    assert_eq!(only_frames(drain(&mut decoder).unwrap())[0].body.len(), 1 << 20);
}

// Memory

#[test]
fn an_idle_decoder_is_small_and_holds_nothing() {
    assert!(size_of::<Decoder>() <= 128, "{}", size_of::<Decoder>());
    let mut decoder = decoder(V1_2);
    decoder.push(&b"SEND\n\nhello\0\n".repeat(1000));
    drain(&mut decoder).unwrap();
    assert_eq!(decoder.allocated(), 0);
}

#[test]
fn a_part_of_a_frame_that_waits_holds_no_more_than_itself() {
    let mut decoder = decoder(V1_2);
    let mut stream = b"SEND\n\nhello\0".repeat(1000);
    stream.extend_from_slice(b"SEND\nrec");
    decoder.push(&stream);
    drain(&mut decoder).unwrap();
    assert_eq!(decoder.buffered(), 8);
    assert_eq!(decoder.allocated(), 8);
}

#[test]
fn a_kept_body_does_not_keep_a_large_push_alive() {
    let mut decoder = decoder(V1_2);
    decoder.push(&b"SEND\n\nhello\0".repeat(1000));
    for incoming in drain(&mut decoder).unwrap() {
        let Incoming::Frame(frame) = incoming else { continue };
        // A slice of the push would be shared with the others.
        assert!(frame.body.is_unique());
    }
}

#[test]
fn a_body_that_is_most_of_a_push_is_not_copied() {
    let stream = format!("SEND\n\n{}\0", "x".repeat(1000)).into_bytes();
    let stream = Bytes::from(stream.into_boxed_slice());
    let body = stream.as_ptr() as usize + 6;
    let mut decoder = decoder(V1_2);
    decoder.push_bytes(stream);
    let frames = only_frames(drain(&mut decoder).unwrap());
    assert_eq!(frames[0].body.as_ptr() as usize, body);
}

#[test]
fn bytes_that_others_hold_are_copied_and_read_the_same() {
    let stream = Bytes::from_static(b"SEND\n\nhello\0SEND\n\nho");
    let mut decoder = decoder(V1_2);
    decoder.push_bytes(stream.clone());
    assert_eq!(only_frames(drain(&mut decoder).unwrap())[0].body, "hello");
    decoder.push_bytes(stream);
    assert_eq!(only_frames(drain(&mut decoder).unwrap())[0].body, "hoSEND\n\nhello");
}

// Errors

#[test]
fn after_an_error_the_decoder_is_dead() {
    let mut decoder = decoder(V1_2);
    decoder.push(b"SEND\nreceipt:7\nx\n\n\0SEND\n\n\0");
    let error = decoder.next().unwrap_err();
    decoder.push(b"SEND\n\n\0");
    assert_eq!(decoder.buffered(), 0);
    assert_eq!(decoder.next(), Err(error.clone()));
    assert_eq!(decoder.next(), Err(error));
}

#[test]
fn frames_before_the_bad_one_are_still_given() {
    let mut decoder = decoder(V1_2);
    decoder.push(b"SEND\n\na\0WHAT\n\n\0");
    assert!(matches!(decoder.next(), Ok(Some(Incoming::Frame(_)))));
    assert_eq!(decoder.next().unwrap_err().kind, Kind::UnknownCommand);
}

#[test]
fn an_error_carries_the_receipt_of_the_bad_frame() {
    let streams: [&[u8]; 10] = [
        b"WHAT\nreceipt:a\\cb\n\n\0",
        b"SEND\nbad\nreceipt:a\\cb\n\n\0",
        b"SEND\nreceipt:a\\cb\nbad:\\t\n\n\0",
        b"SEND\r\nbad:\xFF\r\nreceipt:a\\cb\r\n\r\n\0",
        b"SEND\nreceipt:a\\cb\n:bad\n\n\0",
        b"SEND\nreceipt:a\\cb\ncontent-length:bad\n\n\0",
        b"SEND\nreceipt:a\\cb\ncontent-length:9999\n\n\0",
        b"SEND\nreceipt:a\\cb\ncontent-length:1\n\nbad\0",
        b"BEGIN\nreceipt:a\\cb\n\nbad\0",
        b"SUBSCRIBE\nreceipt:a\\cb\n\0",
    ];
    for stream in streams {
        let receipt = error(V1_2, stream).receipt;
        assert_eq!(receipt.as_deref(), Some("a:b"), "{}", stream.escape_ascii());
    }
    assert_eq!(error(V1_2, b"WHAT\nx:1\n\n\0").receipt, None);
    assert_eq!(error(V1_2, b"SEND\nreceipt:\\t\n\n\0").receipt, None);
}

#[test]
fn the_texts_of_errors_fit_into_a_header() {
    let text = error(V1_2, b"SEND\ncontent-length:1025\n\n").to_string();
    assert_eq!(text, "body larger than 1024 bytes");
    assert_eq!(Kind::NulInHeader.to_string(), "NUL before the end of the headers");
}

#[test]
fn debug_output_shows_no_values_and_no_body() {
    let frame = frame(None, b"CONNECT\naccept-version:1.2\npasscode:secret\n\n\0");
    assert!(!format!("{frame:?}").contains("secret"));
    let mut decoder = decoder(None);
    decoder.push(b"CONNECT\npasscode:secret");
    assert!(!format!("{decoder:?}").contains("secret"));
}

// Versions

#[test]
fn the_highest_common_version_is_chosen_in_any_order() {
    assert_eq!(Version::highest("1.0,1.2"), Some(V1_2));
    assert_eq!(Version::highest(" 1.1 ,1.0, 2.0"), Some(V1_1));
    assert_eq!(Version::highest("1.0"), Some(V1_0));
    assert_eq!(Version::highest(""), None);
    assert_eq!(Version::highest("1.3,2,12"), None);
    assert_eq!(Version::highest_subprotocol("v10.stomp, v11.stomp, v12.stomp"), Some(V1_2));
    assert_eq!(Version::highest_subprotocol("chat"), None);
}
