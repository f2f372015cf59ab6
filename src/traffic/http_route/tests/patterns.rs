//! The expressions for sessions, against every bucket and every percent.

use regex::Regex;

use super::*;
use crate::api::Sticky;
use crate::traffic::http_route::sticky::header_match;

fn by_header() -> Sticky {
    Sticky { header: Some("X-Session".into()), cookie: None }
}

fn by_cookie(name: &str) -> Sticky {
    Sticky { header: None, cookie: Some(name.into()) }
}

fn value(sticky: &Sticky, percent: i32, whose: Whose) -> String {
    header_match(&NAMES, sticky, percent, whose)["value"].as_str().unwrap().to_owned()
}

/// The expression as a gateway that matches the whole value has it, and as one that looks for a part.
fn both(expression: &str) -> [Regex; 2] {
    [Regex::new(&format!(r"\A(?:{expression})\z")).unwrap(), Regex::new(expression).unwrap()]
}

#[test]
fn every_bucket_goes_to_exactly_one_of_the_two_and_the_candidate_never_gets_more_than_its_percent() {
    for (sticky, around) in [(by_header(), ["", ""]), (by_cookie("sid"), ["a=b; sid=", "; z=00"])] {
        for percent in 1..=99 {
            let ways = [Whose::Candidate, Whose::Stable].map(|whose| both(&value(&sticky, percent, whose)));
            for way in [0, 1] {
                let mut candidates = 0;
                for bucket in 0..256 {
                    for id in
                        [format!("5e7-{bucket:02x}"), format!("5E7-{bucket:02X}"), format!("{bucket:02x}")]
                    {
                        let text = format!("{}{id}{}", around[0], around[1]);
                        let [candidate, stable] = [0, 1].map(|whose| ways[whose][way].is_match(&text));
                        assert_ne!(candidate, stable, "{percent} %: {text}");
                        assert_eq!(candidate, bucket < 256 * percent / 100, "{percent} %: {text}");
                        candidates += usize::from(candidate);
                    }
                }
                assert_eq!(candidates, 3 * (256 * percent as usize / 100), "{percent} %");
            }
        }
    }
}

#[test]
fn who_has_no_session_matches_neither() {
    for whose in [Whose::Candidate, Whose::Stable] {
        for text in ["", "a", "g0", "0g", "session-xyz", "00 "] {
            let [whole, part] = both(&value(&by_header(), 37, whose));
            assert!(!whole.is_match(text) && !part.is_match(text), "{text}");
        }
        for text in ["", "sid", "xsid=00", "sid=0g", "sid=; a=00", "a=sid=00", "other=ff; SID=00", "sid=0"] {
            let [whole, part] = both(&value(&by_cookie("sid"), 37, whose));
            assert!(!whole.is_match(text) && !part.is_match(text), "{text}");
        }
    }
}

#[test]
fn a_cookie_is_found_wherever_it_stands_and_its_name_means_itself_only() {
    let [whole, part] = both(&value(&by_cookie("s.d"), 50, Whose::Candidate));
    for text in ["s.d=1200", "a=1; s.d=1200", "a=1;s.d=1200;b=ff", "s.d=1200; b=ff"] {
        assert!(whole.is_match(text) && part.is_match(text), "{text}");
    }
    assert!(!part.is_match("sxd=1200") && !part.is_match("a=1; sid=1200"));
}

#[test]
fn they_are_short() {
    let candidate = |percent| value(&by_header(), percent, Whose::Candidate);
    assert_eq!(candidate(50), "(?:understudy-50-m){0}^.*[0-7][0-9a-fA-F]$");
    assert_eq!(
        value(&by_header(), 50, Whose::Stable),
        "(?:understudy-50-m){0}^.*[89a-fA-F][0-9a-fA-F]$".replace("89", "8-9")
    );
    assert_eq!(candidate(1), "(?:understudy-1-m){0}^.*0[0-1]$");
    assert_eq!(candidate(70), "(?:understudy-70-m){0}^.*(?:[bB][0-2]|[0-9aA][0-9a-fA-F])$");
    let longest = (1..100).flat_map(|p| {
        [Whose::Candidate, Whose::Stable].map(|w| value(&by_cookie(&"n".repeat(64)), p, w).len())
    });
    assert!(longest.max().unwrap() < 200, "a header's value may have 4096");
}
