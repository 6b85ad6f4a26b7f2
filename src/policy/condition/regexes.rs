//! The patterns of `matches`, compiled when the policy is loaded, within a bound that also says what a byte of text costs.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{
    self, Assertion, AssertionKind, Ast, ClassPerl, ClassPerlKind, ClassSetBinaryOp, ClassSetItem, Flag, Flags, FlagsItemKind,
    Span, Visitor,
};
use regex_syntax::hir::Look;

use super::expr::Pattern;

/// Bytes of a compiled pattern.
const MAX_SIZE: usize = 64 << 10;
/// Bytes of the cache it may fill while it matches.
const MAX_CACHE: usize = 1 << 20;

/// Compiles `text`, in RE2's syntax as CEL has it: `\d`, `\w`, `\s` and `\b` are about ASCII. Matches anywhere in a text.
///
/// # Errors
/// What is wrong, for a person.
pub(super) fn compile(text: &str) -> Result<Pattern, String> {
    let wrong = |error: &dyn std::fmt::Display| error.to_string().lines().last().unwrap_or_default().replace("error: ", "");
    let tree = ast::parse::ParserBuilder::new().nest_limit(50).build().parse(text).map_err(|error| wrong(error.kind()))?;
    let ascii = ascii(text, &tree)?;
    let build = |size: usize| RegexBuilder::new(&ascii).size_limit(size).dfa_size_limit(MAX_CACHE).nest_limit(50).build();
    let largest = build(MAX_SIZE).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("is compiled to more than {MAX_SIZE} bytes; write a shorter one"),
        error => wrong(&error),
    })?;
    // The size is what the worst text costs: up to 0.25 µs a byte and KiB were measured. Only the builder knows it.
    let (mut size, mut regex): (usize, Regex) = (MAX_SIZE, largest);
    while let Ok(smaller) = build(size / 2) {
        (size, regex) = (size / 2, smaller);
        if size <= 1 << 10 {
            break;
        }
    }
    let begins = regex_syntax::parse(&ascii).is_ok_and(|tree| tree.properties().look_set_prefix().contains(Look::Start));
    Ok(Pattern { text: Arc::from(text), regex, cost: size >> 8, begins })
}

/// `text` with the classes that the regex crate reads as Unicode's, and RE2 as ASCII's, written out. What else the two read
/// differently is an error: a policy must not mean here what its words mean nowhere else.
fn ascii(text: &str, tree: &Ast) -> Result<String, String> {
    let replaced = ast::visit(tree, Classes { text, replaced: Vec::new() })?;
    let mut ascii = String::with_capacity(text.len());
    let mut done = 0;
    for (span, class) in replaced {
        ascii.push_str(&text[done..span.start.offset]);
        ascii.push_str(&class);
        done = span.end.offset;
    }
    ascii.push_str(&text[done..]);
    Ok(ascii)
}

struct Classes<'t> {
    text: &'t str,
    replaced: Vec<(Span, String)>,
}

impl Classes<'_> {
    fn class(&mut self, class: &ClassPerl, bracketed: bool) {
        let name = match class.kind {
            ClassPerlKind::Digit => "digit",
            ClassPerlKind::Space => "space",
            ClassPerlKind::Word => "word",
        };
        let class_text = format!("[:{}{name}:]", if class.negated { "^" } else { "" });
        self.replaced.push((class.span, if bracketed { class_text } else { format!("[{class_text}]") }));
    }

    fn assertion(&mut self, Assertion { span, kind }: &Assertion) -> Result<(), String> {
        match kind {
            AssertionKind::WordBoundary => self.replaced.push((*span, r"(?-u:\b)".into())),
            // `\B` stays: in ASCII it would also match between the bytes of one character, which is no place in a text.
            AssertionKind::NotWordBoundary
            | AssertionKind::StartLine
            | AssertionKind::EndLine
            | AssertionKind::StartText
            | AssertionKind::EndText => {}
            _ => return self.other(span, "a border of words is `\\b`"),
        }
        Ok(())
    }

    fn flags(&self, flags: &Flags) -> Result<(), String> {
        let other = |flag: &Flag| matches!(flag, Flag::CRLF | Flag::IgnoreWhitespace | Flag::Unicode);
        match flags.items.iter().find(|item| matches!(&item.kind, FlagsItemKind::Flag(flag) if other(flag))) {
            Some(item) => self.other(&item.span, "the flags are i, m, s and U"),
            None => Ok(()),
        }
    }

    /// Something that is none of RE2's, or means something else there.
    fn other(&self, span: &Span, write: &str) -> Result<(), String> {
        Err(format!("`{}` is not RE2's: {write}", &self.text[span.start.offset..span.end.offset]))
    }
}

impl Visitor for Classes<'_> {
    type Output = Vec<(Span, String)>;
    type Err = String;

    fn finish(self) -> Result<Self::Output, Self::Err> {
        Ok(self.replaced)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::Assertion(assertion) => self.assertion(assertion)?,
            Ast::ClassPerl(class) => self.class(class, false),
            Ast::Flags(set) => self.flags(&set.flags)?,
            Ast::Group(group) => group.flags().map_or(Ok(()), |flags| self.flags(flags))?,
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        match item {
            ClassSetItem::Perl(class) => self.class(class, true),
            ClassSetItem::Bracketed(inner) => self.other(&inner.span, "within brackets a `[` is written `\\[`")?,
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, op: &ClassSetBinaryOp) -> Result<(), Self::Err> {
        self.other(&op.span, "write out which characters are meant")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_as_in_re2() {
        for (pattern, yes, no) in [
            (r"^\d+$", &["12"][..], &["٣", ""][..]),
            (r"^[\w.-]+$", &["a_1.-"], &["é", "a b"]),
            (r"^\W$", &["é", " "], &["a"]),
            (r"^[^\s]$", &["é", "x"], &[" ", "\t"]),
            (r"\bevil\b", &["an evil x", "éevil"], &["evils"]),
            (r"^.$", &["é", "💥"], &["ab"]),
            (r"^[\D]$", &["é"], &["1"]),
        ] {
            let pattern = compile(pattern).unwrap();
            for text in yes {
                assert!(pattern.regex.is_match(text), "{} {text:?}", pattern.text);
            }
            for text in no {
                assert!(!pattern.regex.is_match(text), "{} {text:?}", pattern.text);
            }
        }
    }

    #[test]
    fn what_re2_does_not_have_or_reads_otherwise_is_refused() {
        for (pattern, message) in [
            (r"^https://\<x", r"`\<` is not RE2's: a border of words is `\b`"),
            (r"\b{start}x", r"`\b{start}` is not RE2's"),
            ("[a-z&&[^x]]", "`a-z&&[^x]` is not RE2's: write out which characters are meant"),
            ("[a-z--x]", "`a-z--x` is not RE2's"),
            ("[ab[cd]]", r"`[cd]` is not RE2's: within brackets a `[` is written `\[`"),
            // Text to RE2.
            ("a{,2}", "repetition quantifier expects a valid decimal"),
            ("(?x) a b", "`x` is not RE2's: the flags are i, m, s and U"),
            ("(?iu:a)", "`u` is not RE2's"),
        ] {
            let error = compile(pattern).unwrap_err();
            assert!(error.starts_with(message), "{pattern}: {error}");
        }
        for pattern in [r"(?i)a(?-s:.)(?U:b*)(?m:^x$)", r"[[:alpha:]\[\]&-]", "a{0,2}b{2}c{2,}", r"\A\B\z", "(?:a)(b)(?P<n>c)"] {
            assert!(compile(pattern).is_ok(), "{pattern}: {:?}", compile(pattern).err());
        }
    }

    #[test]
    fn a_pattern_costs_by_its_size_and_has_a_largest() {
        let small = compile("^https://github.com/acme/").unwrap();
        let large = compile("a[ab]{100}c").unwrap();
        assert_eq!(compile("a").unwrap().cost, 4, "no pattern is free");
        assert!(small.cost <= 8 && large.cost > 2 * small.cost, "{} {}", small.cost, large.cost);
        assert!(compile(r"(?:a{100}){100}").unwrap_err().contains("write a shorter one"));
        for (wrong, message) in [("(", "unclosed group"), ("[a", "unclosed character class"), ("a{2,1}", "invalid repetition")] {
            assert!(compile(wrong).unwrap_err().contains(message), "{wrong}: {}", compile(wrong).unwrap_err());
        }
        assert!(compile(&"(".repeat(2000)).is_err());
        assert!(
            compile(r"(a)\1").is_err() && compile("(?=a)").is_err(),
            "neither back-references nor look-around: they take exponential time"
        );
    }
}
