//! SQL past the store, for tests that break the database on purpose or count behind the program's back.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use super::{Database, TestApp};

impl Database {
    /// Runs statements in one transaction of their own; the number of rows touched.
    pub async fn execute(&self, sql: &str) -> u64 {
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await.unwrap();
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let touched = statement.execute(&mut *transaction).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        transaction.commit().await.unwrap();
        touched.rows_affected()
    }

    /// The first column of every row, as text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let rows: Vec<AnyRow> =
            sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.connection().await).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>(0)).collect()
    }

    /// Waits until no row is left of what `sql` asks for.
    pub async fn until_none(&self, sql: &str) {
        for _ in 0..200 {
            if self.texts(sql).await.is_empty() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("there are still rows of {sql}");
    }

    async fn connection(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(&self.url).await.unwrap()
    }
}

impl TestApp {
    /// Stops the daemon and leaves the database to the test; the desk works on.
    pub async fn stop(&mut self) {
        assert!(self.daemon.take().unwrap().stop().await, "the daemon ends in time");
        let config = std::sync::Arc::clone(&self.desk.config);
        self.desk = grannpost::app::open(config, self.clock.clone(), false).await.unwrap();
    }

    /// The numbers of `verify`'s invariants that are broken, in order.
    pub async fn broken(&self) -> Vec<u8> {
        let report = grannpost::upkeep::verify::run(&self.desk.store, &self.desk.config, &self.desk.clock).await;
        report.unwrap().into_iter().filter(|check| !check.broken.is_empty()).map(|check| check.number).collect()
    }

    /// The configuration as a file beside the database, for the built binary.
    pub fn config_file(&self) -> std::path::PathBuf {
        let file = self.database.folder.path().join("grannpost.toml");
        std::fs::write(&file, self.settings.concat()).unwrap();
        file
    }
}
