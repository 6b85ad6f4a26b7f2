//! Lines that hang below lines, as a terminal shows them.

use crate::command::text::line;

/// A line, and those that hang below it.
#[derive(Debug)]
pub(super) struct Tree {
    text: String,
    pub(super) branches: Vec<Self>,
}

impl Tree {
    pub(super) fn leaf(text: &str) -> Self {
        Self { text: line(text), branches: Vec::new() }
    }

    /// Adds a branch with these below it, unless there are none.
    pub(super) fn add(&mut self, text: &str, below: impl Iterator<Item = Self>) {
        let branches: Vec<Self> = below.collect();
        if !branches.is_empty() {
            self.branches.push(Self { text: text.to_owned(), branches });
        }
    }

    pub(super) fn render(&self) -> String {
        let mut out = format!("{}\n", self.text);
        self.render_below("", &mut out);
        out
    }

    fn render_below(&self, indent: &str, out: &mut String) {
        for (at, branch) in self.branches.iter().enumerate() {
            let last = at + 1 == self.branches.len();
            let (stem, more) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            out.push_str(&format!("{indent}{stem}{}\n", branch.text));
            branch.render_below(&format!("{indent}{more}"), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_drawn_with_what_others_wrote_on_one_line() {
        let mut tree = Tree::leaf("image");
        tree.add("evidence", [Tree::leaf("a\nb\u{1b}[2J")].into_iter());
        tree.add("nothing", std::iter::empty());
        tree.branches.push(Tree::leaf("verdict"));
        assert_eq!(tree.render(), "image\n├─ evidence\n│  └─ a\\nb\\u{1b}[2J\n└─ verdict\n");
    }
}
