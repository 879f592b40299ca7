//! What the request decoder refuses, rule by rule: whatever another party on
//! the way might understand differently.

use super::error::HttpError;
use super::request_tests::{bad, post};

#[test]
fn line_ends_are_cr_lf_and_nothing_else() {
    for input in [
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\rHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\r\rGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        bad(input, HttpError::LineEnd);
    }
    for chunks in [
        "1\nx\r\n0\r\n\r\n",
        "1;a\nx\r\n0\r\n\r\n",
        "0\r\n\n",
        "0\r\nA: b\n\r\n",
    ] {
        bad(
            &post("Transfer-Encoding: chunked", chunks),
            HttpError::LineEnd,
        );
    }
    bad(
        &post("Transfer-Encoding: chunked", "1\r\nx\n0\r\n\r\n"),
        HttpError::Chunk,
    );
}

#[test]
fn request_lines_are_exact() {
    for line in [
        "GET /",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.x",
        "G\u{0}T / HTTP/1.1",
        "GET\t/ HTTP/1.1",
    ] {
        bad(
            &format!("{line}\r\nHost: h\r\n\r\n"),
            HttpError::RequestLine,
        );
    }
    bad(" GET / HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::RequestLine);
    bad("\u{16}\u{3}\u{1}", HttpError::RequestLine);
    for line in [
        "GET  / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\u{0} HTTP/1.1",
        "GET * HTTP/1.1",
    ] {
        bad(&format!("{line}\r\nHost: h\r\n\r\n"), HttpError::Target);
    }
    bad("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HttpError::Version);
    bad("GET / HTTP/3.0\r\nHost: h\r\n\r\n", HttpError::Version);
}

#[test]
fn fields_are_exact() {
    for field in [
        "A : b",
        "A\t: b",
        "A",
        ": b",
        "A: \u{0}",
        "A: \u{b}b",
        "A\u{0}: b",
        "A: \u{7f}",
        "\u{e9}: b",
    ] {
        bad(&post(field, ""), HttpError::Field);
    }
    for fields in [
        "A: b\r\n c",
        "A: b\r\n\tc",
        "A:\r\n b",
        "Transfer-Encoding:\r\n chunked",
    ] {
        bad(&post(fields, ""), HttpError::FoldedField);
    }
    bad("GET / HTTP/1.1\r\n Host: h\r\n\r\n", HttpError::FoldedField);
    bad(
        "GET / HTTP/1.1\r\n \r\nHost: h\r\n\r\n",
        HttpError::FoldedField,
    );
    bad(&post("Content-Length : 1", "x"), HttpError::Field);
    bad(&post("Transfer-Encoding : chunked", ""), HttpError::Field);
    bad(
        &post("Transfer-Encoding: \u{b}chunked", ""),
        HttpError::Field,
    );
}

#[test]
fn a_body_has_one_length() {
    bad(
        &post("Content-Length: 1\r\nContent-Length: 1", "x"),
        HttpError::ContentLengthRepeated,
    );
    bad(
        &post("Content-Length: 1\r\ncontent-length: 2", "x"),
        HttpError::ContentLengthRepeated,
    );
    for value in [
        "",
        "+1",
        "-1",
        "0x1",
        "1, 1",
        "1,2",
        "1 1",
        "01",
        "1_0",
        "1.0",
        "x",
        "18446744073709551616",
    ] {
        bad(
            &post(&format!("Content-Length: {value}"), ""),
            HttpError::ContentLength,
        );
    }
    for fields in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        "Transfer-Encoding: xchunked\r\nContent-Length: 1",
    ] {
        bad(&post(fields, "0\r\n\r\n"), HttpError::LengthAndEncoding);
    }
}

#[test]
fn only_chunked_once_and_alone_is_taken() {
    for value in [
        "",
        "chunked, identity",
        "chunked, chunked",
        ", chunked",
        "chunked,",
        "\"chunked\"",
        "chunked identity",
    ] {
        bad(
            &post(&format!("Transfer-Encoding: {value}"), ""),
            HttpError::TransferEncoding,
        );
    }
    for other in ["chunked", "identity", "gzip"] {
        let fields = format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: {other}");
        bad(&post(&fields, ""), HttpError::TransferEncoding);
    }
    for value in ["xchunked", "identity", "gzip", "gzip, chunked", "chunkedx"] {
        bad(
            &post(&format!("Transfer-Encoding: {value}"), ""),
            HttpError::TransferEncodingUnknown,
        );
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    bad(old, HttpError::TransferEncodingOld);
}

#[test]
fn chunk_sizes_are_plain_hex() {
    for chunks in [
        "\r\n",
        "0x1\r\nx\r\n",
        "+1\r\nx\r\n",
        "-1\r\nx\r\n",
        " 1\r\nx\r\n",
        "1 \r\nx\r\n",
        "1;\r\nx\r\n",
        "z\r\n",
        "1_\r\n",
        "fffffffffffffffff\r\n",
        "1\r\nxx\r\n",
        "1\r\nx0\r\n",
    ] {
        bad(
            &post("Transfer-Encoding: chunked", chunks),
            HttpError::Chunk,
        );
    }
    bad(
        &post("Transfer-Encoding: chunked", "ffffffffffffffff\r\n"),
        HttpError::BodyTooLarge,
    );
    bad(
        &post("Transfer-Encoding: chunked", "0\r\nA b\r\n\r\n"),
        HttpError::Trailer,
    );
    bad(
        &post("Transfer-Encoding: chunked", "0\r\nGET / HTTP/1.1\r\n\r\n"),
        HttpError::Trailer,
    );
}

#[test]
fn a_host_is_needed_once() {
    bad("GET / HTTP/1.1\r\n\r\n", HttpError::HostMissing);
    bad("GET http://h/ HTTP/1.1\r\n\r\n", HttpError::HostMissing);
    bad(&post("Host: h", ""), HttpError::HostRepeated);
    for host in ["", "a b", "a,b", "u@h", "h/p", "h:x", "[::1", "\u{e9}"] {
        bad(
            &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            HttpError::Host,
        );
        bad(
            &format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"),
            HttpError::Host,
        );
    }
    bad("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", HttpError::Host);
}

#[test]
fn expectations_other_than_continue_fail() {
    bad(
        &post("Expect: 200-ok\r\nContent-Length: 1", "x"),
        HttpError::Expectation,
    );
    bad(&post("Expect: 100-continue, x", ""), HttpError::Expectation);
    bad(
        &post("Expect: 100-continue\r\nExpect: 100-continue", ""),
        HttpError::Expectation,
    );
}
