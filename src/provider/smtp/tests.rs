use super::*;

fn told(failure: Failure) -> (&'static str, &'static str) {
    match outcome(failure) {
        HandOverError::Retry { reason, provider_down: true, .. } => ("retry, down", reason.code),
        HandOverError::Retry { reason, .. } => ("retry", reason.code),
        HandOverError::Throttled { reason, .. } => ("throttled", reason.code),
        HandOverError::Rejected { reason } => ("rejected", reason.code),
        HandOverError::Misconfigured { reason } => ("misconfigured", reason.code),
        HandOverError::InDoubt { reason } => ("in doubt", reason.code),
    }
}

fn reply(text: &str) -> Reply {
    let (code, text) = text.split_at(3);
    Reply { code: code.parse().unwrap(), lines: vec![text.trim().to_owned()] }
}

#[test]
fn every_refusal_at_every_stage_has_its_outcome() {
    let table = [
        (Stage::Greeting, "421 busy", ("retry, down", "relay.busy")),
        (Stage::Greeting, "554 no service here", ("retry, down", "relay.refuses_us")),
        (Stage::Hello, "451 later", ("retry, down", "relay.busy")),
        (Stage::Hello, "550 not you", ("retry, down", "relay.refuses_us")),
        (Stage::Tls, "454 TLS not available", ("retry, down", "relay.busy")),
        (Stage::Tls, "501 no", ("retry, down", "relay.refuses_us")),
        (Stage::Login, "454 later", ("retry, down", "relay.busy")),
        (Stage::Login, "535 5.7.8 bad credentials", ("misconfigured", "relay.unauthorized")),
        (Stage::Login, "500 what", ("misconfigured", "relay.unauthorized")),
        (Stage::Sender, "421 closing", ("retry, down", "relay.busy")),
        (Stage::Sender, "452 4.3.1 no space", ("retry, down", "relay.busy")),
        (Stage::Sender, "530 5.7.0 authentication required", ("misconfigured", "relay.unauthorized")),
        (Stage::Sender, "550 5.7.1 sender refused", ("misconfigured", "relay.sender_refused")),
        (Stage::Sender, "552 5.3.4 too big", ("rejected", "relay.too_large")),
        (Stage::Recipient, "450 4.2.0 greylisted", ("retry", "relay.deferred")),
        (Stage::Recipient, "421 4.7.0 closing", ("retry, down", "relay.busy")),
        (Stage::Recipient, "550 5.1.1 no such user", ("rejected", "relay.address_unknown")),
        (Stage::Recipient, "550 no such user", ("rejected", "relay.rejected")),
        (Stage::Recipient, "552 5.2.2 full", ("rejected", "relay.mailbox_full")),
        (Stage::Recipient, "554 5.7.1 relay access denied", ("rejected", "relay.policy")),
        (Stage::Recipient, "530 log in", ("misconfigured", "relay.unauthorized")),
        (Stage::Data, "451 later", ("retry", "relay.deferred")),
        (Stage::Data, "554 no valid recipients", ("rejected", "relay.rejected")),
        (Stage::FinalDot, "451 4.7.1 later", ("retry", "relay.deferred")),
        (Stage::FinalDot, "421 closing", ("retry, down", "relay.busy")),
        (Stage::FinalDot, "554 5.6.0 content", ("rejected", "relay.content_refused")),
        (Stage::FinalDot, "552 too big", ("rejected", "relay.too_large")),
    ];
    for (stage, text, expected) in table {
        assert_eq!(told(Failure::Refused(stage, reply(text))), expected, "{stage:?} {text}");
    }
}

#[test]
fn only_a_loss_after_the_final_dot_is_in_doubt() {
    for stage in [
        Stage::Connect,
        Stage::Tls,
        Stage::Greeting,
        Stage::Hello,
        Stage::Login,
        Stage::Sender,
        Stage::Recipient,
        Stage::Data,
        Stage::Body,
        Stage::Reset,
    ] {
        assert_eq!(told(Failure::Lost(stage, "relay.timeout")), ("retry, down", "relay.timeout"), "{stage:?}");
    }
    assert_eq!(told(Failure::Lost(Stage::FinalDot, "relay.timeout")), ("in doubt", "relay.timeout"));
}

#[test]
fn code_and_text_of_a_refusal_are_kept() {
    let error = outcome(Failure::Refused(Stage::Recipient, reply("550 5.1.1 no such user")));
    assert_eq!(error.reason().detail.as_deref(), Some("550 5.1.1 no such user"));
}

#[test]
fn a_proxy_is_read_with_its_login_and_only_over_http() {
    assert_eq!(read_proxy("").unwrap(), None);
    let (host, port, login) = read_proxy("http://anna:p%40ss@proxy.example.org:3128").unwrap().unwrap();
    assert_eq!((host.as_str(), port, login.as_deref()), ("proxy.example.org", 3128, Some("Basic YW5uYTpwQHNz")));
    assert_eq!(read_proxy("http://[::1]").unwrap(), Some(("::1".to_owned(), 80, None)));
    for url in ["socks5://proxy.example.org", "https://proxy.example.org", "proxy"] {
        assert_eq!(read_proxy(url).unwrap_err().code(), "mail.proxy_unusable");
    }
}
