//! Owns every difference between SQLite and PostgreSQL; no other module knows which one it talks to.
//!
//! Statements are written once; `{…}` marks in them are replaced here. Invariant: a new mark is a deliberate
//! act and both replacements stand side by side.

use std::fmt::Write as _;

/// PostgreSQL's comparison of text as bytes.
const AS_BYTES: &str = " COLLATE \"C\"";

/// Which database this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, embedded.
    Sqlite,
    /// PostgreSQL, for several daemons.
    Postgres,
}

impl Dialect {
    /// The dialect of a database URL.
    #[must_use]
    pub fn of_url(url: &str) -> Self {
        if url.starts_with("postgres") { Self::Postgres } else { Self::Sqlite }
    }

    /// How a write transaction begins. SQLite takes the write lock at once, so that it never fails half-way.
    #[must_use]
    pub fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Replaces the marks of a migration:
    /// `{row id}` is the type of an integer key that the table itself is kept in the order of, which SQLite does for
    /// `INTEGER PRIMARY KEY` only (with any other type the key is an index beside the table);
    /// `{by its key}` behind a table keeps it in the order of another key;
    /// `{as bytes}` compares a column's text as bytes, as SQLite does anyway, so that an index finds how it begins;
    /// `{on postgres}` before a line leaves it out for SQLite, `{on sqlite}` for PostgreSQL.
    #[must_use]
    pub fn expand_schema(self, sql: &str) -> String {
        let [row_id, by_its_key, as_bytes, on_postgres, on_sqlite] = match self {
            Self::Sqlite => ["INTEGER", " WITHOUT ROWID", "", "-- ", ""],
            Self::Postgres => ["BIGINT", "", AS_BYTES, "", "-- "],
        };
        sql.replace("{row id}", row_id)
            .replace("{by its key}", by_its_key)
            .replace("{as bytes}", as_bytes)
            .replace("{on postgres}", on_postgres)
            .replace("{on sqlite}", on_sqlite)
    }

    /// Replaces the marks in `sql`:
    /// `{rows $1: id BIGINT, state TEXT}` is a table made of a bound JSON array of objects;
    /// `{one of $1: code TEXT}` behind a column is what its value is one of. Asked for in the column's order, PostgreSQL looks each up in
    /// its index; for the first few of `IN {rows …}` it reads the table, where it takes them to be everywhere;
    /// `{skip locked}` lets several daemons claim side by side; `{for update}` holds rows that are about to change, and
    /// `{for no key update}` those whose key stays, so that rows that name it may come meanwhile;
    /// `{by id}` after the delivery table has its rows looked up by id, whatever else a planner thinks of, and `{by index i}` by the
    /// index `i`: SQLite has no statistics, and reads a whole table in the order that is asked for rather than sort a few rows;
    /// `{as bytes}` behind a column compares it as bytes, so that the index of how it begins serves;
    /// `{one at a time $1}` waits until no other transaction holds the number; SQLite has one writer anyway;
    /// `{key of p}` is what the rows of table `p`, whose key is a text `id`, are read one after the other by, `{text of key}` and
    /// `{key $3}` take it out and in as text: SQLite keeps such rows by a number of its own, and the key is an index beside them;
    /// `{array of a, b}` is a JSON array, as text, with an array of these columns for each row of a group;
    /// `{packed a, b}` is a JSON array, as text, of these columns of one row: one value passes a driver quicker than many;
    /// `{key share}` keeps a row from being held by others until the transaction ends, while its figures may change;
    /// `{now us}` is the database's clock in microseconds.
    #[must_use]
    pub fn expand(self, sql: &str) -> String {
        let mut expanded = String::with_capacity(sql.len() + 128);
        let mut rest = sql;
        while let Some((before, after)) = rest.split_once('{') {
            let (mark, tail) = after.split_once('}').expect("every mark in a statement is closed");
            expanded.push_str(before);
            self.write_mark(mark, &mut expanded);
            rest = tail;
        }
        expanded.push_str(rest);
        expanded
    }

    /// One statement that does what several do, each with so many arguments; those of the second come after those of the first. SQLite
    /// takes one after the other from one text. For PostgreSQL all but the last are parts of a `WITH`, which it does whole, too.
    #[must_use]
    pub fn together(self, writes: &[(&str, usize)]) -> String {
        let mut before = 0;
        let texts: Vec<String> = writes
            .iter()
            .map(|(sql, arguments)| {
                let text = with_arguments_after(&self.expand(sql), before);
                before += arguments;
                text
            })
            .collect();
        match (self, texts.split_last()) {
            (Self::Postgres, Some((last, rest))) if !rest.is_empty() => {
                let parts: Vec<String> = rest.iter().enumerate().map(|(at, sql)| format!("w{at} AS ({sql})")).collect();
                format!("WITH {} {last}", parts.join(", "))
            }
            _ => texts.join("; "),
        }
    }

    fn write_mark(self, mark: &str, into: &mut String) {
        match (mark, self) {
            ("skip locked", Self::Sqlite) => {}
            ("skip locked", Self::Postgres) => into.push_str("FOR UPDATE SKIP LOCKED"),
            ("for update", Self::Sqlite) => {}
            ("for update", Self::Postgres) => into.push_str("FOR UPDATE"),
            ("for no key update", Self::Sqlite) => {}
            ("for no key update", Self::Postgres) => into.push_str("FOR NO KEY UPDATE"),
            ("key share", Self::Sqlite) => {}
            ("key share", Self::Postgres) => into.push_str("FOR KEY SHARE"),
            ("key of p", Self::Sqlite) => into.push_str("p.rowid"),
            ("key of p", Self::Postgres) => into.push_str("p.id"),
            ("text of key", Self::Sqlite) => into.push_str("CAST(MAX(q.key) AS TEXT)"),
            ("text of key", Self::Postgres) => into.push_str("MAX(q.key)"),
            // What is not indexed is still found by its row id.
            ("by id", Self::Sqlite) => into.push_str("NOT INDEXED"),
            ("by id", Self::Postgres) => {}
            ("one at a time $1", Self::Sqlite) => into.push_str("$1"),
            ("one at a time $1", Self::Postgres) => into.push_str("pg_advisory_xact_lock($1)"),
            ("as bytes", Self::Sqlite) => {}
            ("as bytes", Self::Postgres) => into.push_str(AS_BYTES),
            ("now us", Self::Sqlite) => into.push_str("CAST(unixepoch('subsec') * 1000000 AS BIGINT)"),
            ("now us", Self::Postgres) => {
                into.push_str("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)");
            }
            (index, _) if index.starts_with("by index ") => {
                if self == Self::Sqlite {
                    let _ = write!(into, "INDEXED BY {}", index.trim_start_matches("by index "));
                }
            }
            (key, _) if key.starts_with("key $") => {
                let argument = key.trim_start_matches("key ");
                let _ = match self {
                    Self::Sqlite => write!(into, "CAST({argument} AS INTEGER)"),
                    Self::Postgres => into.write_str(argument),
                };
            }
            (array, _) if array.starts_with("array of ") => {
                let columns = array.trim_start_matches("array of ");
                let _ = match self {
                    Self::Sqlite => write!(into, "json_group_array(json_array({columns}))"),
                    Self::Postgres => write!(into, "CAST(json_agg(json_build_array({columns})) AS TEXT)"),
                };
            }
            (packed, _) if packed.starts_with("packed ") => {
                let columns = packed.trim_start_matches("packed ");
                let _ = match self {
                    Self::Sqlite => write!(into, "json_array({columns}) AS packed"),
                    Self::Postgres => write!(into, "CAST(json_build_array({columns}) AS TEXT) AS packed"),
                };
            }
            (of, _) if of.starts_with("one of ") => {
                let (bind, column) = bind_and_columns(of, "one of ");
                let name = column.trim().split(' ').next().unwrap_or(column);
                let (before, after) = match self {
                    Self::Sqlite => ("IN (", ")"),
                    Self::Postgres => ("= ANY (ARRAY(", "))"),
                };
                let _ = write!(into, "{before}SELECT v.{name} FROM ");
                self.write_rows(bind, column, into);
                into.push_str(after);
            }
            (rows, _) => {
                let (bind, columns) = bind_and_columns(rows, "rows ");
                self.write_rows(bind, columns, into);
            }
        }
    }

    fn write_rows(self, bind: &str, columns: &str, into: &mut String) {
        if self == Self::Postgres {
            let _ = write!(into, "json_to_recordset(CAST({bind} AS json)) AS v ({columns})");
            return;
        }
        // Of `jsonb_each` each value is an object read already; of `json_each` it would be text, to be read once for each column.
        into.push_str("(SELECT ");
        for (at, column) in columns.split(',').map(str::trim).enumerate() {
            let name = column.split(' ').next().unwrap_or(column);
            let separator = if at == 0 { "" } else { ", " };
            let _ = write!(into, "{separator}value ->> '{name}' AS {name}");
        }
        let _ = write!(into, " FROM jsonb_each({bind})) AS v");
    }
}

/// What stands on either side of the colon of a mark that begins with `name`.
fn bind_and_columns<'a>(mark: &'a str, name: &str) -> (&'a str, &'a str) {
    let (bind, columns) = mark
        .strip_prefix(name)
        .and_then(|rest| rest.split_once(':'))
        .expect("a mark is one of those documented at `expand`");
    (bind.trim(), columns)
}

/// `sql` with `$1` as the argument after the `before` first, and so on.
fn with_arguments_after(sql: &str, before: usize) -> String {
    let mut texts = sql.split('$');
    let mut moved = texts.next().unwrap_or_default().to_owned();
    for text in texts {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize =
            text[..digits].parse().expect("a dollar sign in a statement stands before an argument's number");
        let _ = write!(moved, "${}{}", number + before, &text[digits..]);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_that_go_together_have_their_own_arguments() {
        let writes = [("INSERT INTO a (x, y) VALUES ($1, $2)", 2), ("UPDATE b SET s = $2 WHERE i = $1", 2)];
        assert_eq!(
            Dialect::Sqlite.together(&writes),
            "INSERT INTO a (x, y) VALUES ($1, $2); UPDATE b SET s = $4 WHERE i = $3"
        );
        assert_eq!(
            Dialect::Postgres.together(&writes),
            "WITH w0 AS (INSERT INTO a (x, y) VALUES ($1, $2)) UPDATE b SET s = $4 WHERE i = $3"
        );
        assert_eq!(Dialect::Postgres.together(&writes[..1]), "INSERT INTO a (x, y) VALUES ($1, $2)");
    }

    #[test]
    fn rows_become_a_table_named_v_on_both() {
        let sql = "UPDATE t SET s = v.s FROM {rows $1: id BIGINT, s TEXT} WHERE t.id = v.id";
        assert_eq!(
            Dialect::Sqlite.expand(sql),
            "UPDATE t SET s = v.s FROM (SELECT value ->> 'id' AS id, value ->> 's' AS s FROM jsonb_each($1)) AS v WHERE t.id = v.id"
        );
        assert_eq!(
            Dialect::Postgres.expand(sql),
            "UPDATE t SET s = v.s FROM json_to_recordset(CAST($1 AS json)) AS v ( id BIGINT, s TEXT) WHERE t.id = v.id"
        );
    }

    #[test]
    fn one_of_rows_is_looked_up_in_the_index_on_both() {
        let sql = "SELECT id FROM t WHERE code {one of $2: code TEXT}";
        assert_eq!(
            Dialect::Sqlite.expand(sql),
            "SELECT id FROM t WHERE code IN (SELECT v.code FROM (SELECT value ->> 'code' AS code FROM jsonb_each($2)) AS v)"
        );
        assert_eq!(
            Dialect::Postgres.expand(sql),
            "SELECT id FROM t WHERE code = ANY (ARRAY(SELECT v.code FROM json_to_recordset(CAST($2 AS json)) AS v ( code TEXT)))"
        );
    }
}
