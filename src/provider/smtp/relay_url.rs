//! Owns `mail.url`: where the relay is, how TLS is asked for and who logs in.
//!
//! Invariant: a password goes over the wire only inside TLS or to the machine itself.

use std::net::IpAddr;

use url::Url;

use super::super::SetupError;
use crate::config::{self, Secret};

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// From the first byte (`smtps://`, RFC 8314).
    Implicit,
    /// STARTTLS or nothing is sent (`?tls=required`).
    Required,
    /// STARTTLS when the relay offers it and is another machine; a failing handshake is never answered by plain text.
    WhenOffered,
    /// Never (`?tls=none`).
    Never,
}

/// The relay as configured.
#[derive(Debug, Clone)]
pub(super) struct RelayUrl {
    /// Host name or address, as a certificate must name it.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
    /// Protection.
    pub(super) tls: Tls,
    /// Name and password, if the relay wants them.
    pub(super) login: Option<(String, Secret)>,
    /// Whether the egress proxy is passed by (`?proxy=none`), for a relay on this machine.
    pub(super) direct: bool,
}

impl RelayUrl {
    /// Reads `mail.url` and `mail.password`.
    pub(super) fn read(config: &config::Mail) -> Result<Self, SetupError> {
        let url =
            Url::parse(config.url.expose()).map_err(|_| unusable("must be smtp://HOST:PORT or smtps://HOST:PORT"))?;
        let implicit = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(unusable("must begin with smtp:// or smtps://")),
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(unusable("names no host"));
        }
        let mut relay = Self {
            host,
            port: url.port().unwrap_or(if implicit { 465 } else { 25 }),
            tls: if implicit { Tls::Implicit } else { Tls::WhenOffered },
            login: read_login(&url, &config.password)?,
            direct: false,
        };
        for (key, value) in url.query_pairs() {
            match (key.as_ref(), value.as_ref()) {
                ("tls", "required") if !implicit => relay.tls = Tls::Required,
                ("tls", "none") if !implicit => relay.tls = Tls::Never,
                ("tls", "required") | ("proxy", "egress") => {}
                ("tls", "opportunistic") if !implicit => relay.tls = Tls::WhenOffered,
                ("proxy", "none") => relay.direct = true,
                _ => return Err(unusable("takes only ?tls=required, opportunistic or none, and ?proxy=none")),
            }
        }
        if relay.login.is_some() && relay.tls == Tls::Never && !relay.is_loopback() {
            return Err(unusable("a password is not sent without TLS; leave tls=none away"));
        }
        Ok(relay)
    }

    /// Whether the relay is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

fn read_login(url: &Url, password: &Secret) -> Result<Option<(String, Secret)>, SetupError> {
    let name = percent_decode(url.username());
    let from_url = url.password().map(|text| Secret::new(percent_decode(text)));
    let password = if password.is_empty() { from_url.unwrap_or_default() } else { password.clone() };
    match (name.is_empty(), password.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some((name, password))),
        (true, false) => Err(unusable("has a password but no name: write smtp://NAME@HOST")),
        (false, true) => Err(unusable("has a name but no password: set mail.password or mail.password_file")),
    }
}

/// Percent-decoding by way of a form, where only `+` differs.
pub(super) fn percent_decode(text: &str) -> String {
    let form = text.replace('+', "%2B");
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default()
}

fn unusable(problem: &str) -> SetupError {
    SetupError::new("mail.url_unusable", &format!("mail.url: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, password: &str) -> Result<RelayUrl, SetupError> {
        let config = config::from_toml(&[&format!("[mail]\nurl = \"{url}\"\npassword = \"{password}\"")]).unwrap();
        RelayUrl::read(&config.mail)
    }

    #[test]
    fn every_form_of_the_url_is_read() {
        let table = [
            ("smtp://relay.example.org", ("relay.example.org", 25, Tls::WhenOffered, false)),
            ("smtp://127.0.0.1:2525", ("127.0.0.1", 2525, Tls::WhenOffered, false)),
            ("smtp://[::1]:2525?proxy=none", ("::1", 2525, Tls::WhenOffered, true)),
            ("smtp://relay.example.org:587?tls=required", ("relay.example.org", 587, Tls::Required, false)),
            ("smtp://relay.example.org?tls=none", ("relay.example.org", 25, Tls::Never, false)),
            ("smtps://relay.example.org", ("relay.example.org", 465, Tls::Implicit, false)),
            ("smtps://relay.example.org?tls=required", ("relay.example.org", 465, Tls::Implicit, false)),
        ];
        for (text, (host, port, tls, direct)) in table {
            let relay = read(text, "").unwrap();
            assert_eq!((relay.host.as_str(), relay.port, relay.tls, relay.direct), (host, port, tls, direct), "{text}");
            assert!(relay.login.is_none());
        }
        assert!(read("smtp://[::1]", "").unwrap().is_loopback());
        assert!(!read("smtp://relay.example.org", "").unwrap().is_loopback());
    }

    #[test]
    fn a_login_comes_from_the_url_or_from_the_password_key_and_is_never_half() {
        let (name, password) = read("smtps://a%40b:p%2Bq+r@relay.example.org", "").unwrap().login.unwrap();
        assert_eq!((name.as_str(), password.expose()), ("a@b", "p+q+r"));
        let (_, password) = read("smtps://anna@relay.example.org", "hemligt").unwrap().login.unwrap();
        assert_eq!(password.expose(), "hemligt");
        for (url, password) in [
            ("smtps://anna@relay.example.org", ""),
            ("smtps://relay.example.org", "hemligt"),
            ("smtp://anna@relay.example.org?tls=none", "hemligt"),
            ("smtp://relay.example.org?tls=maybe", ""),
            ("smtps://relay.example.org?tls=none", ""),
        ] {
            let error = read(url, password).unwrap_err();
            assert_eq!(error.code(), "mail.url_unusable");
            assert!(error.to_string().starts_with("mail.url: ") && !error.to_string().contains("hemligt"));
        }
    }
}
