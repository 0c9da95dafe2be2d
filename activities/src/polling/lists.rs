//! Lists that fail, beside lists that are read.

use super::*;
use crate::testing::{Server, Stage, text};

/// Returns each connection's lists: the label, the number of lists, their failures and last errors, and whether they are due again.
async fn lists(stage: &Stage) -> Vec<String> {
    stage
        .texts(
            "select c.label || ' ' || f.failures || ' ' || coalesce(f.last_error, 'read') || case when f.next_check_at > app_now() then '' else ' due' end
               from connection_feeds f join gateway_connections c on c.id = f.connection_id group by 1 order by 1",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_fails_backs_off_and_delays_no_other() {
    let server = Server::answering(|request| {
        Some(match request.header("access_token") {
            Some("$aact_hmlg_away") => text(503, "", ""),
            Some("$aact_hmlg_denied") => text(401, "content-type: application/json\r\n", "{\"errors\": [{\"code\": \"invalid_access_token\"}]}"),
            _ => text(
                200,
                "content-type: application/json\r\n",
                "{\"object\": \"list\", \"hasMore\": false, \"totalCount\": 0, \"limit\": 100, \"offset\": 0, \"data\": []}",
            ),
        })
    })
    .await;
    let mut stage = Stage::new(&server.url, false).await;
    stage.activities.timing.poll_pace = 0;
    let broken = stage.connect("broken").await;
    for label in ["away", "denied", "healthy"] {
        stage.connect(label).await;
    }
    stage
        .run(&format!(
            "update gateway_credentials set sealed = 'broken' where connection_id = '{}'",
            broken.id.uuid()
        ))
        .await;
    stage.activities.poll_connections().await.expect("polled");
    let found = lists(&stage).await;
    assert_eq!(
        found,
        [
            "away 1 http_503",
            "broken 1 our own failure",
            "denied 1 invalid_access_token",
            "healthy 0 read"
        ]
    );
    let before = server.requests().len();
    stage.activities.poll_connections().await.expect("polled");
    assert_eq!(server.requests().len(), before, "none is due");
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_double_with_each_failure_up_to_their_limit() {
    let server = Server::with_status(503, "").await;
    let stage = Stage::new(&server.url, false).await;
    let pause = |failures| stage.activities.pause(failures, AWAY);
    let every = stage.activities.timing.poll_every;
    for (failures, least) in [
        (0, every),
        (1, every * 2),
        (2, every * 4),
        (3, AWAY),
        (1_000, AWAY),
    ] {
        let pause = pause(failures);
        assert!(
            pause >= least && pause <= least * 6 / 5,
            "{failures}: {pause:?}"
        );
    }
    let refused = stage.activities.pause(20, REFUSED);
    assert!(refused >= REFUSED && refused <= REFUSED * 6 / 5);
}
