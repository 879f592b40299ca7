//! The few types a setting can have, and how each is read and written.
//!
//! A value comes as TOML from the file, or as text from a flag or the
//! environment; both give the same value or the same complaint. Which setting
//! has which type stands in `keys.rs`, the only caller.

use std::path::PathBuf;
use toml::de::DeValue;

/// A type that settings have. Complaints are the rest of a sentence that
/// begins with the setting's name: "must be a whole number".
pub(super) trait Value: Sized + PartialEq {
    /// The value that a flag or an environment variable spells.
    fn from_text(text: &str) -> Result<Self, String>;
    /// The value that stands in the file.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String>;
    /// The value as a line of the file would give it.
    fn to_toml(&self) -> String;
}

/// A number within the bounds of its type; the narrower bounds of a setting are its check.
macro_rules! number {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn from_text(text: &str) -> Result<Self, String> {
                let digits = text.trim();
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(format!("must be a whole number, and {} is none", quote(text)));
                }
                digits.parse().map_err(|_| too_large(digits, <$type>::MAX as u64))
            }
            fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
                let DeValue::Integer(integer) = value else {
                    return Err(wrong_type("a whole number, without quotes", value));
                };
                if integer.as_str().starts_with('-') {
                    return Err(format!("must not be negative, and {integer} is"));
                }
                <$type>::from_str_radix(integer.as_str(), integer.radix())
                    .map_err(|_| too_large(&integer.to_string(), <$type>::MAX as u64))
            }
            fn to_toml(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
number!(u16, u64, usize);

impl Value for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.trim() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!(
                "must be true or false, and {} is neither",
                quote(other)
            )),
        }
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Boolean(value) => Ok(*value),
            other => Err(wrong_type("true or false, without quotes", other)),
        }
    }
    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            other => Err(wrong_type("a text in double quotes", other)),
        }
    }
    fn to_toml(&self) -> String {
        quote(self)
    }
}

impl Value for PathBuf {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.contains('\0') {
            true => Err("must be a path, and no path has a NUL in it".to_owned()),
            false => Ok(text.into()),
        }
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        Self::from_text(&String::from_toml(value)?)
    }
    fn to_toml(&self) -> String {
        quote(&self.to_string_lossy())
    }
}

impl Value for Vec<String> {
    /// Items are separated by commas; blanks around them do not count.
    fn from_text(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim);
        Ok(items
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect())
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let meant = r#"a list of texts, such as ["one", "two"]"#;
        let DeValue::Array(items) = value else {
            return Err(wrong_type(meant, value));
        };
        items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.clone().into_owned()),
                other => Err(format!("{}, among its items", wrong_type(meant, other))),
            })
            .collect()
    }
    fn to_toml(&self) -> String {
        let items: Vec<String> = self.iter().map(|item| quote(item)).collect();
        format!("[{}]", items.join(", "))
    }
}

pub(super) fn wrong_type(meant: &str, got: &DeValue<'_>) -> String {
    let kind = match got {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("must be {meant}; it is {kind}")
}

fn too_large(number: &str, max: u64) -> String {
    format!("is {number}, and the most is {max}")
}

/// `text` in double quotes, on one line, as TOML writes it.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
