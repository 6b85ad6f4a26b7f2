//! `Range` by RFC 9110 section 14: one range is a 206, several are answered whole.

use std::ops::Range;

/// What part of a representation is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Bytes `start..end`, never empty, never beyond the size.
    Part(Range<u64>),
    /// No byte of the range exists: 416.
    Unsatisfiable,
    /// All of it: no range, one we need not understand, or several. A 206 with only the first of several would be
    /// taken for the whole exchange by containers/image, a `multipart/byteranges` is asked for by nobody else (H6).
    Whole,
}

impl Wanted {
    /// Reads a `Range` header against a representation of `size` bytes.
    ///
    /// A header that does not parse is ignored, as section 14.2 asks.
    pub(super) fn parse(header: &[u8], size: u64) -> Self {
        let Some((unit, set)) = std::str::from_utf8(header).ok().and_then(|text| text.split_once('=')) else {
            return Self::Whole;
        };
        let set = set.trim_matches([' ', '\t']);
        if !unit.eq_ignore_ascii_case("bytes") || set.contains(',') {
            return Self::Whole;
        }
        let Some((first, last)) = set.split_once('-') else { return Self::Whole };
        match (number(first), number(last)) {
            (Number::At(first), Number::Absent) if first < size => Self::Part(first..size),
            (Number::At(first), Number::At(last)) if last < first => Self::Whole,
            (Number::At(first), Number::At(last)) if first < size => Self::Part(first..last.saturating_add(1).min(size)),
            (Number::At(_), Number::Absent | Number::At(_)) => Self::Unsatisfiable,
            (Number::Absent, Number::At(length)) if length > 0 && size > 0 => Self::Part(size.saturating_sub(length)..size),
            (Number::Absent, Number::At(_)) => Self::Unsatisfiable,
            (Number::Absent, Number::Absent) | (Number::Wrong, _) | (_, Number::Wrong) => Self::Whole,
        }
    }
}

enum Number {
    Absent,
    At(u64),
    Wrong,
}

fn number(text: &str) -> Number {
    match text {
        "" => Number::Absent,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => Number::At(digits.parse().unwrap_or(u64::MAX)),
        _ => Number::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(header: &str, size: u64) -> Wanted {
        Wanted::parse(header.as_bytes(), size)
    }

    #[test]
    fn h6_one_range_is_taken_within_the_size() {
        assert_eq!(of("bytes=0-", 10), Wanted::Part(0..10));
        assert_eq!(of("bytes=0-0", 10), Wanted::Part(0..1));
        assert_eq!(of("bytes=3-5", 10), Wanted::Part(3..6));
        assert_eq!(of("bytes=3-99", 10), Wanted::Part(3..10));
        assert_eq!(of("bytes=9-9", 10), Wanted::Part(9..10));
        assert_eq!(of("bytes=-1", 10), Wanted::Part(9..10));
        assert_eq!(of("bytes=-99", 10), Wanted::Part(0..10));
        assert_eq!(of("Bytes= 3-5 ", 10), Wanted::Part(3..6));
        assert_eq!(of("bytes=3-99999999999999999999999", 10), Wanted::Part(3..10));
    }

    #[test]
    fn h6_ranges_beyond_the_end_are_416() {
        for header in ["bytes=10-", "bytes=10-20", "bytes=99999999999999999999999-", "bytes=-0"] {
            assert_eq!(of(header, 10), Wanted::Unsatisfiable, "{header}");
        }
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(of(header, 0), Wanted::Unsatisfiable, "{header}");
        }
    }

    #[test]
    fn h6_several_ranges_and_what_is_no_range_are_answered_whole() {
        let thousand = format!("bytes={}", vec!["0-1"; 1_000].join(","));
        for header in [
            thousand.as_str(),
            "bytes=0-1,3-4",
            "bytes=0-1,",
            "lines=0-1",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-3",
            "bytes=+1-3",
            "bytes=1 -3",
            "bytes=--1",
            "bytes=0x1-2",
            "\u{661}=1",
        ] {
            assert_eq!(of(header, 10), Wanted::Whole, "{header}");
        }
        assert_eq!(Wanted::parse(b"bytes=\xff-", 10), Wanted::Whole);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_beyond_the_size(header in "(bytes=)?[0-9]{0,21}-?[0-9]{0,21}", size in 0_u64..1_000) {
            if let Wanted::Part(range) = of(&header, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn any_header_has_an_answer(header in proptest::collection::vec(any::<u8>(), 0..60), size: u64) {
            let _ = Wanted::parse(&header, size);
        }

        #[test]
        fn h6_a_range_is_what_it_says(first in 0_u64..2_000, length in 1_u64..2_000, size in 0_u64..2_000) {
            let last = first + length - 1;
            let expected = if first < size { Wanted::Part(first..size.min(last + 1)) } else { Wanted::Unsatisfiable };
            prop_assert_eq!(of(&format!("bytes={first}-{last}"), size), expected);
        }
    }
}
