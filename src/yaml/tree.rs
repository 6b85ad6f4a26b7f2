//! Text → located tree, over granit-parser's events.

use std::{collections::HashMap, io::Read as _, path::Path};

use serde_saphyr::granit_parser::{self, Event, Marker, Parser, ScalarStyle, Span, StrInput};

use super::{Problem, Sink, shown};

/// Bytes of one file: 1 MiB.
pub const MAX_FILE: u64 = 1 << 20;
/// How deep a file may nest.
pub const MAX_DEPTH: usize = 32;
/// How many nodes a file may have, aliases followed.
pub const MAX_NODES: usize = 100_000;

/// A place in a file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a node is. Scalars stay text: `1e3`, `0x10` and `no` mean what the reader of the key wants them to.
#[derive(Debug, Clone)]
pub enum Value {
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written, keys unique.
    Map(Vec<(String, Place, Node)>),
    /// Nothing written, or a plain `~` or `null`.
    Null,
    /// Text, quotes and escapes resolved. `plain`: written without quotes.
    Text {
        /// The text.
        text: String,
        /// Without quotes.
        plain: bool,
    },
}

impl Value {
    /// For sentences: `a list`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Null => "nothing",
            Self::Text { .. } => "a single value",
        }
    }
}

/// Reads a file of at most [`MAX_FILE`] bytes as UTF-8.
///
/// # Errors
/// The file as a whole: not there, not readable, too large, not UTF-8.
pub fn read_file(path: &Path) -> Result<String, Problem> {
    read_file_within(path, MAX_FILE, "")
}

/// The same of a file of at most `limit` bytes. `advice` is what to do about one that is larger.
///
/// # Errors
/// As [`read_file`].
pub fn read_file_within(path: &Path, limit: u64, advice: &str) -> Result<String, Problem> {
    let refuse = |message: String| Problem { file: path.to_owned(), line: 0, column: 0, key: String::new(), message };
    let file = std::fs::File::open(path).map_err(|error| refuse(format!("cannot be opened: {error}")))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(refuse(format!("larger than {limit} bytes{advice}")));
    }
    String::from_utf8(bytes).map_err(|error| refuse(format!("not UTF-8 after byte {}", error.utf8_error().valid_up_to())))
}

/// The documents of `text`, the content of the sink's file. An empty document is [`Value::Null`]. Duplicate keys, tags
/// and merge keys are noted and the rest is read; `None` after an error of syntax or bound, which is noted as well.
#[must_use]
pub fn documents(text: &str, sink: &Sink) -> Option<Vec<Node>> {
    documents_within(text, sink, MAX_NODES)
}

/// The same of at most `most` nodes, aliases followed.
#[must_use]
pub fn documents_within(text: &str, sink: &Sink, most: usize) -> Option<Vec<Node>> {
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(
            text,
            granit_parser::options! {
                emit_comments: false,
                flow_nesting_limit: MAX_DEPTH,
                block_nesting_limit: MAX_DEPTH,
            },
        ),
        anchors: HashMap::new(),
        nodes: 0,
        most,
        sink,
    };
    match builder.stream() {
        Ok(documents) => Some(documents),
        Err(Stop { place, message }) => {
            sink.report(place, "", message);
            None
        }
    }
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    most: usize,
    sink: &'t Sink,
}

/// An error after which nothing more can be read.
struct Stop {
    place: Place,
    message: String,
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line() as u64, column: marker.col() as u64 + 1 }
}

impl<'t> Builder<'t> {
    fn stream(&mut self) -> Result<Vec<Node>, Stop> {
        let mut documents = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(documents),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                other => {
                    self.anchors.clear();
                    let node = self.node(other, span, 0)?;
                    documents.push(node);
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(Stop { place: place(error.marker()), message: format!("not YAML: {}", error.info()) }),
            None => Err(Stop { place: Place::default(), message: "not YAML: it ends too early".into() }),
        }
    }

    fn count(&mut self, place: Place, nodes: usize) -> Result<(), Stop> {
        self.nodes += nodes;
        let most = self.most;
        if self.nodes > most {
            return Err(Stop { place, message: format!("more than {most} values, aliases followed") });
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Stop> {
        let place = place(&span.start);
        if depth > MAX_DEPTH {
            return Err(Stop { place, message: format!("nested more than {MAX_DEPTH} deep") });
        }
        self.count(place, 1)?;
        if let Some(tag) = event.tag() {
            let message = format!("the tag {} is not supported; leave it out, or quote the value", shown(&tag.original()));
            self.sink.report(place, "", message);
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(&text, style), anchor),
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                // An anchor inside itself is not complete yet, so it is not found here.
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Stop { place, message: "this alias names no anchor that is complete before it".into() });
                };
                let (nodes, levels) = (size(&node), levels(&node));
                if depth + levels > MAX_DEPTH {
                    return Err(Stop { place, message: format!("nested more than {MAX_DEPTH} deep, aliases followed") });
                }
                self.count(place, nodes)?;
                return Ok(node);
            }
            other => return Err(Stop { place, message: format!("not YAML: unexpected {other:?}") }),
        };
        let node = Node { place, value };
        if anchor != 0 {
            self.count(place, size(&node))?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::List(items));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut entries: Vec<(String, Place, Node)> = Vec::new();
        let mut seen: HashMap<String, Place> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Value::Map(entries));
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Value::Text { text, .. } = key.value else {
                self.sink.report(key.place, "", format!("a key must be a word, not {}", key.value.kind()));
                continue;
            };
            if text == "<<" {
                self.sink.report(
                    key.place,
                    "<<",
                    "merge keys are not supported; write the keys out, or use an alias for a whole value",
                );
            } else if let Some(first) = seen.get(&text) {
                // The second would silently win in most readers (O9).
                let message = format!("written twice; the first is on line {}", first.line);
                self.sink.report(key.place, &shown(&text), message);
            } else {
                seen.insert(text.clone(), key.place);
                entries.push((text, key.place, value));
            }
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        Value::Null
    } else {
        Value::Text { text: text.to_owned(), plain }
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, _, value)| 1 + size(value)).sum(),
        Value::Null | Value::Text { .. } => 0,
    }
}

fn levels(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|(_, _, value)| levels(value)).max().unwrap_or(0),
        Value::Null | Value::Text { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let sink = Sink::new(Path::new("f.yaml"));
        let _ = documents(text, &sink);
        sink.into_problems().iter().map(ToString::to_string).collect()
    }

    fn right(text: &str) -> Vec<Node> {
        let sink = Sink::new(Path::new("f.yaml"));
        let documents = documents(text, &sink).unwrap();
        assert!(sink.into_problems().is_empty());
        documents
    }

    #[test]
    fn every_node_knows_its_place() {
        let documents = right("# c\na:\n  - b # d\n  - {c: 'd'}\n---\nx: 1\n");
        assert_eq!(documents.len(), 2);
        let Value::Map(entries) = &documents[0].value else { panic!() };
        assert_eq!((entries[0].0.as_str(), entries[0].1), ("a", Place { line: 2, column: 1 }));
        let Value::List(items) = &entries[0].2.value else { panic!() };
        assert_eq!(items[0].place, Place { line: 3, column: 5 });
        let Value::Map(inner) = &items[1].value else { panic!() };
        assert_eq!((inner[0].1, inner[0].2.place), (Place { line: 4, column: 6 }, Place { line: 4, column: 9 }));
    }

    #[test]
    fn o9_duplicate_keys_tags_and_merge_keys_are_refused_together() {
        assert_eq!(
            wrong("a: 1\nb: !!str 2\na: 3\n<<: {c: 1}\n? [x]\n: y\n"),
            [
                "f.yaml:2:10: the tag !!str is not supported; leave it out, or quote the value",
                "f.yaml:3:1: a: written twice; the first is on line 1",
                "f.yaml:4:1: <<: merge keys are not supported; write the keys out, or use an alias for a whole value",
                "f.yaml:5:3: a key must be a word, not a list",
            ]
        );
    }

    #[test]
    fn aliases_are_followed_within_a_bound() {
        let documents = right("a: &x {k: v}\nb: *x\n");
        let Value::Map(entries) = &documents[0].value else { panic!() };
        assert!(matches!(entries[1].2.value, Value::Map(_)));

        let mut laughs = String::from("l0: &l0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let items = vec![format!("*l{}", i - 1); 10].join(",");
            laughs.push_str(&format!("l{i}: &l{i} [{items}]\n"));
        }
        assert!(wrong(&laughs)[0].contains("more than 100000 values"));
        // Aliases that are no anchors themselves count as well.
        let items = |item: &str| vec![item; 400].join(",");
        assert!(wrong(&format!("a: &a [{}]\nb: [{}]\n", items("x"), items("*a")))[0].contains("more than 100000 values"));
        assert!(wrong("a: &a [*a]\n")[0].contains("no anchor that is complete"));
        assert!(wrong("a: *nobody\n")[0].starts_with("f.yaml:1:4: not YAML"));
        let chain: String =
            std::iter::once("a0: &a0 [x]\n".to_owned()).chain((1..60).map(|i| format!("a{i}: &a{i} [*a{}]\n", i - 1))).collect();
        assert!(wrong(&chain)[0].contains("deep, aliases followed"));
    }

    #[test]
    fn absurd_depth_ends_in_a_problem() {
        assert_eq!(wrong(&"[".repeat(100_000)).len(), 1);
        assert_eq!(wrong(&"- ".repeat(100_000)).len(), 1);
    }

    #[test]
    fn a_file_above_the_bound_or_not_utf8_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.yaml");
        std::fs::write(&path, vec![b'#'; MAX_FILE as usize + 1]).unwrap();
        assert!(read_file(&path).unwrap_err().message.contains("larger than"));
        std::fs::write(&path, b"a: \xff").unwrap();
        assert!(read_file(&path).unwrap_err().message.contains("not UTF-8"));
        assert!(read_file(&directory.path().join("none")).unwrap_err().message.contains("cannot be opened"));
    }
}
