//! What is known of a value's type before there is a value.

use std::fmt;

use crate::verify::CLAIMS;

/// A type; [`Type::Dyn`] where only the document knows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Bool,
    Double,
    Duration,
    Dyn,
    Int,
    List(Box<Self>),
    Map(Box<Self>),
    Null,
    Record(Record),
    Text,
    Timestamp,
    UInt,
}

/// A value of ours, whose fields are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    Claims,
    Image,
    Signer,
    Statement,
}

impl Record {
    pub(super) const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Claims => &CLAIMS,
            Self::Image => &["registry", "repository", "digest"],
            Self::Signer => &["issuer", "subject", "claims", "times"],
            Self::Statement => &["predicateType"],
        }
    }

    /// The type of a field that it has.
    pub(super) fn field(self, name: &str) -> Option<Type> {
        self.fields().contains(&name).then(|| match name {
            "claims" => Type::Record(Self::Claims),
            "times" => Type::List(Box::new(Type::Timestamp)),
            _ => Type::Text,
        })
    }
}

impl Type {
    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Double | Self::Int | Self::UInt)
    }

    /// Whether a value of this type can be one of `other` too.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.may_be(b),
            (Self::Record(_), Self::Map(_)) | (Self::Map(_), Self::Record(_)) => true,
            (a, b) => a == b,
        }
    }

    /// Whether values of these types can ever be equal. Numbers compare by their value, whatever their type.
    pub(super) fn may_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.may_equal(b),
            (a, b) => a.may_be(b) || a.is_number() && b.is_number(),
        }
    }

    /// Whether values of these types have an order.
    pub(super) fn may_order(&self, other: &Self) -> bool {
        let ordered = |kind: &Self| {
            kind.is_number() || matches!(kind, Self::Bool | Self::Dyn | Self::Duration | Self::Text | Self::Timestamp)
        };
        ordered(self) && ordered(other) && self.may_equal(other)
    }

    /// The type of what is either.
    pub(super) fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Dyn }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "a boolean",
            Self::Double => "a double",
            Self::Duration => "a duration",
            Self::Dyn => "any value",
            Self::Int => "an int",
            Self::List(_) => "a list",
            Self::Map(_) | Self::Record(_) => "a map",
            Self::Null => "null",
            Self::Text => "a string",
            Self::Timestamp => "a timestamp",
            Self::UInt => "a uint",
        })
    }
}
