//! Values while a condition is evaluated. Cheap to clone: documents are pointed into, what is made is shared.

use std::{cmp::Ordering, mem::size_of, ops::Deref, sync::Arc};

use super::{
    document::{Entries, Json, Spot, Spots},
    meter::{Meter, Spent},
    time::Time,
};

#[derive(Debug, Clone)]
pub(super) enum Value<'d> {
    Bool(bool),
    Double(f64),
    Int(i64),
    /// A list or a map of a document.
    Json(Spot<'d>),
    /// A list made here.
    List(Arc<[Self]>),
    /// A map made here.
    Map(Arc<[(Text<'d>, Self)]>),
    Null,
    Text(Text<'d>),
    Time(Time),
    UInt(u64),
}

/// What a [`Value`] of a list costs.
pub(super) const VALUE_SIZE: usize = size_of::<Value<'_>>();

/// A string of a document, or one made here.
#[derive(Debug, Clone)]
pub(super) enum Text<'d> {
    Borrowed(&'d str),
    Shared(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl<'d> From<&'d str> for Value<'d> {
    fn from(text: &'d str) -> Self {
        Self::Text(Text::Borrowed(text))
    }
}

impl<'d> From<Spot<'d>> for Value<'d> {
    fn from(spot: Spot<'d>) -> Self {
        match spot.json() {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Int(value) => Self::Int(value),
            Json::UInt(value) => Self::UInt(value),
            Json::Double(value) => Self::Double(value),
            Json::Text(text) => text.into(),
            Json::List(_) | Json::Map(_) => Self::Json(spot),
        }
    }
}

impl<'d> Value<'d> {
    /// A map of these entries, in their order.
    pub(super) fn map(entries: impl IntoIterator<Item = (&'d str, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (Text::Borrowed(key), value)).collect())
    }

    /// Its type, for a sentence.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Double(_) => "a double",
            Self::Int(_) => "an int",
            Self::Json(_) | Self::List(_) | Self::Map(_) => {
                if self.is_map() {
                    "a map"
                } else {
                    "a list"
                }
            }
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::Time(Time::Duration(_)) => "a duration",
            Self::Time(Time::Timestamp(_)) => "a timestamp",
            Self::UInt(_) => "a uint",
        }
    }

    /// What it holds: a list's elements, a map's keys.
    pub(super) fn items(&self) -> Option<Items<'d>> {
        Some(match self {
            Self::Json(spot) => match spot.json() {
                Json::List(spots) => Items::Spots(spots),
                Json::Map(entries) => Items::Keys(entries),
                _ => return None,
            },
            Self::List(list) => Items::List(Arc::clone(list), 0),
            Self::Map(map) => Items::Map(Arc::clone(map), 0),
            _ => return None,
        })
    }

    /// Its entries; none where it is no map.
    fn entries(&self) -> Box<dyn Iterator<Item = (Text<'d>, Self)> + '_> {
        match self {
            Self::Json(spot) => match spot.json() {
                Json::Map(entries) => Box::new(entries.map(|(key, value)| (Text::Borrowed(key), value.into()))),
                _ => Box::new(std::iter::empty()),
            },
            Self::Map(map) => Box::new(map.iter().cloned()),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Whether it is a map.
    pub(super) fn is_map(&self) -> bool {
        match self {
            Self::Json(spot) => matches!(spot.json(), Json::Map(_)),
            other => matches!(other, Self::Map(_)),
        }
    }

    /// What a map has under `key`. `None` where there is nothing, or it is no map.
    pub(super) fn get(&self, key: &str, meter: &Meter) -> Result<Option<Self>, Spent> {
        let (found, seen) = match self {
            Self::Json(spot) => match spot.json() {
                Json::Map(entries) => {
                    let (found, seen) = entries.get(key);
                    (found.map(Self::from), seen)
                }
                _ => (None, 0),
            },
            Self::Map(map) => (map.iter().find(|(name, _)| **name == *key).map(|(_, value)| value.clone()), map.len()),
            _ => (None, 0),
        };
        meter.steps(seen / 4)?;
        Ok(found)
    }

    /// How many elements, keys or characters it has.
    pub(super) fn size(&self, meter: &Meter) -> Result<Option<usize>, Spent> {
        if let Self::Text(text) = self {
            meter.text(text.len())?;
            return Ok(Some(text.chars().count()));
        }
        Ok(self.items().map(|items| items.left()))
    }

    /// Whether two values are equal, as CEL has it: numbers by their value, values of different types never.
    pub(super) fn equals(&self, other: &Self, meter: &Meter) -> Result<bool, Spent> {
        meter.steps(1)?;
        Ok(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Null, Self::Null) => true,
            (Self::Text(a), Self::Text(b)) => {
                meter.text(if a.len() == b.len() { a.len() } else { 0 })?;
                **a == **b
            }
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Json(_) | Self::List(_) | Self::Map(_), Self::Json(_) | Self::List(_) | Self::Map(_)) => {
                return self.holds_the_same(other, meter);
            }
            (a, b) => number_order(a, b) == Some(Ordering::Equal),
        })
    }

    fn holds_the_same(&self, other: &Self, meter: &Meter) -> Result<bool, Spent> {
        let (Some(items), Some(others)) = (self.items(), other.items()) else { return Ok(false) };
        if self.is_map() != other.is_map() || items.left() != others.left() {
            return Ok(false);
        }
        if self.is_map() {
            for (key, value) in self.entries() {
                match other.get(&key, meter)? {
                    Some(found) if value.equals(&found, meter)? => {}
                    _ => return Ok(false),
                }
            }
            return Ok(true);
        }
        for (a, b) in items.zip(others) {
            if !a.equals(&b, meter)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The order of two values; `None` where they have none.
    pub(super) fn order(&self, other: &Self, meter: &Meter) -> Result<Option<Ordering>, Spent> {
        Ok(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => {
                meter.text(a.len().min(b.len()))?;
                Some((**a).cmp(&**b))
            }
            (Self::Time(Time::Duration(a)), Self::Time(Time::Duration(b))) => Some(a.cmp(b)),
            (Self::Time(Time::Timestamp(a)), Self::Time(Time::Timestamp(b))) => Some(a.cmp(b)),
            (a, b) => number_order(a, b),
        })
    }

    /// Whether it equals no value of the type of `other`: one of these types says so by a slip of the pen. What is null in one
    /// document may be of a type in the next.
    pub(super) fn is_never(&self, other: &Self) -> bool {
        let comparable = self.is_number() && other.is_number() || matches!(self, Self::Null) || matches!(other, Self::Null);
        !comparable && self.kind() != other.kind()
    }

    /// Whether it is a number of any type.
    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Double(_) | Self::Int(_) | Self::UInt(_))
    }
}

/// The elements of a list, or the keys of a map.
#[derive(Debug, Clone)]
pub(super) enum Items<'d> {
    Keys(Entries<'d>),
    List(Arc<[Value<'d>]>, usize),
    Map(Arc<[(Text<'d>, Value<'d>)]>, usize),
    Spots(Spots<'d>),
}

impl Items<'_> {
    pub(super) fn left(&self) -> usize {
        match self {
            Self::Keys(entries) => entries.len(),
            Self::List(list, done) => list.len() - done,
            Self::Map(map, done) => map.len() - done,
            Self::Spots(spots) => spots.len(),
        }
    }
}

impl<'d> Iterator for Items<'d> {
    type Item = Value<'d>;

    fn next(&mut self) -> Option<Value<'d>> {
        match self {
            Self::Keys(entries) => entries.next().map(|(key, _)| key.into()),
            Self::List(list, done) => {
                let value = list.get(*done).cloned()?;
                *done += 1;
                Some(value)
            }
            Self::Map(map, done) => {
                let (key, _) = map.get(*done)?;
                *done += 1;
                Some(Value::Text(key.clone()))
            }
            Self::Spots(spots) => spots.next().map(Value::from),
        }
    }
}

/// The exact order of two numbers of any type.
fn number_order(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    let whole = |value: &Value<'_>| match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::UInt(value) => Some(i128::from(*value)),
        _ => None,
    };
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), b) => double_order(*a, whole(b)?),
        (a, Value::Double(b)) => double_order(*b, whole(a)?).map(Ordering::reverse),
        (a, b) => Some(whole(a)?.cmp(&whole(b)?)),
    }
}

fn double_order(double: f64, whole: i128) -> Option<Ordering> {
    // Above 2^100 no 64-bit number comes near, and below it the whole part of a double is exact in 128 bits.
    if double.abs() >= 2_f64.powi(100) {
        return double.partial_cmp(&0.0);
    }
    let rest = double.fract().partial_cmp(&0.0)?;
    Some((double.trunc() as i128).cmp(&whole).then(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_not_left() {
        let list = Value::List([Value::Int(1), Value::Int(2), Value::Int(3)].into());
        let map = Value::map([("a", Value::Null), ("b", Value::Null), ("c", Value::Null)]);
        for value in [list, map] {
            let mut items = value.items().unwrap();
            assert_eq!((items.left(), items.next().is_some(), items.left()), (3, true, 2));
            assert_eq!((items.nth(1).is_some(), items.left(), items.next().is_none()), (true, 0, true));
        }
    }

    #[test]
    fn numbers_compare_by_their_value_whatever_their_type() {
        let (int, uint, double) = (Value::Int, Value::UInt, Value::Double);
        for (a, b, wanted) in [
            (int(1), uint(1), Some(Ordering::Equal)),
            (int(-1), uint(u64::MAX), Some(Ordering::Less)),
            (int(1), double(1.0), Some(Ordering::Equal)),
            (int(-2), double(-1.5), Some(Ordering::Less)),
            (double(1.5), int(1), Some(Ordering::Greater)),
            (int(i64::MAX), double(9_223_372_036_854_775_808.0), Some(Ordering::Less)),
            (uint(u64::MAX), double(1e300), Some(Ordering::Less)),
            (double(f64::NEG_INFINITY), int(i64::MIN), Some(Ordering::Less)),
            (double(f64::NAN), int(0), None),
            (int(9_007_199_254_740_993), double(9_007_199_254_740_992.0), Some(Ordering::Greater)),
        ] {
            assert_eq!(number_order(&a, &b), wanted, "{a:?} {b:?}");
            assert_eq!(number_order(&b, &a), wanted.map(Ordering::reverse), "{b:?} {a:?}");
        }
    }
}
