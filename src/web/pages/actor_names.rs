//! Owns what people read instead of an actor's id: the name of an operator or key.

use std::collections::BTreeMap;

use crate::store::{self, Session};

/// Names of operators and keys by actor id.
#[derive(Debug, Default)]
pub struct ActorNames(BTreeMap<String, String>);

impl ActorNames {
    /// All of them.
    ///
    /// # Errors
    /// [`store::StoreError`].
    pub async fn load(session: &mut Session) -> store::Result<Self> {
        let operators = store::operator::list(session).await?;
        let keys = store::api_key::list(session).await?;
        let operators = operators.into_iter().map(|one| (format!("operator:{}", one.id), one.name));
        let keys = keys.into_iter().map(|one| (format!("key:{}", one.id), format!("Nyckeln {}", one.name)));
        Ok(Self(operators.chain(keys).collect()))
    }

    /// The name behind an actor's id.
    #[must_use]
    pub fn of(&self, actor: &str) -> String {
        match actor {
            "cli" => "Kommandoraden".to_owned(),
            "grannpost" => "Tjänsten själv".to_owned(),
            "nobody" => "Ingen inloggad".to_owned(),
            "unknown_sender" => "Okänd avsändare".to_owned(),
            person if person.starts_with("contact_person:") => "Kontaktombudet självt".to_owned(),
            _ => self.0.get(actor).cloned().unwrap_or_else(|| actor.to_owned()),
        }
    }

    /// Every actor by name, for choosing one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(id, name)| (id.as_str(), name.as_str()))
    }
}
