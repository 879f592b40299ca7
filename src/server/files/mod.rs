//! Static files: those of `doc_root`, and the browser client from the binary.
//!
//! Decides what to answer; the server writes it. A file is not read here but
//! handed out open, and read in pieces as the connection takes them. Reading a
//! file is the one call below `net` that may wait for a disk; pieces are small,
//! and the pages of a chat fit the system's cache. Called by the server's router.

pub mod root;
pub mod types;
pub mod validators;

use crate::base::time::Time;
use crate::wire::http::{Method, Request, Response};
use crate::wire::url::decode_path;
use root::{Found, Missing};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use types::content_type;
use validators::{Precondition, Range, Validators};

/// The browser client: its path and its bytes.
const CLIENT: [(&str, &[u8]); 4] = [
    ("/chloe.js", include_bytes!("../../../js/dist/chloe.js")),
    (
        "/chloe-min.js",
        include_bytes!("../../../js/dist/chloe-min.js"),
    ),
    ("/chloe.mjs", include_bytes!("../../../js/dist/chloe.mjs")),
    ("/chloe.d.ts", include_bytes!("../../../js/dist/chloe.d.ts")),
];

/// What a folder shows.
const INDEX: &str = "index.html";

/// All that can be had without a session.
pub struct Files {
    doc_root: Option<PathBuf>,
    /// Of [`CLIENT`], in its order: hashed once.
    client: [Validators; CLIENT.len()],
}

/// What to send.
#[derive(Debug)]
pub enum FileAnswer {
    /// Head and body in one.
    Whole(Response<'static>),
    /// The head of `response`, with `length` as its Content-Length; then the
    /// body, piece by piece. There is none for HEAD and for an empty file.
    Streamed {
        response: Response<'static>,
        length: u64,
        body: Option<FileBody>,
    },
}

/// The rest of a file that is being sent.
#[derive(Debug)]
pub struct FileBody {
    file: File,
    offset: u64,
    remaining: u64,
}

impl FileBody {
    /// Bytes still to be read.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Appends up to `at_most` bytes (at least 1 is needed to get on) to `out`;
    /// true when the last one is read.
    ///
    /// # Errors
    /// The system's, and `UnexpectedEof` when the file has been cut short since
    /// its length was told: the connection cannot go on then.
    pub fn read_into(&mut self, out: &mut Vec<u8>, at_most: usize) -> io::Result<bool> {
        let wanted = usize::try_from(self.remaining).map_or(at_most, |all| all.min(at_most));
        let before = out.len();
        out.resize(before + wanted, 0);
        let result = self.file.read_exact_at(&mut out[before..], self.offset);
        if let Err(error) = result {
            out.truncate(before);
            return Err(error);
        }
        self.offset += wanted as u64;
        self.remaining -= wanted as u64;
        Ok(self.remaining == 0)
    }
}

impl Files {
    /// Serves `doc_root`, if there is one, and the client.
    pub fn new(doc_root: Option<PathBuf>) -> Files {
        Files {
            doc_root,
            client: CLIENT.map(|(_, bytes)| Validators::of_bytes(bytes)),
        }
    }

    /// Whether `path` is one of the browser client, which every Chloe has.
    pub fn is_built_in(path: &str) -> bool {
        CLIENT.iter().any(|(name, _)| *name == path)
    }

    /// The answer to any request that is for none of Chloe's own paths.
    pub fn respond(&self, request: &Request<'_>, now: Time) -> FileAnswer {
        if !matches!(request.method, Method::Get | Method::Head) {
            let response = sentence(405, "Files can only be read: use GET or HEAD.");
            return FileAnswer::Whole(response.header("Allow", "GET, HEAD"));
        }
        let Some(path) = decode_path(request.path()).filter(|path| is_public(path)) else {
            return absent();
        };
        let missing = match self.open(&path) {
            Ok(Found::File(file, metadata)) => {
                return answer_file(request, now, &path, file, &metadata);
            }
            Ok(Found::Folder) => return redirect(request),
            Err(missing) => missing,
        };
        if let Some(at) = CLIENT.iter().position(|(name, _)| *name == path) {
            return self.answer_client(request, at);
        }
        FileAnswer::Whole(match missing {
            Missing::Absent => return absent(),
            Missing::Denied => sentence(403, "Chloe may not read this file: see its permissions."),
            Missing::Busy => sentence(503, "Too many files are open: try again in a moment.")
                .header("Retry-After", "1"),
        })
    }

    /// A path that ends in a slash stands for the index of that folder.
    fn open(&self, path: &str) -> Result<Found, Missing> {
        let root = self.doc_root.as_deref().ok_or(Missing::Absent)?;
        let relative = path.trim_start_matches('/');
        if !path.ends_with('/') {
            return root::open(root, relative);
        }
        match root::open(root, &format!("{relative}{INDEX}"))? {
            Found::Folder => Err(Missing::Absent),
            file => Ok(file),
        }
    }

    /// A file of the binary. It is public code: pages of any origin may import it.
    fn answer_client(&self, request: &Request<'_>, at: usize) -> FileAnswer {
        let ((path, bytes), validators) = (CLIENT[at], &self.client[at]);
        let named = |status| {
            Response::new(status)
                .header("ETag", validators.etag())
                // Asked for each time, and mostly answered with 304: a page
                // never runs a client that is older than its server.
                .header("Cache-Control", "no-cache")
                .header("Access-Control-Allow-Origin", "*")
        };
        match validators.evaluate(|name| request.headers.get(name)) {
            Precondition::NotModified => FileAnswer::Whole(named(304)),
            Precondition::Failed => changed(),
            Precondition::Met => FileAnswer::Whole(
                named(200)
                    .content_type(content_type(path))
                    .header("X-Content-Type-Options", "nosniff")
                    .body(bytes),
            ),
        }
    }
}

/// A name that begins with a dot is nobody's page (`.git`, `.env`), with the
/// one exception that RFC 8615 makes.
fn is_public(path: &str) -> bool {
    let mut segments = path.split('/').enumerate();
    segments.all(|(at, segment)| !segment.starts_with('.') || (at == 1 && segment == ".well-known"))
}

fn answer_file(
    request: &Request<'_>,
    now: Time,
    path: &str,
    file: File,
    metadata: &Metadata,
) -> FileAnswer {
    let modified_ns =
        i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    let validators = Validators::of_file(metadata.len(), modified_ns, now.unix_ms);
    let header = |name: &str| request.headers.get(name);
    match validators.evaluate(header) {
        Precondition::Failed => return changed(),
        Precondition::NotModified => {
            let response = Response::new(304)
                .header("ETag", validators.etag())
                .header("X-Content-Type-Options", "nosniff");
            return FileAnswer::Whole(response);
        }
        Precondition::Met => {}
    }
    // RFC 9110, 14.2: Range means something with GET only.
    let range = header("range").filter(|_| request.method == Method::Get);
    let (status, first, length) = match validators.range(range, header("if-range"), metadata.len())
    {
        Range::Whole => (200, 0, metadata.len()),
        Range::Part { first, last } => (206, first, last - first + 1),
        Range::Unsatisfiable => return unsatisfiable(metadata.len()),
    };
    let name = if path.ends_with('/') { INDEX } else { path };
    let mut response = Response::new(status)
        .content_type(content_type(name))
        .header("ETag", validators.etag())
        .header(
            "Last-Modified",
            validators.last_modified().unwrap_or_default(),
        )
        .header("Accept-Ranges", "bytes")
        .header("X-Content-Type-Options", "nosniff");
    if status == 206 {
        let last = first + length - 1;
        response = response.header(
            "Content-Range",
            format!("bytes {first}-{last}/{}", metadata.len()),
        );
    }
    let body = FileBody {
        file,
        offset: first,
        remaining: length,
    };
    FileAnswer::Streamed {
        response,
        length,
        body: Some(body).filter(|_| request.method == Method::Get && length > 0),
    }
}

/// A folder's own path ends in a slash, so that links in its index are right.
fn redirect(request: &Request<'_>) -> FileAnswer {
    // One slash in front: two would name another host.
    let path = request.path().trim_start_matches('/');
    let query = request
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let response = sentence(301, "This is a folder: its path ends in a slash.");
    FileAnswer::Whole(response.header("Location", format!("/{path}/{query}")))
}

fn absent() -> FileAnswer {
    FileAnswer::Whole(sentence(404, "There is nothing here: see the path."))
}

fn changed() -> FileAnswer {
    let text = "The file is not the one that the condition names: read it again.";
    FileAnswer::Whole(sentence(412, text))
}

fn unsatisfiable(size: u64) -> FileAnswer {
    let response = sentence(416, "The file is shorter than the range that is asked for.");
    FileAnswer::Whole(response.header("Content-Range", format!("bytes */{size}")))
}

fn sentence(status: u16, text: &'static str) -> Response<'static> {
    Response::new(status)
        .content_type("text/plain; charset=utf-8")
        .header("X-Content-Type-Options", "nosniff")
        .body(text.as_bytes())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub mod trial;
