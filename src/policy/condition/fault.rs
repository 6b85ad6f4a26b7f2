//! Why an expression has no value.

use super::{
    expr::{Kind, Node},
    meter::Spent,
    shown::{self, Scope},
    value::Value,
};
use crate::policy::sentence::short;

/// No value.
#[derive(Debug)]
pub(super) enum Fault<'c, 'd> {
    /// The budget is spent: final, nothing makes up for it.
    Spent(Spent),
    /// Something has no value, which `false && …` and `true || …` need not care about.
    Trouble(Box<Trouble<'c, 'd>>),
}

/// What has no value, and where.
#[derive(Debug)]
pub(super) struct Trouble<'c, 'd> {
    pub(super) node: &'c Node,
    pub(super) scopes: Vec<Scope<'c>>,
    pub(super) problem: Problem<'d>,
}

#[derive(Debug)]
pub(super) enum Problem<'d> {
    /// A number too large, or a division by zero.
    Arithmetic(&'static str),
    /// A text that is no such number or time.
    Conversion(Value<'d>, &'static str),
    /// `of` has no such key.
    Missing(Value<'d>),
    /// A list is not so long.
    Outside(usize),
    /// A value of a type that does not belong there.
    Type(Value<'d>, &'static str),
    /// Two values whose types do not go together.
    Types(Value<'d>, &'static str, Value<'d>),
}

impl From<Spent> for Fault<'_, '_> {
    fn from(spent: Spent) -> Self {
        Self::Spent(spent)
    }
}

impl Trouble<'_, '_> {
    /// Whether the types are wrong, and not only this document's values.
    pub(super) const fn is_type(&self) -> bool {
        matches!(self.problem, Problem::Type(..) | Problem::Types(..))
    }

    /// What is in trouble, in CEL.
    pub(super) fn clause(&self) -> String {
        shown::expression(self.node, &self.scopes)
    }

    /// What was found there.
    pub(super) fn found(&self) -> String {
        let path = |node: &Node| short(&shown::expression(node, &self.scopes), 100);
        match &self.problem {
            Problem::Arithmetic(what) => format!("{what} in {}", path(self.node)),
            Problem::Conversion(value, what) => format!("{}, which is no {what}", shown::value(value, 60)),
            Problem::Missing(of) => {
                let parent = match &self.node.kind {
                    Kind::Select(of, _) | Kind::Has(of, _) => Some(of),
                    _ => None,
                };
                let within = parent.map(|of| format!(" in {}", path(of))).unwrap_or_default();
                format!("no {}{within}{}", key(self.node), keys(of))
            }
            Problem::Outside(len) => format!("a list of {len} where {} looks further", path(self.node)),
            Problem::Type(value, wanted) => format!("{} ({}) where {wanted} is wanted", shown::value(value, 60), value.kind()),
            Problem::Types(left, sign, right) => {
                format!("{} ({}) {sign} {} ({})", shown::value(left, 50), left.kind(), shown::value(right, 50), right.kind())
            }
        }
    }
}

/// The key that `node` asks for.
fn key(node: &Node) -> String {
    match &node.kind {
        Kind::Select(_, field) | Kind::Has(_, field) => format!("`{}`", short(field, 60)),
        _ => short(&shown::expression(node, &[]), 80),
    }
}

/// Which keys there are instead.
pub(super) fn keys(of: &Value<'_>) -> String {
    const SHOWN: usize = 5;
    let Some(items) = of.items() else { return String::new() };
    let more = items.left().saturating_sub(SHOWN);
    let names: Vec<String> = items
        .take(SHOWN)
        .map(|key| match key {
            Value::Text(key) => short(&key, 40),
            _ => String::new(),
        })
        .collect();
    match (names.is_empty(), more) {
        (true, _) => ", which is empty".to_owned(),
        (false, 0) => format!(", which has {}", names.join(", ")),
        (false, more) => format!(", which has {} and {more} more", names.join(", ")),
    }
}
