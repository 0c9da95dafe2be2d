//! Test databases, one for each test, on the server that `tests/run.sh` starts.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

use crate::migrations;

mod fixture;

pub(crate) use fixture::{DAY, Fixture, HOUR, MINUTE, SECOND};

/// Database with all tables that the others of this process are copied from.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

fn server() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server of the tests is named by the environment"
    )]
    std::env::var("ORCHESTRATOR_DATABASE_URL")
        .expect("run tests with `make test`, which starts the services")
}

fn url_of(name: &str) -> String {
    let server = server();
    let (base, _) = server.rsplit_once('/').expect("a URL with a database");
    format!("{base}/{name}")
}

/// Returns the URL of a new, empty database.
pub(crate) async fn empty() -> String {
    let name = format!("s_{}", crate::new_id().simple());
    migrations::create_database(&server(), &name)
        .await
        .expect("a database");
    url_of(&name)
}

/// Returns the URL of a new database with all tables.
pub(crate) async fn migrated() -> String {
    let template = TEMPLATE.get_or_init(async || {
        let url = empty().await;
        migrations::run(&url).await.expect("migrations");
        let (_, name) = url.rsplit_once('/').expect("a database");
        name.to_owned()
    });
    let (template, name) = (template.await, format!("s_{}", crate::new_id().simple()));
    let copy = format!("create database \"{name}\" template \"{template}\"");
    run(&mut connect(&server()).await, &copy).await;
    url_of(&name)
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
