//! Owns the HTTP side of the simulated gateway: `POST /a1/sms`, `GET /a1/sms`, `GET /a1/sms/{id}`, `GET /a1/me`.
//!
//! Errors are plain text, as 46elks' are. Invariant: a call that is not valid, not paid or too fast takes no message,
//! whatever the behaviour says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use data_encoding::BASE64;
use futures_util::stream;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::behaviour::{Answer, GatewayBehaviour, HistoryMode, Reply, Rubbish, draw};
use super::super::journal::{AcceptedSms, NewSms, PageQuery, SmsState};
use super::super::socket::SocketControl;
use super::{GatewayState, control, lock, plain, receipts};

/// Longest text the gateway takes, characters.
const MAX_TEXT: usize = 1_600;

/// Most rows of the history in one answer.
const MAX_PAGE: usize = 100;

type Gateway = State<Arc<GatewayState>>;

pub(super) fn routes(
    state: Arc<GatewayState>,
) -> axum::extract::connect_info::IntoMakeServiceWithConnectInfo<Router, SocketControl> {
    Router::new()
        .route("/a1/sms", post(send).get(history))
        .route("/a1/sms/{id}", get(look_up))
        .route("/a1/me", get(me))
        .merge(plain::routes())
        .merge(control::routes())
        .fallback(|| async { plain(404, "Not found") })
        .with_state(state)
        .into_make_service_with_connect_info::<SocketControl>()
}

async fn send(
    State(gateway): Gateway,
    ConnectInfo(socket): ConnectInfo<SocketControl>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let came_at = Instant::now();
    let call = gateway.calls.fetch_add(1, Ordering::Relaxed);
    let behaviour = gateway.behaviour();
    authorize(&gateway, &headers)?;
    let form = read_form(&body)?;
    let cost = form.sms.parts * behaviour.cost_per_part;
    if form.dryrun {
        let estimate =
            json!({"estimated_cost": cost, "parts": form.sms.parts, "to": form.sms.to, "from": form.sms.from});
        return Ok(json_answer(&estimate));
    }
    check_rate(&gateway, &behaviour)?;
    let answer = choose(&gateway, &behaviour, &form.sms.to, call);
    let mut accepted = None;
    if answer.accept {
        charge(&gateway, &behaviour, cost)?;
        accepted = Some(gateway.journal.enter(form.sms, (gateway.options.wall_clock)()));
    }
    if let Some(sms) = &accepted {
        receipts::plan(&gateway, &behaviour, sms).await;
    }
    if behaviour.latency_ms > 0 {
        wait_until(came_at + Duration::from_millis(behaviour.latency_ms)).await;
    }
    Ok(reply(&gateway, &socket, &answer.reply, accepted.as_ref()).await)
}

/// Waits to a tenth of a millisecond. The runtime's timer counts whole milliseconds and rings up to two late, which would be four
/// per cent of a call of 50 ms.
async fn wait_until(due: Instant) {
    const LATE: Duration = Duration::from_millis(3);
    tokio::time::sleep(due.saturating_duration_since(Instant::now()).saturating_sub(LATE)).await;
    #[expect(clippy::disallowed_methods, reason = "on a thread that is there to be blocked")]
    let rest = move || std::thread::sleep(due.saturating_duration_since(Instant::now()));
    // The rest is a pause and nothing else: a runtime that ends meanwhile loses nothing.
    let _ = tokio::task::spawn_blocking(rest).await;
}

async fn history(State(gateway): Gateway, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    gateway.history_calls.fetch_add(1, Ordering::Relaxed);
    authorize(&gateway, &headers)?;
    let query = query.unwrap_or_default();
    let get = |key: &str| {
        url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
    };
    if let Some(answer) = history_fault(&gateway.behaviour().history, get("start").is_some()).await {
        return Ok(answer);
    }
    // `start` = older than, `end` = newer than.
    let time = |key: &str| get(key).map(|text| parse_time_us(&text)).transpose();
    let (Ok(older_than_us), Ok(newer_than_us)) = (time("start"), time("end")) else {
        return Err(refuse(400, "Invalid start or end"));
    };
    let limit = get("limit").and_then(|text| text.parse().ok()).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let page = PageQuery { older_than_us, newer_than_us, to: get("to"), limit };
    let (rows, more) = gateway.journal.page(&page);
    let next = rows.last().filter(|_| more).map(|(sms, _)| format_time(sms.arrived_at()));
    let cost = gateway.behaviour().cost_per_part;
    let oldest_us = rows.last().filter(|_| more).map(|(sms, _)| sms.arrived_at().as_microsecond());
    let mut rows: Vec<(Timestamp, Value)> =
        rows.iter().map(|(sms, state)| (sms.arrived_at(), describe(sms, *state, cost))).collect();
    rows.extend(incoming(&gateway, &page, oldest_us));
    rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
    Ok(json_answer(&match next {
        Some(next) => json!({"data": rows, "next": next}),
        None => json!({"data": rows}),
    }))
}

/// The incoming SMS that belong to a page of outgoing ones, which ends at `oldest_us` when another follows.
fn incoming(gateway: &GatewayState, page: &PageQuery, oldest_us: Option<i64>) -> Vec<(Timestamp, Value)> {
    let newer_than = oldest_us.map(|at| at - 1).or(page.newer_than_us).unwrap_or(i64::MIN);
    let older_than = page.older_than_us.unwrap_or(i64::MAX);
    let incoming = lock(&gateway.incoming);
    let within = incoming.iter().filter(|(sms, at)| {
        let at = at.as_microsecond();
        at > newer_than && at < older_than && page.to.as_ref().is_none_or(|to| *to == sms.to)
    });
    let described = within.map(|(sms, at)| {
        let row = json!({"id": sms.id, "direction": "incoming", "from": sms.from, "to": sms.to,
            "created": format_time(*at), "message": sms.text});
        (*at, row)
    });
    described.collect()
}

async fn look_up(State(gateway): Gateway, headers: HeaderMap, Path(id): Path<String>) -> Result<Response, Refusal> {
    gateway.history_calls.fetch_add(1, Ordering::Relaxed);
    authorize(&gateway, &headers)?;
    let behaviour = gateway.behaviour();
    if let Some(answer) = history_fault(&behaviour.history, false).await {
        return Ok(answer);
    }
    let (sms, state) = gateway.journal.find(&id).ok_or_else(|| refuse(404, "Not found"))?;
    Ok(json_answer(&describe(&sms, state, behaviour.cost_per_part)))
}

async fn me(State(gateway): Gateway, headers: HeaderMap) -> Result<Response, Refusal> {
    authorize(&gateway, &headers)?;
    let spent = i64::try_from(gateway.spent.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
    let balance = gateway.behaviour().balance.map_or(100_000_000, |credit| credit.saturating_sub(spent));
    Ok(json_answer(&json!({"id": "u1", "displayname": "Simulator", "currency": "SEK", "balance": balance})))
}

/// An answer in plain text that takes no message.
#[derive(Debug)]
pub(super) struct Refusal {
    code: u16,
    text: String,
    retry_after: Option<String>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = plain(self.code, &self.text);
        if let Some(value) = self.retry_after.and_then(|text| text.parse().ok()) {
            answer.headers_mut().insert(RETRY_AFTER, value);
        }
        answer
    }
}

fn refuse(code: u16, text: &str) -> Refusal {
    Refusal { code, text: text.to_owned(), retry_after: None }
}

pub(super) struct SendForm {
    pub(super) sms: NewSms,
    dryrun: bool,
}

pub(super) fn read_form(body: &[u8]) -> Result<SendForm, Refusal> {
    let mut sms = NewSms::default();
    let (mut to, mut from, mut text, mut dryrun) = (None, None, None, false);
    for (name, value) in url::form_urlencoded::parse(body) {
        match name.as_ref() {
            "to" => to = Some(value.into_owned()),
            "from" => from = Some(value.into_owned()),
            "message" => text = Some(value.into_owned()),
            "whendelivered" => sms.receipt_url = Some(value.into_owned()),
            "dontlog" => sms.dontlog = value == "message",
            "dryrun" => dryrun = value == "yes",
            _ => {}
        }
    }
    let missing = |key: &str| refuse(400, &format!("Missing key {key}"));
    sms.from = from.filter(|from| !from.is_empty()).ok_or_else(|| missing("from"))?;
    sms.to = to.filter(|to| !to.is_empty()).ok_or_else(|| missing("to"))?;
    sms.text = text.filter(|text| !text.is_empty()).ok_or_else(|| missing("message"))?;
    if !is_number(&sms.to) {
        return Err(refuse(400, "Invalid to number"));
    }
    if !is_number(&sms.from) && !is_sender_name(&sms.from) {
        return Err(refuse(400, "Invalid from number"));
    }
    if sms.text.chars().count() > MAX_TEXT {
        return Err(refuse(400, "Too long message"));
    }
    sms.parts = count_parts(&sms.text);
    Ok(SendForm { sms, dryrun })
}

fn is_number(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_sender_name(text: &str) -> bool {
    (3..=11).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
}

/// Parts as charged (3GPP TS 23.038 and 23.040), counted on its own, as a gateway would.
fn count_parts(text: &str) -> i64 {
    const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ÄÖÑÜ§¿äöñüà";
    const EXTENDED: &str = "\u{c}^{}\\[~]|€";
    let septets = text.chars().try_fold(0, |sum, c| match c {
        c if c.is_ascii_alphanumeric() || BASIC.contains(c) => Some(sum + 1),
        c if EXTENDED.contains(c) => Some(sum + 2),
        _ => None,
    });
    let (units, single, joined) = match septets {
        Some(septets) => (septets, 160, 153),
        None => (text.encode_utf16().count(), 70, 67),
    };
    let parts = if units <= single { 1 } else { units.div_ceil(joined) };
    i64::try_from(parts).unwrap_or(i64::MAX)
}

fn authorize(gateway: &GatewayState, headers: &HeaderMap) -> Result<(), Refusal> {
    let expected = format!("{}:{}", gateway.options.username, gateway.options.password);
    let given = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|token| BASE64.decode(token.as_bytes()).ok());
    match given {
        Some(given) if given == expected.as_bytes() => Ok(()),
        _ => Err(refuse(401, "Wrong username or password")),
    }
}

fn check_rate(gateway: &GatewayState, behaviour: &GatewayBehaviour) -> Result<(), Refusal> {
    let Some(limit) = &behaviour.rate_limit else { return Ok(()) };
    let now = Instant::now();
    let mut recent = lock(&gateway.recent);
    while recent.front().is_some_and(|first| now.duration_since(*first) >= Duration::from_secs(1)) {
        recent.pop_front();
    }
    if recent.len() >= usize::try_from(limit.per_second).unwrap_or(usize::MAX) {
        return Err(Refusal { retry_after: limit.retry_after.clone(), ..refuse(429, "Too many requests") });
    }
    recent.push_back(now);
    Ok(())
}

/// Takes the price off the credit, if there is that much.
fn charge(gateway: &GatewayState, behaviour: &GatewayBehaviour, cost: i64) -> Result<(), Refusal> {
    let cost = u64::try_from(cost).unwrap_or_default();
    let credit = behaviour.balance.map_or(u64::MAX, |credit| u64::try_from(credit).unwrap_or_default());
    let affordable = |spent: u64| spent.checked_add(cost).filter(|spent| *spent <= credit);
    match gateway.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, affordable) {
        Ok(_) => Ok(()),
        Err(_) => Err(refuse(403, "Not enough credits to send the message.")),
    }
}

fn choose(gateway: &GatewayState, behaviour: &GatewayBehaviour, to: &str, call: u64) -> Answer {
    if let Some(answer) = lock(&gateway.next_answers).pop_front() {
        return answer;
    }
    if let Some(answer) = behaviour.answer_by_number.get(to) {
        return answer.clone();
    }
    let mut draw = draw(gateway.options.seed, call);
    for share in &behaviour.shares {
        if draw < share.share {
            return share.answer.clone();
        }
        draw -= share.share;
    }
    behaviour.answer.clone()
}

async fn reply(
    gateway: &GatewayState,
    socket: &SocketControl,
    reply: &Reply,
    accepted: Option<&AcceptedSms>,
) -> Response {
    let proper = || match accepted {
        Some(sms) => describe(sms, SmsState::Created, gateway.behaviour().cost_per_part),
        None => json!({"status": "not sent"}),
    };
    match reply {
        Reply::Proper => json_answer(&proper()),
        Reply::PlainText { code, text, retry_after } => {
            Refusal { retry_after: retry_after.clone(), ..refuse(*code, text) }.into_response()
        }
        Reply::Rubbish(kind) => rubbish(gateway, *kind, proper()),
        Reply::Reset => {
            socket.reset();
            json_answer(&proper())
        }
        Reply::Close => {
            socket.close();
            json_answer(&proper())
        }
        Reply::Silence => std::future::pending().await,
        Reply::StallInBody => {
            let text = proper().to_string().into_bytes();
            let half = Bytes::copy_from_slice(&text[..text.len() / 2]);
            slow_body(text.len(), vec![half], Duration::ZERO, true)
        }
        Reply::TrickleHeaders(pause_ms) => {
            socket.trickle(*pause_ms);
            json_answer(&proper())
        }
        Reply::TrickleBody(pause_ms) => {
            let text = proper().to_string().into_bytes();
            let bytes: Vec<Bytes> = text.chunks(1).map(Bytes::copy_from_slice).collect();
            slow_body(text.len(), bytes, Duration::from_millis(*pause_ms), false)
        }
    }
}

/// A body in pieces with pauses between them; `forever` = nothing comes after the last piece, and no end either.
fn slow_body(length: usize, pieces: Vec<Bytes>, pause: Duration, forever: bool) -> Response {
    let pieces = stream::unfold(pieces.into_iter(), move |mut pieces| async move {
        let Some(piece) = pieces.next() else {
            return if forever { std::future::pending().await } else { None };
        };
        tokio::time::sleep(pause).await;
        Some((Ok::<_, std::convert::Infallible>(piece), pieces))
    });
    let headers = [(CONTENT_TYPE, "application/json".to_owned()), (CONTENT_LENGTH, length.to_string())];
    (headers, Body::from_stream(pieces)).into_response()
}

fn rubbish(gateway: &GatewayState, kind: Rubbish, mut proper: Value) -> Response {
    let text = |bytes: &'static [u8]| (StatusCode::OK, bytes).into_response();
    match kind {
        Rubbish::Empty => StatusCode::OK.into_response(),
        Rubbish::Html => {
            (StatusCode::OK, [(CONTENT_TYPE, "text/html")], "<html><body>OK</body></html>").into_response()
        }
        Rubbish::Huge => {
            let mut body = br#"{"id":""#.to_vec();
            body.resize(10 * 1024 * 1024, b's');
            (StatusCode::OK, body).into_response()
        }
        Rubbish::InvalidUtf8 => text(b"{\"id\":\"s\xff\xfe\"}"),
        Rubbish::NullId => text(br#"{"id":null,"status":"created"}"#),
        Rubbish::NoId => text(br#"{"status":"created"}"#),
        Rubbish::CutJson => text(br#"{"id":"s0123"#),
        Rubbish::DuplicateId => {
            proper["id"] = json!(gateway.journal.first_id());
            json_answer(&proper)
        }
    }
}

async fn history_fault(mode: &HistoryMode, later_page: bool) -> Option<Response> {
    match mode {
        HistoryMode::On => None,
        HistoryMode::FirstPageOnly => later_page.then(|| plain(500, "Internal server error")),
        HistoryMode::Code(code) => Some(plain(*code, "Not found")),
        HistoryMode::Rubbish => Some((StatusCode::OK, "<html></html>").into_response()),
        HistoryMode::Silence => std::future::pending().await,
    }
}

/// A message as the API shows it.
fn describe(sms: &AcceptedSms, state: SmsState, cost_per_part: i64) -> Value {
    let mut shown = json!({
        "id": sms.id,
        "direction": "outgoing",
        "from": sms.from,
        "to": sms.to,
        "created": format_time(sms.arrived_at()),
        "status": state.word(),
        "parts": sms.parts,
        "cost": sms.parts * cost_per_part,
    });
    if !sms.dontlog {
        shown["message"] = json!(sms.text);
    }
    shown
}

fn format_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

fn parse_time_us(text: &str) -> Result<i64, jiff::Error> {
    let civil: jiff::civil::DateTime = text.trim_end_matches('Z').parse()?;
    Ok(civil.to_zoned(TimeZone::UTC)?.timestamp().as_microsecond())
}

fn json_answer(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

pub(super) fn plain(code: u16, text: &str) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, text.to_owned()).into_response()
}
