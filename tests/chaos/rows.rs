//! Checks the database rows at the end: the states of each charge's attempts.

use sqlx::{Connection, PgConnection};

use crate::report::Line;

/// States of attempts that are neither closed nor match the charge's status.
const UNFINISHED: [&str; 3] = ["open", "presented", "abandoned"];

/// One charge's status and the states of its attempts, in order.
#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    status: String,
    states: Vec<String>,
}

/// Checks that each charge's attempts agree with its status, and that no attempt is unfinished or waits for a check.
pub(crate) async fn attempts(database: &str) -> anyhow::Result<Line> {
    let mut db = PgConnection::connect(database).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a statement of this count, and no part of the store"
    )]
    let rows: Vec<Row> = sqlx::query_as(
        "select c.id::text, c.status,
                array(select a.state || case when a.next_check_at is not null then ' (to check)' else '' end
                        from attempts a where a.charge_id = c.id order by a.n) as states
           from charges c order by c.id",
    )
    .fetch_all(&mut db)
    .await?;
    let broken = rows.iter().filter(|row| !row.agrees()).map(|row| {
        format!(
            "{} is {} with {}",
            row.id,
            row.status,
            row.states.join(", ")
        )
    });
    Ok(Line {
        promise: "each charge's attempts agree with its status, and none is unfinished",
        counted: rows.len(),
        broken: broken.collect(),
    })
}

impl Row {
    fn agrees(&self) -> bool {
        let count = |state: &str| self.states.iter().filter(|s| s.starts_with(state)).count();
        let unfinished: usize = UNFINISHED.iter().map(|state| count(state)).sum();
        match self.status.as_str() {
            "paid" => count("paid") == 1 && unfinished == 0,
            "pending" => count("presented") == 1 && unfinished == 1,
            "canceled" => unfinished == 0,
            _ => false,
        }
    }
}
