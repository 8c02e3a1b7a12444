//! Owns the area table: the configured tree and the watch areas that came with the register.

use std::collections::BTreeMap;

use super::{Result, Session, json};
use crate::domain::area::{Area, AreaKind, AreaTree};

#[derive(sqlx::FromRow)]
struct Row {
    code: String,
    name: String,
    kind: String,
    parent: Option<String>,
}

const ALL: &str = "SELECT code, name, kind, parent
 FROM area
 ORDER BY code";

/// The whole tree.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tree(session: &mut Session) -> Result<AreaTree> {
    let rows: Vec<Row> = session.list(session.sql(ALL)).await?;
    let areas = rows.into_iter().filter_map(|row| {
        AreaKind::from_code(&row.kind).map(|kind| Area { code: row.code, name: row.name, kind, parent: row.parent })
    });
    Ok(AreaTree::new(areas).unwrap_or_default())
}

const INSERT: &str = "INSERT INTO area (code, name, kind, parent, created_at)
 VALUES ($1, $2, $3, $4, $5)
 ON CONFLICT (code) DO UPDATE SET name = excluded.name, parent = excluded.parent";

/// Adds an area, or renames it when its code exists.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put(session: &mut Session, area: &Area, now: i64) -> Result<()> {
    let statement = session
        .sql(INSERT)
        .bind(area.code.clone())
        .bind(area.name.clone())
        .bind(area.kind.code())
        .bind(area.parent.clone())
        .bind(now);
    session.execute(statement).await.map(drop)
}

/// Persons and households in one area itself, without what lies below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Population {
    /// Contact persons.
    pub contact_persons: i64,
    /// Households behind them.
    pub households: i64,
    /// Contact persons that can get an SMS.
    pub by_sms: i64,
}

#[derive(sqlx::FromRow)]
struct PopulationRow {
    area_code: String,
    contact_persons: i64,
    households: i64,
    by_sms: i64,
}

const POPULATIONS: &str = "SELECT area_code,
   CAST(COUNT(*) AS BIGINT) AS contact_persons,
   CAST(SUM(households) AS BIGINT) AS households,
   CAST(SUM(CASE WHEN alerts = 1 AND mobile IS NOT NULL AND alerts_opt_out_at IS NULL
     AND (paused_until_at IS NULL OR paused_until_at <= $1) THEN 1 ELSE 0 END) AS BIGINT) AS by_sms
 FROM contact_person
 WHERE erased_at IS NULL
 GROUP BY area_code";

/// The population of every area that has one, by code.
///
/// # Errors
/// [`super::StoreError`].
pub async fn populations(session: &mut Session, now: i64) -> Result<BTreeMap<String, Population>> {
    let rows: Vec<PopulationRow> = session.list(session.sql(POPULATIONS).bind(now)).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let population =
                Population { contact_persons: row.contact_persons, households: row.households, by_sms: row.by_sms };
            (row.area_code, population)
        })
        .collect())
}

#[derive(serde::Serialize)]
struct Code<'a> {
    code: &'a str,
}

/// Area codes as the rows of a `{rows $n: code TEXT}` mark.
pub(crate) fn codes_json<'a>(codes: impl IntoIterator<Item = &'a str>) -> String {
    json(&codes.into_iter().map(|code| Code { code }).collect::<Vec<_>>())
}
