//! What gateways call: whatever happens, the answer has no body, for a gateway sends what stands in it to a citizen.

use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use grannpost::simulator::ReceiptPlan;

use crate::support::things::alert_body;
use crate::support::{Kind, SECRET, TestApp, on_both_databases};

const FORM: &str = "application/x-www-form-urlencoded";
const WRONG: &str = "1123456789abcdef0123456789abcdef";

impl TestApp {
    /// The path of a real receipt, from an SMS that was handed over, and the gateway's id of it.
    async fn receipt_path(&self) -> (String, String) {
        self.gateway.change(|gateway| gateway.receipts = ReceiptPlan::silent());
        assert_eq!(self.api.post("/contact-persons", crate::support::things::person_body()).await.status, 201);
        let mut alert = alert_body();
        alert["undo_seconds"] = 0.into();
        assert_eq!(self.api.post("/alerts", alert).await.status, 201);
        self.gateway.journal().wait_for(1).await;
        let sms = self.gateway.journal().messages().remove(0);
        let url = sms.receipt_url.unwrap();
        (url[url.find("/hooks/").unwrap()..].to_owned(), sms.id)
    }

    /// Calls a hook and sees that nothing stands in the answer.
    async fn hook(&self, method: Method, path: &str, kind: &str, body: Vec<u8>, forwarded: Option<&str>) -> u16 {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.request(method.clone(), format!("{}{path}", self.api.base()));
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        let answer = request.body(body).send().await.unwrap();
        let code = answer.status().as_u16();
        assert!(!answer.headers().contains_key("content-type"), "{method} {path}: {code} has a type");
        assert_eq!(answer.bytes().await.unwrap().len(), 0, "{method} {path}: {code} has a body");
        code
    }
}

/// A call below /hooks/: method, path, content type, body, and the codes it may be answered with.
type Case = (Method, String, &'static str, Vec<u8>, &'static [u16]);

on_both_databases! {
    async fn every_answer_below_hooks_is_empty_and_has_the_right_code(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let (receipt, reference) = app.receipt_path().await;
        let inbound = format!("/hooks/sms/elks/{SECRET}/inbound");
        let token = receipt.rsplit('/').next().unwrap();
        let report = format!("id={reference}&status=delivered&delivered=2026-11-20T01:31:05");
        let post = Method::POST;
        let cases: Vec<Case> = vec![
            (post.clone(), receipt.clone(), FORM, report.clone().into(), &[204]),
            (post.clone(), receipt.clone(), FORM, report.clone().into(), &[204]),
            (post.clone(), receipt.clone(), FORM, "id=&status=".into(), &[204]),
            (post.clone(), receipt.clone(), FORM, vec![0xff, 0, 0xfe], &[204]),
            (post.clone(), receipt.clone(), FORM, Vec::new(), &[204]),
            (post.clone(), receipt.clone(), FORM, format!("id={reference}&status=r%C3%A4ksm%C3%B6rg%C3%A5s").into(), &[204]),
            (post.clone(), receipt.clone(), "application/json", "{\"id\":1}".into(), &[204, 415]),
            (post.clone(), receipt.clone(), "", "x".into(), &[204, 415]),
            (post.clone(), receipt.clone(), FORM, vec![b'a'; 70_000], &[413]),
            (post.clone(), receipt.replace(token, "unknown"), FORM, report.clone().into(), &[204]),
            (post.clone(), receipt.replace(token, &"a".repeat(4_000)), FORM, report.clone().into(), &[204]),
            (post.clone(), receipt.replace(SECRET, WRONG), FORM, report.clone().into(), &[404]),
            (post.clone(), receipt.replace(SECRET, ""), FORM, report.clone().into(), &[404]),
            (post.clone(), receipt.replace("/elks/", "/other/"), FORM, report.clone().into(), &[404]),
            (post.clone(), receipt.replace(token, "%ff"), FORM, report.clone().into(), &[204, 400, 404]),
            (post.clone(), receipt.replace(token, "%00"), FORM, report.clone().into(), &[204, 400, 404]),
            (post.clone(), inbound.clone(), FORM, "from=%2B46701740601&to=%2B46766860000&message=Hej".into(), &[204]),
            (post.clone(), inbound.clone(), FORM, "from=%2B46701740601&to=%2B46766860000&message=Hej".into(), &[204]),
            (post.clone(), inbound.clone(), FORM, vec![0, 0xff, 0xfe], &[204]),
            (post.clone(), inbound.clone(), FORM, vec![b'a'; 70_000], &[413]),
            (post.clone(), inbound.replace(SECRET, WRONG), FORM, "from=x".into(), &[404]),
            (Method::GET, receipt.clone(), "", Vec::new(), &[405]),
            (Method::HEAD, receipt.clone(), "", Vec::new(), &[405]),
            (Method::PUT, inbound.clone(), FORM, "a=b".into(), &[405]),
            (Method::DELETE, inbound.clone(), "", Vec::new(), &[405]),
            (Method::OPTIONS, inbound.clone(), "", Vec::new(), &[405]),
            (Method::TRACE, inbound.clone(), "", Vec::new(), &[405]),
            (Method::GET, "/hooks".into(), "", Vec::new(), &[404]),
            (Method::GET, "/hooks/".into(), "", Vec::new(), &[404]),
            (post.clone(), "/hooks/sms".into(), FORM, Vec::new(), &[404]),
            (post.clone(), format!("/hooks/sms/elks/{SECRET}/receipt"), FORM, Vec::new(), &[404]),
            (post.clone(), format!("/hooks/sms/elks/{SECRET}/inbound/more"), FORM, Vec::new(), &[404]),
        ];
        for (method, path, kind, body, codes) in cases {
            let code = app.hook(method.clone(), &path, kind, body.clone(), None).await;
            let body: String = String::from_utf8_lossy(&body).chars().take(40).collect();
            assert!(codes.contains(&code), "{method} {path} {body:?}: {code}");
        }
        let alerts = app.api.get("/alerts").await;
        assert_eq!(alerts.json["items"][0]["counts"]["delivered"], 1, "one report moved one delivery once");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn raw_requests_get_no_body_either(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let address = app.api.base().strip_prefix("http://").unwrap().to_owned();
        let inbound = format!("/hooks/sms/elks/{SECRET}/inbound");
        let head = format!("POST {inbound} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for (request, expected) in [
            (format!("{head}Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na=b&c\r\n0\r\n\r\n"), "204"),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\nZZZ\r\n"), "400"),
            (format!("{head}Content-Length: 200000\r\n\r\n"), "413"),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\n11170\r\n{}\r\n0\r\n\r\n", "a".repeat(70_000)), "413"),
            (format!("{head}Content-Length: 10\r\n\r\na=b"), "408"),
            (format!("HEAD {inbound} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "405"),
            (format!("BREW {inbound} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "405"),
        ] {
            let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let read = stream.read_to_end(&mut answer);
            tokio::time::timeout(std::time::Duration::from_secs(20), read).await.expect("a call is given up").unwrap();
            let answer = String::from_utf8(answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, "", "{request}: {answer}");
            assert_eq!(head.split(' ').nth(1), Some(expected), "{request}: {answer}");
        }
    }

    async fn only_the_gateways_addresses_may_call_when_they_are_known(kind: Kind) {
        let only = "sms.gateways.elks.callback_addresses = [\"192.0.2.1\"]\n";
        let app = TestApp::spawn_with(kind, only).await;
        let inbound = format!("/hooks/sms/elks/{SECRET}/inbound");
        for forwarded in [None, Some("192.0.2.1"), Some("192.0.2.1, 127.0.0.1")] {
            assert_eq!(app.hook(Method::POST, &inbound, FORM, b"a=b".to_vec(), forwarded).await, 404, "{forwarded:?}");
        }
        let behind = TestApp::spawn_with(kind, &format!("{only}server.trusted_proxies = [\"127.0.0.1\", \"10.0.0.1\"]")).await;
        for (forwarded, code) in [
            (None, 404),
            (Some("192.0.2.1"), 204),
            (Some("198.51.100.7, 192.0.2.1"), 204),
            (Some("192.0.2.1, 10.0.0.1"), 204),
            (Some("192.0.2.1, 198.51.100.7"), 404),
            (Some("rubbish"), 404),
            (Some(""), 404),
        ] {
            assert_eq!(behind.hook(Method::POST, &inbound, FORM, b"a=b".to_vec(), forwarded).await, code, "{forwarded:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_not_acknowledged_and_has_no_body() {
    let mut app = TestApp::spawn(Kind::Sqlite).await;
    let inbound = format!("/hooks/sms/elks/{SECRET}/inbound");
    app.database.execute("ALTER TABLE inbound_sms RENAME TO elsewhere").await;
    assert_eq!(app.hook(Method::POST, &inbound, FORM, b"a=b".to_vec(), None).await, 503);
    app.database.execute("ALTER TABLE elsewhere RENAME TO inbound_sms").await;
    assert_eq!(app.hook(Method::POST, &inbound, FORM, b"a=b".to_vec(), None).await, 204);
    app.restart().await;
}
