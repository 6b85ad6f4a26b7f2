//! The patterns of `matches`, compiled when the policy is loaded, within a bound that also says what a byte of text costs.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, Assertion, AssertionKind, Ast, ClassPerl, ClassPerlKind, ClassSetItem, Span, Visitor};
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
    let ascii = ascii(text).map_err(|error| wrong(&error.kind()))?;
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

/// `text` with the classes that the regex crate reads as Unicode's, and RE2 as ASCII's, written out.
fn ascii(text: &str) -> Result<String, Box<ast::Error>> {
    let tree = ast::parse::ParserBuilder::new().nest_limit(50).build().parse(text)?;
    let replaced = ast::visit(&tree, Classes(Vec::new())).unwrap_or_default();
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

struct Classes(Vec<(Span, String)>);

impl Classes {
    fn class(&mut self, class: &ClassPerl, bracketed: bool) {
        let name = match class.kind {
            ClassPerlKind::Digit => "digit",
            ClassPerlKind::Space => "space",
            ClassPerlKind::Word => "word",
        };
        let class_text = format!("[:{}{name}:]", if class.negated { "^" } else { "" });
        self.0.push((class.span, if bracketed { class_text } else { format!("[{class_text}]") }));
    }

    fn boundary(&mut self, Assertion { span, kind }: &Assertion) {
        // `\B` stays: in ASCII it would also match between the bytes of one character, which is no place in a text.
        if matches!(kind, AssertionKind::WordBoundary) {
            self.0.push((*span, r"(?-u:\b)".into()));
        }
    }
}

impl Visitor for Classes {
    type Output = Vec<(Span, String)>;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Self::Output, Self::Err> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::Assertion(assertion) => self.boundary(assertion),
            Ast::ClassPerl(class) => self.class(class, false),
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        if let ClassSetItem::Perl(class) = item {
            self.class(class, true);
        }
        Ok(())
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
