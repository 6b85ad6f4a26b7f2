//! Points in time and durations within conditions. None of them is now.

use std::fmt;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    Duration(SignedDuration),
    Timestamp(Timestamp),
}

impl Time {
    /// A duration as CEL writes it: `1h30m`, `-1.5h`, `100ms`.
    pub(super) fn duration(text: &str) -> Option<Self> {
        // jiff reads more than Go does (`1 hour`, `PT1H`), which another CEL would not.
        let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'h' | b'm' | b's' | b'u' | b'n');
        let good = text.len() <= 64 && text.bytes().all(plain) && !text.get(1..).unwrap_or_default().contains(['+', '-']);
        text.parse().ok().filter(|_| good).map(Self::Duration)
    }

    /// A timestamp of RFC 3339.
    pub(super) fn timestamp(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b':' | b'T' | b'Z');
        (text.len() <= 64 && text.bytes().all(plain)).then(|| instant(text).map(Self::Timestamp))?
    }
}

/// A point in time. `9999-12-31T23:59:59Z` is how many say "never", and CEL has it; jiff's last is a day before: what is in the year
/// 9999 and behind that is that last one.
pub(in crate::policy) fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        // The year before has the same days.
        let year_before: Timestamp = format!("9998-{}", text.strip_prefix("9999-")?).parse().ok()?;
        (year_before.to_zoned(TimeZone::UTC).year() == 9998).then_some(Timestamp::MAX)
    })
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(duration) => {
                let (nanos, sign) = (duration.as_nanos().unsigned_abs(), if duration.is_negative() { "-" } else { "" });
                let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
                let fraction = format!(".{rest:09}");
                write!(f, "{sign}{seconds}{}s", fraction.trim_end_matches('0').trim_end_matches('.'))
            }
            Self::Timestamp(timestamp) => write!(f, "{timestamp}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_forms_cel_has_are_read() {
        for (text, shown) in [("1h30m", "5400s"), ("-1.5h", "-5400s"), ("100ms", "0.1s"), ("0s", "0s"), ("24h", "86400s")] {
            assert_eq!(Time::duration(text).map(|time| time.to_string()).as_deref(), Some(shown), "{text}");
        }
        for text in ["", "1", "1 h", "PT1H", "1d", "h", "1h-30m", "1hour", &"1h".repeat(40)] {
            assert_eq!(Time::duration(text), None, "{text}");
        }
        for text in ["2026-01-31T00:00:00Z", "2026-01-31T00:00:00.5+01:00"] {
            assert!(Time::timestamp(text).is_some(), "{text}");
        }
        for text in
            ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999Z", "9999-12-31T00:00:00+01:00", "9999-12-30T23:00:00Z"]
        {
            assert_eq!(Time::timestamp(text), Some(Time::Timestamp(Timestamp::MAX)), "{text}");
        }
        let before = "9999-12-30T21:59:59Z";
        assert_eq!(Time::timestamp(before).map(|time| time.to_string()).as_deref(), Some(before));
        for text in
            ["9999-12-31T23:59:59-01:00", "9999-12-32T00:00:00Z", "9999-12-31T24:00:00Z", "10000-01-01T00:00:00Z", "9999-12-31"]
        {
            assert_eq!(Time::timestamp(text), None, "{text}");
        }
        for text in ["", "2026-01-31", "2026-01-31T00:00:00", "2026-01-31 00:00:00Z", "2026-01-31T00:00:00Z[UTC]", "now"] {
            assert_eq!(Time::timestamp(text), None, "{text}");
        }
    }
}
