//! How channels with certain names are kept: the `[[history]]` tables.
//!
//! A rule is about the channels whose names begin with its prefix. What it does
//! not name is as for all others. The hub applies the rules; here they are read
//! and judged. Called by `keys` and, for its values, by the server.

use toml::de::{DeTable, DeValue};

use super::suggest::nearest;
use super::value::{Value, quote, wrong_type};

/// The most rules there may be.
const RULES_MAX: usize = 100;

/// One `[[history]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRule {
    /// What the names of its channels begin with.
    pub prefix: String,
    /// The most messages that such a channel keeps; 0 for no history.
    pub size: Option<usize>,
    /// How long such a channel keeps a message, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// The most bytes that such a channel keeps.
    pub bytes: Option<usize>,
}

const FIELDS: [&str; 4] = ["prefix", "size", "ttl_ms", "bytes"];

impl Value for Vec<HistoryRule> {
    /// As the file would have it, on one line: `[{ prefix = "chat:", size = 1000 }]`.
    fn from_text(text: &str) -> Result<Self, String> {
        let line = format!("history = {text}");
        let table = DeTable::parse(&line).map_err(|error| {
            let reason = error.message().replace('\n', ", ");
            format!(r#"must be a list such as [{{ prefix = "chat:", size = 1000 }}]: {reason}"#)
        })?;
        match table.get_ref().get("history") {
            Some(value) => Self::from_toml(value.get_ref()),
            None => Ok(Vec::new()),
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let DeValue::Array(items) = value else {
            return Err(wrong_type(
                "a list of tables, each begun by [[history]]",
                value,
            ));
        };
        items.iter().map(|item| rule(item.get_ref())).collect()
    }

    fn to_toml(&self) -> String {
        let rules: Vec<String> = self.iter().map(HistoryRule::to_toml).collect();
        format!("[{}]", rules.join(", "))
    }
}

impl HistoryRule {
    fn to_toml(&self) -> String {
        let mut text = format!("{{ prefix = {}", quote(&self.prefix));
        let numbers = [
            ("size", self.size.map(|n| n as u64)),
            ("ttl_ms", self.ttl_ms),
            ("bytes", self.bytes.map(|n| n as u64)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                text.push_str(&format!(", {name} = {number}"));
            }
        }
        text + " }"
    }
}

fn rule(value: &DeValue<'_>) -> Result<HistoryRule, String> {
    let DeValue::Table(fields) = value else {
        return Err(wrong_type("a list of tables", value));
    };
    let mut rule = HistoryRule {
        prefix: String::new(),
        size: None,
        ttl_ms: None,
        bytes: None,
    };
    for (name, value) in fields {
        let (name, value) = (name.get_ref().as_ref(), value.get_ref());
        let set = match name {
            "prefix" => String::from_toml(value).map(|text| rule.prefix = text),
            "size" => usize::from_toml(value).map(|number| rule.size = Some(number)),
            "ttl_ms" => u64::from_toml(value).map(|number| rule.ttl_ms = Some(number)),
            "bytes" => usize::from_toml(value).map(|number| rule.bytes = Some(number)),
            _ => return Err(unknown(name)),
        };
        set.map_err(|problem| format!("has a table whose {name} {problem}"))?;
    }
    Ok(rule)
}

fn unknown(name: &str) -> String {
    match nearest(name, FIELDS) {
        Some(meant) => format!("has a table with {name}: did you mean {meant}?"),
        None => format!("has a table with {name}: there are {}", FIELDS.join(", ")),
    }
}

/// Rules that can be applied: each with a prefix of its own, within the bounds
/// of the settings for all channels.
pub(super) fn check(rules: &[HistoryRule]) -> Result<(), String> {
    const DAY_MS: u64 = 86_400_000;
    if rules.len() > RULES_MAX {
        let count = rules.len();
        return Err(format!("has {count} tables, and the most is {RULES_MAX}"));
    }
    for (number, rule) in rules.iter().enumerate() {
        let prefix = quote(&rule.prefix);
        if rule.prefix.is_empty() {
            return Err(
                "has a table without a prefix: history_size and the others are for all channels"
                    .to_owned(),
            );
        }
        if rules[..number].iter().any(|r| r.prefix == rule.prefix) {
            return Err(format!("has the prefix {prefix} twice"));
        }
        let bounds = [
            ("size", rule.size.map(|n| n as u64), 0, 100_000_000),
            ("ttl_ms", rule.ttl_ms, 10, DAY_MS),
            ("bytes", rule.bytes.map(|n| n as u64), 1024, 1 << 30),
        ];
        for (name, value, min, max) in bounds {
            match value {
                Some(n) if n < min || n > max => {
                    return Err(format!(
                        "for {prefix} has {name} = {n}: it must be from {min} to {max}"
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<HistoryRule>, String> {
        let rules = Vec::<HistoryRule>::from_text(text)?;
        check(&rules)?;
        Ok(rules)
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        let text = r#"[{ prefix = "chat:", size = 1000 }, { prefix = "t", size = 0, ttl_ms = 3600000, bytes = 4096 }]"#;
        let rules = read(text).unwrap();
        assert_eq!(rules.to_toml(), text);
        assert_eq!(rules[0].ttl_ms, None);
        assert_eq!(read("[]").unwrap(), []);
    }

    #[test]
    fn what_cannot_be_applied_is_refused_with_what_to_do() {
        for (text, said) in [
            (
                "5",
                "must be a list of tables, each begun by [[history]]; it is a whole number",
            ),
            ("[", "must be a list such as"),
            ("[1]", "must be a list of tables; it is a whole number"),
            ("[{ size = 1 }]", "has a table without a prefix"),
            (
                r#"[{ prefix = "a", sise = 1 }]"#,
                "has a table with sise: did you mean size?",
            ),
            (
                r#"[{ prefix = "a", keep = 1 }]"#,
                "has a table with keep: there are prefix, size",
            ),
            (
                r#"[{ prefix = "a", size = -1 }]"#,
                "has a table whose size must not be negative",
            ),
            (
                r#"[{ prefix = "a" }, { prefix = "a" }]"#,
                "has the prefix \"a\" twice",
            ),
            (
                r#"[{ prefix = "a", ttl_ms = 1 }]"#,
                "for \"a\" has ttl_ms = 1: it must be from 10",
            ),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.starts_with(said), "{text}: {problem}");
        }
    }
}
