//! Who may do what: every operation of the API with every role, deny by default.

use reqwest::Method;

use crate::support::openapi::{Operation, operations};
use crate::support::things::{Things, body_for};
use crate::support::{TestApp, on_both_databases};

const ROLES: [&str; 5] = ["operator", "chief", "officer", "admin", "auditor"];

/// Every operation, and the roles that may do it; what is not listed is denied.
pub const OPERATIONS: &[(&str, &[&str])] = &[
    ("GET /areas", &ROLES),
    ("POST /audiences", &ROLES),
    ("POST /texts/sms", &ROLES),
    ("GET /alerts", &["operator", "chief", "admin", "auditor"]),
    ("POST /alerts", &["operator", "admin"]),
    ("GET /alerts/{id}", &["operator", "chief", "admin", "auditor"]),
    ("PATCH /alerts/{id}", &["operator", "admin"]),
    ("GET /alerts/{id}/deliveries", &["operator", "chief", "admin"]),
    ("GET /deliveries/{id}", &["operator", "chief", "admin"]),
    ("POST /alerts/{id}/approve", &["operator", "chief", "admin"]),
    ("POST /alerts/{id}/return", &["operator", "chief", "admin"]),
    ("POST /alerts/{id}/send-unreviewed", &["operator", "admin"]),
    ("POST /alerts/{id}/stop", &["operator", "admin"]),
    ("POST /alerts/{id}/follow-ups", &["operator", "admin"]),
    ("POST /alerts/{id}/in-doubt", &["operator", "admin"]),
    ("POST /deliveries/{id}/resolve", &["operator", "admin"]),
    ("GET /mail-tray", &["chief", "admin"]),
    ("GET /mail-tray/{id}", &["chief", "admin"]),
    ("POST /mail-tray/{id}/resolve", &["chief", "admin"]),
    ("GET /decisions", &["operator", "chief", "admin", "auditor"]),
    ("POST /decisions", &["operator", "admin"]),
    ("GET /observations", &["operator", "officer", "admin"]),
    ("GET /observations/{id}", &["operator", "officer", "admin"]),
    ("PATCH /observations/{id}", &["operator", "officer", "admin"]),
    ("POST /observations/{id}/reply", &["operator", "officer", "admin"]),
    ("GET /events", &ROLES),
    ("GET /audit", &["admin", "auditor"]),
    ("GET /contact-persons", &["operator", "chief", "admin"]),
    ("POST /contact-persons", &["chief", "admin"]),
    ("GET /contact-persons/{id}", &["operator", "chief", "admin"]),
    ("PATCH /contact-persons/{id}", &["chief", "admin"]),
    ("DELETE /contact-persons/{id}", &["chief", "admin"]),
    ("POST /contact-persons/{id}/end-own-page", &["chief", "admin"]),
    ("GET /contact-persons/export", &["admin"]),
    ("POST /imports", &["admin"]),
    ("GET /imports/{id}", &["admin"]),
    ("GET /imports/{id}/missing", &["admin"]),
    ("POST /imports/{id}/answers", &["admin"]),
    ("POST /imports/{id}/undo", &["admin"]),
    ("GET /letters", &["chief", "admin", "auditor"]),
    ("POST /letters", &["chief", "admin"]),
    ("GET /letters/{id}", &["chief", "admin", "auditor"]),
    ("PATCH /letters/{id}", &["chief", "admin"]),
    ("GET /letters/{id}/deliveries", &["chief", "admin"]),
    ("GET /letters/{id}/preview", &["chief", "admin", "auditor"]),
    ("GET /letters/{id}/print", &["chief", "admin"]),
    ("POST /letters/{id}/test", &["chief", "admin"]),
    ("POST /letters/{id}/send", &["chief", "admin"]),
    ("POST /letters/{id}/request-approval", &["chief", "admin"]),
    ("POST /letters/{id}/approve", &["chief", "admin"]),
    ("POST /letters/{id}/return", &["chief", "admin"]),
    ("POST /letters/{id}/send-unreviewed", &["chief", "admin"]),
    ("POST /letters/{id}/stop", &["chief", "admin"]),
    ("POST /letters/{id}/printed", &["chief", "admin"]),
];

/// The HTTP code of a right call; the body is not read, because `/events` never ends.
async fn call(app: &TestApp, key: Option<&str>, operation: &Operation, things: Option<&Things>) -> u16 {
    let path = match things {
        Some(things) if operation.path.contains("{id}") => operation.at(things.id_for(&operation.path)),
        _ => operation.at("x"),
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(operation.method.clone(), format!("{}/api/v1{path}", app.api.base()));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if operation.name() == "POST /imports" {
        request =
            request.header("content-type", "text/csv").body("name,mobile,municipality\nBo Berg,070-174 06 08,2326\n");
    } else if operation.method != Method::GET {
        request = request.json(&body_for(&operation.name()));
    }
    request.send().await.unwrap().status().as_u16()
}

on_both_databases! {
    async fn nothing_is_done_without_a_key(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        for operation in operations(&app.api).await {
            assert_eq!(call(&app, None, &operation, None).await, 401, "{}", operation.name());
            assert_eq!(call(&app, Some(""), &operation, None).await, 401, "{}", operation.name());
            assert_eq!(call(&app, Some("gp_wrong"), &operation, None).await, 401, "{}", operation.name());
        }
    }

    async fn every_role_may_do_what_the_table_says_and_nothing_else(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let operations = operations(&app.api).await;
        for role in ROLES {
            let key = app.key(role, "jamtland").await;
            let mut things = app.things().await;
            for operation in &operations {
                let (_, may) = OPERATIONS.iter().find(|(name, _)| *name == operation.name()).unwrap_or(&("", &[]));
                let code = call(&app, Some(&key), operation, Some(&things)).await;
                let what = format!("{role} {}: {code}", operation.name());
                if may.contains(&role) {
                    assert!(matches!(code, 200 | 201 | 204 | 409), "{what}");
                } else {
                    assert!(matches!(code, 403 | 404), "{what}");
                }
                if code < 300 && operation.method != Method::GET {
                    things = app.things().await;
                }
            }
        }
    }

    async fn a_role_for_one_area_sees_nothing_of_another(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let key = app.key("admin", "2321").await;
        let things = app.things().await;
        for operation in operations(&app.api).await.iter().filter(|operation| operation.path.contains("{id}")) {
            let code = call(&app, Some(&key), operation, Some(&things)).await;
            // Imports and strange mail are of the whole tree: whoever holds a part of it has no right to any.
            let is_of_all = ["/imports", "/mail-tray"].iter().any(|path| operation.path.starts_with(path));
            let expected = if is_of_all { 403 } else { 404 };
            assert_eq!(code, expected, "{}", operation.name());
        }
        let there = app.api.with_key(&key);
        for path in ["/contact-persons", "/alerts", "/letters", "/observations"] {
            assert_eq!(there.get(path).await.json["items"], serde_json::json!([]), "{path}");
        }
        let made = there.post("/alerts", crate::support::things::alert_body()).await;
        assert!(matches!(made.status.as_u16(), 403 | 404 | 422), "{}", made.text);
        let made = there.post("/contact-persons", crate::support::things::person_body()).await;
        assert!(matches!(made.status.as_u16(), 403 | 404 | 422), "{}", made.text);
    }

    async fn a_revoked_key_is_refused_at_once(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let key = app.key("admin", "").await;
        let api = app.api.with_key(&key);
        assert_eq!(api.get("/areas").await.status, 200);
        let mut session = app.desk.store.begin().await.unwrap();
        assert_eq!(grannpost::store::api_key::revoke(&mut session, "admin", app.desk.now()).await.unwrap(), 1);
        session.commit().await.unwrap();
        assert_eq!(api.get("/areas").await.status, 401);
    }
}
