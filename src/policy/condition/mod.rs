//! `require`: expressions in CEL that a statement must satisfy.
//!
//! The `cel` crate parses; checking and evaluating are done here, because the crate's interpreter checks no types and
//! counts no steps. An expression is judged when the policy is loaded (`lower`: names, functions, patterns, bounds;
//! `check`: types; `samples`: a dry run over an example of the predicate), so that a slip of the pen is an error in the
//! policy and not a refusal of every image, or worse an admission. At run time it takes counted steps and makes counted
//! bytes (`meter`); whatever has no value, or costs too much, refuses.
//!
//! What a condition sees is the statement, its signer and the image's name and digest: not the tag and not the time,
//! because a verdict is remembered by digest.
//!
//! The meaning is CEL's, and tests hold it against the `cel` crate's own interpreter.

mod check;
mod document;
mod eval;
mod explain;
mod expr;
mod fault;
mod functions;
mod lower;
mod meter;
mod operators;
mod regexes;
mod samples;
mod shown;
mod syntax;
mod tally;
mod time;
mod types;
mod value;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

pub(super) use self::time::instant;
use self::{
    document::{Document, DocumentError, MAX_DOCUMENT},
    eval::{Evaluator, Inputs},
    expr::{Kind, Node, Root},
    fault::Fault,
    meter::Meter,
    syntax::Wrong,
    time::Time,
    value::{Text, Value},
};
use super::{Case, Reason, checks::CheckFailure, fingerprint::Form, predicate::PredicateType, sentence::short};
use crate::{
    oci::{Digest, ImageName},
    verify::{Signer, Statement, Verified},
    yaml::{self, Fields, shown},
};

/// The keys of an attestation entry that this room reads.
pub(super) const KEYS: &[&str] = &["require"];

/// Expressions of one entry.
const MAX_EXPRESSIONS: usize = 32;
/// Bytes of a part of an expression, and of what was found, in a sentence.
const CLAUSE: usize = 150;
const FOUND: usize = 300;

/// All expressions of one attestation entry; every one must be true of one and the same statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    expressions: Vec<Expression>,
}

/// One expression, checked.
#[derive(Clone)]
struct Expression {
    text: Arc<str>,
    node: Arc<Node>,
}

/// Why a text is no condition, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ExpressionError {
    text: Arc<str>,
    wrong: Wrong,
}

impl Condition {
    /// Reads `require`, one expression or a list of them. Without it: no condition. `None` after noting what is wrong.
    pub(super) fn parse(fields: &Fields<'_>, predicate_type: &PredicateType) -> Option<Self> {
        let Some(cursor) = fields.get("require") else { return Some(Self::default()) };
        let items = cursor.one_or_list();
        if items.is_empty() {
            cursor.wrong("an empty list asks for nothing; leave `require` out");
            return None;
        }
        if items.len() > MAX_EXPRESSIONS {
            cursor.wrong(format!("wants at most {MAX_EXPRESSIONS} expressions, found {}", items.len()));
            return None;
        }
        let read = |item: &yaml::Cursor<'_>| {
            let yaml::Value::Text { text, .. } = item.value() else {
                item.wrong("wants an expression in CEL; quote one that has `: ` or ` #` in it, or begins with `!`, `[` or `{`");
                return None;
            };
            Expression::parse(text.trim(), predicate_type).map_err(|error| item.wrong(error.to_string())).ok()
        };
        let expressions: Vec<Option<Expression>> = items.iter().map(read).collect();
        expressions.into_iter().collect::<Option<_>>().map(|expressions| Self { expressions })
    }

    /// Whether `statement`, which `fact` proves about the subject of `case`, satisfies every expression. The same answer
    /// for the same statement, always. CPU work: up to [`meter::MAX_STEPS`] for each expression.
    ///
    /// # Errors
    /// The first expression that is not true, or could not be evaluated, with its values.
    pub(crate) fn judge(&self, case: &Case<'_>, fact: &Verified, statement: &Statement) -> Result<(), CheckFailure> {
        let Some(first) = self.expressions.iter().find(|expression| expression.reads(Root::Predicate)) else {
            return self.hold(&inputs(Value::Null, case.image, case.subject, fact, statement));
        };
        let document = document(statement).map_err(|(reason, found)| failure(reason, &first.text, &found))?;
        self.hold(&inputs(document.root().into(), case.image, case.subject, fact, statement))
    }

    fn hold(&self, inputs: &Inputs<'_>) -> Result<(), CheckFailure> {
        self.expressions.iter().try_for_each(|expression| expression.hold(inputs))
    }

    /// The patterns of `matches` that may begin anywhere in a text and whose match speaks for an image, each with the call it
    /// stands in: for a lint, because patterns elsewhere in a policy are anchored, and CEL's are not.
    pub(super) fn open_patterns(&self) -> Vec<(String, String)> {
        self.expressions.iter().flat_map(|expression| expression.node.open_patterns(true)).collect()
    }

    /// Adds all that can change an answer to a policy's fingerprint.
    pub(super) fn form(&self, form: &mut Form) {
        let Self { expressions } = self;
        form.list(expressions, |form, Expression { text, node: _ }| form.text(text));
    }
}

impl Expression {
    /// Reads and judges an expression over predicates of `predicate_type`.
    fn parse(text: &str, predicate_type: &PredicateType) -> Result<Self, ExpressionError> {
        let text: Arc<str> = Arc::from(text);
        let node = syntax::read(&text).and_then(|node| {
            check::check(&node)?;
            samples::try_on(&node, predicate_type)?;
            Ok(Arc::new(node))
        });
        node.map(|node| Self { text: Arc::clone(&text), node }).map_err(|wrong| ExpressionError { text, wrong })
    }

    fn reads(&self, root: Root) -> bool {
        self.node.any(&|node| matches!(node.kind, Kind::Root(found) if found == root))
    }

    fn hold(&self, inputs: &Inputs<'_>) -> Result<(), CheckFailure> {
        let meter = Meter::new();
        let mut evaluator = Evaluator::new(inputs, &meter);
        match evaluator.boolean(&self.node) {
            Ok(true) => Ok(()),
            Ok(false) => {
                // A budget of its own, so that the sentence does not depend on how much the answer took.
                let meter = Meter::new();
                let why = Evaluator::new(inputs, &meter).why_false(&self.node);
                Err(failure(Reason::ConditionFalse, &why.clause, &why.found))
            }
            Err(Fault::Spent(spent)) => {
                // What it is about is told from a budget of its own, and a small one.
                let meter = Meter::to_tell();
                let values = Evaluator::new(inputs, &meter).inputs_of(&self.node);
                let values = if values.is_empty() { values } else { format!("; {values}") };
                // What happened goes first: a sentence that is cut for want of room loses its middle.
                let summary = format!("wants {}; found more in {}{values}", spent.wanted(), short(&self.text, CLAUSE));
                Err(CheckFailure { reason: Reason::ConditionBudget, summary })
            }
            Err(Fault::Trouble(trouble)) => Err(failure(Reason::ConditionError, &trouble.clause(), &trouble.found())),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.text)
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", shown(&self.text))?;
        if let Some(before) = self.wrong.at.and_then(|at| self.text.get(..at)) {
            let column = before.lines().last().filter(|_| !before.ends_with('\n')).map_or(0, |line| line.chars().count()) + 1;
            match before.matches('\n').count() {
                0 => write!(f, ", column {column}")?,
                line => write!(f, ", line {} column {column}", line + 1)?,
            }
        }
        write!(f, ": {}", self.wrong.message)
    }
}

impl std::error::Error for ExpressionError {}

fn failure(reason: Reason, clause: &str, found: &str) -> CheckFailure {
    CheckFailure { reason, summary: format!("wants {}; found {}", short(clause, CLAUSE), short(found, FOUND)) }
}

/// The predicate as conditions see it: an SBOM without the wrappings that cosign's versions put around one, so that a
/// condition does not depend on which of them made the attestation.
fn document(statement: &Statement) -> Result<Document, (Reason, String)> {
    let Statement { predicate_type, predicate, .. } = statement;
    let Some(json) = predicate.whole(MAX_DOCUMENT) else {
        let found = format!(
            "a predicate of {} bytes, and conditions see at most {MAX_DOCUMENT}; the built-in checks read larger ones",
            predicate.len()
        );
        return Err((Reason::ConditionTooLarge, found));
    };
    // By what the rules take for one, old names and all.
    let wrapped = [PredicateType::Spdx, PredicateType::CycloneDx].iter().any(|sbom| sbom.covers(predicate_type));
    let read = Document::read(&json).and_then(|document| if wrapped { document.unwrapped() } else { Ok(document) });
    read.map_err(|error| {
        let reason = match error {
            DocumentError::Malformed(_) => Reason::ConditionError,
            DocumentError::TooMany => Reason::ConditionTooLarge,
        };
        (reason, format!("a predicate that {error}"))
    })
}

fn inputs<'d>(
    predicate: Value<'d>,
    image: &'d ImageName,
    digest: &Digest,
    fact: &'d Verified,
    statement: &'d Statement,
) -> Inputs<'d> {
    let Signer { issuer, subject, claims, .. } = &fact.signer;
    let mut times = fact.times.clone();
    // The earliest first: which piece of evidence named which time is nothing a condition should depend on.
    times.sort_unstable();
    let times: Arc<[Value<'d>]> = times.into_iter().map(|time| Value::Time(Time::Timestamp(time))).collect();
    Inputs {
        predicate,
        statement: Value::map([("predicateType", statement.predicate_type.as_str().into())]),
        signer: Value::map([
            ("issuer", issuer.as_str().into()),
            ("subject", subject.as_str().into()),
            ("claims", Value::map(claims.iter().map(|(name, value)| (*name, value.as_str().into())))),
            ("times", Value::List(times)),
        ]),
        image: Value::map([
            ("registry", image.host.as_str().into()),
            ("repository", image.repository.as_str().into()),
            ("digest", Value::Text(Text::Shared(Arc::from(digest.to_string())))),
        ]),
    }
}
