//! An expression as it is checked and evaluated: CEL with its names, functions and macros resolved.

use std::sync::Arc;

use regex::Regex;

use super::{functions::Function, shown::expression, time::Time};
use crate::policy::sentence::short;

/// Bytes of one expression.
pub(super) const MAX_LENGTH: usize = 4096;
/// Nodes of one expression.
pub(super) const MAX_NODES: usize = 500;
/// How deep it may nest. The evaluator recurses as deep.
pub(super) const MAX_DEPTH: usize = 40;
/// How deep comprehensions may nest: `a.all(x, x.b.exists(y, …))` is two.
pub(super) const MAX_NESTING: usize = 2;

/// A node, and where it begins in the text.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: u32,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// All of them, two at least: `a && b && c`.
    And(Vec<Node>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    /// A function; of a method, the first argument is what it is called on.
    Call(Function, Vec<Node>),
    Compare(Comparison, Box<[Node; 2]>),
    /// `if ? then : else`.
    Conditional(Box<[Node; 3]>),
    Each(Box<Each>),
    /// `has(of.field)`.
    Has(Box<Node>, Arc<str>),
    In(Box<[Node; 2]>),
    Index(Box<[Node; 2]>),
    List(Vec<Node>),
    Literal(Literal),
    Map(Vec<(Node, Node)>),
    Matches(Box<Node>, Pattern),
    Negate(Box<Node>),
    Not(Box<Node>),
    /// Any of them, two at least.
    Or(Vec<Node>),
    Root(Root),
    /// `of.field`.
    Select(Box<Node>, Arc<str>),
    /// The variable of the comprehension that is this deep, from 0.
    Variable(usize, Arc<str>),
}

/// A comprehension: `over.all(variable, body)`.
#[derive(Debug, Clone)]
pub(super) struct Each {
    pub(super) what: What,
    pub(super) over: Node,
    pub(super) variable: Arc<str>,
    /// How many comprehensions are around this one.
    pub(super) depth: usize,
    pub(super) body: Node,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    All,
    Exists,
    ExistsOne,
    Filter,
    /// With the condition of `map(variable, condition, body)`.
    Map(Option<Node>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Bool(bool),
    Double(f64),
    Int(i64),
    Null,
    Text(Arc<str>),
    Time(Time),
    UInt(u64),
}

/// A regular expression and what a byte of text costs it.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) text: Arc<str>,
    pub(super) regex: Regex,
    /// Steps for a byte of text.
    pub(super) cost: usize,
    /// Whether it says how the text begins, in all its alternatives.
    pub(super) begins: bool,
}

/// What a condition sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Image,
    Predicate,
    Signer,
    Statement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Divide,
    Multiply,
    Remainder,
    Subtract,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    NotEqual,
}

impl Root {
    pub(super) const ALL: [Self; 4] = [Self::Predicate, Self::Statement, Self::Signer, Self::Image];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Predicate => "predicate",
            Self::Signer => "signer",
            Self::Statement => "statement",
        }
    }
}

impl Arithmetic {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Divide => "/",
            Self::Multiply => "*",
            Self::Remainder => "%",
            Self::Subtract => "-",
        }
    }
}

impl Comparison {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::NotEqual => "!=",
        }
    }

    /// The same with its sides changed.
    const fn mirrored(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
        }
    }

    /// What is asked to hold, or not to, where a truth, or how many there are of which something holds, is compared with what is
    /// written: `x == false`, `l.filter(y, x).size() > 0`.
    fn truth_of<'n>(self, left: &'n Node, right: &Node) -> Option<(&'n Node, bool)> {
        match (&left.kind, &right.kind, self) {
            (_, Kind::Literal(Literal::Bool(truth)), Self::Equal) => Some((left, *truth)),
            (_, Kind::Literal(Literal::Bool(truth)), Self::NotEqual) => Some((left, !truth)),
            (Kind::Call(Function::Size, of), Kind::Literal(Literal::Int(number)), _) => match of.as_slice() {
                [Node { kind: Kind::Each(each), .. }] if matches!(each.what, What::Filter) => {
                    let some = match self {
                        Self::Equal => *number != 0,
                        Self::NotEqual => *number == 0,
                        Self::Greater | Self::GreaterOrEqual => true,
                        Self::Less | Self::LessOrEqual => false,
                    };
                    Some((&each.body, some))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

impl What {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::Filter => "filter",
            Self::Map(_) => "map",
        }
    }
}

impl Node {
    /// What it is made of.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match &self.kind {
            Kind::And(nodes) | Kind::Or(nodes) | Kind::List(nodes) | Kind::Call(_, nodes) => nodes.iter().collect(),
            Kind::Arithmetic(_, nodes) | Kind::Compare(_, nodes) | Kind::In(nodes) | Kind::Index(nodes) => nodes.iter().collect(),
            Kind::Conditional(nodes) => nodes.iter().collect(),
            Kind::Each(each) => match &each.what {
                What::Map(Some(condition)) => vec![&each.over, condition, &each.body],
                What::All | What::Exists | What::ExistsOne | What::Filter | What::Map(None) => vec![&each.over, &each.body],
            },
            Kind::Has(of, _) | Kind::Matches(of, _) | Kind::Negate(of) | Kind::Not(of) | Kind::Select(of, _) => vec![of],
            Kind::Literal(_) | Kind::Root(_) | Kind::Variable(..) => Vec::new(),
            Kind::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
        }
    }

    /// Whether it, or a part of it, is `wanted`.
    pub(super) fn any(&self, wanted: &impl Fn(&Self) -> bool) -> bool {
        wanted(self) || self.parts().into_iter().any(|part| part.any(wanted))
    }

    /// The patterns in it that do not say how the text begins, each with its call, where a match speaks for an image (`wanted`).
    /// Where one speaks against it, as in `!p.name.matches('evil')`, the open pattern is the stricter one. Of a match that is
    /// compared with what a document says nobody can tell.
    pub(super) fn open_patterns(&self, wanted: bool) -> Vec<(String, String)> {
        match &self.kind {
            Kind::And(parts) | Kind::Or(parts) => parts.iter().flat_map(|part| part.open_patterns(wanted)).collect(),
            Kind::Compare(how, sides) => {
                let asked = how.truth_of(&sides[0], &sides[1]).or_else(|| how.mirrored().truth_of(&sides[1], &sides[0]));
                asked.map(|(of, is_so)| of.open_patterns(wanted == is_so)).unwrap_or_default()
            }
            Kind::Conditional(parts) => {
                // `c ? x : false` holds where `c` does, `c ? false : x` where it does not.
                let condition = match (parts[1].truth(), parts[2].truth()) {
                    (Some(then), _) => parts[0].open_patterns(wanted == then),
                    (None, Some(otherwise)) => parts[0].open_patterns(wanted != otherwise),
                    (None, None) => Vec::new(),
                };
                condition.into_iter().chain(parts[1..].iter().flat_map(|part| part.open_patterns(wanted))).collect()
            }
            // What makes a list stands nowhere where a truth is asked for.
            Kind::Each(each) => each.body.open_patterns(wanted),
            Kind::Matches(_, pattern) if wanted && !pattern.begins => {
                vec![(short(&pattern.text, 60), short(&expression(self, &[]), 120))]
            }
            Kind::Not(of) => of.open_patterns(!wanted),
            _ => Vec::new(),
        }
    }

    /// `true` or `false` itself.
    const fn truth(&self) -> Option<bool> {
        match self.kind {
            Kind::Literal(Literal::Bool(truth)) => Some(truth),
            _ => None,
        }
    }
}
