//! What can be wrong with a message, and how each fault is answered.
//!
//! One fault ends its connection: where a message is not understood, neither
//! is the start of the next. Raised by every decoder in this folder.

use std::fmt;

/// A message that breaks the rules or the limits. "Not all here yet" is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// A CR or LF that is not part of a CR LF pair, or stray bytes before a message.
    LineEnd,
    /// The first line is not `METHOD target HTTP/x.y`.
    RequestLine,
    /// The target has forbidden characters or none of the four forms.
    Target,
    /// A field line is not `name: value`, or has control characters in it.
    Field,
    /// A field value goes on in a second line.
    FoldedField,
    /// HTTP/1.1 without a Host.
    HostMissing,
    /// Two Hosts.
    HostRepeated,
    /// The Host is not a host with an optional port, or is not that of the target.
    Host,
    /// Content-Length is not one plain number.
    ContentLength,
    /// Content-Length stands there twice.
    ContentLengthRepeated,
    /// Content-Length and Transfer-Encoding together.
    LengthAndEncoding,
    /// Transfer-Encoding contradicts itself.
    TransferEncoding,
    /// A transfer coding other than chunked.
    TransferEncodingUnknown,
    /// Transfer-Encoding in an HTTP/1.0 message, which has none.
    TransferEncodingOld,
    /// A chunk's size line or its end is wrong.
    Chunk,
    /// The trailer section is malformed or too long.
    Trailer,
    /// An expectation other than `100-continue`.
    Expectation,
    /// More body than the limit, or one cut into absurdly small chunks.
    BodyTooLarge,
    /// More head than the limit.
    HeadTooLarge,
    /// More fields than the limit.
    TooManyFields,
    /// The first line alone is longer than a head may be.
    TargetTooLong,
    /// Not HTTP/1.0 or HTTP/1.1.
    Version,
    /// A response does not begin with `HTTP/1.x 200`.
    StatusLine,
    /// The connection ended within a response.
    Truncated,
}

impl HttpError {
    /// The status to answer a faulty request with. In a response (of an app)
    /// the same faults have nobody to be answered to.
    pub fn status(self) -> u16 {
        match self {
            HttpError::BodyTooLarge => 413,
            HttpError::TargetTooLong => 414,
            HttpError::Expectation => 417,
            HttpError::HeadTooLarge | HttpError::TooManyFields => 431,
            HttpError::TransferEncodingUnknown => 501,
            HttpError::StatusLine | HttpError::Truncated => 502,
            HttpError::Version => 505,
            _ => 400,
        }
    }

    /// The sentence that [`fmt::Display`] writes.
    pub fn sentence(self) -> &'static str {
        match self {
            HttpError::LineEnd => {
                "End each line of the head with CR LF, and send neither of them alone."
            }
            HttpError::RequestLine => {
                "Begin the request with a line such as `GET /path HTTP/1.1`, with single blanks."
            }
            HttpError::Target => {
                "Send a target that begins with `/`, and percent-encode everything but printable ASCII."
            }
            HttpError::Field => {
                "Write each field as `Name: value`, without a blank before the colon and without control characters."
            }
            HttpError::FoldedField => {
                "Keep each field on one line; folded fields are obsolete and not taken."
            }
            HttpError::HostMissing => "Send a Host field; HTTP/1.1 requires it.",
            HttpError::HostRepeated => "Send only one Host field.",
            HttpError::Host => {
                "Send a Host field with a host and an optional port, the same as in the target."
            }
            HttpError::ContentLength => {
                "Send Content-Length as one plain decimal number without a sign or leading zeros."
            }
            HttpError::ContentLengthRepeated => "Send only one Content-Length field.",
            HttpError::LengthAndEncoding => {
                "Send either Content-Length or Transfer-Encoding, not both."
            }
            HttpError::TransferEncoding => "Send `Transfer-Encoding: chunked` once and alone.",
            HttpError::TransferEncodingUnknown => {
                "Use no transfer coding but chunked; no other is known here."
            }
            HttpError::TransferEncodingOld => {
                "Send a Content-Length instead of Transfer-Encoding, or use HTTP/1.1."
            }
            HttpError::Chunk => {
                "Begin each chunk with its size in hex digits and CR LF, and end it with CR LF."
            }
            HttpError::Trailer => {
                "Send few and short trailer fields, each as `Name: value`, or none."
            }
            HttpError::Expectation => "Expect nothing but `100-continue`.",
            HttpError::BodyTooLarge => {
                "Send a smaller body, or have `body_bytes_max` raised in the server's configuration."
            }
            HttpError::HeadTooLarge => {
                "Send a smaller head (shorter cookies, for instance), or have `head_bytes_max` raised in the server's configuration."
            }
            HttpError::TooManyFields => {
                "Send fewer header fields, or have `headers_max` raised in the server's configuration."
            }
            HttpError::TargetTooLong => {
                "Send a shorter target; long data belongs into the body of a POST."
            }
            HttpError::Version => "Use HTTP/1.1 or HTTP/1.0.",
            HttpError::StatusLine => "Begin the response with a line such as `HTTP/1.1 200 OK`.",
            HttpError::Truncated => {
                "Send the whole response before closing the connection; its length was announced."
            }
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for HttpError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_knows_its_status_and_says_what_to_do() {
        assert_eq!(HttpError::LineEnd.status(), 400);
        assert_eq!(HttpError::TooManyFields.status(), 431);
        assert_eq!(HttpError::Version.status(), 505);
        assert!(HttpError::Version.to_string().ends_with('.'));
    }
}
