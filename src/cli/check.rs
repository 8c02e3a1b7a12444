//! Owns `check`: is everything there that a daemon needs?

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Failure, Outcome, say, say_json};
use crate::actions::audit_chain;
use crate::ambient::Clock;
use crate::app;
use crate::config::{Config, Loaded};
use crate::provider::SmsGateway;
use crate::store::Journal;

/// One thing that was looked at.
struct Finding {
    what: String,
    ok: bool,
    detail: String,
}

pub(super) async fn run(loaded: Loaded, as_json: bool) -> Outcome {
    let (database, journal) = database(&loaded.config).await;
    let mut findings = vec![database];
    findings.extend(journal);
    findings.push(anchors(&loaded.config));
    findings.extend(gateways(&loaded.config).await);
    findings.extend(duty(&loaded.config));
    findings.push(mail(&loaded.config).await);
    let all_ok = findings.iter().all(|finding| finding.ok);
    if as_json {
        let settings: Vec<Value> = loaded
            .settings
            .iter()
            .map(|setting| json!({ "key": setting.key, "value": setting.value, "source": setting.source }))
            .collect();
        let checks: Vec<Value> = findings
            .iter()
            .map(|found| json!({ "what": found.what, "ok": found.ok, "detail": found.detail }))
            .collect();
        say_json(&json!({ "ok": all_ok, "checks": checks, "settings": settings }));
    } else {
        for setting in &loaded.settings {
            say(&format!("{:<44} {:<40} {}", setting.key, setting.value, setting.source));
        }
        for finding in &findings {
            say(&format!("{}  {}: {}", if finding.ok { "ok  " } else { "FEL " }, finding.what, finding.detail));
        }
    }
    if all_ok { Ok(()) } else { Err(Failure::Reported) }
}

/// The database, and the journal of opt-outs that belongs to it.
async fn database(config: &Config) -> (Finding, Option<Finding>) {
    let what = "databas".to_owned();
    match app::open(Arc::new(config.clone()), Clock::System, true).await {
        Ok(desk) => {
            let journal = journal(desk.store.journal());
            desk.store.close().await;
            (Finding { what, ok: true, detail: "nås, och schemat är aktuellt".to_owned() }, Some(journal))
        }
        Err(error) => (Finding { what, ok: false, detail: format!("{error:#}") }, None),
    }
}

fn journal(journal: &Journal) -> Finding {
    let what = "journal över avanmälningar".to_owned();
    let (ok, detail) = match journal {
        Journal::Open(journal) => (true, format!("skrivs i {}", journal.file().display())),
        Journal::Broken(code) => {
            (false, format!("går inte att använda ({code}): filen och nyckeln hör inte ihop eller går inte att läsa"))
        }
        Journal::Off => {
            let detail = "VARNING: ingen (opt_outs.journal_file): efter en återläsning är avanmälningar och raderingar sedan kopian glömda";
            (true, detail.to_owned())
        }
    };
    Finding { what, ok, detail }
}

/// Where the audit log's heads are kept outside the database.
fn anchors(config: &Config) -> Finding {
    let what = "bevis för loggkedjan".to_owned();
    let Some(file) = config.audit.anchor() else {
        let detail =
            "VARNING: inget (audit.anchor_file): ingenting utanför databasen visar om någon har gjort om hela loggen";
        return Finding { what, ok: true, detail: detail.to_owned() };
    };
    match audit_chain::can_anchor(&file) {
        Ok(()) => Finding { what, ok: true, detail: format!("skrivs i {}", file.display()) },
        Err(error) => {
            Finding { what, ok: false, detail: format!("går inte att skriva i {}: {error}", file.display()) }
        }
    }
}

async fn gateways(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.sms.route.is_empty() {
        let detail = "sms.route är tom: inga larm kan skickas".to_owned();
        findings.push(Finding { what: "sms".to_owned(), ok: true, detail });
    }
    for (name, gateway) in &config.sms.gateways {
        let what = format!("gateway {name}");
        let finding = match SmsGateway::new(name, gateway, &config.server.egress_proxy) {
            Err(error) => Finding { what, ok: false, detail: error.to_string() },
            Ok(client) => match client.try_account().await {
                Ok(Some(balance)) => Finding { what, ok: true, detail: format!("svarar, saldo {:.2}", balance.amount) },
                Ok(None) => Finding { what, ok: true, detail: "svarar och släpper in oss".to_owned() },
                Err(error) => Finding { what, ok: false, detail: error.to_string() },
            },
        };
        findings.push(finding);
    }
    findings
}

/// Who is told of an acute answer that nobody takes. Alerts ask for observations unless they say otherwise.
fn duty(config: &Config) -> Option<Finding> {
    let detail = match config.replies.duty_number.is_empty() {
        _ if config.sms.route.is_empty() => return None,
        true => {
            "VARNING: inget nummer (replies.duty_number): ett akut svar som ingen tar når ingen per sms, om inte larmet har ett eget nummer"
        }
        false => "ett nummer är inställt",
    };
    Some(Finding { what: "akuta svar".to_owned(), ok: true, detail: detail.to_owned() })
}

async fn mail(config: &Config) -> Finding {
    let what = "e-post".to_owned();
    if config.mail.url.is_empty() {
        return Finding { what, ok: true, detail: "mail.url är tom: inga brev skickas".to_owned() };
    }
    let url = url::Url::parse(config.mail.url.expose()).ok();
    let host = url.as_ref().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let port = url.as_ref().and_then(url::Url::port).unwrap_or(if config.mail.url.expose().starts_with("smtps") {
        465
    } else {
        25
    });
    let connect = tokio::net::TcpStream::connect((host.as_str(), port));
    match tokio::time::timeout(std::time::Duration::from_secs(10), connect).await {
        Ok(Ok(_)) => Finding { what, ok: true, detail: format!("{host}:{port} svarar") },
        Ok(Err(error)) => Finding { what, ok: false, detail: format!("{host}:{port}: {error}") },
        Err(_) => Finding { what, ok: false, detail: format!("{host}:{port} svarar inte inom 10 s") },
    }
}
