//! Texts of a peer's file: bytes with escapes, and places that are filled in.
//!
//! Knows nothing of what the texts are for. `benches/peers/README.md` says what
//! may stand in one. Called by `peer`, which reads them, and by whoever sends one.

use std::io::Write;

/// The variables of one client that a `take` sets, by number.
#[derive(Clone, Debug, Default)]
pub struct Taken(Vec<Vec<u8>>);

impl Taken {
    /// Sets variable `number`.
    pub fn set(&mut self, number: usize, value: &[u8]) {
        if self.0.len() <= number {
            self.0.resize(number + 1, Vec::new());
        }
        value.clone_into(&mut self.0[number]);
    }

    fn get(&self, number: usize) -> &[u8] {
        self.0.get(number).map_or(&[], Vec::as_slice)
    }
}

/// What a template is filled with.
#[derive(Clone, Copy, Default)]
pub struct Values<'a> {
    pub data: &'a [u8],
    pub client: usize,
    /// Counts publications; what `id16` is made of.
    pub number: u64,
    pub taken: Option<&'a Taken>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Bytes(Vec<u8>),
    Data,
    DataBytes,
    Varint { plus: usize },
    Id16,
    Client,
    Taken(usize),
}

/// A text with places to fill in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads `text`. The names that it uses and that are none of ours are
    /// numbered by their place in `names`, which must have them.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str, names: &[String]) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after
                .split_once('}')
                .ok_or_else(|| format!("'${{' without '}}' in '{text}'"))?;
            push_bytes(&mut parts, unescape(before)?);
            parts.push(variable(name, names)?);
            rest = behind;
        }
        push_bytes(&mut parts, unescape(rest)?);
        Ok(Template(parts))
    }

    /// Appends the text with its places filled.
    pub fn fill(&self, out: &mut Vec<u8>, values: &Values<'_>) {
        for part in &self.0 {
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(bytes),
                Part::Data => out.extend_from_slice(values.data),
                Part::DataBytes => {
                    write!(out, "{}", values.data.len()).expect("a vector takes everything");
                }
                Part::Varint { plus } => push_varint(out, values.data.len() + plus),
                Part::Id16 => {
                    let id = values.number % ID16_MAX + 1;
                    out.extend_from_slice(&(id as u16).to_be_bytes());
                }
                Part::Client => {
                    write!(out, "{}", values.client).expect("a vector takes everything");
                }
                Part::Taken(number) => {
                    let taken = values.taken.map_or(&[][..], |taken| taken.get(*number));
                    out.extend_from_slice(taken);
                }
            }
        }
    }

    /// The text with its places filled.
    pub fn filled(&self, values: &Values<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.fill(&mut out, values);
        out
    }
}

/// So no two bytes of an id are `\x40\x02`, which is how MQTT's PUBACK begins.
const ID16_MAX: u64 = 0x3fff;

fn push_bytes(parts: &mut Vec<Part>, bytes: Vec<u8>) {
    if !bytes.is_empty() {
        parts.push(Part::Bytes(bytes));
    }
}

fn variable(name: &str, names: &[String]) -> Result<Part, String> {
    Ok(match name {
        "data" => Part::Data,
        "data_bytes" => Part::DataBytes,
        "id16" => Part::Id16,
        "client" => Part::Client,
        name => {
            if let Some(plus) = name.strip_prefix("varint+") {
                let plus = plus
                    .parse()
                    .map_err(|_| format!("'${{{name}}}': behind + stands a number"))?;
                return Ok(Part::Varint { plus });
            }
            let number = names.iter().position(|taken| taken == name);
            Part::Taken(number.ok_or_else(|| format!("no 'take' sets '${{{name}}}'"))?)
        }
    })
}

/// A length in the way of MQTT: seven bits a byte, the lowest first.
fn push_varint(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let more = if number > 0x7f { 0x80 } else { 0 };
        out.push((number & 0x7f) as u8 | more);
        number >>= 7;
        if number == 0 {
            return;
        }
    }
}

/// The bytes that `text` stands for: `\r`, `\n`, `\t`, `\\`, `\xHH`.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (byte, width) = match after.as_bytes() {
            [b'r', ..] => (b'\r', 1),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', ..] => {
                let digits = after.get(1..3).unwrap_or_default();
                let byte = u8::from_str_radix(digits, 16)
                    .map_err(|_| format!("'\\x' needs two hex digits in '{text}'"))?;
                (byte, 3)
            }
            _ => return Err(format!("'\\' is written '\\\\' in '{text}'")),
        };
        bytes.push(byte);
        rest = &after[width..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let names = ["session".to_owned()];
        let mut taken = Taken::default();
        taken.set(0, b"00ff");
        let values = Values {
            data: &[b'd'; 130],
            client: 7,
            number: 1,
            taken: Some(&taken),
        };
        let bytes = Template::parse(text, &names)?.filled(&values);
        Ok(bytes
            .escape_ascii()
            .to_string()
            .replace(&"d".repeat(130), "DATA"))
    }

    #[test]
    fn places_are_filled() {
        let rows = [
            ("", ""),
            (r"a\r\n\x00\\", r"a\r\n\x00\\"),
            ("PUB ${data_bytes} ${data}.", "PUB 130 DATA."),
            ("${varint+0}${varint+200}", r"\x82\x01\xca\x02"),
            ("${id16}", r"\x00\x02"),
            (
                r#"{"c":${client},"s":"${session}"}"#,
                r#"{\"c\":7,\"s\":\"00ff\"}"#,
            ),
            ("$5 {} $", "$5 {} $"),
        ];
        for (text, expected) in rows {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for text in [
            "${data",
            "${nobody}",
            "${varint+x}",
            r"\",
            r"\q",
            r"\x0",
            r"\xzz",
        ] {
            assert!(filled(text).is_err(), "{text}");
        }
    }
}
