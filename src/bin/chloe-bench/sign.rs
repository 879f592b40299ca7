//! The signature of a request to Pusher's HTTP API, as its servers want it.
//!
//! Used by `publisher` alone.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

use crate::peer::Signing;

/// The query that signs a POST of `body` to `path`: HMAC-SHA256 of method, path and
/// the other parts of the query in the order of their names.
pub fn query(signing: &Signing, path: &str, body: &[u8]) -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since_1970.map_or(0, |elapsed| elapsed.as_secs());
    query_at(signing, path, body, seconds)
}

fn query_at(signing: &Signing, path: &str, body: &[u8], seconds: u64) -> String {
    let query = format!(
        "auth_key={}&auth_timestamp={seconds}&auth_version=1.0&body_md5={}",
        signing.key,
        hex(&Md5::digest(body))
    );
    let mut hmac = Hmac::<Sha256>::new_from_slice(signing.secret.as_bytes())
        .expect("a key may have any length");
    hmac.update(format!("POST\n{path}\n{query}").as_bytes());
    let signature = hex(&hmac.finalize().into_bytes());
    format!("{query}&auth_signature={signature}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_pusher_is_signed_alike() {
        let signing = Signing {
            key: "278d425bdf160c739803".to_owned(),
            secret: "7ad3773142a6692b25b8".to_owned(),
        };
        let body = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
        let query = query_at(&signing, "/apps/3/events", body, 1_353_088_179);
        assert_eq!(
            query,
            "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
             &body_md5=ec365a775a4cd0599faeb73354201b6f\
             &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
        );
    }
}
