//! Base64 in a document, decoded from wherever a reader begins.

use base64::Engine as _;
use proptest::prelude::*;

use super::*;
use crate::oci::scan::{Free, Rules, scan};

/// The payload of `{"payload": TEXT}`, as it is in a file; `text` is what stands between the quotes.
fn payload(text: &str) -> Result<Payload, VerifyError> {
    let document = Document::in_a_file(format!("{{\"payload\": \"{text}\"}}").as_bytes());
    let rules = Rules { depth: 2, items: 2, keys: 2, free: Free::Nothing };
    let found = scan(document.open(), &rules, &[("payload", None)]).unwrap().found.remove(0).unwrap();
    Payload::at(&found, &document, false)
}

fn decoded(text: &str) -> Result<Vec<u8>, ()> {
    let payload = payload(text).map_err(drop)?;
    let mut bytes = Vec::new();
    payload.open().read_to_end(&mut bytes).map_err(drop)?;
    // What reads to the end compares the two; see `statement`.
    if bytes.len() as u64 == payload.len() { Ok(bytes) } else { Err(()) }
}

proptest! {
    #[test]
    fn every_part_is_what_it_is_of_the_whole(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        range in any::<[prop::sample::Index; 2]>(),
        escape in any::<bool>(),
        pad in any::<bool>(),
    ) {
        let mut text = STANDARD.encode(&bytes);
        if !pad {
            text.truncate(text.trim_end_matches('=').len());
        }
        if escape {
            text = text.replace('/', "\\/").replace('=', "\\u003d").replace('A', "\\u0041");
        }
        let payload = payload(&text).unwrap();
        prop_assert_eq!(payload.len(), bytes.len() as u64);
        let [a, b] = range.map(|at| at.index(bytes.len() + 1));
        let (from, to) = (a.min(b), a.max(b));
        prop_assert_eq!(&payload.slice(from as u64..to as u64).unwrap()[..], &bytes[from..to]);
    }

    #[test]
    fn what_the_crate_takes_for_base64_is_taken_and_nothing_else(text in "[AB/+_=-]{0,12}") {
        let theirs = PayloadBytes::from_base64(&text).map(PayloadBytes::into_bytes).map_err(drop);
        prop_assert_eq!(decoded(&text), theirs, "{}", text);
    }
}

#[test]
fn padding_is_looked_at_wherever_a_piece_ends() {
    for len in [1_020, 1_024, 4_096, 65_536, 65_537] {
        let text = STANDARD.encode(vec![7; len]);
        assert_eq!(decoded(&text).unwrap().len(), len);
        for wrong in [format!("{text}===="), format!("{text}AA==AA=="), format!("AA=={text}"), format!("{text}!")] {
            assert!(decoded(&wrong).is_err(), "{len}");
        }
    }
}
