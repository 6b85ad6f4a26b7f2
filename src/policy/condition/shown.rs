//! Expressions and values as text, for sentences: short and printable.

use std::fmt::Write as _;

use super::{
    expr::{Arithmetic, Each, Kind, Literal, Node, What},
    functions::{Function, Style},
    value::Value,
};
use crate::policy::sentence::short;

/// A comprehension that is being gone through, and where it is: the number of the element, or the key.
pub(super) type Scope<'c> = (&'c Each, Option<usize>);

/// `node` as CEL. A variable of `scopes` is shown as the element it stands for: `predicate.packages[3]`.
pub(super) fn expression(node: &Node, scopes: &[Scope<'_>]) -> String {
    let mut text = String::new();
    write(&mut text, node, scopes, 0);
    text
}

/// How strongly a node binds, as CEL's grammar has it.
fn strength(kind: &Kind) -> u8 {
    match kind {
        Kind::Conditional(_) => 0,
        Kind::Or(_) => 1,
        Kind::And(_) => 2,
        Kind::Compare(..) | Kind::In(_) => 3,
        Kind::Arithmetic(Arithmetic::Add | Arithmetic::Subtract, _) => 4,
        Kind::Arithmetic(..) => 5,
        Kind::Negate(_) | Kind::Not(_) => 6,
        Kind::Literal(Literal::Int(value)) if *value < 0 => 6,
        Kind::Literal(Literal::Double(value)) if value.is_sign_negative() => 6,
        _ => 7,
    }
}

fn write(out: &mut String, node: &Node, scopes: &[Scope<'_>], around: u8) {
    let own = strength(&node.kind);
    if own < around {
        out.push('(');
        write(out, node, scopes, 0);
        out.push(')');
        return;
    }
    let binary = |out: &mut String, left: &Node, sign: &str, right: &Node| {
        write(out, left, scopes, own);
        out.push_str(sign);
        write(out, right, scopes, own + 1);
    };
    match &node.kind {
        Kind::And(parts) | Kind::Or(parts) => {
            let sign = if own == 2 { " && " } else { " || " };
            join(out, parts, sign, scopes, own);
        }
        Kind::Arithmetic(sign, operands) => binary(out, &operands[0], &format!(" {} ", sign.sign()), &operands[1]),
        Kind::Call(function, arguments) => call(out, *function, arguments, scopes),
        Kind::Compare(sign, operands) => binary(out, &operands[0], &format!(" {} ", sign.sign()), &operands[1]),
        Kind::Conditional(parts) => {
            write(out, &parts[0], scopes, 1);
            out.push_str(" ? ");
            write(out, &parts[1], scopes, 1);
            out.push_str(" : ");
            write(out, &parts[2], scopes, 0);
        }
        Kind::Each(each) => {
            write(out, &each.over, scopes, 7);
            let _ = write!(out, ".{}({}, ", each.what.name(), each.variable);
            if let What::Map(Some(condition)) = &each.what {
                write(out, condition, scopes, 0);
                out.push_str(", ");
            }
            write(out, &each.body, scopes, 0);
            out.push(')');
        }
        Kind::Has(of, field) => {
            out.push_str("has(");
            write(out, of, scopes, 7);
            let _ = write!(out, ".{field})");
        }
        Kind::In(operands) => binary(out, &operands[0], " in ", &operands[1]),
        Kind::Index(operands) => {
            write(out, &operands[0], scopes, 7);
            out.push('[');
            write(out, &operands[1], scopes, 0);
            out.push(']');
        }
        Kind::List(elements) => {
            out.push('[');
            join(out, elements, ", ", scopes, 0);
            out.push(']');
        }
        Kind::Literal(literal) => self::literal(out, literal),
        Kind::Map(entries) => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write(out, key, scopes, 0);
                out.push_str(": ");
                write(out, value, scopes, 0);
            }
            out.push('}');
        }
        Kind::Matches(text, pattern) => {
            write(out, text, scopes, 7);
            out.push_str(".matches(");
            quoted(out, &pattern.text);
            out.push(')');
        }
        Kind::Negate(of) => {
            out.push('-');
            write(out, of, scopes, 7);
        }
        Kind::Not(of) => {
            out.push('!');
            write(out, of, scopes, 7);
        }
        Kind::Root(root) => out.push_str(root.name()),
        Kind::Select(of, field) => {
            write(out, of, scopes, 7);
            let _ = write!(out, ".{field}");
        }
        Kind::Variable(depth, name) => match scopes.get(*depth) {
            Some((each, Some(index))) => {
                write(out, &each.over, &scopes[..*depth], 7);
                let _ = write!(out, "[{index}]");
            }
            _ => out.push_str(name),
        },
    }
}

fn join(out: &mut String, nodes: &[Node], sign: &str, scopes: &[Scope<'_>], around: u8) {
    for (i, node) in nodes.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { sign });
        write(out, node, scopes, around);
    }
}

fn call(out: &mut String, function: Function, arguments: &[Node], scopes: &[Scope<'_>]) {
    let mut rest = arguments;
    if let (Style::Method | Style::Both, [of, others @ ..]) = (function.style(), arguments) {
        write(out, of, scopes, 7);
        out.push('.');
        rest = others;
    }
    out.push_str(function.name());
    out.push('(');
    join(out, rest, ", ", scopes, 0);
    out.push(')');
}

fn literal(out: &mut String, literal: &Literal) {
    let _ = match literal {
        Literal::Bool(value) => write!(out, "{value}"),
        Literal::Double(value) => write!(out, "{value:?}"),
        Literal::Int(value) => write!(out, "{value}"),
        Literal::Null => write!(out, "null"),
        Literal::Text(text) => {
            quoted(out, text);
            Ok(())
        }
        Literal::Time(time) => {
            let name = if matches!(time, super::time::Time::Duration(_)) { "duration" } else { "timestamp" };
            write!(out, "{name}('{time}')")
        }
        Literal::UInt(value) => write!(out, "{value}u"),
    };
}

/// A string as CEL writes it, in printable ASCII.
fn quoted(out: &mut String, text: &str) {
    out.push('\'');
    for c in text.chars() {
        let _ = match c {
            '\'' | '\\' => write!(out, "\\{c}"),
            ' '..='~' => write!(out, "{c}"),
            c if u32::from(c) <= 0xffff => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "\\U{:08x}", u32::from(c)),
        };
    }
    out.push('\'');
}

/// A value in at most `max` bytes of printable ASCII: strings in quotes, lists and maps by their beginning.
pub(super) fn value(value: &Value<'_>, max: usize) -> String {
    let mut text = String::new();
    write_value(&mut text, value, max * 2);
    short(&text, max)
}

/// Writes until `max` bytes are there: a megabyte is not written out to be cut.
fn write_value(out: &mut String, value: &Value<'_>, max: usize) {
    if out.len() > max {
        out.push_str("...");
        return;
    }
    let _ = match value {
        Value::Bool(value) => write!(out, "{value}"),
        Value::Double(value) => write!(out, "{value:?}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Json(_) | Value::List(_) | Value::Map(_) => {
            let map = value.is_map();
            out.push(if map { '{' } else { '[' });
            let items = value.items().into_iter().flatten();
            let meter = super::meter::Meter::new();
            for (i, item) in items.enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                if out.len() > max {
                    // Or what is shown would end like a value that ends here.
                    out.push_str("...");
                    break;
                }
                write_value(out, &item, max);
                if let (true, Value::Text(key)) = (map, &item)
                    && let Ok(Some(inner)) = value.get(key, &meter)
                {
                    out.push_str(": ");
                    write_value(out, &inner, max);
                }
            }
            out.push(if map { '}' } else { ']' });
            Ok(())
        }
        Value::Null => write!(out, "null"),
        Value::Text(text) => write!(out, "\"{}\"", short(text, max).replace('"', "\\\"")),
        Value::Time(time) => write!(out, "{time}"),
        Value::UInt(value) => write!(out, "{value}"),
    };
}
