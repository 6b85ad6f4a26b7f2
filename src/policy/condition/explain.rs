//! Why an expression is false: the part that decided it, and the values it was about.

use super::{
    eval::Evaluator,
    expr::{Each, Kind, Node, What},
    fault::{self, Fault},
    functions::Function,
    shown,
};
use crate::policy::sentence::short;

/// The part of an expression that decided, and what was found there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) clause: String,
    pub(super) found: String,
}

/// Bytes of one value, of one path, and how many of them are told.
const VALUE: usize = 90;
const PATH: usize = 90;
const TOLD: usize = 3;
/// The same of a value and its path beside what was spent.
const INPUT: usize = 34;

impl<'c> Evaluator<'c, '_> {
    /// Why `node`, which was found to be false, is so. Takes of the budget that is left; what it cannot pay for it leaves out.
    pub(super) fn why_false(&mut self, node: &'c Node) -> Why {
        match &node.kind {
            Kind::And(parts) => {
                let part = parts.iter().find(|part| matches!(self.boolean(part), Ok(false)));
                if let Some(part) = part { self.why_false(part) } else { self.plainly(node) }
            }
            Kind::Conditional(parts) => match self.boolean(&parts[0]) {
                Ok(true) => self.why_false(&parts[1]),
                Ok(false) => self.why_false(&parts[2]),
                Err(_) => self.plainly(node),
            },
            Kind::Each(each) if matches!(each.what, What::All) => {
                self.at_first(each, false, |this| this.why_false(&each.body)).unwrap_or_else(|| self.plainly(node))
            }
            Kind::Each(_) => Why { clause: self.shown(node), found: self.elements(node) },
            Kind::Not(of) => Why { clause: self.shown(node), found: self.why_true(of) },
            Kind::Or(parts) => {
                let found: Vec<String> = parts.iter().take(TOLD).map(|part| self.why_false(part).found).collect();
                Why { clause: self.shown(node), found: distinct(found) }
            }
            _ => self.plainly(node),
        }
    }

    /// What makes `node` true, as far as a sentence can say.
    fn why_true(&mut self, node: &'c Node) -> String {
        match &node.kind {
            Kind::And(parts) => distinct(parts.iter().take(TOLD).map(|part| self.why_true(part)).collect()),
            Kind::Each(each) if matches!(each.what, What::Exists) => {
                self.at_first(each, true, |this| this.why_true(&each.body)).unwrap_or_else(|| self.values(node))
            }
            Kind::Not(of) => self.why_false(of).found,
            Kind::Or(parts) => {
                let part = parts.iter().find(|part| matches!(self.boolean(part), Ok(true)));
                if let Some(part) = part { self.why_true(part) } else { self.values(node) }
            }
            _ => self.values(node),
        }
    }

    /// What the document and its signer say where `node` looks: the paths in it that depend on no element, each with its
    /// value. What cannot be paid for is left out.
    pub(super) fn inputs_of(&mut self, node: &'c Node) -> String {
        let mut paths = Vec::new();
        gather_paths(node, &mut paths);
        let mut told: Vec<String> = Vec::new();
        for path in paths {
            if told.len() < TOLD
                && let Ok(value) = self.value(path)
            {
                let text = format!("{} is {}", short(&self.shown(path), INPUT), shown::value(&value, INPUT));
                told.extend(Some(text).filter(|text| !told.contains(text)));
            }
        }
        told.join(" and ")
    }

    fn plainly(&mut self, node: &'c Node) -> Why {
        Why { clause: self.shown(node), found: self.values(node) }
    }

    fn shown(&self, node: &Node) -> String {
        shown::expression(node, &self.scopes())
    }

    /// What `tell` says at the first element of `each` whose body is `wanted`.
    fn at_first<T>(&mut self, each: &'c Each, wanted: bool, tell: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let over = self.value(&each.over).ok()?;
        let numbered = !over.is_map();
        for (i, item) in over.items()?.enumerate() {
            self.enter(each, numbered.then_some(i), item);
            match self.boolean(&each.body) {
                Ok(value) if value == wanted => {
                    let told = tell(self);
                    self.leave(each);
                    return Some(told);
                }
                Err(Fault::Spent(_)) => break,
                _ => {}
            }
        }
        self.leave(each);
        None
    }

    /// How many elements there were to choose from.
    fn elements(&mut self, node: &'c Node) -> String {
        let Kind::Each(each) = &node.kind else { return self.values(node) };
        let path = short(&self.shown(&each.over), PATH);
        let count = self.value(&each.over).ok().and_then(|over| over.items()).map_or(0, |items| items.left());
        match (count, &each.what) {
            (0, _) => format!("nothing in {path}"),
            (count, What::ExistsOne) => format!("none or several of the {count} in {path}"),
            (count, _) => format!("none of the {count} in {path}"),
        }
    }

    /// The values that `node` is about: each operand that is not written out.
    fn values(&mut self, node: &'c Node) -> String {
        let operands: Vec<&'c Node> = match &node.kind {
            Kind::Has(of, field) => {
                let missing = self.value(of).map(|of| fault::keys(&of)).unwrap_or_default();
                return format!("no `{}` in {}{missing}", short(field, PATH), short(&self.shown(of), PATH));
            }
            // Its body is about an element, and there is none here.
            Kind::Each(each) => vec![&each.over],
            Kind::Call(Function::Size, _) | Kind::Select(..) | Kind::Index(_) | Kind::Variable(..) => vec![node],
            _ => node.parts(),
        };
        let open = |operand: &&Node| operand.any(&|part| matches!(part.kind, Kind::Root(_) | Kind::Variable(..)));
        let told: Vec<String> = operands.into_iter().filter(open).take(TOLD).map(|operand| self.told(operand)).collect();
        distinct(told)
    }

    /// `path is value`; of a number of elements, also the first of them.
    fn told(&mut self, operand: &'c Node) -> String {
        let path = short(&self.shown(operand), PATH);
        let Ok(value) = self.value(operand) else { return format!("{path} has no value") };
        let mut told = format!("{path} is {}", shown::value(&value, VALUE));
        if let Kind::Call(Function::Size, counted) = &operand.kind
            && let Some(list @ Node { kind: Kind::Each(_), .. }) = counted.first()
            && let Some(first) = self.value(list).ok().and_then(|list| list.items()).and_then(|mut items| items.next())
        {
            told = format!("{told}, the first {}", shown::value(&first, VALUE));
        }
        told
    }
}

/// The paths from a root in `node`, the longest of each.
fn gather_paths<'c>(node: &'c Node, paths: &mut Vec<&'c Node>) {
    if is_path(node) {
        paths.push(node);
    } else {
        node.parts().into_iter().for_each(|part| gather_paths(part, paths));
    }
}

fn is_path(node: &Node) -> bool {
    match &node.kind {
        Kind::Root(_) => true,
        Kind::Select(of, _) => is_path(of),
        Kind::Index(parts) => is_path(&parts[0]) && matches!(parts[1].kind, Kind::Literal(_)),
        _ => false,
    }
}

/// What was found, each once.
fn distinct(found: Vec<String>) -> String {
    let mut told: Vec<String> = Vec::new();
    for text in found {
        if !text.is_empty() && !told.contains(&text) {
            told.push(text);
        }
    }
    if told.is_empty() { "false".to_owned() } else { told.join(" and ") }
}
