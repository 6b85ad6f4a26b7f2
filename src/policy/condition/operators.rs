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
        (Function::String, Value::Double(value)) => return made(written(*value)),
        (Function::String, Value::Time(value)) => return made(value.to_string()),
        (Function::String, _) => wanted("a string, a boolean, a number or a time"),
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

/// A double as CEL writes it, which is Go's shortest form: the fewest digits that are read back as this number, with an exponent
/// from a million on and below a ten-thousandth.
fn written(value: f64) -> String {
    if !value.is_finite() {
        let name = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return name.to_owned();
    }
    // Of two that are equally near, Go takes the even one and Rust the larger, unless it is told how many digits it writes.
    let nearest = |even: String, shortest: String| if even.parse() == Ok(value) { even } else { shortest };
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let behind = digits.bytes().filter(u8::is_ascii_digit).count().saturating_sub(1);
    match exponent.parse().unwrap_or(0_i32) {
        exponent @ -4..=5 => {
            let behind = behind.saturating_add_signed(-exponent as isize);
            nearest(format!("{value:.behind$}"), value.to_string())
        }
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            let scientific = nearest(format!("{value:.behind$e}"), shortest.clone());
            let digits = scientific.split('e').next().unwrap_or_default();
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As `strconv.FormatFloat(x, 'g', -1, 64)` gives them.
    #[test]
    fn a_double_is_written_as_go_writes_it() {
        for (value, text) in [
            (1.4, "1.4"),
            (1.0, "1"),
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-123_456.75, "-123456.75"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (-1_234_567.5, "-1.2345675e+06"),
            (9_007_199_254_740_992.0, "9.007199254740992e+15"),
            (0.0001, "0.0001"),
            (0.000_099, "9.9e-05"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (2_f64.powi(-25), "2.9802322387695312e-08"),
            (2_f64.powi(-24), "5.960464477539063e-08"),
            (f64::NAN, "NaN"),
            (-f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(value), text);
        }
    }
}
