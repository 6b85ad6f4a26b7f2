//! Text → [`Cue`].

use super::{Cue, MAX_DEPTH, merged};
use crate::yaml::shown;

/// Reads the fields of a file.
pub(super) fn file(text: &str) -> Result<Vec<(String, Cue)>, String> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, at: 0, depth: 0 };
    reader.imports()?;
    reader.fields(None)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Line,
    Number(String),
    Sign(&'static str),
    Text(String),
    Word(String),
}

const SIGNS: [&str; 17] = ["...", "<=", ">=", "!=", "=~", "!~", "{", "}", "[", "]", "(", ")", ":", ",", "&", "<", ">"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\n' {
            out.push(Token::Line);
            rest = &rest[1..];
        } else if c.is_whitespace() {
            rest = &rest[c.len_utf8()..];
        } else if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if c == '"' {
            if rest.starts_with("\"\"\"") {
                return Err("a string of several lines".into());
            }
            let end = string_end(rest)?;
            // CUE's escapes are JSON's, but for `\(…)`, which JSON refuses.
            let text = serde_json::from_str(&rest[..end]).map_err(|_| "a string with interpolation or an escape unknown here")?;
            out.push(Token::Text(text));
            rest = &rest[end..];
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            out.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if c.is_ascii_digit() || c == '-' {
            let end = rest[1..].find(|c: char| !(c.is_ascii_digit() || c == '.')).map_or(rest.len(), |end| end + 1);
            let number = &rest[..end];
            if number.parse::<f64>().is_err() || rest[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                return Err("a number in a form unknown here".into());
            }
            out.push(Token::Number(number.to_owned()));
            rest = &rest[end..];
        } else if c.is_alphabetic() || c == '_' || c == '#' || c == '$' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '#' | '$'))).unwrap_or(rest.len());
            out.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            return Err(format!("`{}`", c.escape_default()));
        }
    }
    Ok(out)
}

fn string_end(text: &str) -> Result<usize, String> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Ok(i + 1),
            '\n' => break,
            _ => {}
        }
    }
    Err("a string that does not end".into())
}

struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, sign: &'static str) -> bool {
        let there = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(there);
        there
    }

    fn lines(&mut self) {
        while matches!(self.peek(), Some(Token::Line | Token::Sign(","))) {
            self.at += 1;
        }
    }

    /// `import "list"`: only the packages whose constraints are read here.
    fn imports(&mut self) -> Result<(), String> {
        loop {
            self.lines();
            if self.peek() != Some(&Token::Word("import".into())) {
                return Ok(());
            }
            self.at += 1;
            let many = self.take("(");
            loop {
                self.lines();
                match self.peek() {
                    Some(Token::Text(name)) if name == "list" || name == "struct" => self.at += 1,
                    Some(Token::Text(name)) => return Err(format!("the package `{}`", shown(name))),
                    _ => return Err("an import in a form unknown here".into()),
                }
                self.lines();
                if !many || self.take(")") {
                    break;
                }
            }
        }
    }

    /// Fields up to `end`, or to the end of the text.
    fn fields(&mut self, end: Option<&'static str>) -> Result<Vec<(String, Cue)>, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("too deep".into());
        }
        let mut fields = Vec::new();
        loop {
            self.lines();
            if let Some(end) = end
                && self.take(end)
            {
                break;
            }
            let label = match self.peek() {
                None if end.is_none() => break,
                Some(Token::Word(word))
                    if word.contains('.') || matches!(word.as_str(), "if" | "for" | "let") || word.starts_with(['_', '#']) =>
                {
                    return Err(format!("`{}`", shown(word)));
                }
                Some(Token::Word(word)) => word.clone(),
                Some(Token::Text(text)) => text.clone(),
                _ => return Err("something that is no field".into()),
            };
            self.at += 1;
            if !self.take(":") {
                return Err(format!("`{}` without `:`", shown(&label)));
            }
            fields.push((label, self.value()?));
        }
        self.depth -= 1;
        Ok(fields)
    }

    /// A value, or `label: value`, which is a struct of one field.
    fn value(&mut self) -> Result<Cue, String> {
        if matches!(self.peek(), Some(Token::Word(_) | Token::Text(_))) && self.tokens.get(self.at + 1) == Some(&Token::Sign(":"))
        {
            let (Some(Token::Word(label) | Token::Text(label)), true) = (self.peek().cloned(), self.depth < MAX_DEPTH) else {
                return Err("too deep".into());
            };
            if label.contains('.') && matches!(self.peek(), Some(Token::Word(_))) {
                return Err(format!("`{}`", shown(&label)));
            }
            self.at += 2;
            self.depth += 1;
            let value = self.value()?;
            self.depth -= 1;
            return Ok(Cue::Struct(vec![(label, value)]));
        }
        let first = self.one()?;
        if !self.take("&") {
            return Ok(first);
        }
        let mut all = vec![first];
        loop {
            while self.peek() == Some(&Token::Line) {
                self.at += 1;
            }
            all.push(self.one()?);
            if !self.take("&") {
                return Ok(Cue::And(all));
            }
        }
    }

    fn one(&mut self) -> Result<Cue, String> {
        let token = self.peek().cloned().ok_or("it ends too early")?;
        self.at += 1;
        if self.at > 1
            && matches!(
                (&self.tokens[self.at - 2], &token),
                (Token::Sign("<" | "<=" | ">" | ">=" | "!=" | "=~" | "!~"), Token::Sign(_))
            )
        {
            // A bound is of a literal, so it never nests.
            return Err("a bound of no literal".into());
        }
        match token {
            Token::Text(text) => Ok(Cue::Text(text)),
            Token::Number(number) => Ok(Cue::Number(number)),
            Token::Word(word) if word == "true" || word == "false" => Ok(Cue::Bool(word == "true")),
            Token::Word(word) if self.take("(") => {
                let known = ["list.MinItems", "list.MaxItems", "struct.MinFields", "struct.MaxFields"].contains(&word.as_str());
                match (known, self.peek().cloned()) {
                    (true, Some(Token::Number(number))) => {
                        self.at += 1;
                        let number = number.parse().map_err(|_| format!("{word}({number})"))?;
                        if self.take(")") { Ok(Cue::Call(word, number)) } else { Err(format!("`{word}(…`")) }
                    }
                    _ => Err(format!("`{}(…)`", shown(&word))),
                }
            }
            Token::Word(word) => Err(format!("the reference `{}`", shown(&word))),
            Token::Sign("{") => merged(self.fields(Some("}"))?),
            Token::Sign("[") => self.list(),
            Token::Sign(bound @ ("<" | "<=" | ">" | ">=" | "!=" | "=~" | "!~")) => match self.one()? {
                value @ (Cue::Bool(_) | Cue::Number(_) | Cue::Text(_)) => Ok(Cue::Bound(bound, Box::new(value))),
                other => Err(format!("`{bound}` with {}", other.kind())),
            },
            Token::Sign(sign) => Err(format!("`{sign}`")),
            Token::Line => Err("a value that is not there".into()),
        }
    }

    fn list(&mut self) -> Result<Cue, String> {
        let mut items = Vec::new();
        loop {
            self.lines();
            if self.take("]") {
                return Ok(Cue::List(items, false));
            }
            if self.take("...") {
                self.lines();
                return if self.take("]") { Ok(Cue::List(items, true)) } else { Err("a list of any number of one form".into()) };
            }
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err("too deep".into());
            }
            items.push(self.value()?);
            self.depth -= 1;
        }
    }
}
