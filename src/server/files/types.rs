//! What a file is, by the end of its name.
//!
//! A short list of what pages are made of; nothing is guessed from a file's
//! content. Called by `files` alone.

/// Endings in lower case and their types. Text is UTF-8: the web's own default.
const TYPES: &[(&str, &str)] = &[
    // Pages and what they run.
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("xhtml", "application/xhtml+xml"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("wasm", "application/wasm"),
    // Text. TypeScript has no registered type; people read it in the browser.
    ("txt", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("ts", "text/plain; charset=utf-8"),
    ("xml", "application/xml"),
    ("atom", "application/atom+xml"),
    ("rss", "application/rss+xml"),
    ("ics", "text/calendar; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    // Pictures.
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("svg", "image/svg+xml"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("ico", "image/vnd.microsoft.icon"),
    // Sound and film.
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("mp4", "video/mp4"),
    ("ogv", "video/ogg"),
    ("webm", "video/webm"),
    // Fonts.
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    // Documents and archives.
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("tar", "application/x-tar"),
];

/// Bytes of no known kind: a browser offers to keep them.
const UNKNOWN: &str = "application/octet-stream";

/// The `Content-Type` of the file called `name` (a path is a name as well).
pub fn content_type(name: &str) -> &'static str {
    let ending = match name
        .rsplit('/')
        .next()
        .and_then(|last| last.rsplit_once('.'))
    {
        Some((_, ending)) => ending,
        None => return UNKNOWN,
    };
    TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(ending))
        .map_or(UNKNOWN, |(_, content_type)| content_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_last_ending_counts_in_any_case() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.tar.gz", "application/gzip"),
            ("PHOTO.JPG", "image/jpeg"),
            ("chloe.d.ts", "text/plain; charset=utf-8"),
            ("folder.html/file", UNKNOWN),
            ("README", UNKNOWN),
            ("a.", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }

    #[test]
    fn no_ending_stands_twice() {
        let endings: BTreeSet<_> = TYPES.iter().map(|(ending, _)| *ending).collect();
        assert_eq!(endings.len(), TYPES.len());
    }
}
