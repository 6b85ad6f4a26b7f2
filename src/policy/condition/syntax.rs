//! From text to syntax tree, by the `cel` crate's parser, and its errors in words.

use std::thread;

use cel::parser::{ParseErrors, Parser};

use super::{
    expr::{MAX_LENGTH, Node},
    lower,
};
use crate::yaml::shown;

/// The parser recurses for every operator and bracket: 2 MiB of stack, a thread's usual share, are not enough for 4 KiB
/// of text, and a stack overflow ends the process. 32 MiB were for every text tried; only what is touched is used.
const STACK: usize = 64 << 20;

/// What is wrong with an expression, and where, in bytes from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: Option<usize>,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(at: u32, message: impl Into<String>) -> Self {
        Self { at: Some(at as usize), message: message.into() }
    }

    /// About the expression as a whole.
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into() }
    }
}

/// Reads `text` as an expression.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn read(text: &str) -> Result<Node, Wrong> {
    if text.len() > MAX_LENGTH {
        return Err(Wrong::whole(format!("has {} bytes, more than the {MAX_LENGTH} of an expression; split it", text.len())));
    }
    let owned = text.to_owned();
    let parsing = thread::Builder::new().name("condition".into()).stack_size(STACK).spawn(move || parse(&owned));
    let failed = || Wrong::whole("cannot be parsed: the parser failed");
    parsing.map_err(|_| failed())?.join().map_err(|_| failed())?
}

fn parse(text: &str) -> Result<Node, Wrong> {
    let parser = Parser::new().max_recursion_depth(48).error_recovery_limit(4);
    let (tree, source) = parser.parse_with_source_info(text).map_err(|errors| syntax(text, &errors))?;
    lower::lower(tree, &source)
}

/// The first of the parser's errors, in words.
fn syntax(text: &str, errors: &ParseErrors) -> Wrong {
    let Some(first) = errors.errors.first() else { return Wrong::whole("cannot be parsed") };
    if errors.errors.iter().any(|error| error.msg.contains("Recursion limit")) {
        return Wrong::whole("nests too deep; split it");
    }
    let (line, column) = (usize::try_from(first.pos.0).unwrap_or(1), usize::try_from(first.pos.1).unwrap_or(1));
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[before.min(text.len())..];
    let at = before + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
    let message = first.msg.trim_start_matches("Syntax error: ");
    // The list of everything that could stand there helps nobody.
    let message = message.split(" expecting ").next().unwrap_or(message).replace("token recognition error at: ", "cannot read ");
    let hint = match text[at..].trim_start().bytes().next() {
        Some(b'=') => "; write == to compare",
        Some(b'&' | b'|') => "; write && and ||",
        Some(b'a' | b'o' | b'n') if [" and ", " or ", "not "].iter().any(|word| text.contains(word)) => {
            "; CEL writes &&, || and ! for and, or, not"
        }
        _ => "",
    };
    Wrong { at: Some(at), message: format!("{}{hint}", shown(&message)) }
}
