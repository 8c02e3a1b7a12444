//! Owns the tags of observations: codes of focus areas, and what people have thought of themselves.
//!
//! Invariant: an observation has each tag once.

use super::observation::ids_json;
use super::{Result, Session, json};

const TAGS: &str = "SELECT t.observation_id, t.tag
 FROM observation_tag t
 WHERE t.observation_id IN (SELECT v.id FROM {rows $1: id TEXT})
 ORDER BY t.observation_id, t.tag";

/// The tags of these answers: `(id, tag)`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_observations(session: &mut Session, ids: &[&str]) -> Result<Vec<(String, String)>> {
    session.list(session.sql(TAGS).bind(ids_json(ids))).await
}

#[derive(serde::Serialize)]
struct TagRow<'a> {
    tag: &'a str,
}

const CLEAR_TAGS: &str = "DELETE FROM observation_tag
 WHERE observation_id = $1";

const ADD_TAGS: &str = "INSERT INTO observation_tag (observation_id, tag)
 SELECT $2, v.tag
 FROM {rows $1: tag TEXT}";

/// Sets the tags of an answer, each named once.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set(session: &mut Session, id: &str, tags: &[String]) -> Result<()> {
    session.execute(session.sql(CLEAR_TAGS).bind(id.to_owned())).await?;
    let rows: Vec<TagRow<'_>> = tags.iter().map(|tag| TagRow { tag }).collect();
    session.execute(session.sql(ADD_TAGS).bind(json(&rows)).bind(id.to_owned())).await.map(drop)
}

const OWN_TAGS: &str = "SELECT t.tag
 FROM observation_tag t
 GROUP BY t.tag
 ORDER BY COUNT(*) DESC, t.tag
 LIMIT 50";

/// The tags in use, the most used first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn known(session: &mut Session) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = session.list(session.sql(OWN_TAGS)).await?;
    Ok(rows.into_iter().map(|(tag,)| tag).collect())
}

const OPEN_OF: &str = "SELECT o.id
 FROM observation o
 JOIN observation_tag t ON t.observation_id = o.id
 WHERE o.contact_person_id = $1
   AND t.tag = $2
   AND o.kind = 'observation'
   AND o.state IN ('received', 'assessed')
   AND o.archived_at IS NULL
 ORDER BY o.id";

/// Ids of what a person has said with a tag, and nobody has acted on or put away.
///
/// # Errors
/// [`super::StoreError`].
pub async fn open_of(session: &mut Session, contact_person_id: &str, tag: &str) -> Result<Vec<String>> {
    let statement = session.sql(OPEN_OF).bind(contact_person_id.to_owned()).bind(tag.to_owned());
    let rows: Vec<(String,)> = session.list(statement).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
