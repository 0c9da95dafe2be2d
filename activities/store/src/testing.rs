//! Test databases, one for each test, on the server that `tests/run.sh` starts.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::migrations;

mod fixture;

pub(crate) use fixture::{DAY, Fixture, HOUR, MINUTE, SECOND};

/// Returns the URL of a new, empty database.
pub(crate) async fn empty() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server of the tests is named by the environment"
    )]
    let server = std::env::var("ORCHESTRATOR_DATABASE_URL")
        .expect("run tests with `make test`, which starts the services");
    let name = format!("s_{}", crate::new_id().simple());
    migrations::create_database(&server, &name)
        .await
        .expect("a database");
    let (base, _) = server.rsplit_once('/').expect("a URL with a database");
    format!("{base}/{name}")
}

/// Returns the URL of a new database with all tables.
pub(crate) async fn migrated() -> String {
    let url = empty().await;
    migrations::run(&url).await.expect("migrations");
    url
}

/// Opens a separate connection.
pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("a connection")
}

/// Runs statements that are not part of the store.
pub(crate) async fn run(db: &mut PgConnection, sql: &str) {
    db.execute(AssertSqlSafe(sql.to_owned()))
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Returns the texts that a statement selects. The statement is not part of the store.
pub(crate) async fn texts(db: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql.to_owned()));
    rows.fetch_all(db)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}
