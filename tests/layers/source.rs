//! Reads a Rust file as far as `tests/layers.rs` needs it: which paths it
//! mentions, which modules it declares, where it says `unsafe`.
//!
//! This is no parser of Rust. It knows comments, literals, attributes, braces,
//! `mod`, `use` and paths; that is enough to see every import. Called by the
//! rules in `tests/layers.rs` alone.

use std::collections::BTreeSet;

/// A path that stands in the code, such as `crate::wire::http::Request`.
#[derive(Debug)]
pub struct Mention {
    /// The path's names as written, groups spread out; a glob ends in `*`.
    pub segments: Vec<String>,
    pub line: usize,
    /// Inside something marked `#[cfg(test)]`.
    pub in_test: bool,
    /// From a `use` line, not from the middle of the code.
    pub is_use: bool,
    /// Inline modules around it, outermost first.
    pub inline: Vec<String>,
}

/// One file of `src`.
#[derive(Debug, Default)]
pub struct Source {
    /// As people see it: `src/wire/url.rs`.
    pub path: String,
    /// `["wire", "url"]`; `mod.rs` has the name of its folder.
    pub module: Vec<String>,
    pub text: String,
    pub mentions: Vec<Mention>,
    /// `mod x;` lines in their order.
    pub children: Vec<String>,
    /// Those of `children` that are marked `#[cfg(test)]`.
    pub test_children: BTreeSet<String>,
    pub unsafe_lines: Vec<usize>,
    /// Names that `use` lines bring in: paths that begin with one are checked there.
    pub imported: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

impl Source {
    /// Reads the file at `path` (from the package's folder, with `/`).
    pub fn read(path: &str, text: &str) -> Source {
        let tokens = tokens(text);
        let mut source = Source {
            path: path.to_string(),
            module: module_of(path),
            text: text.to_string(),
            unsafe_lines: tokens
                .iter()
                .filter(|token| token.text == "unsafe")
                .map(|token| token.line)
                .collect(),
            ..Source::default()
        };
        source.walk(&tokens, &test_parts(&tokens));
        source
    }

    fn walk(&mut self, tokens: &[Token], in_test: &[bool]) {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let mut depth = 0_usize;
        let mut inline: Vec<(String, usize)> = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            match text(at) {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    inline.retain(|(_, outer)| *outer < depth);
                }
                "mod" if text(at + 2) == ";" => {
                    self.children.push(text(at + 1).to_string());
                    if in_test[at] {
                        self.test_children.insert(text(at + 1).to_string());
                    }
                    at += 2;
                }
                "mod" if text(at + 2) == "{" => {
                    inline.push((text(at + 1).to_string(), depth));
                    depth += 1;
                    at += 2;
                }
                // `use<'a>` in a type is something else.
                "use" if text(at + 1) != "<" => {
                    let (first, line) = (at, tokens[at].line);
                    let mut paths = Vec::new();
                    at = self.use_tree(tokens, at + 1, &[], &mut paths);
                    for segments in paths {
                        self.mention(segments, line, in_test[first], true, &inline);
                    }
                    continue;
                }
                _ if begins_path(tokens, at) => {
                    let first = at;
                    let mut segments = vec![text(at).to_string()];
                    while text(at + 1) == "::" && tokens.get(at + 2).is_some_and(Token::is_name) {
                        segments.push(text(at + 2).to_string());
                        at += 2;
                    }
                    self.mention(segments, tokens[first].line, in_test[first], false, &inline);
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn mention(
        &mut self,
        segments: Vec<String>,
        line: usize,
        in_test: bool,
        is_use: bool,
        inline: &[(String, usize)],
    ) {
        self.mentions.push(Mention {
            segments,
            line,
            in_test,
            is_use,
            inline: inline.iter().map(|(name, _)| name.clone()).collect(),
        });
    }

    /// Spreads the tree that begins at `at` into whole paths; returns where it ended.
    fn use_tree(
        &mut self,
        tokens: &[Token],
        mut at: usize,
        before: &[String],
        paths: &mut Vec<Vec<String>>,
    ) -> usize {
        let mut path = before.to_vec();
        while at < tokens.len() {
            match tokens[at].text.as_str() {
                "{" => {
                    at += 1;
                    while at < tokens.len() && tokens[at].text != "}" {
                        at = self.use_tree(tokens, at, &path, paths);
                        at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
                    }
                    return at + 1;
                }
                "as" => {
                    self.imported
                        .extend(tokens.get(at + 1).map(|token| token.text.clone()));
                    paths.push(path);
                    return at + 2;
                }
                "," | "}" | ";" => break,
                "::" => {}
                // `a::{self}` is `a`.
                "self" if !path.is_empty() => {}
                name => path.push(name.to_string()),
            }
            at += 1;
        }
        if path.len() > before.len() || !before.is_empty() {
            self.imported.extend(path.last().cloned());
            paths.push(path);
        }
        at
    }
}

/// Whether a path of at least two names begins at `at`.
fn begins_path(tokens: &[Token], at: usize) -> bool {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    if !tokens[at].is_name() || text(at + 1) != "::" {
        return false;
    }
    let before = if at == 0 { "" } else { text(at - 1) };
    // `pub(in crate::wire)` says who may see, and imports nothing.
    if before == "in" && at >= 2 && text(at - 2) == "(" {
        return false;
    }
    before != "::" || at < 2 || !(tokens[at - 2].is_name() || text(at - 2) == ">")
}

/// `src/wire/mod.rs` and `src/wire.rs` are both `["wire"]`; the two roots are `[]` and `["main"]`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let mut module: Vec<String> = inner.split('/').map(str::to_string).collect();
    if module.last().is_some_and(|last| last == "mod") || inner == "lib" {
        module.pop();
    }
    module
}

/// For each token, whether it stands inside an item marked `#[cfg(test)]`.
fn test_parts(tokens: &[Token]) -> Vec<bool> {
    let mut marks = vec![false; tokens.len()];
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    for first in 0..tokens.len() {
        let found = tokens[first..]
            .iter()
            .map(|token| token.text.as_str())
            .take(mark.len())
            .eq(mark);
        if found {
            let last = item_end(tokens, first + mark.len());
            marks[first..last].fill(true);
        }
    }
    marks
}

/// One past the item that begins at `at`: past its `;`, or past its block.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    let mut is_use = false;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "use" if depth == 0 => is_use = true,
            "(" | "[" | "{" => depth += 1,
            ";" if depth == 0 => return at + 1,
            close @ (")" | "]" | "}") => {
                depth = depth.saturating_sub(1);
                if close == "}" && depth == 0 && !is_use {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// Names, `::` and single marks; comments and literals are left out.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => comment_end(&chars, at),
            '"' => string_end(&chars, at),
            '\'' => quote_end(&chars, at),
            c if c.is_whitespace() => at + 1,
            c if c.is_alphanumeric() || c == '_' => {
                let end = at
                    + chars[at..]
                        .iter()
                        .take_while(|c| c.is_alphanumeric() || **c == '_')
                        .count();
                let name: String = chars[at..end].iter().collect();
                let raw = matches!(name.as_str(), "r" | "br" | "cr");
                match chars.get(end) {
                    Some('"') if raw => raw_end(&chars, end),
                    Some('#') if raw && matches!(chars.get(end + 1), Some('"' | '#')) => {
                        raw_end(&chars, end)
                    }
                    // `r#type` is the name `type`.
                    Some('#') if name == "r" => end + 1,
                    Some('"') if matches!(name.as_str(), "b" | "c") => string_end(&chars, end),
                    Some('\'') if name == "b" => quote_end(&chars, end),
                    _ => {
                        tokens.push(Token { text: name, line });
                        end
                    }
                }
            }
            ':' if chars.get(at + 1) == Some(&':') => {
                tokens.push(Token {
                    text: "::".to_string(),
                    line,
                });
                at + 2
            }
            c => {
                tokens.push(Token {
                    text: c.to_string(),
                    line,
                });
                at + 1
            }
        };
        let end = end.min(chars.len());
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

fn line_end(chars: &[char], at: usize) -> usize {
    at + chars[at..].iter().take_while(|c| **c != '\n').count()
}

/// Comments nest.
fn comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != '"' {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    end + 1
}

/// Of `#"..."#`, with as many `#` as there are.
fn raw_end(chars: &[char], at: usize) -> usize {
    let marks = chars[at..].iter().take_while(|c| **c == '#').count();
    let mut end = at + marks + 1;
    while end < chars.len() {
        let closed = chars[end] == '"'
            && chars[end + 1..]
                .iter()
                .take(marks)
                .filter(|c| **c == '#')
                .count()
                == marks;
        if closed {
            return end + 1 + marks;
        }
        end += 1;
    }
    end
}

/// A character is skipped whole; of a lifetime, only its mark (a label imports nothing).
fn quote_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let mut end = at + 3;
            while end < chars.len() && chars[end] != '\'' {
                end += 1;
            }
            end + 1
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}
