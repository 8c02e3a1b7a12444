//! Owns the area table: the configured tree and the watch areas that came with the register.

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

#[derive(serde::Serialize)]
struct Code<'a> {
    code: &'a str,
}

/// Area codes as the rows of a `{rows $n: code TEXT}` mark.
pub(crate) fn codes_json<'a>(codes: impl IntoIterator<Item = &'a str>) -> String {
    json(&codes.into_iter().map(|code| Code { code }).collect::<Vec<_>>())
}
