//! What comes back, in every order: receipts, bounces and answers of the same deliveries, doubled, late and several at once
//! (`docs/faults.md`, C1). A seed replays its inputs; which of a group is written first is the machine's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use grannpost::ambient::Clock;
use grannpost::domain::delivery::DeliveryState;
use grannpost::domain::delivery_token::DeliveryToken;
use grannpost::inbound::mail::Spool;
use grannpost::simulator::{AfterDot, Answer, HistoryMode, ReceiptPlan, Reply, Share};
use grannpost::store::Store;
use serde_json::json;
use tokio::task::JoinSet;

use crate::mail_in::report;
use crate::support::faults::{Draw, seeds, tell};
use crate::support::{SECRET, TestApp, on_both_databases};

const PERSONS: usize = 6;
const INPUTS: usize = 90;
/// Most that are brought at once.
const AT_ONCE: usize = 8;
const FORM: &str = "application/x-www-form-urlencoded";

/// Something that comes in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Input {
    /// The gateway's word about an attempt.
    Receipt { delivery: i64, attempt: i64, reference: String, word: &'static str },
    /// A mail server's report about an attempt.
    Bounce { delivery: i64, attempt: i64, action: &'static str },
    /// The number-th answer, from one of the persons.
    Answer { number: usize, person: usize, text: &'static str },
}

/// What is needed to bring something in.
#[derive(Clone)]
struct Bringer {
    base: String,
    client: reqwest::Client,
    store: Store,
    clock: Clock,
    tokens: Arc<BTreeMap<(i64, i64), String>>,
}

impl Bringer {
    fn new(app: &TestApp, handed_over: &[HandedOver]) -> Self {
        let attempts = handed_over.iter().flat_map(|one| (1..=one.attempts).map(|attempt| (one.id, attempt)));
        let token = |(delivery_id, attempt)| app.desk.token_key.encode(DeliveryToken { delivery_id, attempt });
        Self {
            base: format!("{}/hooks/sms/elks/{SECRET}", app.api.base()),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            store: app.desk.store.clone(),
            clock: app.clock.clone(),
            tokens: Arc::new(attempts.map(|attempt| (attempt, token(attempt))).collect()),
        }
    }

    /// As often as it takes until it is kept, like a gateway or a mail server.
    async fn bring(self, input: Input) {
        match &input {
            Input::Receipt { delivery, attempt, reference, word } => {
                let token = &self.tokens[&(*delivery, *attempt)];
                self.post(&format!("/receipt/{token}"), format!("id={reference}&status={word}")).await;
            }
            Input::Bounce { delivery, attempt, action } => {
                let (status, said) = match *action {
                    "failed" => ("5.1.1", "550 5.1.1 User unknown"),
                    "delayed" => ("4.4.1", "connect to mx: Connection timed out"),
                    _ => ("2.0.0", "250 Ok"),
                };
                let recipient = format!("bounce+{}@bounces.example.org", self.tokens[&(*delivery, *attempt)]);
                let mut spool = Spool::new(&recipient, 1_000_000);
                spool.add(report(action, status, said, "<lost@example.org>").as_bytes()).unwrap();
                spool.keep(&self.store, &self.clock, "pipe").await.unwrap();
            }
            Input::Answer { number, person, text } => {
                let form = format!(
                    "direction=incoming&id=a{number}&from=%2B4670174060{person}&to=%2B46766860000&message={text}"
                );
                self.post("/inbound", form).await;
            }
        }
    }

    async fn post(&self, path: &str, form: String) {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", FORM).body(form);
        assert_eq!(request.send().await.unwrap().status(), 204, "what comes in is kept");
    }
}

/// A delivery that was handed over, or may have been.
#[derive(Debug)]
struct HandedOver {
    id: i64,
    is_sms: bool,
    attempts: i64,
    is_in_doubt: bool,
}

/// An alert and a letter to everybody, handed over by way of refusals that pass and answers that are lost. Whether a lost one can
/// be proven by the gateway's history is the seed's.
async fn hand_over(app: &TestApp, seed: u64) -> Vec<HandedOver> {
    for person in 0..PERSONS {
        let body = json!({ "name": format!("Eva Ek {person}"), "mobile": number_of(person),
            "email": format!("eva.{person}@example.org"), "municipality": "2326", "watch_area": "Hackås", "households": 4 });
        assert_eq!(app.api.post("/contact-persons", body).await.status, 201);
    }
    app.gateway.change(|gateway| {
        gateway.receipts = ReceiptPlan::silent();
        // Every second phone is refused at first, so that its SMS has attempts before the last.
        let busy = |person| (number_of(person), Answer::refuse(503, "Service Unavailable"));
        gateway.answer_by_number = (0..PERSONS).step_by(2).map(busy).collect();
        gateway.history = if seed.is_multiple_of(2) { HistoryMode::Code(404) } else { HistoryMode::On };
        gateway.shares = vec![
            Share { share: 0.3, answer: Answer::refuse(503, "Service Unavailable") },
            Share { share: 0.3, answer: Answer::accept_then(Reply::Reset) },
        ];
    });
    app.mail.change(|mail| (mail.greylist, mail.after_dot, mail.after_dot_share) = (1, AfterDot::Reset, 0.3));
    let alert = json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "Befäl", "undo_seconds": 0, "spread": "households" });
    assert_eq!(app.api.post("/alerts", alert).await.status, 201);
    // Until one of them is tried again.
    let none_again =
        "channel = 'sms' AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.channel = 'sms' AND o.attempts > 1)";
    settle(app, none_again).await;
    app.gateway.change(|gateway| gateway.answer_by_number.clear());
    let letter = json!({ "subject": "Läget", "body_markdown": "Hej", "areas": ["2326"], "no_registry_number": true });
    let letter = app.api.post("/letters", letter).await;
    let path = format!("/letters/{}/send", letter.json["id"].as_str().unwrap());
    assert_eq!(app.api.post(&path, json!({ "undo_seconds": 0 })).await.status, 200);
    settle(app, "state IN ('queued', 'sending')").await;
    app.gateway.change(|gateway| gateway.shares.clear());
    let rows = app.database.texts(&columns("delivery", &["id", "channel", "attempts", "state"], "ORDER BY id")).await;
    let handed_over: Vec<HandedOver> = rows
        .iter()
        .map(|row| {
            let columns: Vec<&str> = row.split(' ').collect();
            HandedOver {
                id: columns[0].parse().unwrap(),
                is_sms: columns[1] == "sms",
                attempts: columns[2].parse().unwrap(),
                is_in_doubt: columns[3] == "in_doubt",
            }
        })
        .collect();
    assert_eq!(handed_over.iter().filter(|one| one.attempts > 0).count(), 2 * PERSONS, "{handed_over:?}");
    handed_over
}

fn number_of(person: usize) -> String {
    format!("+4670174060{person}")
}

/// Moves the clock until no delivery is as `condition` says.
async fn settle(app: &TestApp, condition: &str) {
    let sql = columns("delivery", &["id", "state"], &format!("WHERE {condition}"));
    let mut left = Vec::new();
    for _ in 0..400 {
        left = app.database.texts(&sql).await;
        if left.is_empty() {
            return;
        }
        app.advance(Duration::from_secs(5));
        app.desk.wakeup.wait(Duration::from_millis(50)).await;
    }
    panic!("these never went: {left:?}");
}

/// Columns of a table, a space between them.
fn columns(table: &str, names: &[&str], rest: &str) -> String {
    let texts: Vec<String> = names.iter().map(|name| format!("CAST({name} AS TEXT)")).collect();
    format!("SELECT {} FROM {table} {rest}", texts.join(" || ' ' || "))
}

fn draw_input(draw: &mut Draw, handed_over: &[HandedOver], number: usize) -> Input {
    if draw.below(4) == 0 {
        let text = ["STOP", "SPRITT+3", "R%C3%B6d+bil", "Han+%C3%A4r+h%C3%A4r"][draw.below(4)];
        return Input::Answer { number, person: draw.below(PERSONS), text };
    }
    let one = &handed_over[draw.below(handed_over.len())];
    let attempt = one.attempts - i64::try_from(draw.below(usize::try_from(one.attempts).unwrap())).unwrap();
    if one.is_sms {
        let reference = format!("s{}x{attempt}", one.id);
        Input::Receipt { delivery: one.id, attempt, reference, word: ["sent", "failed", "delivered"][draw.below(3)] }
    } else {
        Input::Bounce { delivery: one.id, attempt, action: ["failed", "delayed", "delivered"][draw.below(3)] }
    }
}

/// Whether it is a gateway's word about an attempt before the last.
fn is_older(input: &Input, handed_over: &[HandedOver]) -> bool {
    let Input::Receipt { delivery, attempt, .. } = input else { return false };
    handed_over.iter().any(|one| one.id == *delivery && one.attempts > *attempt)
}

/// Brings inputs in small groups at once, every third one again; gives each that was brought.
async fn bring_all(app: &TestApp, draw: &mut Draw, handed_over: &[HandedOver]) -> BTreeSet<Input> {
    let bringer = Bringer::new(app, handed_over);
    let again = handed_over.iter().filter(|one| one.is_sms && one.attempts > 1);
    // A word about an attempt before the last comes for certain.
    let older = |one: &HandedOver| Input::Receipt {
        delivery: one.id,
        attempt: 1,
        reference: format!("s{}x1", one.id),
        word: ["sent", "failed", "delivered"][draw.below(3)],
    };
    let mut brought: Vec<Input> = again.map(older).collect();
    for input in brought.clone() {
        bringer.clone().bring(input).await;
    }
    while brought.len() < INPUTS {
        let mut group = JoinSet::new();
        for _ in 0..=draw.below(AT_ONCE) {
            let input = match draw.below(3) {
                0 if !brought.is_empty() => brought[draw.below(brought.len())].clone(),
                _ => draw_input(draw, handed_over, brought.len()),
            };
            brought.push(input.clone());
            group.spawn(bringer.clone().bring(input));
        }
        group.join_all().await;
        // Time goes on now and then, past what is waited for a lost answer, and once in a while past the receipt windows.
        match draw.below(12) {
            0 => app.advance(Duration::from_secs(30 * 3600)),
            1..=3 => app.advance(Duration::from_secs(61)),
            _ => {}
        }
    }
    brought.into_iter().collect()
}

/// Each input is kept once, and each was made something of.
async fn assert_kept_once(app: &TestApp, brought: &BTreeSet<Input>) {
    app.all_read().await;
    app.database.until_none("SELECT digest FROM inbound_sms WHERE read_at IS NULL").await;
    let mut told = BTreeSet::new();
    let (mut mails, mut answers) = (BTreeSet::new(), BTreeSet::new());
    for input in brought {
        match input {
            Input::Receipt { delivery, attempt, word, .. } => drop(told.insert(format!("{delivery} {attempt} {word}"))),
            Input::Bounce { delivery, attempt, action } => drop(mails.insert((*delivery, *attempt, *action))),
            Input::Answer { number, .. } => drop(answers.insert(format!("elks:a{number}"))),
        }
    }
    for (delivery, attempt, action) in &mails {
        let word = if *action == "failed" { "failed hard 5.1.1" } else { action };
        told.insert(format!("{delivery} {attempt} {word}"));
    }
    let words = app.database.texts(&columns("receipt", &["delivery_id", "attempt", "word"], "")).await;
    assert_eq!((words.len(), words.into_iter().collect::<BTreeSet<_>>()), (told.len(), told), "every word once");
    let mut kept = app.database.texts(&columns("inbound_mail", &["delivery_id", "kind"], "WHERE state = 'read'")).await;
    let mut wanted: Vec<String> = mails.iter().map(|(delivery, _, action)| format!("{delivery} {action}")).collect();
    wanted.sort();
    kept.sort();
    assert_eq!(kept, wanted, "every mail once");
    let kept = app.database.texts("SELECT digest FROM inbound_sms WHERE observation_id IS NOT NULL").await;
    let references = app.database.texts("SELECT reference FROM observation").await;
    assert_eq!((kept.len(), references.len()), (answers.len(), answers.len()), "every answer once");
    assert_eq!(references.into_iter().collect::<BTreeSet<_>>(), answers);
}

/// Every delivery's history is whole, goes only ways that there are, and ends where it stands; gives how many steps there are.
async fn assert_histories(app: &TestApp) -> usize {
    let state = |code: &str| DeliveryState::from_code(code).unwrap();
    let deliveries = app.database.texts(&columns("delivery", &["id", "version", "state"], "ORDER BY id")).await;
    let names = ["delivery_id", "version", "from_state", "to_state"];
    let events = app.database.texts(&columns("delivery_event", &names, "ORDER BY delivery_id, version")).await;
    for delivery in &deliveries {
        let about: Vec<&str> = delivery.split(' ').collect();
        let of = format!("{} ", about[0]);
        let (mut version, mut at) = (0, DeliveryState::Queued);
        for event in events.iter().filter(|event| event.starts_with(&of)) {
            let event: Vec<&str> = event.split(' ').collect();
            version += 1;
            let from = state(event[2]);
            // That a daemon takes a delivery is not written down.
            let goes_on = from == at || (at, from) == (DeliveryState::Queued, DeliveryState::Sending);
            assert!(goes_on && event[1] == version.to_string(), "{delivery}: {event:?} after {}", at.code());
            assert!(from.may_become(state(event[3])), "{delivery}: {event:?}");
            at = state(event[3]);
        }
        assert_eq!((about[1], state(about[2])), (version.to_string().as_str(), at), "{delivery} ends elsewhere");
    }
    events.len()
}

/// No end that was told of the last attempt is lost, and none is there that nobody told.
async fn assert_ends(app: &TestApp, brought: &BTreeSet<Input>, handed_over: &[HandedOver]) {
    let states = app.database.texts(&columns("delivery", &["id", "state"], "")).await;
    let states: BTreeMap<&str, &str> = states.iter().filter_map(|row| row.split_once(' ')).collect();
    for one in handed_over {
        let told: Vec<&str> = brought
            .iter()
            .filter_map(|input| match input {
                Input::Receipt { delivery, attempt, word: said, .. }
                | Input::Bounce { delivery, attempt, action: said }
                    if *delivery == one.id && (*said == "delivered" || *attempt == one.attempts) =>
                {
                    Some(*said)
                }
                _ => None,
            })
            .collect();
        let state = states[one.id.to_string().as_str()];
        let may_be = match state {
            "delivered" => told.contains(&"delivered"),
            "undelivered" => told.contains(&"failed"),
            "unconfirmed" => true,
            _ => !told.contains(&"delivered") && !told.contains(&"failed"),
        };
        assert!(may_be, "{one:?} is {state} after {told:?}");
    }
}

on_both_databases! {
    async fn no_order_of_receipts_bounces_and_answers_moves_a_state_back_or_loses_one(kind: Kind) {
        let (seeds, mut steps, mut in_doubt, mut again, mut older) = (seeds(3, 20), 0, 0, 0, 0);
        for seed in seeds.clone() {
            let mut app = TestApp::spawn(kind).await;
            let handed_over = hand_over(&app, seed).await;
            in_doubt += handed_over.iter().filter(|one| one.is_in_doubt).count();
            again += handed_over.iter().filter(|one| one.attempts > 1).count();
            let sms_again = handed_over.iter().filter(|one| one.is_sms && one.attempts > 1).count();
            assert!(sms_again > 0, "seed {seed}: {handed_over:?}");
            let brought = bring_all(&app, &mut Draw::new(seed), &handed_over).await;
            older += brought.iter().filter(|input| is_older(input, &handed_over)).count();
            assert_kept_once(&app, &brought).await;
            settle(&app, "state IN ('queued', 'sending')").await;
            steps += assert_histories(&app).await;
            assert_ends(&app, &brought, &handed_over).await;
            assert_eq!(app.verify().await, Vec::<String>::new(), "seed {seed}");
            // Its connections to PostgreSQL end with it: twenty daemons would take all that there are.
            assert!(app.begin_stop().await.unwrap(), "seed {seed}: the daemon ends in time");
        }
        let figure = format!("all kept once, {steps} steps and none back; {in_doubt} began in doubt, {again} were tried again, {older} receipts of attempts before the last");
        assert!(older > 0, "no receipt of an older attempt was drawn");
        tell("C1", &format!("{kind:?}"), &seeds, &figure);
    }
}
