//! What is walked, and what is refused.

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules { depth: 4, items: 3, keys: 3, free: Free::Under("predicate") };

fn refused(text: &str) -> String {
    match scan(text.as_bytes(), &RULES, &[]).unwrap_err() {
        ScanError::Malformed(text) => format!("malformed: {text}"),
        ScanError::TooLarge(text) => format!("too large: {text}"),
        ScanError::Unreadable(text) => format!("unreadable: {text}"),
    }
}

#[test]
fn ordinary_documents_pass() {
    for text in [
        r#"{"a":[1,-2,3.5],"b":{"c":{}}}"#,
        "[]",
        " 7 ",
        r#"{"n":[1e999,-1E-999]}"#,
        &"1".repeat(200),
        r#"{"predicate":{"Path":1,"PATH":2,"x":[1,2,3,4,5]}}"#,
    ] {
        assert!(scan(text.as_bytes(), &RULES, &[]).is_ok(), "{text}");
    }
}

#[test]
fn a6_duplicate_keys_are_refused_everywhere_and_case_variants_outside_the_free_part() {
    for text in [
        r#"{"subject":1,"subject":2}"#,
        r#"{"subject":1,"Subject":2}"#,
        r#"{"a":{"\u017fha":1,"sha":2}}"#,
        r#"{"predicate":1,"Predicate":2}"#,
        r#"{"predicate":{"a":1,"a":2}}"#,
        r#"{"predicate":{"a":1,"\u0061":2}}"#,
    ] {
        assert!(refused(text).contains("twice"), "{text}");
    }
}

#[test]
fn a11_depth_elements_keys_and_numbers_are_bounded() {
    assert!(refused("[[[[[]]]]]").contains("too large: nested more than 4 deep"));
    assert!(refused("[1,2,3,4]").contains("too large: an array has more than 3 elements"));
    assert!(refused(r#"{"a":1,"b":1,"c":1,"d":1}"#).contains("too large"));
    assert!(refused(r#"{"x":{"predicate":[1,2,3,4]}}"#).contains("too large"), "free at the top only");
    let deep = format!("{{\"predicate\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(refused(&deep).contains("too large"));
    assert!(refused("{} {}").contains("malformed"));
    assert!(refused(&format!("{{\"predicate\":[{}]}}", "1".repeat(5_000))).contains("too large: "));
}

#[test]
fn a11_keys_are_bounded_in_the_free_part_too() {
    let keys: Vec<String> = (0..=FREE_KEYS).map(|at| format!("\"{at}\":0")).collect();
    assert!(refused(&format!("{{\"predicate\":{{{}}}}}", keys.join(","))).contains("too large"));
    // Beside each other they are forgotten one after the other; one within the other they add up.
    let half = keys[..=FREE_KEYS / 2].join(",");
    let beside = format!("{{\"predicate\":[{{{half}}},{{{half}}},{{{half}}}]}}");
    assert!(scan(beside.as_bytes(), &RULES, &[]).is_ok());
    assert!(refused(&format!("{{\"predicate\":{{{half},\"in\":{{{half}}}}}}}")).contains("too large"));
}

#[test]
fn a9_a_key_is_held_so_it_is_bounded_and_a_string_is_not() {
    let long = "k".repeat(1 << 20);
    assert!(refused(&format!("{{\"{long}\":1}}")).contains("too large: "));
    assert!(refused(&format!("{{\"predicate\":{{\"{long}\":1}}}}")).contains("too large: "));
    let ordinary = "k".repeat(60 << 10);
    assert!(scan(format!("{{\"predicate\":{{\"{ordinary}\":\"{long}\"}}}}").as_bytes(), &RULES, &[]).is_ok());
}

#[test]
fn what_is_wanted_is_found_by_its_place_and_by_no_other_spelling() {
    let text = r#"{ "a" : "x=\u003d" ,"b":{"a":1, "c" :[1, 2]},"a.c":0}"#;
    let rules = Rules { depth: 8, items: 8, keys: 8, free: Free::Nothing };
    let wanted = [("a", None), ("b", Some("c")), ("a", Some("c")), ("c", None), ("B", None), ("b", None)];
    let found = scan(text.as_bytes(), &rules, &wanted).unwrap().found;
    let text_of = |at: usize| found[at].as_ref().map(|found| &text[found.range.start as usize..found.range.end as usize]);
    assert_eq!(text_of(0), Some(r#""x=\u003d""#));
    assert_eq!(found[0].as_ref().unwrap().string, Some(Text { len: 3, padding: 2, url_safe: false }));
    assert_eq!((text_of(1), text_of(2), text_of(3), text_of(4)), (Some("[1, 2]"), None, None, None));
    // Wanted whole, and looked into all the same.
    assert_eq!(text_of(5), Some(r#"{"a":1, "c" :[1, 2]}"#));
}

#[test]
fn null_and_escaped_keys_are_told() {
    let text = r#"{"\u0061":null}"#;
    let scan = scan(text.as_bytes(), &RULES, &[("a", None)]).unwrap();
    assert_eq!((scan.found[0].as_ref().unwrap().null, &*scan.keys), (true, &["a".to_owned()][..]));
}

#[test]
fn c5_a_source_that_fails_says_nothing_of_the_document() {
    struct Failing(io::ErrorKind);
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
    }
    for begun in ["", "{\"a", "{\"a\":\"x", "{\"a\":1"] {
        let outcome = |kind| scan(begun.as_bytes().chain(Failing(kind)), &RULES, &[("a", None)]).unwrap_err();
        assert!(matches!(outcome(io::ErrorKind::Other), ScanError::Unreadable(_)), "{begun}");
        assert!(matches!(outcome(io::ErrorKind::InvalidData), ScanError::Malformed(_)), "{begun}");
    }
}

proptest! {
    /// What serde_json reads as a value is walked, and what it refuses is refused, in whatever pieces it comes.
    #[test]
    fn it_agrees_with_serde_json_on_what_is_json(text in r#"[\[\]{}:,"a\\u0019e\-+. ]{0,24}"#) {
        let rules = Rules { depth: 128, items: 1_000, keys: 1_000, free: Free::Values };
        let ours = scan(text.as_bytes(), &rules, &[("a", None)]);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (&ours, &theirs) {
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{text}: {error}"),
            (Err(error), Ok(_)) => prop_assert!(
                error.to_string().contains("twice") || matches!(error, ScanError::TooLarge(_)), "{text}: {error}"
            ),
            (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
        }
    }
}
