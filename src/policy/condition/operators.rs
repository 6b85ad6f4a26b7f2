//! Arithmetic and functions on values. None of them mixes types, and none wraps around.

use std::sync::Arc;

use super::{
    expr::Arithmetic,
    fault::Problem,
    functions::Function,
    meter::{Meter, Spent},
    time::Time,
    value::{Text, VALUE_SIZE, Value},
};

/// A value, or why there is none; or the budget is spent.
type Computed<'d> = Result<Result<Value<'d>, Problem<'d>>, Spent>;

/// Whole numbers of one type, signed or not; `None` where the result is none of it.
macro_rules! checked {
    ($sign:expr, $left:expr, $right:expr) => {
        match $sign {
            Arithmetic::Add => $left.checked_add(*$right),
            Arithmetic::Divide => $left.checked_div(*$right),
            Arithmetic::Multiply => $left.checked_mul(*$right),
            Arithmetic::Remainder => $left.checked_rem(*$right),
            Arithmetic::Subtract => $left.checked_sub(*$right),
        }
    };
}

pub(super) fn arithmetic<'d>(sign: Arithmetic, left: &Value<'d>, right: &Value<'d>, meter: &Meter) -> Computed<'d> {
    const OVERFLOW: &str = "a number too large";
    const ZERO: &str = "a division by zero";
    let whole = |result: Option<Value<'d>>, zero: bool| match (result, sign) {
        (Some(value), _) => Ok(value),
        (None, Arithmetic::Divide | Arithmetic::Remainder) if zero => Err(Problem::Arithmetic(ZERO)),
        (None, _) => Err(Problem::Arithmetic(OVERFLOW)),
    };
    Ok(match (left, right) {
        (Value::Int(a), Value::Int(b)) => whole(checked!(sign, a, b).map(Value::Int), *b == 0),
        (Value::UInt(a), Value::UInt(b)) => whole(checked!(sign, a, b).map(Value::UInt), *b == 0),
        (Value::Double(a), Value::Double(b)) if sign != Arithmetic::Remainder => Ok(Value::Double(match sign {
            Arithmetic::Add => a + b,
            Arithmetic::Divide => a / b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Remainder | Arithmetic::Subtract => a - b,
        })),
        (Value::Text(a), Value::Text(b)) if sign == Arithmetic::Add => {
            meter.make(a.len() + b.len())?;
            Ok(Value::Text(Text::Shared(Arc::from([&**a, &**b].concat()))))
        }
        (Value::Time(a), Value::Time(b)) => match time(sign, *a, *b) {
            Some(time) => whole(time.map(Value::Time), false),
            None => Err(Problem::Types(left.clone(), sign.sign(), right.clone())),
        },
        (left, right) if sign == Arithmetic::Add && !left.is_map() && !right.is_map() => match (left.items(), right.items()) {
            (Some(a), Some(b)) => {
                meter.make((a.left() + b.left()) * VALUE_SIZE)?;
                meter.steps(a.left() + b.left())?;
                Ok(Value::List(a.chain(b).collect()))
            }
            _ => Err(Problem::Types(left.clone(), sign.sign(), right.clone())),
        },
        (left, right) => Err(Problem::Types(left.clone(), sign.sign(), right.clone())),
    })
}

/// `None` where times are not computed so; then `None` where the result is no time.
fn time(sign: Arithmetic, left: Time, right: Time) -> Option<Option<Time>> {
    use Arithmetic::{Add, Subtract};
    Some(match (sign, left, right) {
        (Add, Time::Duration(a), Time::Duration(b)) => a.checked_add(b).map(Time::Duration),
        (Subtract, Time::Duration(a), Time::Duration(b)) => a.checked_sub(b).map(Time::Duration),
        (Add, Time::Timestamp(at), Time::Duration(by)) | (Add, Time::Duration(by), Time::Timestamp(at)) => {
            at.checked_add(by).ok().map(Time::Timestamp)
        }
        (Subtract, Time::Timestamp(at), Time::Duration(by)) => at.checked_sub(by).ok().map(Time::Timestamp),
        (Subtract, Time::Timestamp(a), Time::Timestamp(b)) => Some(Time::Duration(a.duration_since(b))),
        _ => return None,
    })
}

pub(super) fn negate<'d>(value: &Value<'d>) -> Result<Value<'d>, Problem<'d>> {
    let negated = match value {
        Value::Double(value) => Some(Value::Double(-value)),
        Value::Int(value) => value.checked_neg().map(Value::Int),
        Value::Time(Time::Duration(value)) => value.checked_neg().map(|value| Value::Time(Time::Duration(value))),
        other => return Err(Problem::Type(other.clone(), "a number")),
    };
    negated.ok_or(Problem::Arithmetic("a number too large"))
}

/// Calls `function`; of one that takes one argument, the second is ignored.
pub(super) fn call<'d>(function: Function, arguments: &[Value<'d>; 2], meter: &Meter) -> Computed<'d> {
    let [first, second] = arguments;
    if let Value::Text(text) = first {
        meter.text(text.len())?;
    }
    let wanted = |what| Err(Problem::Type(first.clone(), what));
    let made = |text: String| -> Computed<'d> {
        meter.make(text.len())?;
        Ok(Ok(Value::Text(Text::Shared(Arc::from(text)))))
    };
    Ok(match (function, first) {
        (Function::Contains | Function::EndsWith | Function::StartsWith, Value::Text(text)) => match (function, second) {
            (Function::Contains, Value::Text(part)) => Ok(Value::Bool(text.contains(&**part))),
            (Function::EndsWith, Value::Text(part)) => Ok(Value::Bool(text.ends_with(&**part))),
            (_, Value::Text(part)) => Ok(Value::Bool(text.starts_with(&**part))),
            (_, other) => Err(Problem::Type(other.clone(), "a string")),
        },
        (Function::LowerAscii, Value::Text(text)) => return made(text.to_ascii_lowercase()),
        (Function::UpperAscii, Value::Text(text)) => return made(text.to_ascii_uppercase()),
        (Function::Contains | Function::EndsWith | Function::LowerAscii | Function::StartsWith | Function::UpperAscii, _) => {
            wanted("a string")
        }
        (Function::Size, value) => match value.size(meter)? {
            Some(size) => Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX))),
            None => wanted("a string, a list or a map"),
        },
        (Function::String, Value::Text(_)) => Ok(first.clone()),
        (Function::String, Value::Bool(value)) => return made(value.to_string()),
        (Function::String, Value::Int(value)) => return made(value.to_string()),
        (Function::String, Value::UInt(value)) => return made(value.to_string()),
        (Function::String, Value::Time(value)) => return made(value.to_string()),
        (Function::String, _) => wanted("a string, a boolean, a whole number or a time"),
        (Function::Bool, _) => boolean(first),
        (Function::Double, _) => double(first),
        (Function::Int, _) => int(first),
        (Function::UInt, _) => uint(first),
        (Function::Duration, Value::Time(Time::Duration(_))) | (Function::Timestamp, Value::Time(Time::Timestamp(_))) => {
            Ok(first.clone())
        }
        (Function::Duration, Value::Text(text)) => parsed(first, Time::duration(text).map(Value::Time), "duration"),
        (Function::Timestamp, Value::Text(text)) => parsed(first, Time::timestamp(text).map(Value::Time), "timestamp"),
        (Function::Duration | Function::Timestamp, _) => wanted("a string"),
    })
}

type Result1<'d> = Result<Value<'d>, Problem<'d>>;

fn parsed<'d>(text: &Value<'d>, value: Option<Value<'d>>, what: &'static str) -> Result1<'d> {
    value.ok_or_else(|| Problem::Conversion(text.clone(), what))
}

fn boolean<'d>(of: &Value<'d>) -> Result1<'d> {
    match of {
        Value::Bool(_) => Ok(of.clone()),
        Value::Text(text) => {
            let value = match &**text {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            };
            parsed(of, value.map(Value::Bool), "boolean")
        }
        other => Err(Problem::Type(other.clone(), "a string")),
    }
}

fn double<'d>(of: &Value<'d>) -> Result1<'d> {
    match of {
        Value::Double(_) => Ok(of.clone()),
        Value::Int(value) => Ok(Value::Double(*value as f64)),
        Value::UInt(value) => Ok(Value::Double(*value as f64)),
        Value::Text(text) => parsed(of, text.parse().ok().filter(|_| number(text)).map(Value::Double), "number"),
        other => Err(Problem::Type(other.clone(), "a number or a string")),
    }
}

fn int<'d>(of: &Value<'d>) -> Result1<'d> {
    let value = match of {
        Value::Int(value) => Some(*value),
        Value::UInt(value) => i64::try_from(*value).ok(),
        Value::Double(value) => whole(*value).and_then(|value| i64::try_from(value).ok()),
        Value::Text(text) => text.parse().ok().filter(|_| number(text)),
        Value::Time(Time::Timestamp(at)) => Some(at.as_second()),
        other => return Err(Problem::Type(other.clone(), "a number or a string")),
    };
    parsed(of, value.map(Value::Int), "int")
}

fn uint<'d>(of: &Value<'d>) -> Result1<'d> {
    let value = match of {
        Value::Int(value) => u64::try_from(*value).ok(),
        Value::UInt(value) => Some(*value),
        Value::Double(value) => whole(*value).and_then(|value| u64::try_from(value).ok()),
        Value::Text(text) => text.parse().ok().filter(|_| number(text)),
        other => return Err(Problem::Type(other.clone(), "a number or a string")),
    };
    parsed(of, value.map(Value::UInt), "uint")
}

/// Whether a text begins as a number does; Rust's parser also knows `inf` and `nan`, and a leading `+`.
fn number(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'-') && !text.bytes().any(|b| matches!(b, b'i' | b'n'))
}

/// A double without its fraction, where it is one that has a whole part worth the name.
fn whole(value: f64) -> Option<i128> {
    (value.is_finite() && value.abs() < 2_f64.powi(64)).then(|| value.trunc() as i128)
}
