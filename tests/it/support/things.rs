//! Small things to call the API about: a person, an alert, a letter, an import.

use grannpost::actions::observation::{Incoming, receive};
use grannpost::domain::delivery::Channel;
use grannpost::store::inbound_mail::{self, NewMail, Read};
use serde_json::{Value, json};

use super::{Answer, TestApp};

/// One of each.
#[derive(Debug, Clone)]
pub struct Things {
    pub person: String,
    pub alert: String,
    pub delivery: String,
    pub letter: String,
    pub import: String,
    pub observation: String,
    pub mail: String,
}

impl Things {
    /// The id that a path means by `{id}`.
    pub fn id_for(&self, path: &str) -> &str {
        match path.split('/').nth(1).unwrap_or_default() {
            "contact-persons" => &self.person,
            "alerts" => &self.alert,
            "deliveries" => &self.delivery,
            "letters" => &self.letter,
            "imports" => &self.import,
            "observations" => &self.observation,
            "mail-tray" => &self.mail,
            other => panic!("{other} has no ids"),
        }
    }
}

pub fn person_body() -> Value {
    json!({ "name": "Eva Ek", "mobile": "070-174 06 01", "email": "eva.ek@example.org", "municipality": "2326",
        "watch_area": "Hackås", "households": 4 })
}

pub fn alert_body() -> Value {
    json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "Vakthavande befäl" })
}

pub fn letter_body() -> Value {
    json!({ "subject": "Läget i höst", "body_markdown": "Lås.", "areas": ["2326"], "no_registry_number": true })
}

/// A body that is right for an operation; what takes none gets `{}`.
pub fn body_for(operation: &str) -> Value {
    match operation {
        "POST /contact-persons" => person_body(),
        "PATCH /contact-persons/{id}" => json!({ "note": "ny" }),
        "POST /alerts" | "PATCH /alerts/{id}" => alert_body(),
        "POST /letters/{id}/approve" => json!({ "revision": 1 }),
        "POST /alerts/{id}/approve" | "POST /alerts/{id}/return" | "POST /letters/{id}/return" => {
            json!({ "revision": 1, "reason": "nej" })
        }
        "POST /alerts/{id}/send-unreviewed" | "POST /letters/{id}/send-unreviewed" => json!({ "reason": "bråttom" }),
        "POST /alerts/{id}/follow-ups" => json!({ "kind": "update", "text": "Fortfarande söks" }),
        "POST /alerts/{id}/in-doubt" | "POST /deliveries/{id}/resolve" => json!({ "as": "give_up" }),
        "POST /audiences" => json!({ "areas": ["2326"], "channel": "sms" }),
        "POST /texts/sms" => json!({ "text": "Hej" }),
        "POST /decisions" => json!({ "decided_by": "Befäl", "reason": "gripen", "areas": ["2326"] }),
        "POST /letters" => letter_body(),
        "PATCH /letters/{id}" => json!({ "subject": "Ny rubrik" }),
        "POST /letters/{id}/test" => json!({ "email": "test@example.org" }),
        "PATCH /observations/{id}" => json!({ "state": "assessed", "tags": ["traffic"] }),
        "POST /observations/{id}/reply" => json!({ "text": "Tack för ditt svar." }),
        "POST /imports/{id}/answers" => json!({ "answers": [] }),
        _ => json!({}),
    }
}

impl TestApp {
    /// A mail that nobody understands, in the tray; these words are all that stands in it.
    pub async fn strange_mail(&self, words: &str) -> String {
        let mut session = self.desk.store.begin().await.unwrap();
        let id = self.desk.id();
        let mail = NewMail {
            id: id.clone(),
            digest: id.clone(),
            recipient: "brev@example.org".into(),
            source: "pipe",
            octets: 1,
            is_cut: false,
            received_at: self.desk.now(),
        };
        inbound_mail::keep(&mut session, &mail).await.unwrap();
        let raw = data_encoding::BASE64.encode(format!("Subject: x\n\n{words}").as_bytes());
        inbound_mail::add_part(&mut session, &id, (0, raw)).await.unwrap();
        let read = Read {
            state: "read",
            kind: "unknown",
            token_state: "none",
            folder: "tray",
            sender: words.to_owned(),
            subject: words.to_owned(),
            diagnostic: words.to_owned(),
            ..Read::default()
        };
        assert!(inbound_mail::finish(&mut session, &id, &read, self.desk.now()).await.unwrap());
        session.commit().await.unwrap();
        id
    }

    /// One of each thing, made by the administrator. The clock stands still in the undo window: nothing goes out.
    pub async fn things(&self) -> Things {
        let mail = self.strange_mail("Hej").await;
        let person = id_of(&self.api.post("/contact-persons", person_body()).await);
        let alert = id_of(&self.api.post("/alerts", alert_body()).await);
        let delivery =
            self.api.get(&format!("/alerts/{alert}/deliveries?limit=1")).await.json["items"][0]["id"].clone();
        let letter = id_of(&self.api.post("/letters", letter_body()).await);
        let csv = "name,mobile,municipality,watch_area,households\nNils Nord,070-174 06 09,2326,Hackås,3\n";
        let import = self.api.send_bytes(reqwest::Method::POST, "/api/v1/imports", "text/csv", csv.into()).await;
        let delivery = delivery.as_str().unwrap().to_owned();
        let observation = self.observation().await;
        Things { person, alert, delivery, letter, import: id_of(&import), observation, mail }
    }

    /// An observation from the person of [`person_body`].
    pub async fn observation(&self) -> String {
        self.observation_from("+46701740601", "Röd skåpbil vid macken").await
    }

    /// An observation that came by SMS.
    pub async fn observation_from(&self, sender: &str, text: &str) -> String {
        self.observation_by(Channel::Sms, sender, text).await
    }

    /// An observation that came by `channel`.
    pub async fn observation_by(&self, channel: Channel, sender: &str, text: &str) -> String {
        let mut session = self.desk.store.begin().await.unwrap();
        let incoming = Incoming {
            channel,
            sender: sender.into(),
            reference: grannpost::ambient::new_id(&self.clock),
            text: text.into(),
            sent_at: None,
            received_at: self.clock.now_ms(),
            contact_person_id: None,
            message_id: None,
            is_automatic: false,
            is_fetched: false,
            via_page: None,
        };
        let received = receive(&self.desk, &mut session, &incoming).await.unwrap();
        session.commit().await.unwrap();
        received.observation.id
    }
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json["id"].as_str().unwrap().to_owned()
}
