//! One request on its way out, and the answer on its way in.
//!
//! Keeps the bytes of both. Reads the answer as strictly as any HTTP is read
//! here, with one exception: a status line that has arrived counts, also if the
//! rest is missing, too long or malformed. The app has decided by then, and a
//! retry would only double its work. Called by `pool`.

use std::io::{self, Write};

use super::result::Failure;
use super::verdict::Reply;
use crate::base::outbox::{Outbox, Written};
use crate::wire::http::{DecodedResponse, HttpLimits, ReceivedResponse, ResponseDecoder};

/// See the module's description.
pub struct Exchange {
    outbox: Outbox,
    inbox: Vec<u8>,
    decoder: ResponseDecoder,
    limits: HttpLimits,
}

/// What bytes from the app led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// The answer is not whole yet.
    Waiting,
    /// The answer; `reusable` if the connection can take the next request.
    Answered { reply: Reply, reusable: bool },
    /// Not an answer. The connection is of no more use.
    Broken(Failure),
}

impl Exchange {
    /// An exchange whose answer may have a body of `answer_bytes_max`.
    pub fn new(answer_bytes_max: usize) -> Exchange {
        Exchange {
            outbox: Outbox::default(),
            inbox: Vec::new(),
            decoder: ResponseDecoder::new(false),
            limits: HttpLimits {
                body_bytes: answer_bytes_max,
                ..HttpLimits::default()
            },
        }
    }

    /// Where the request is to be appended.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        self.outbox.tail()
    }

    /// Writes the request, or the rest of it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_to(&mut self, writer: &mut impl Write) -> io::Result<Written> {
        self.outbox.write_to(writer)
    }

    /// Whether not a byte of an answer came.
    pub fn nothing_came(&self) -> bool {
        self.inbox.is_empty()
    }

    /// Takes bytes from the app.
    pub fn received(&mut self, bytes: &[u8]) -> Progress {
        self.inbox.extend_from_slice(bytes);
        if !may_be_http(&self.inbox) {
            return Progress::Broken(Failure::Garbled);
        }
        match self.decoder.decode(&self.inbox, &self.limits) {
            Ok(DecodedResponse::NeedMore) => Progress::Waiting,
            Ok(DecodedResponse::Response { response, consumed }) => {
                // An answer before the end of the request, or bytes behind the
                // answer: the two sides no longer agree on where they are.
                let in_step = self.outbox.is_empty() && consumed == self.inbox.len();
                Progress::Answered {
                    reusable: response.keep_alive && in_step,
                    reply: reply_of(&response),
                }
            }
            Err(_) => match self.known_status() {
                Some(reply) => Progress::Answered {
                    reply,
                    reusable: false,
                },
                None => Progress::Broken(Failure::Garbled),
            },
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// [`Failure::Closed`] if that was before an answer.
    pub fn finished(&mut self) -> Result<Reply, Failure> {
        match self.decoder.finish(&self.inbox, &self.limits) {
            Ok(Some(response)) => Ok(reply_of(&response)),
            Ok(None) | Err(_) => self.cut_short(Failure::Closed),
        }
    }

    /// The attempt ends here, because of `failure`.
    ///
    /// # Errors
    /// `failure`, unless the status is known already.
    pub fn cut_short(&self, failure: Failure) -> Result<Reply, Failure> {
        self.known_status().ok_or(failure)
    }

    fn known_status(&self) -> Option<Reply> {
        let status = status_of(&self.inbox)?;
        Some(Reply {
            status,
            retry_after: None,
            json: None,
        })
    }
}

fn reply_of(response: &ReceivedResponse<'_>) -> Reply {
    Reply {
        status: response.status,
        retry_after: response.headers.get("retry-after").map(str::to_owned),
        json: json_of(response),
    }
}

/// The body, if it says that it is JSON and is.
fn json_of(response: &ReceivedResponse<'_>) -> Option<String> {
    let content_type = response.headers.get("content-type")?;
    let essence = content_type.split(';').next()?.trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return None;
    }
    let text = std::str::from_utf8(&response.body).ok()?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    Some(text.trim().to_owned())
}

/// Whether a response can begin like this. Told from the first bytes, so that
/// a mail server or a TLS port is not waited for until the time is over.
fn may_be_http(inbox: &[u8]) -> bool {
    inbox
        .iter()
        .zip(b"HTTP/1.")
        .all(|(came, expected)| came == expected)
}

/// The status in the last line of `inbox` that begins a response, if that line
/// is there as far as the status. Interim responses are passed over.
fn status_of(mut inbox: &[u8]) -> Option<u16> {
    loop {
        let rest = inbox.strip_prefix(b"HTTP/1.")?;
        let [b'0'..=b'9', b' ', digits @ ..] = rest else {
            return None;
        };
        let (digits, behind) = digits.split_at_checked(3)?;
        let is_number = digits.iter().all(u8::is_ascii_digit);
        if !is_number || !matches!(behind.first(), Some(b' ' | b'\r' | b'\n')) {
            return None;
        }
        let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
        // RFC 9110, section 15.2: an interim response decides nothing; 101 is none.
        if !(100..=199).contains(&status) || status == 101 {
            return Some(status);
        }
        let end = memchr::memmem::find(inbox, b"\r\n\r\n")?;
        inbox = &inbox[end + 4..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(status: u16, json: Option<&str>) -> Reply {
        Reply {
            status,
            retry_after: None,
            json: json.map(str::to_owned),
        }
    }

    /// Feeds `answer` in steps until something comes of it, and at the end the end.
    fn read(answer: &[u8], step: usize) -> (Progress, Option<Result<Reply, Failure>>) {
        let mut exchange = Exchange::new(100);
        for bytes in answer.chunks(step) {
            let progress = exchange.received(bytes);
            if progress != Progress::Waiting {
                return (progress, None);
            }
        }
        (Progress::Waiting, Some(exchange.finished()))
    }

    fn check_each_split(
        answer: &[u8],
        expected: impl Fn(&Progress, &Option<Result<Reply, Failure>>) -> bool,
    ) {
        for step in [1, 2, 7, answer.len()] {
            let (progress, end) = read(answer, step);
            let text = String::from_utf8_lossy(answer);
            assert!(
                expected(&progress, &end),
                "{text:?} by {step}: {progress:?} {end:?}"
            );
        }
    }

    #[test]
    fn answers_of_each_framing_are_read() {
        let json: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\n\
            Content-Length: 9\r\n\r\n {\"a\":1}\n";
        let chunked: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
            Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n";
        let interim: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        for (answer, expected) in [
            (json, reply(200, Some("{\"a\":1}"))),
            (chunked, reply(200, Some("[1,2]"))),
            (interim, reply(204, None)),
        ] {
            let expected = Progress::Answered {
                reply: expected,
                reusable: true,
            };
            check_each_split(answer, |progress, _| *progress == expected);
        }
    }

    #[test]
    fn a_body_that_ends_with_the_connection_is_read() {
        let answer = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":1}";
        let expected = Some(Ok(reply(200, Some("{\"a\":1}"))));
        check_each_split(answer, |_, end| *end == expected);
    }

    #[test]
    fn only_json_that_is_called_so_is_kept() {
        for (kind, body) in [
            ("text/plain", "1"),
            ("application/json-seq", "1"),
            ("application/json", ""),
            ("application/json", "{"),
            ("application/json", "1 2"),
        ] {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            check_each_split(
                answer.as_bytes(),
                |progress, _| matches!(progress, Progress::Answered { reply, .. } if reply.json.is_none()),
            );
        }
    }

    #[test]
    fn a_status_line_counts_whatever_follows() {
        let too_long = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n".to_vec(),
            vec![b'x'; 101],
        ];
        let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 101]];
        for answer in [
            too_long.concat(),
            endless.concat(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab".to_vec(),
            b"HTTP/1.1 200 OK\r\nConte".to_vec(),
            b"HTTP/1.1 200 OK\n\nbare".to_vec(),
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ".to_vec(),
        ] {
            let expected = reply(200, None);
            check_each_split(&answer, |progress, end| match progress {
                Progress::Answered { reply, reusable } => *reply == expected && !reusable,
                Progress::Waiting => *end == Some(Ok(expected.clone())),
                Progress::Broken(_) => false,
            });
        }
    }

    #[test]
    fn without_a_status_it_is_garbled_or_closed() {
        for (answer, expected) in [
            (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], Failure::Garbled),
            (
                b"\x15\x03\x01\x00\x02\x02\x46 and more\r\n\r\n",
                Failure::Garbled,
            ),
            (b"HTTP/2.0 200 OK\r\n\r\n", Failure::Garbled),
            (b"HTTP/1.1 20", Failure::Closed),
            (b"HTTP/1.1 100 Continue\r\n\r\n", Failure::Closed),
            (b"", Failure::Closed),
        ] {
            for step in [1, answer.len().max(1)] {
                let (progress, end) = read(answer, step);
                match progress {
                    Progress::Waiting => assert_eq!(end, Some(Err(expected))),
                    other => assert_eq!(other, Progress::Broken(expected)),
                }
            }
        }
    }

    /// What came of `answer`, whichever way it was told.
    fn outcome(answer: &[u8], step: usize) -> Result<Reply, Failure> {
        match read(answer, step) {
            (Progress::Answered { reply, .. }, _) => Ok(reply),
            (Progress::Broken(failure), _) => Err(failure),
            (Progress::Waiting, end) => end.unwrap(),
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_the_same_however_they_are_split(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
                    Just(b"HTTP/1.1 100 \r\n".to_vec()),
                    Just(b"HTTP/1.0 503 Busy\r\n".to_vec()),
                    Just(b"Content-Length: 3\r\n".to_vec()),
                    Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
                    Just(b"Content-Type: application/json\r\n".to_vec()),
                    Just(b"Retry-After: 5\r\n".to_vec()),
                    Just(b"\r\n".to_vec()),
                    Just(b"3\r\n123\r\n0\r\n\r\n".to_vec()),
                    Just(b"123".to_vec()),
                    prop::collection::vec(any::<u8>(), 0..150),
                ],
                0..8,
            ),
            step in 1usize..40,
        ) {
            let answer = pieces.concat();
            let whole = outcome(&answer, answer.len().max(1));
            for step in [1, step] {
                // Fed in pieces, a fault may be found before a later status line comes.
                let split = outcome(&answer, step);
                prop_assert!(split == whole || split == Err(Failure::Garbled));
            }
        }
    }

    #[test]
    fn bytes_behind_the_answer_end_the_connections_use() {
        let mut exchange = Exchange::new(100);
        let progress = exchange.received(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 408");
        assert!(matches!(
            progress,
            Progress::Answered {
                reusable: false,
                ..
            }
        ));
        let mut unsent = Exchange::new(100);
        unsent.tail().extend_from_slice(b"POST");
        let progress = unsent.received(b"HTTP/1.1 413 Too Large\r\n\r\n");
        assert_eq!(
            progress,
            Progress::Waiting,
            "its body ends with the connection"
        );
        assert_eq!(unsent.finished(), Ok(reply(413, None)));
    }
}
