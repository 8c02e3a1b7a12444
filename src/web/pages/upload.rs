//! Owns a file that a page's form sends (`multipart/form-data`, RFC 7578), with the same proof as every form.
//!
//! It knows forms of ours only: a few short fields and one file. Invariants: the file is not copied; nothing of it is looked
//! at before it is known who sent it, from which page, and that they may.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequestParts as _, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};

use super::form::{Fields, require_our_page};
use super::visit::SignedIn;
use crate::actions::require;
use crate::domain::operator::Right;
use crate::web::Web;
use crate::web::body::read_whole;
use crate::web::error::Problem;

/// How long a file of at most 64 MiB may take to come.
const PATIENCE: Duration = Duration::from_secs(600);
/// Parts of a form.
const MOST_PARTS: usize = 16;
/// Characters of a field that is no file.
const LONGEST_FIELD: usize = 10_000;

/// A form with a file.
#[derive(Debug)]
pub struct Upload {
    /// Who sent it.
    pub who: SignedIn,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The file's bytes; empty when none was chosen.
    pub file: Bytes,
}

impl Upload {
    /// Reads a request from somebody who has `right`.
    ///
    /// # Errors
    /// [`Problem`] for another site's form, for somebody without the right, and for what is no form with a file.
    pub async fn read(web: &Web, request: Request, right: Right) -> Result<Self, Problem> {
        require_our_page(web, request.headers())?;
        let (mut parts, body) = request.into_parts();
        let who = SignedIn::from_request_parts(&mut parts, web).await?;
        require(who.actor(), right)?;
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = boundary_of(kind);
        let headers = parts.headers.clone();
        let body = read_whole(Request::from_parts(parts, body), web, PATIENCE).await?;
        let Some(boundary) = boundary else {
            // Whoever sends another kind of form has to show its token all the same.
            Fields::parse(&body)?.check_token(&who.form_token)?;
            let detail = "Skicka ett formulär med en fil: multipart/form-data.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request.type", detail));
        };
        let unreadable =
            || Problem::new(StatusCode::BAD_REQUEST, "request.unreadable", "Formuläret gick inte att läsa.");
        let found = split(&body, &boundary).ok_or_else(unreadable)?;
        let texts = found.iter().filter(|part| part.name != "file" && part.content.len() <= LONGEST_FIELD);
        let texts = texts.map(|part| (part.name.clone(), String::from_utf8_lossy(&part.content).into_owned()));
        Fields::of(texts.collect()).check_token(&who.form_token)?;
        let file = found.iter().find(|part| part.name == "file").map(|part| part.content.clone()).unwrap_or_default();
        Ok(Self { who, headers, file })
    }
}

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    name: String,
    content: Bytes,
}

fn boundary_of(content_type: &str) -> Option<String> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut values = rest.split(';').filter_map(|parameter| parameter.split_once('='));
    let boundary = values.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?.1;
    let boundary = boundary.trim().trim_matches('"');
    (!boundary.is_empty() && boundary.len() <= 70).then(|| boundary.to_owned())
}

/// The parts of a body; `None` when it is not made as RFC 2046 says.
fn split(body: &Bytes, boundary: &str) -> Option<Vec<Part>> {
    let delimiter = format!("\r\n--{boundary}");
    let mut at = if body.starts_with(&delimiter.as_bytes()[2..]) {
        delimiter.len() - 2
    } else {
        find(body, 0, delimiter.as_bytes())? + delimiter.len()
    };
    let mut parts = Vec::new();
    while parts.len() < MOST_PARTS {
        let rest = body.get(at..)?;
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        at += rest.starts_with(b"\r\n").then_some(2)?;
        let head_end = find(body, at, b"\r\n\r\n")?;
        let name = name_of(body.get(at..head_end)?)?;
        let end = find(body, head_end + 2, delimiter.as_bytes())?;
        // A part without a line break of its own ends where the blank line does.
        let begin = head_end + 4;
        parts.push(Part { name, content: body.slice(begin..end.max(begin)) });
        at = end + delimiter.len();
    }
    None
}

/// Where `wanted`, which begins with CR, stands in `body` at or after `from`.
fn find(body: &Bytes, from: usize, wanted: &[u8]) -> Option<usize> {
    let mut at = from;
    while let Some(step) = body.get(at..)?.iter().position(|byte| *byte == b'\r') {
        at += step;
        if body[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The name in a part's `Content-Disposition`.
fn name_of(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, disposition) = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let (_, rest) = disposition.split_once("; name=\"")?;
    rest.split('"').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str) -> Option<Vec<(String, String)>> {
        let found = split(&Bytes::from(body.to_owned()), "XyZ")?;
        Some(found.into_iter().map(|part| (part.name, String::from_utf8_lossy(&part.content).into_owned())).collect())
    }

    #[test]
    fn fields_and_file_are_told_apart_whatever_the_file_holds() {
        let body = "--XyZ\r\nContent-Disposition: form-data; name=\"form_token\"\r\n\r\nabc\r\n--XyZ\r\n\
            content-disposition: form-data; name=\"file\"; filename=\"a;b.csv\"\r\nContent-Type: text/csv\r\n\r\n\
            Namn;Mobil\r\n\r\n--XyZa\r\r\n-- \r\n--XyZ--\r\n";
        let found = parts(body);
        // A line that begins like the delimiter belongs to nothing that a browser sends: it chooses another one.
        assert_eq!(found, None);
        let body = body.replace("\r\n--XyZa", "\r\n-XyZa");
        let found = parts(&body).unwrap();
        assert_eq!(found[0], ("form_token".to_owned(), "abc".to_owned()));
        assert_eq!(found[1], ("file".to_owned(), "Namn;Mobil\r\n\r\n-XyZa\r\r\n-- ".to_owned()));
    }

    #[test]
    fn an_empty_file_is_empty_and_a_torn_body_is_nothing() {
        let whole = "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n--XyZ--\r\n";
        assert_eq!(parts(whole).unwrap(), [("file".to_owned(), String::new())]);
        for end in 1..whole.len() - 4 {
            assert_eq!(parts(&whole[..end]), None, "{end}");
        }
        assert_eq!(parts(""), None);
        assert_eq!(parts("--XyZ--"), Some(Vec::new()));
    }

    #[test]
    fn the_boundary_is_read_as_browsers_write_it() {
        for (text, boundary) in [
            ("multipart/form-data; boundary=----WebKitFormBoundaryAbC", Some("----WebKitFormBoundaryAbC")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("text/csv; boundary=x", None),
        ] {
            assert_eq!(boundary_of(text).as_deref(), boundary, "{text}");
        }
    }
}
