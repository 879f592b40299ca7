//! Whole requests against real folders.

use super::trial::Folder;
use super::*;
use crate::wire::http::{Decoded, HttpLimits, RequestDecoder};
use std::fs;

/// 2000-01-01; files of a test get a time before it by [`site`].
const NOW: Time = Time {
    ms: 0,
    unix_ms: 946_684_800_000,
};
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

struct Got {
    status: u16,
    headers: Vec<(String, String)>,
    length: u64,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let first = found.next();
        assert!(found.next().is_none(), "{name} stands twice");
        first.map(|(_, value)| value.as_str())
    }
}

/// Sends `line` (method and path) with `headers`, and reads the answer to its end.
fn ask(files: &Files, line: &str, headers: &[(&str, &str)]) -> Got {
    try_ask(files, line, headers).unwrap_or_else(|| panic!("{line:?} is a request"))
}

/// `None` for what is no request of HTTP.
fn try_ask(files: &Files, line: &str, headers: &[(&str, &str)]) -> Option<Got> {
    let fields: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let bytes = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    let mut decoder = RequestDecoder::default();
    let decoded = decoder.decode(bytes.as_bytes(), &HttpLimits::default());
    let Ok(Decoded::Request { request, .. }) = decoded else {
        return None;
    };
    let (response, length, streamed) = match files.respond(&request, NOW) {
        FileAnswer::Whole(response) => (response.clone(), response.body.len() as u64, None),
        FileAnswer::Streamed {
            response,
            length,
            body,
        } => (response, length, body),
    };
    let mut body = response.body.to_vec();
    if let Some(mut file) = streamed {
        assert_eq!(file.remaining(), length);
        while !file.read_into(&mut body, 3).expect("a readable file") {}
    }
    Some(Got {
        status: response.status,
        headers: response
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
        length,
        body: String::from_utf8(body).expect("text"),
    })
}

/// A folder with a root in it, and something beside the root that nobody may see.
fn site() -> (Folder, Files) {
    let folder = Folder::create();
    folder.write("secret", "SECRET");
    folder.write("root/index.html", "<h1>front</h1>");
    folder.write("root/digits.txt", "0123456789");
    folder.write("root/empty.css", "");
    folder.write("root/a b/index.html", "blank");
    folder.write("root/bare/photo.PNG", "png");
    folder.write("root/100%.txt", "percent");
    folder.write("root/%2e%2e/trap.txt", "literal");
    folder.write("root/.git/config", "SECRET");
    folder.write("root/.env", "SECRET");
    folder.write("root/.well-known/acme", "token");
    folder.write("root/bare/.well-known/acme", "SECRET");
    for name in ["index.html", "digits.txt", "empty.css", "a b/index.html"] {
        let file = File::options()
            .write(true)
            .open(folder.path("root").join(name))
            .unwrap();
        let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        file.set_modified(modified).unwrap();
    }
    let files = Files::new(Some(folder.path("root")));
    (folder, files)
}

#[test]
fn files_and_folders() {
    let (_folder, files) = site();
    let html = "text/html; charset=utf-8";
    for (path, status, content_type, body) in [
        ("/", 200, html, "<h1>front</h1>"),
        ("/index.html", 200, html, "<h1>front</h1>"),
        (
            "/digits.txt",
            200,
            "text/plain; charset=utf-8",
            "0123456789",
        ),
        (
            "/digits.txt?version=2",
            200,
            "text/plain; charset=utf-8",
            "0123456789",
        ),
        (
            "http://localhost/digits.txt",
            200,
            "text/plain; charset=utf-8",
            "0123456789",
        ),
        (
            "/%64igits.txt",
            200,
            "text/plain; charset=utf-8",
            "0123456789",
        ),
        ("/empty.css", 200, "text/css; charset=utf-8", ""),
        ("/a%20b/", 200, html, "blank"),
        ("/bare/photo.PNG", 200, "image/png", "png"),
        ("/100%25.txt", 200, "text/plain; charset=utf-8", "percent"),
        (
            "/.well-known/acme",
            200,
            "application/octet-stream",
            "token",
        ),
    ] {
        let got = ask(&files, &format!("GET {path}"), &[]);
        assert_eq!((got.status, got.body.as_str()), (status, body), "{path}");
        assert_eq!(got.header("Content-Type"), Some(content_type), "{path}");
        assert_eq!(
            got.header("X-Content-Type-Options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(got.length, body.len() as u64, "{path}");
    }
    for (path, location) in [
        ("/bare", "/bare/"),
        ("/a%20b?x=1&y=%2F", "/a%20b/?x=1&y=%2F"),
        ("//bare", "/bare/"),
        ("///a%20b", "/a%20b/"),
    ] {
        let got = ask(&files, &format!("GET {path}"), &[]);
        assert_eq!(
            (got.status, got.header("Location")),
            (301, Some(location)),
            "{path}"
        );
    }
    for path in [
        "/bare/",
        "/none",
        "/none/",
        "/digits.txt/",
        "/index.html/index.html",
    ] {
        assert_eq!(
            ask(&files, &format!("GET {path}"), &[]).status,
            404,
            "{path}"
        );
    }
}

#[test]
fn no_spelling_climbs_out_of_the_root() {
    let (folder, files) = site();
    let absolute = folder.path("secret");
    let absolute = absolute.to_str().expect("a path in UTF-8");
    let up = [
        "..",
        "%2e%2e",
        "%2E%2e",
        ".%2e",
        "%2e.",
        "%252e%252e",
        "..%00",
        "%c0%ae%c0%ae",
        "..;",
        "...",
        "%u002e%u002e",
        "..%20",
        "%20..",
        "..%09",
    ];
    let slash = [
        "/", "%2f", "%2F", "%252f", "\\", "%5c", "%255c", "//", "/./", "/%2e/", "%00/", "%c0%af",
    ];
    let before = [
        "/",
        "//",
        "/bare/",
        "/bare/../",
        "/%00/",
        "/digits.txt/",
        "/none/",
        "/\\",
        "/C:/",
    ];
    let mut paths: Vec<String> = vec![
        absolute.to_string(),
        format!("/{absolute}"),
        absolute.replace('/', "%2f"),
        format!("/{}", absolute.replace('/', "%2f")),
        format!("/.{absolute}"),
        format!("http://localhost{absolute}"),
        format!("http://localhost/..{absolute}"),
        "/secret%00.html".to_string(),
        "/.git/config".to_string(),
        "/%2egit/config".to_string(),
        "/.%67it/config".to_string(),
        "/.env".to_string(),
        "/%2Eenv".to_string(),
        "//.env".to_string(),
        "/./.env".to_string(),
        "/bare/.well-known/acme".to_string(),
        "/.well-known/../.env".to_string(),
        "/..".to_string(),
        "/../".to_string(),
        "/.".to_string(),
    ];
    for up in up {
        for slash in slash {
            for before in before {
                paths.push(format!("{before}{up}{slash}secret"));
                paths.push(format!("{before}{up}{slash}{up}{slash}secret"));
                paths.push(format!("{before}{up}{slash}root{slash}..{slash}secret"));
            }
        }
    }
    let mut asked = 0;
    for path in &paths {
        // Some are not even a request.
        if let Some(got) = try_ask(&files, &format!("GET {path}"), &[]) {
            assert!(!got.body.contains("SECRET"), "{path}");
            assert_eq!(got.status, 404, "{path}");
            asked += 1;
        }
    }
    assert!(asked > 1000, "only {asked} of {} came through", paths.len());
}

#[test]
fn conditions_give_304_and_412() {
    let (_folder, files) = site();
    let first = ask(&files, "GET /digits.txt", &[]);
    let tag = first.header("ETag").expect("a tag").to_string();
    assert!(tag.starts_with('"'), "{tag} is strong: the file is old");
    assert_eq!(first.header("Last-Modified"), Some(MODIFIED));
    for (header, value, status) in [
        ("If-None-Match", tag.as_str(), 304),
        ("if-none-match", "*", 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", MODIFIED, 304),
        ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("If-Match", &tag, 200),
        ("If-Match", "\"other\"", 412),
        ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", 412),
    ] {
        for method in ["GET", "HEAD"] {
            let got = ask(&files, &format!("{method} /digits.txt"), &[(header, value)]);
            assert_eq!(got.status, status, "{method} {header}: {value}");
            if status == 304 {
                assert_eq!(
                    (got.header("ETag"), got.body.as_str()),
                    (Some(tag.as_str()), "")
                );
            }
        }
    }
}

#[test]
fn ranges_give_206_and_416() {
    let (_folder, files) = site();
    let tag = ask(&files, "GET /digits.txt", &[])
        .header("ETag")
        .unwrap()
        .to_string();
    for (range, if_range, status, body, content_range) in [
        ("bytes=0-0", None, 206, "0", Some("bytes 0-0/10")),
        ("bytes=2-5", None, 206, "2345", Some("bytes 2-5/10")),
        ("bytes=7-", None, 206, "789", Some("bytes 7-9/10")),
        ("bytes=-2", None, 206, "89", Some("bytes 8-9/10")),
        ("bytes=0-99", None, 206, "0123456789", Some("bytes 0-9/10")),
        ("bytes=0-1,4-5", None, 200, "0123456789", None),
        ("rubbish", None, 200, "0123456789", None),
        (
            "bytes=2-5",
            Some(tag.as_str()),
            206,
            "2345",
            Some("bytes 2-5/10"),
        ),
        (
            "bytes=2-5",
            Some(MODIFIED),
            206,
            "2345",
            Some("bytes 2-5/10"),
        ),
        ("bytes=2-5", Some("\"other\""), 200, "0123456789", None),
    ] {
        let mut headers = vec![("Range", range)];
        headers.extend(if_range.map(|value| ("If-Range", value)));
        let got = ask(&files, "GET /digits.txt", &headers);
        assert_eq!(
            (got.status, got.body.as_str()),
            (status, body),
            "{headers:?}"
        );
        assert_eq!(got.header("Content-Range"), content_range, "{headers:?}");
        assert_eq!(got.header("Accept-Ranges"), Some("bytes"), "{headers:?}");
    }
    for (path, range, size) in [
        ("/digits.txt", "bytes=10-", 10),
        ("/empty.css", "bytes=0-", 0),
    ] {
        let got = ask(&files, &format!("GET {path}"), &[("Range", range)]);
        let told = format!("bytes */{size}");
        assert_eq!(
            (got.status, got.header("Content-Range")),
            (416, Some(told.as_str())),
            "{path}"
        );
    }
}

#[test]
fn head_tells_the_length_and_takes_no_range() {
    let (_folder, files) = site();
    let got = ask(&files, "HEAD /digits.txt", &[("Range", "bytes=0-1")]);
    assert_eq!((got.status, got.length, got.body.as_str()), (200, 10, ""));
}

#[test]
fn other_methods_are_told_which_ones_work() {
    let (_folder, files) = site();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let got = ask(
            &files,
            &format!("{method} /digits.txt"),
            &[("Content-Length", "0")],
        );
        assert_eq!(
            (got.status, got.header("Allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
}

#[test]
fn the_client_comes_from_the_binary_unless_the_root_has_its_own() {
    let (folder, files) = site();
    for files in [
        &files,
        &Files::new(None),
        &Files::new(Some(folder.path("none"))),
    ] {
        for (path, bytes) in CLIENT {
            let got = ask(files, &format!("GET {path}"), &[]);
            assert_eq!((got.status, got.body.as_bytes()), (200, bytes), "{path}");
            assert_eq!(
                got.header("Access-Control-Allow-Origin"),
                Some("*"),
                "{path}"
            );
            assert_eq!(got.header("Cache-Control"), Some("no-cache"), "{path}");
            let text = if path.ends_with("js") {
                "text/javascript; charset=utf-8"
            } else {
                "text/plain; charset=utf-8"
            };
            assert_eq!(got.header("Content-Type"), Some(text), "{path}");
            let tag = got.header("ETag").expect("a tag");
            let again = ask(files, &format!("GET {path}"), &[("If-None-Match", tag)]);
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        }
        assert_eq!(ask(files, "GET /chloe.js/", &[]).status, 404);
        assert_eq!(ask(files, "GET //chloe.js", &[]).status, 200);
    }
    folder.write("root/chloe.js", "own");
    assert_eq!(ask(&files, "GET /chloe.js", &[]).body, "own");
    fs::remove_file(folder.path("root/chloe.js")).unwrap();
    assert_eq!(
        ask(&files, "GET /chloe.js", &[]).body.as_bytes(),
        CLIENT[0].1
    );
}

#[test]
fn a_file_that_shrinks_is_an_error_and_not_a_wait() {
    let (folder, files) = site();
    let root = root::open(&folder.path("root"), "digits.txt");
    let Ok(Found::File(file, _)) = root else {
        panic!("{root:?}");
    };
    drop(files);
    let mut body = FileBody {
        file,
        offset: 0,
        remaining: 10,
    };
    let mut out = b"before".to_vec();
    assert!(!body.read_into(&mut out, 4).unwrap());
    fs::write(folder.path("root/digits.txt"), "01234").unwrap();
    let error = body.read_into(&mut out, 100).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(out, b"before0123");
}
