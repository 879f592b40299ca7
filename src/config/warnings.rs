//! Settings that are right and yet worth a word: what they leave open.
//!
//! Nothing is refused here. The start of a server writes each warning to its
//! log, and `chloe check` prints it. Called by `cli`.

use super::keys::Config;

/// What a setting leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning {
    pub setting: &'static str,
    /// A sentence.
    pub text: &'static str,
}

impl Config {
    /// What is worth a warning, in the order of the settings.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        // Without a secret there is nothing that MD5 could sign.
        if self.allow_md5 && !self.secret.is_empty() {
            warnings.push(Warning {
                setting: "allow_md5",
                text: "The MD5 signatures of 2011 cover the text alone, not the channel, the session or the time: whoever sees one can use it for ever, and a browser's message with its signature is a valid /send. Let the app check chloe1 in webhook-signature and send Authorization: Bearer, then set allow_md5 = false.",
            });
        }
        warnings
    }
}
