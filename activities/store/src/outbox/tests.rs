use super::*;
use crate::testing::{Fixture, connect};

#[tokio::test(flavor = "multi_thread")]
async fn one_relay_leads_until_its_connection_ends() {
    let at = Fixture::new().await;
    let (mut first, mut second) = (connect(&at.url).await, connect(&at.url).await);
    assert!(lead(&mut first).await.expect("tried"));
    assert!(!lead(&mut second).await.expect("tried"));
    drop(first);
    // the server notices the end of the connection soon after the client
    while !lead(&mut second).await.expect("tried") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_leave_oldest_first_and_only_those_that_were_acknowledged() {
    let at = Fixture::new().await;
    at.run("insert into outbox (topic, key, message) select 'charge.events.v1', 'ch_' || n, '{}' from generate_series(1, 5) n").await;
    let mut db = at.db().await;
    let batch = oldest(&mut db, 3).await.expect("read");
    let keys: Vec<_> = batch.iter().map(|message| message.key.as_str()).collect();
    assert_eq!(keys, ["ch_1", "ch_2", "ch_3"]);
    delete(&mut db, &[batch[0].id, batch[2].id])
        .await
        .expect("deleted");
    assert_eq!(
        at.texts("select key from outbox order by id").await,
        ["ch_2", "ch_4", "ch_5"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_counted_up_to_ten_thousand_and_its_age_is_the_oldest_messages() {
    let at = Fixture::new().await;
    at.run(
        "insert into outbox (topic, key, message, created_at)
         select 'charge.events.v1', 'ch_1', '{}', app_now() - case n when 1 then interval '1 hour' else interval '0' end
           from generate_series(1, 10050) n",
    )
    .await;
    let size = backlog(&mut *at.db().await).await.expect("read");
    assert_eq!(size.messages, 10_000);
    assert!((3_600.0..3_660.0).contains(&size.oldest_age_s), "{size:?}");
    at.run("truncate outbox").await;
    let size = backlog(&mut *at.db().await).await.expect("read");
    assert_eq!(
        (size.messages, size.oldest_age_s.to_bits()),
        (0, 0.0_f64.to_bits())
    );
}
