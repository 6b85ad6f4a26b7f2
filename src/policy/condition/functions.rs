//! The functions a condition may call: a closed list, all of them pure.

use super::types::Type;

/// A function. `matches` is not among them: its pattern is compiled when the policy is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Bool,
    Contains,
    Double,
    Duration,
    EndsWith,
    Int,
    LowerAscii,
    Size,
    StartsWith,
    String,
    Timestamp,
    UInt,
    UpperAscii,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`.
    Global,
    /// `x.f(…)`.
    Method,
    /// Both.
    Both,
}

/// The macros, with how they are written: their names are known where their shape is wrong.
pub(super) const MACROS: [(&str, &str); 7] = [
    ("all", "list.all(x, condition)"),
    ("exists", "list.exists(x, condition)"),
    ("existsOne", "list.exists_one(x, condition)"),
    ("exists_one", "list.exists_one(x, condition)"),
    ("filter", "list.filter(x, condition)"),
    ("has", "has(value.field)"),
    ("map", "list.map(x, value)"),
];

impl Function {
    pub(super) const ALL: [Self; 13] = [
        Self::Bool,
        Self::Contains,
        Self::Double,
        Self::Duration,
        Self::EndsWith,
        Self::Int,
        Self::LowerAscii,
        Self::Size,
        Self::StartsWith,
        Self::String,
        Self::Timestamp,
        Self::UInt,
        Self::UpperAscii,
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Contains => "contains",
            Self::Double => "double",
            Self::Duration => "duration",
            Self::EndsWith => "endsWith",
            Self::Int => "int",
            Self::LowerAscii => "lowerAscii",
            Self::Size => "size",
            Self::StartsWith => "startsWith",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::UInt => "uint",
            Self::UpperAscii => "upperAscii",
        }
    }

    pub(super) const fn style(self) -> Style {
        match self {
            Self::Bool | Self::Double | Self::Duration | Self::Int | Self::String | Self::Timestamp | Self::UInt => Style::Global,
            Self::Contains | Self::EndsWith | Self::LowerAscii | Self::StartsWith | Self::UpperAscii => Style::Method,
            Self::Size => Style::Both,
        }
    }

    /// How many arguments it takes, what it is called on included.
    pub(super) const fn arity(self) -> usize {
        match self {
            Self::Contains | Self::EndsWith | Self::StartsWith => 2,
            _ => 1,
        }
    }

    /// How it is written.
    pub(super) const fn usage(self) -> &'static str {
        match self {
            Self::Bool => "bool(text)",
            Self::Contains => "text.contains('…')",
            Self::Double => "double(number or text)",
            Self::Duration => "duration('24h')",
            Self::EndsWith => "text.endsWith('…')",
            Self::Int => "int(number or text)",
            Self::LowerAscii => "text.lowerAscii()",
            Self::Size => "value.size()",
            Self::StartsWith => "text.startsWith('…')",
            Self::String => "string(value)",
            Self::Timestamp => "timestamp('2026-01-31T00:00:00Z')",
            Self::UInt => "uint(number or text)",
            Self::UpperAscii => "text.upperAscii()",
        }
    }

    /// What it yields.
    pub(super) const fn result(self) -> Type {
        match self {
            Self::Bool | Self::Contains | Self::EndsWith | Self::StartsWith => Type::Bool,
            Self::Double => Type::Double,
            Self::Duration => Type::Duration,
            Self::Int | Self::Size => Type::Int,
            Self::LowerAscii | Self::String | Self::UpperAscii => Type::Text,
            Self::Timestamp => Type::Timestamp,
            Self::UInt => Type::UInt,
        }
    }

    /// Whether an argument may be of this type.
    pub(super) fn takes(self, argument: &Type) -> bool {
        match self {
            Self::Bool => matches!(argument, Type::Bool | Type::Text),
            Self::Contains | Self::EndsWith | Self::LowerAscii | Self::StartsWith | Self::UpperAscii => {
                matches!(argument, Type::Text)
            }
            Self::Double | Self::UInt => argument.is_number() || matches!(argument, Type::Text),
            Self::Int => argument.is_number() || matches!(argument, Type::Text | Type::Timestamp),
            Self::Duration => matches!(argument, Type::Text | Type::Duration),
            Self::Size => matches!(argument, Type::Text | Type::List(_) | Type::Map(_) | Type::Record(_)),
            Self::String => {
                argument.is_number() || matches!(argument, Type::Text | Type::Bool | Type::Timestamp | Type::Duration)
            }
            Self::Timestamp => matches!(argument, Type::Text | Type::Timestamp),
        }
    }
}
