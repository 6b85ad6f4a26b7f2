//! What can be known to be wrong of an expression without a document: types, as far as literals, functions and our own
//! values go.

use super::{
    expr::{Arithmetic, Comparison, Each, Kind, Literal, Node, Root, What},
    functions::Function,
    syntax::Wrong,
    time::Time,
    types::{Record, Type},
};
use crate::yaml::{closest, shown};

/// Checks that `node` can be true of some statement, and is about one.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check(node: &Node) -> Result<(), Wrong> {
    let kind = Checker { variables: Vec::new() }.of(node)?;
    if !kind.may_be(&Type::Bool) {
        return Err(Wrong::whole(format!("yields {kind}, and a condition is true or false; compare it with something")));
    }
    if !node.any(&|node| matches!(node.kind, Kind::Root(_))) {
        return Err(Wrong::whole("reads neither predicate, statement, signer nor image: it says the same of every image"));
    }
    Ok(())
}

struct Checker {
    variables: Vec<Type>,
}

impl Checker {
    fn of(&mut self, node: &Node) -> Result<Type, Wrong> {
        let at = node.at;
        Ok(match &node.kind {
            Kind::And(parts) | Kind::Or(parts) => {
                let sign = if matches!(node.kind, Kind::And(_)) { "&&" } else { "||" };
                for part in parts {
                    self.boolean(part, &format!("a part of {sign}"))?;
                }
                Type::Bool
            }
            Kind::Arithmetic(sign, operands) => {
                let (left, right) = (self.of(&operands[0])?, self.of(&operands[1])?);
                arithmetic(*sign, &left, &right).ok_or_else(|| {
                    Wrong::new(at, format!("cannot compute {left} {} {right}{}", sign.sign(), convert(&left, &right)))
                })?
            }
            Kind::Call(function, arguments) => self.call(*function, arguments)?,
            Kind::Compare(sign, operands) => {
                let (left, right) = (self.of(&operands[0])?, self.of(&operands[1])?);
                let equality = matches!(sign, Comparison::Equal | Comparison::NotEqual);
                if equality && !left.may_equal(&right) {
                    return Err(Wrong::new(at, format!("compares {left} with {right}, which are never equal")));
                }
                if !equality && !left.may_order(&right) {
                    return Err(Wrong::new(at, format!("cannot compare {left} {} {right}", sign.sign())));
                }
                Type::Bool
            }
            Kind::Conditional(parts) => {
                self.boolean(&parts[0], "what stands before `?`")?;
                self.of(&parts[1])?.or(self.of(&parts[2])?)
            }
            Kind::Each(each) => self.each(each, at)?,
            Kind::Has(of, field) => {
                let kind = self.of(of)?;
                member(&kind, field, at)?;
                Type::Bool
            }
            Kind::In(operands) => {
                let (item, within) = (self.of(&operands[0])?, self.of(&operands[1])?);
                let good = match &within {
                    Type::Dyn => true,
                    Type::List(element) => item.may_equal(element),
                    Type::Map(_) | Type::Record(_) => item.may_be(&Type::Text),
                    _ => false,
                };
                if !good {
                    let hint = if within == Type::Text { "; for a part of a string write text.contains(…)" } else { "" };
                    return Err(Wrong::new(at, format!("looks for {item} in {within}{}{hint}", inside(&within))));
                }
                Type::Bool
            }
            Kind::Index(operands) => {
                let (of, key) = (self.of(&operands[0])?, self.of(&operands[1])?);
                let (name, place) = (key.may_be(&Type::Text), matches!(key, Type::Dyn | Type::Int | Type::UInt));
                match &of {
                    Type::Dyn if name || place => Type::Dyn,
                    Type::List(element) if place => (**element).clone(),
                    Type::Map(value) if name => (**value).clone(),
                    Type::Record(_) if name => match &operands[1].kind {
                        Kind::Literal(Literal::Text(name)) => member(&of, name, at)?,
                        _ => Type::Dyn,
                    },
                    _ => return Err(Wrong::new(at, format!("cannot take element {key} of {of}"))),
                }
            }
            Kind::List(elements) => Type::List(Box::new(self.either(elements.iter())?)),
            Kind::Literal(literal) => match literal {
                Literal::Bool(_) => Type::Bool,
                Literal::Double(_) => Type::Double,
                Literal::Int(_) => Type::Int,
                Literal::Null => Type::Null,
                Literal::Text(_) => Type::Text,
                Literal::Time(Time::Duration(_)) => Type::Duration,
                Literal::Time(Time::Timestamp(_)) => Type::Timestamp,
                Literal::UInt(_) => Type::UInt,
            },
            Kind::Map(entries) => {
                let mut names = Vec::new();
                for (key, _) in entries {
                    if self.of(key)? != Type::Text {
                        return Err(Wrong::new(key.at, "the keys of a map are strings"));
                    }
                    // It would refuse every image, and no sample need come as far.
                    if let Kind::Literal(Literal::Text(name)) = &key.kind {
                        if names.contains(&name) {
                            return Err(Wrong::new(key.at, format!("the map has the key '{name}' twice")));
                        }
                        names.push(name);
                    }
                }
                Type::Map(Box::new(self.either(entries.iter().map(|(_, value)| value))?))
            }
            Kind::Matches(text, _) => {
                let kind = self.of(text)?;
                if !kind.may_be(&Type::Text) {
                    return Err(Wrong::new(at, format!("matches() wants a string, found {kind}")));
                }
                Type::Bool
            }
            Kind::Negate(of) => {
                let kind = self.of(of)?;
                match kind {
                    Type::Double | Type::Duration | Type::Dyn | Type::Int => kind,
                    kind => return Err(Wrong::new(at, format!("cannot negate {kind}"))),
                }
            }
            Kind::Not(of) => {
                self.boolean(of, "what stands behind `!`")?;
                Type::Bool
            }
            Kind::Root(Root::Predicate) => Type::Dyn,
            Kind::Root(Root::Image) => Type::Record(Record::Image),
            Kind::Root(Root::Signer) => Type::Record(Record::Signer),
            Kind::Root(Root::Statement) => Type::Record(Record::Statement),
            Kind::Select(of, field) => {
                let kind = self.of(of)?;
                member(&kind, field, at)?
            }
            Kind::Variable(depth, _) => self.variables.get(*depth).cloned().unwrap_or(Type::Dyn),
        })
    }

    fn boolean(&mut self, node: &Node, what: &str) -> Result<(), Wrong> {
        let kind = self.of(node)?;
        if kind.may_be(&Type::Bool) { Ok(()) } else { Err(Wrong::new(node.at, format!("{what} is {kind}, not true or false"))) }
    }

    fn either<'n>(&mut self, mut nodes: impl Iterator<Item = &'n Node>) -> Result<Type, Wrong> {
        let Some(first) = nodes.next() else { return Ok(Type::Dyn) };
        let mut kind = self.of(first)?;
        for node in nodes {
            kind = kind.or(self.of(node)?);
        }
        Ok(kind)
    }

    fn call(&mut self, function: Function, arguments: &[Node]) -> Result<Type, Wrong> {
        for argument in arguments {
            let kind = self.of(argument)?;
            if kind != Type::Dyn && !function.takes(&kind) {
                return Err(Wrong::new(
                    argument.at,
                    format!("{}() does not take {kind}; write {}", function.name(), function.usage()),
                ));
            }
        }
        Ok(function.result())
    }

    fn each(&mut self, each: &Each, at: u32) -> Result<Type, Wrong> {
        let element = match self.of(&each.over)? {
            Type::Dyn => Type::Dyn,
            Type::List(element) => *element,
            Type::Map(_) | Type::Record(_) => Type::Text,
            kind => return Err(Wrong::new(at, format!("{}() goes through a list or a map, found {kind}", each.what.name()))),
        };
        self.variables.truncate(each.depth);
        self.variables.push(element.clone());
        let kind = match &each.what {
            What::All | What::Exists | What::ExistsOne | What::Filter => {
                self.boolean(&each.body, &format!("the condition of {}()", each.what.name()))?;
                if matches!(each.what, What::Filter) { Type::List(Box::new(element)) } else { Type::Bool }
            }
            What::Map(condition) => {
                if let Some(condition) = condition {
                    self.boolean(condition, "the condition of map()")?;
                }
                Type::List(Box::new(self.of(&each.body)?))
            }
        };
        self.variables.truncate(each.depth);
        Ok(kind)
    }
}

/// The type of `of.field`.
fn member(of: &Type, field: &str, at: u32) -> Result<Type, Wrong> {
    match of {
        Type::Dyn => Ok(Type::Dyn),
        Type::Map(value) => Ok((**value).clone()),
        Type::Record(record) => record.field(field).ok_or_else(|| {
            let hint = match (record, field, closest(field, record.fields().iter().copied())) {
                (Record::Image, "tag" | "reference" | "name", _) => {
                    "a condition cannot see the tag: its answer is remembered by digest".to_owned()
                }
                (Record::Statement, "predicate", _) => "write predicate alone".to_owned(),
                (Record::Statement, "subject", _) => "its subject is image.digest".to_owned(),
                (_, _, Some(meant)) => format!("did you mean `{meant}`?"),
                (record, _, None) => format!("there are {}", record.fields().join(", ")),
            };
            Wrong::new(at, format!("unknown field `{}`; {hint}", shown(field)))
        }),
        kind => {
            let hint = if matches!(kind, Type::List(_)) { "; write list.exists(x, x.…) or list[0].…" } else { "" };
            Err(Wrong::new(at, format!("`{}` of {kind}, which has no fields{hint}", shown(field))))
        }
    }
}

fn arithmetic(sign: Arithmetic, left: &Type, right: &Type) -> Option<Type> {
    use Arithmetic::{Add, Remainder, Subtract};
    Some(match (sign, left, right) {
        (_, Type::Dyn, Type::Dyn) => Type::Dyn,
        (Add, Type::Text, Type::Text) => Type::Text,
        (Add, Type::List(a), Type::List(b)) => Type::List(Box::new((**a).clone().or((**b).clone()))),
        (Add | Subtract, Type::Timestamp, Type::Duration) | (Add, Type::Duration, Type::Timestamp) => Type::Timestamp,
        (Add | Subtract, Type::Duration, Type::Duration) | (Subtract, Type::Timestamp, Type::Timestamp) => Type::Duration,
        (Remainder, Type::Double, _) | (Remainder, _, Type::Double) => return None,
        (_, a, b) if a.is_number() && a == b => a.clone(),
        (_, Type::Dyn, known) | (_, known, Type::Dyn) => match known {
            number if number.is_number() => number.clone(),
            Type::Text | Type::List(_) if sign == Add => known.clone(),
            Type::Duration | Type::Timestamp if matches!(sign, Add | Subtract) => Type::Dyn,
            _ => return None,
        },
        _ => return None,
    })
}

/// What to write where two types do not mix.
fn convert(left: &Type, right: &Type) -> &'static str {
    if left.is_number() && right.is_number() {
        "; convert one, as in double(…)"
    } else if *left == Type::Text || *right == Type::Text {
        "; convert one, as in string(…)"
    } else {
        ""
    }
}

fn inside(kind: &Type) -> String {
    match kind {
        Type::List(element) => format!(" whose elements are {element}"),
        Type::Map(_) | Type::Record(_) => " whose keys are strings".to_owned(),
        _ => String::new(),
    }
}
