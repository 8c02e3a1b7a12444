//! Owns writes that go to the database in one round: a transaction that has several things to write waits for one answer.
//!
//! It decides nothing. Invariant: writes that go together touch different tables, and none of them needs what another wrote, for
//! the order in which a database does them is its own.

use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, FromRow};

use super::{Result, Session, Statement};

/// A write whose result nobody needs.
#[derive(Debug)]
pub struct Write {
    sql: &'static str,
    arguments: Vec<Argument>,
}

/// What stands for a `$1` of a write.
#[derive(Debug)]
pub(crate) enum Argument {
    Text(String),
    Number(i64),
}

impl From<String> for Argument {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Argument {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl Write {
    pub(crate) fn new(sql: &'static str) -> Self {
        Self { sql, arguments: Vec::new() }
    }

    pub(crate) fn bind(mut self, argument: impl Into<Argument>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

impl Session {
    /// Does `writes` in one round.
    ///
    /// # Errors
    /// [`super::StoreError`].
    pub async fn write_together(&mut self, writes: Vec<Write>) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        let statement = self.together(writes);
        self.execute(statement).await.map(drop)
    }

    /// Does `writes` in one round. Returns the rows of the last, the only one that may have any.
    pub(crate) async fn list_together<T: for<'r> FromRow<'r, AnyRow>>(&mut self, writes: Vec<Write>) -> Result<Vec<T>> {
        let statement = self.together(writes);
        self.list(statement).await
    }

    /// As [`Session::list_together`], where each row is of one `{packed …}` column.
    pub(crate) async fn unpack_together<T: DeserializeOwned>(&mut self, writes: Vec<Write>) -> Result<Vec<T>> {
        let statement = self.together(writes);
        self.unpack(statement).await
    }

    fn together(&self, writes: Vec<Write>) -> Statement {
        let texts: Vec<(&str, usize)> = writes.iter().map(|write| (write.sql, write.arguments.len())).collect();
        let statement = sqlx::query(AssertSqlSafe(self.dialect.together(&texts)));
        writes.into_iter().flat_map(|write| write.arguments).fold(statement, |statement, argument| match argument {
            Argument::Text(text) => statement.bind(text),
            Argument::Number(number) => statement.bind(number),
        })
    }
}
