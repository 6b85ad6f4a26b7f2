//! The syntax of Go's regular expressions in that of the `regex` crate.
//!
//! Most of it both read alike, and the rest is where a policy would change its meaning without a word: `\<` is a letter to
//! Go and a border of words to us, `[a&&b]` three letters or an intersection, `a{,2}` five letters or a repetition, `\d` ten
//! digits or all of Unicode's. So everything is read here as Go's parser reads it, and written in a form that has one
//! meaning. What Go does not take is an error, for a policy with it admits nothing there.

use regex_syntax::hir::{Hir, HirKind};

/// Names of classes within brackets: `[:alpha:]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit",
];
/// General categories that mean the same to both. `C` does not: Go leaves out what no character is assigned to.
const CATEGORIES: [&str; 34] = [
    "Cc", "Cf", "Co", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe",
    "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];
/// How often Go repeats something at most, all repetitions within each other taken together.
const MOST: u32 = 1000;

/// `go` in our syntax, and read.
///
/// # Errors
/// What of it cannot be said in ours, or is none of Go's.
pub(super) fn translate(go: &str) -> Result<(String, Hir), String> {
    let ours = Reader { rest: go, out: String::new(), repeated: false }.all()?;
    let hir = regex_syntax::parse(&ours).map_err(|_| "is no regular expression that can be read here".to_owned())?;
    if !repeats(&hir, MOST) {
        return Err(format!("repeats more than {MOST} times, which Go does not take"));
    }
    Ok((ours, hir))
}

fn repeats(hir: &Hir, most: u32) -> bool {
    let most = match hir.kind() {
        HirKind::Repetition(one) => {
            let times = one.max.unwrap_or(one.min);
            if times > most {
                return false;
            }
            most / times.max(1)
        }
        _ => most,
    };
    hir.kind().subs().iter().all(|one| repeats(one, most))
}

/// What an escape, or a character of a class, stands for.
enum Member {
    Char(char),
    /// A set, as it stands within brackets.
    Set(String),
}

struct Reader<'g> {
    rest: &'g str,
    out: String,
    /// Whether what was read last is a repetition: we repeat it again, Go does not.
    repeated: bool,
}

impl Reader<'_> {
    fn all(mut self) -> Result<String, String> {
        while let Some(c) = self.rest.chars().next() {
            let repeated = std::mem::take(&mut self.repeated);
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '*' | '+' | '?' => self.repeat(1, repeated)?,
                '{' => match repetition(self.rest)? {
                    Some(length) => self.repeat(length, repeated)?,
                    None => self.literal(c),
                },
                '|' | ')' | '.' | '^' | '$' => self.copy(1),
                _ => self.literal(c),
            }
        }
        Ok(self.out)
    }

    fn skip(&mut self, length: usize) {
        self.rest = &self.rest[length..];
    }

    fn copy(&mut self, length: usize) {
        self.out.push_str(&self.rest[..length]);
        self.skip(length);
    }

    fn literal(&mut self, c: char) {
        self.skip(c.len_utf8());
        self.out.push_str(&plain(c));
    }

    fn repeat(&mut self, length: usize, repeated: bool) -> Result<(), String> {
        if repeated {
            return Err("repeats a repetition, which Go does not take".into());
        }
        self.copy(length);
        if self.rest.starts_with('?') {
            self.copy(1);
        }
        self.repeated = true;
        Ok(())
    }

    /// An escape outside of brackets.
    fn escape(&mut self) -> Result<(), String> {
        if let Some(quoted) = self.rest.strip_prefix(r"\Q") {
            let (quoted, behind) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            self.out.extend(quoted.chars().map(plain));
            self.rest = behind;
            return Ok(());
        }
        match self.rest.chars().nth(1) {
            Some('A' | 'z') => self.copy(2),
            Some('b') => {
                self.skip(2);
                self.out.push_str(r"(?-u:\b)");
            }
            Some('B') => return Err(r"has `\B`, which cannot be said here".into()),
            _ => match self.escaped()? {
                Member::Char(c) => self.out.push_str(&plain(c)),
                Member::Set(set) if set.starts_with('[') || set.starts_with('\\') && set.ends_with('}') => {
                    self.out.push_str(&set);
                }
                Member::Set(set) => self.out.push_str(&format!("[{set}]")),
            },
        }
        Ok(())
    }

    /// An escape that is a character or a set of them.
    fn escaped(&mut self) -> Result<Member, String> {
        let escape = self.rest.chars().nth(1).ok_or(r"ends in `\`")?;
        let told = || format!(r"has `\{}`, which Go does not take or cannot be said here", escape.escape_default());
        self.skip(1 + escape.len_utf8());
        Ok(Member::Char(match escape {
            'd' => return Ok(Member::Set("0-9".into())),
            'D' => return Ok(Member::Set("[^0-9]".into())),
            's' => return Ok(Member::Set(r"\t\n\f\r ".into())),
            'S' => return Ok(Member::Set(r"[^\t\n\f\r ]".into())),
            'w' => return Ok(Member::Set("0-9A-Za-z_".into())),
            'W' => return Ok(Member::Set("[^0-9A-Za-z_]".into())),
            'p' | 'P' => return Ok(Member::Set(self.category(escape == 'P')?)),
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => self.hexadecimal().ok_or_else(told)?,
            // One octal digit alone would be a reference back, unless it is 0.
            '0' => self.octal(0, 2),
            '1'..='7' if self.rest.starts_with(|c| matches!(c, '0'..='7')) => self.octal(u32::from(escape) - u32::from('0'), 2),
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => other,
            _ => return Err(told()),
        }))
    }

    fn octal(&mut self, mut value: u32, most: usize) -> char {
        for _ in 0..most {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
            value = value * 8 + digit;
            self.skip(1);
        }
        // Three octal digits are at most 511.
        char::from_u32(value).unwrap_or_default()
    }

    fn hexadecimal(&mut self) -> Option<char> {
        let (digits, length) = match self.rest.strip_prefix('{') {
            Some(inner) => inner.split_once('}').map(|(digits, _)| (digits, digits.len() + 2))?,
            None => (self.rest.get(..2)?, 2),
        };
        let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?).filter(|_| good)?;
        self.skip(length);
        Some(c)
    }

    /// `L`, `{Lu}`, `{^Lu}` behind `\p` or `\P`.
    fn category(&mut self, mut negated: bool) -> Result<String, String> {
        let (mut name, length) = match self.rest.strip_prefix('{').map(|inner| inner.split_once('}')) {
            Some(Some((name, _))) => (name, name.len() + 2),
            Some(None) => return Err("has a name of a class that does not end".into()),
            None => self.rest.chars().next().map_or(("", 0), |c| (&self.rest[..c.len_utf8()], c.len_utf8())),
        };
        if let Some(other) = name.strip_prefix('^') {
            (name, negated) = (other, !negated);
        }
        let known = CATEGORIES.iter().find(|known| **known == name).ok_or("has a class of Unicode that cannot be said here")?;
        self.skip(length);
        Ok(format!(r"\{}{{{known}}}", if negated { 'P' } else { 'p' }))
    }

    /// Brackets.
    fn class(&mut self) -> Result<(), String> {
        self.copy(1);
        if self.rest.starts_with('^') {
            self.copy(1);
        }
        // A `]` right behind the opening is itself.
        let mut first = true;
        loop {
            if self.rest.starts_with(']') && !first {
                self.copy(1);
                return Ok(());
            }
            first = false;
            if let Some(end) = self.rest.strip_prefix("[:").and_then(|inner| inner.find(":]")) {
                let name = &self.rest[2..2 + end];
                if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err("has a class within brackets that Go does not know".into());
                }
                self.copy(end + 4);
                continue;
            }
            match self.member()? {
                Member::Set(set) => self.out.push_str(&set),
                Member::Char('-') if self.rest.starts_with(']') => self.out.push('-'),
                Member::Char(low) if self.rest.starts_with('-') && !self.rest.starts_with("-]") => {
                    self.skip(1);
                    match self.member()? {
                        Member::Char(high) if low <= high => self.out.push_str(&format!("{}-{}", within(low), within(high))),
                        Member::Char(_) | Member::Set(_) => return Err("has a range that Go does not take".into()),
                    }
                }
                Member::Char(c) => self.out.push_str(&within(c)),
            }
        }
    }

    fn member(&mut self) -> Result<Member, String> {
        let c = self.rest.chars().next().ok_or("has brackets that do not end")?;
        if c == '\\' {
            return self.escaped();
        }
        self.skip(c.len_utf8());
        Ok(Member::Char(c))
    }

    /// The beginning of a group.
    fn group(&mut self) -> Result<(), String> {
        let Some(inner) = self.rest.strip_prefix("(?") else {
            self.copy(1);
            return Ok(());
        };
        let none = || "has a group that Go does not know".to_owned();
        let name = inner.strip_prefix("P<").or_else(|| inner.strip_prefix('<'));
        let length = if let Some((name, _)) = name.and_then(|name| name.split_once('>')) {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(none());
            }
            self.rest.find('>').ok_or_else(none)?
        } else {
            let end = inner.find([':', ')']).ok_or_else(none)?;
            let (on, off) = inner[..end].split_once('-').map_or((&inner[..end], None), |(on, off)| (on, Some(off)));
            let flags = |text: &str| text.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U'));
            if !flags(on) || off.is_some_and(|off| off.is_empty() || !flags(off)) {
                return Err(none());
            }
            end + 2
        };
        self.copy(length + 1);
        Ok(())
    }
}

/// The length of `{n}`, `{n,}` or `{n,m}` at the beginning of `text`; anything else is itself.
fn repetition(text: &str) -> Result<Option<usize>, String> {
    let Some((inner, _)) = text[1..].split_once('}') else { return Ok(None) };
    let (min, max) = inner.split_once(',').map_or((inner, None), |(min, max)| (min, Some(max)));
    let max = max.filter(|max| !max.is_empty());
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() && (text.len() == 1 || !text.starts_with('0'))
    };
    if !number(min) || max.is_some_and(|max| !number(max)) {
        return Ok(None);
    }
    let times = |text: &str| text.parse::<u32>().ok().filter(|times| *times <= MOST);
    match (times(min), max.map(times)) {
        (Some(_), None) => {}
        (Some(min), Some(Some(max))) if min <= max => {}
        _ => return Err("has a repetition that Go does not take".into()),
    }
    Ok(Some(inner.len() + 2))
}

/// A character that is itself.
fn plain(c: char) -> String {
    if c.is_control() { format!(r"\x{{{:X}}}", u32::from(c)) } else { regex_syntax::escape(c.encode_utf8(&mut [0; 4])) }
}

/// A character that is itself within brackets.
fn within(c: char) -> String {
    match c {
        '\\' | ']' | '[' | '^' | '-' | '&' | '~' => format!(r"\{c}"),
        other if other.is_control() => plain(other),
        other => other.to_string(),
    }
}
