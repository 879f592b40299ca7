//! One table of a peer's file, read key by key.
//!
//! What is asked for is taken out, so that what is left is what nobody knows.
//! Each error is a sentence that names the table and the key. Called by `peer_file`.

use toml::{Table, Value};

use crate::template::{Template, unescape};

/// One table: what is taken out of it is known, and nothing may be left.
pub struct Section {
    name: String,
    pub table: Table,
    /// The names that its templates may use.
    pub names: Vec<String>,
}

impl Section {
    /// The table `name` of `table`, taken out of it.
    ///
    /// # Errors
    /// It is no table.
    pub fn sub(table: &mut Table, name: &str) -> Result<Option<Section>, String> {
        match table.remove(name) {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(Section {
                name: name.to_owned(),
                table,
                names: Vec::new(),
            })),
            Some(_) => Err(format!("'{name}' is a table")),
        }
    }

    /// A sentence on what is wrong with `key`.
    pub fn fault(&self, key: &str, what: &str) -> String {
        format!("[{}] {key}: {what}", self.name)
    }

    /// A text, as it stands.
    pub fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.table.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(key, "a text in quotes is needed")),
        }
    }

    /// True or false; false if it is left out.
    pub fn flag(&mut self, key: &str) -> Result<bool, String> {
        match self.table.remove(key) {
            None => Ok(false),
            Some(Value::Boolean(flag)) => Ok(flag),
            Some(_) => Err(self.fault(key, "true or false is needed")),
        }
    }

    /// A text, its escapes resolved.
    pub fn bytes(&mut self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let text = self.text(key)?;
        let bytes = text.map(|text| unescape(&text)).transpose();
        bytes.map_err(|what| self.fault(key, &what))
    }

    /// A text with places to fill in.
    pub fn template(&mut self, key: &str) -> Result<Option<Template>, String> {
        let text = self.text(key)?;
        let template = text.map(|text| Template::parse(&text, &self.names));
        template.transpose().map_err(|what| self.fault(key, &what))
    }

    fn list(&mut self, key: &str) -> Result<Vec<Value>, String> {
        match self.table.remove(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(self.fault(key, "a list in [ ] is needed")),
        }
    }

    /// A list of texts with places to fill in.
    pub fn templates(&mut self, key: &str) -> Result<Vec<Template>, String> {
        let list = self.list(key)?.into_iter();
        list.map(|value| match value {
            Value::String(text) => {
                Template::parse(&text, &self.names).map_err(|what| self.fault(key, &what))
            }
            _ => Err(self.fault(key, "a list of texts is needed")),
        })
        .collect()
    }

    /// A list of tables.
    pub fn sections(&mut self, key: &str) -> Result<Vec<Section>, String> {
        let list = self.list(key)?.into_iter();
        list.map(|value| match value {
            Value::Table(table) => Ok(self.below(key, table)),
            _ => Err(self.fault(key, "a list of { } is needed")),
        })
        .collect()
    }

    /// `table`, as the part `key` of this one.
    pub fn below(&self, key: &str, table: Table) -> Section {
        Section {
            name: format!("{}.{key}", self.name),
            table,
            names: self.names.clone(),
        }
    }

    /// The value, which may not be left out.
    pub fn needed<T>(&self, key: &str, value: Option<T>) -> Result<T, String> {
        value.ok_or_else(|| self.fault(key, "is needed"))
    }

    /// Whether nothing is left that nobody knows.
    pub fn end(self) -> Result<(), String> {
        match self.table.keys().next() {
            Some(key) => Err(self.fault(key, "is no key of this table")),
            None => Ok(()),
        }
    }
}
