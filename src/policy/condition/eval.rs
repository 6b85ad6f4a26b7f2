//! The evaluator: CEL's meaning, every step counted.
//!
//! It walks our own tree over our own values, because the `cel` crate's interpreter counts nothing and copies much: a
//! nested `exists` over ten thousand elements ran half a minute there, and 8 MiB of JSON would be a hundred.

use super::{
    expr::{Comparison, Each, Kind, Literal, Node, Root, What},
    fault::{Fault, Problem, Trouble},
    meter::Meter,
    operators,
    shown::Scope,
    tally::Tally,
    value::{Items, Text, VALUE_SIZE, Value},
};
use std::{cmp::Ordering, sync::Arc};

/// What a condition sees, all of it.
#[derive(Debug)]
pub(super) struct Inputs<'d> {
    pub(super) predicate: Value<'d>,
    pub(super) statement: Value<'d>,
    pub(super) signer: Value<'d>,
    pub(super) image: Value<'d>,
}

/// Evaluates one expression over one statement.
#[derive(Debug)]
pub(super) struct Evaluator<'c, 'd> {
    inputs: &'c Inputs<'d>,
    meter: &'c Meter,
    /// Whether parts are evaluated although the others decide: a dry run looks for wrong types everywhere.
    thorough: bool,
    slots: Vec<Slot<'c, 'd>>,
}

/// The element that a comprehension is at.
#[derive(Debug)]
struct Slot<'c, 'd> {
    each: &'c Each,
    /// The number of the element; none for a map's key.
    index: Option<usize>,
    value: Value<'d>,
}

pub(super) type Outcome<'c, 'd, T = Value<'d>> = Result<T, Fault<'c, 'd>>;

/// The steps of a value that there is not: its reasons are kept.
const TROUBLE: usize = 20;

impl<'c, 'd> Evaluator<'c, 'd> {
    pub(super) const fn new(inputs: &'c Inputs<'d>, meter: &'c Meter) -> Self {
        Self { inputs, meter, thorough: false, slots: Vec::new() }
    }

    /// The same, for a dry run.
    pub(super) const fn thorough(inputs: &'c Inputs<'d>, meter: &'c Meter) -> Self {
        Self { inputs, meter, thorough: true, slots: Vec::new() }
    }

    /// The value of `node`.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn value(&mut self, node: &'c Node) -> Outcome<'c, 'd> {
        self.meter.steps(1)?;
        Ok(match &node.kind {
            Kind::And(parts) => Value::Bool(self.logic(parts, false)?),
            Kind::Arithmetic(sign, operands) => {
                let (left, right) = (self.value(&operands[0])?, self.value(&operands[1])?);
                match operators::arithmetic(*sign, &left, &right, self.meter)? {
                    Ok(value) => value,
                    Err(problem) => return self.trouble(node, problem),
                }
            }
            Kind::Call(function, arguments) => {
                let values = match &**arguments {
                    [one] => [self.value(one)?, Value::Null],
                    [one, two, ..] => [self.value(one)?, self.value(two)?],
                    [] => [Value::Null, Value::Null],
                };
                match operators::call(*function, &values, self.meter)? {
                    Ok(value) => value,
                    Err(problem) => return self.trouble(node, problem),
                }
            }
            Kind::Compare(sign, operands) => {
                let (left, right) = (self.value(&operands[0])?, self.value(&operands[1])?);
                return self.compare(node, *sign, left, right).map(Value::Bool);
            }
            Kind::Conditional(parts) => {
                let condition = self.boolean(&parts[0]);
                if self.thorough {
                    let (yes, no) = (self.value(&parts[1]), self.value(&parts[2]));
                    let yes_or_no = if condition? { (yes, no) } else { (no, yes) };
                    return match yes_or_no {
                        (_, Err(Fault::Trouble(trouble))) if trouble.is_type() => Err(Fault::Trouble(trouble)),
                        (taken, _) => taken,
                    };
                }
                return if condition? { self.value(&parts[1]) } else { self.value(&parts[2]) };
            }
            Kind::Each(each) => {
                let value = self.each(node, each);
                self.slots.truncate(each.depth);
                return value;
            }
            Kind::Has(of, field) => {
                let of = self.value(of)?;
                if !of.is_map() {
                    return self.trouble(node, Problem::Type(of, "a map"));
                }
                Value::Bool(of.get(field, self.meter)?.is_some())
            }
            Kind::In(operands) => {
                let (item, within) = (self.value(&operands[0])?, self.value(&operands[1])?);
                return self.within(node, &item, within).map(Value::Bool);
            }
            Kind::Index(operands) => {
                let (of, key) = (self.value(&operands[0])?, self.value(&operands[1])?);
                return self.element(node, of, &key);
            }
            Kind::List(elements) => {
                self.meter.make(elements.len() * VALUE_SIZE)?;
                Value::List(elements.iter().map(|element| self.value(element)).collect::<Result<_, _>>()?)
            }
            Kind::Literal(literal) => constant(literal),
            Kind::Map(entries) => {
                self.meter.make(entries.len() * VALUE_SIZE * 2)?;
                let mut map: Vec<(Text<'d>, Value<'d>)> = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    match self.value(key)? {
                        Value::Text(name) if map.iter().any(|(known, _)| **known == *name) => {
                            return self.trouble(key, Problem::Arithmetic("a key twice"));
                        }
                        Value::Text(name) => map.push((name, self.value(value)?)),
                        other => return self.trouble(key, Problem::Type(other, "a string")),
                    }
                }
                Value::Map(Arc::from(map))
            }
            Kind::Matches(of, pattern) => match self.value(of)? {
                Value::Text(text) => {
                    self.meter.steps(text.len().saturating_mul(pattern.cost))?;
                    Value::Bool(pattern.regex.is_match(&text))
                }
                other => return self.trouble(node, Problem::Type(other, "a string")),
            },
            Kind::Negate(of) => {
                let of = self.value(of)?;
                match operators::negate(&of) {
                    Ok(value) => value,
                    Err(problem) => return self.trouble(node, problem),
                }
            }
            Kind::Not(of) => Value::Bool(!self.boolean(of)?),
            Kind::Or(parts) => Value::Bool(self.logic(parts, true)?),
            Kind::Root(Root::Image) => self.inputs.image.clone(),
            Kind::Root(Root::Predicate) => self.inputs.predicate.clone(),
            Kind::Root(Root::Signer) => self.inputs.signer.clone(),
            Kind::Root(Root::Statement) => self.inputs.statement.clone(),
            Kind::Select(of, field) => {
                let of = self.value(of)?;
                match of.get(field, self.meter)? {
                    Some(value) => value,
                    None if of.is_map() => return self.trouble(node, Problem::Missing(of)),
                    None => return self.trouble(node, Problem::Type(of, "a map")),
                }
            }
            Kind::Variable(depth, _) => self.slots.get(*depth).map_or(Value::Null, |slot| slot.value.clone()),
        })
    }

    /// The truth of `node`.
    ///
    /// # Errors
    /// Why it has none.
    pub(super) fn boolean(&mut self, node: &'c Node) -> Outcome<'c, 'd, bool> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            other => self.trouble(node, Problem::Type(other, "true or false")),
        }
    }

    /// Goes to an element of `each`, for those who explain it.
    pub(super) fn enter(&mut self, each: &'c Each, index: Option<usize>, value: Value<'d>) {
        self.slots.truncate(each.depth);
        self.slots.push(Slot { each, index, value });
    }

    /// Leaves the elements of `each`.
    pub(super) fn leave(&mut self, each: &'c Each) {
        self.slots.truncate(each.depth);
    }

    /// The comprehensions under way, and where they are.
    pub(super) fn scopes(&self) -> Vec<Scope<'c>> {
        self.slots.iter().map(|slot| (slot.each, slot.index)).collect()
    }

    fn trouble<T>(&self, node: &'c Node, problem: Problem<'d>) -> Outcome<'c, 'd, T> {
        self.meter.steps(TROUBLE)?;
        Err(Fault::Trouble(Box::new(Trouble { node, scopes: self.scopes(), problem })))
    }

    /// `&&` (`absorbing` is false) or `||` (true): what absorbs decides, whatever the others are; else trouble does.
    fn logic(&mut self, parts: &'c [Node], absorbing: bool) -> Outcome<'c, 'd, bool> {
        let mut tally = Tally::new(absorbing, self.thorough);
        for part in parts {
            if tally.add(self.boolean(part))? {
                return Ok(absorbing);
            }
        }
        tally.result()
    }

    fn each(&mut self, node: &'c Node, each: &'c Each) -> Outcome<'c, 'd> {
        let over = self.value(&each.over)?;
        let Some(items) = over.items() else { return self.trouble(node, Problem::Type(over, "a list or a map")) };
        let numbered = !over.is_map();
        match &each.what {
            What::All => self.tally(each, items, numbered, false),
            What::Exists => self.tally(each, items, numbered, true),
            What::ExistsOne => {
                let mut count = 0_usize;
                for (i, item) in items.enumerate() {
                    self.enter(each, numbered.then_some(i), item);
                    count += usize::from(self.boolean(&each.body)?);
                }
                Ok(Value::Bool(count == 1))
            }
            What::Filter | What::Map(_) => {
                let mut list = Vec::new();
                for (i, item) in items.enumerate() {
                    self.enter(each, numbered.then_some(i), item.clone());
                    let (wanted, value) = match &each.what {
                        What::Map(Some(condition)) if !self.boolean(condition)? => (false, item),
                        What::Map(_) => (true, self.value(&each.body)?),
                        _ => (self.boolean(&each.body)?, item),
                    };
                    if wanted {
                        self.meter.make(VALUE_SIZE)?;
                        list.push(value);
                    }
                }
                Ok(Value::List(Arc::from(list)))
            }
        }
    }

    fn tally(&mut self, each: &'c Each, items: Items<'d>, numbered: bool, absorbing: bool) -> Outcome<'c, 'd> {
        let mut tally = Tally::new(absorbing, self.thorough);
        for (i, item) in items.enumerate() {
            self.enter(each, numbered.then_some(i), item);
            if tally.add(self.boolean(&each.body))? {
                return Ok(Value::Bool(absorbing));
            }
        }
        tally.result().map(Value::Bool)
    }

    fn compare(&self, node: &'c Node, sign: Comparison, left: Value<'d>, right: Value<'d>) -> Outcome<'c, 'd, bool> {
        let equality = match sign {
            Comparison::Equal => Some(true),
            Comparison::NotEqual => Some(false),
            _ => None,
        };
        if let Some(wanted) = equality {
            if self.thorough && left.is_never(&right) {
                return self.trouble(node, Problem::Types(left, sign.sign(), right));
            }
            return Ok(left.equals(&right, self.meter)? == wanted);
        }
        let order = left.order(&right, self.meter)?;
        // Of numbers only what is none at all has no order, as division by zero makes it; yet it is of no wrong type.
        if order.is_none() && !(left.is_number() && right.is_number()) {
            return self.trouble(node, Problem::Types(left, sign.sign(), right));
        }
        Ok(match sign {
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Comparison::Greater => order == Some(Ordering::Greater),
            _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        })
    }

    fn within(&self, node: &'c Node, item: &Value<'d>, within: Value<'d>) -> Outcome<'c, 'd, bool> {
        if within.is_map() {
            return match item {
                Value::Text(key) => Ok(within.get(key, self.meter)?.is_some()),
                // A map here has no keys but strings, though CEL has others.
                Value::Bool(_) | Value::Double(_) | Value::Int(_) | Value::UInt(_) => Ok(false),
                other => self.trouble(node, Problem::Type(other.clone(), "a key")),
            };
        }
        let Some(items) = within.items() else { return self.trouble(node, Problem::Type(within, "a list or a map")) };
        let mut never = self.thorough && items.left() > 0;
        for other in items {
            if item.equals(&other, self.meter)? {
                return Ok(true);
            }
            never &= item.is_never(&other);
        }
        if never { self.trouble(node, Problem::Types(item.clone(), "in", within)) } else { Ok(false) }
    }

    fn element(&self, node: &'c Node, of: Value<'d>, key: &Value<'d>) -> Outcome<'c, 'd> {
        if of.is_map() {
            return match key {
                Value::Text(name) => match of.get(name, self.meter)? {
                    Some(value) => Ok(value),
                    None => self.trouble(node, Problem::Missing(of)),
                },
                other => self.trouble(node, Problem::Type(other.clone(), "a key")),
            };
        }
        let Some(mut items) = of.items() else { return self.trouble(node, Problem::Type(of, "a list or a map")) };
        let index = match key {
            Value::Int(index) => usize::try_from(*index).ok(),
            Value::UInt(index) => usize::try_from(*index).ok(),
            other => return self.trouble(node, Problem::Type(other.clone(), "the number of an element")),
        };
        let len = items.left();
        match index.filter(|index| *index < len) {
            Some(index) => {
                self.meter.steps(index / 4)?;
                Ok(items.nth(index).unwrap_or(Value::Null))
            }
            None => self.trouble(node, Problem::Outside(len)),
        }
    }
}

fn constant<'d>(literal: &Literal) -> Value<'d> {
    match literal {
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Null => Value::Null,
        Literal::Text(text) => Value::Text(Text::Shared(Arc::clone(text))),
        Literal::Time(time) => Value::Time(*time),
        Literal::UInt(value) => Value::UInt(*value),
    }
}
