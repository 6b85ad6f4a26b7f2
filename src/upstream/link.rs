//! The `Link` header of paged answers (RFC 8288), as far as `rel="next"` goes.

use http::{HeaderMap, header::LINK};

/// The target of the first link whose relation is `next`.
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(next_in)
}

fn next_in(mut rest: &str) -> Option<String> {
    loop {
        let (_, from_target) = rest.split_once('<')?;
        let (target, parameters) = from_target.split_once('>')?;
        let (parameters, following) = split_outside_quotes(parameters, b',');
        if is_next(parameters) {
            return Some(target.trim().to_owned());
        }
        rest = following;
    }
}

/// What stands before the first `separator` and what after it. Those in quotes do not count.
fn split_outside_quotes(text: &str, separator: u8) -> (&str, &str) {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == separator && !quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

fn is_next(mut parameters: &str) -> bool {
    while !parameters.is_empty() {
        let (parameter, rest) = split_outside_quotes(parameters, b';');
        parameters = rest;
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
        if name.trim().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next")) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        for (header, target) in [
            (r#"</v2/a/tags/list?last=b&n=2>; rel="next""#, Some("/v2/a/tags/list?last=b&n=2")),
            (r#"</v2/a/tags/list?last=b>;rel=next"#, Some("/v2/a/tags/list?last=b")),
            (r#"<first>; rel="first", <second>; title="a, b"; rel="prev next""#, Some("second")),
            (r#"<a>; title="x\", <y>; rel=next""#, None),
            (r#"<a>; rel="prev""#, None),
            ("<a", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(LINK, header.parse().unwrap())]);
            assert_eq!(next(&headers).as_deref(), target, "{header}");
        }
    }
}
