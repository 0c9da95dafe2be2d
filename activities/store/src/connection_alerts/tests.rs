use super::*;
use crate::testing::Fixture;

async fn open(at: &Fixture) -> Vec<String> {
    at.texts("select source || ' ' || code from connection_alerts order by 1")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_news_once_until_it_ends() {
    let at = Fixture::new().await;
    let mut db = at.db().await;
    let alert = ("address_lost", "our address is not registered");
    assert!(
        note(&mut db, &at.connection, AlertSource::Check, alert)
            .await
            .expect("noted")
    );
    assert!(
        !note(&mut db, &at.connection, AlertSource::Check, alert)
            .await
            .expect("noted")
    );
    end(&mut db, at.connection.id, "address_lost")
        .await
        .expect("ended");
    assert_eq!(open(&at).await, [""; 0]);
    assert!(
        note(&mut db, &at.connection, AlertSource::Check, alert)
            .await
            .expect("noted")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_jobs_that_find_the_same_at_once_one_reports_it() {
    let at = Fixture::new().await;
    let alert = ("address_lost", "our address is not registered");
    let mut first = at.begin().await;
    let is_news = note(&mut first, &at.connection, AlertSource::Check, alert).await;
    assert!(is_news.expect("noted"));
    let second = async {
        let mut db = at.db().await;
        note(&mut db, &at.connection, AlertSource::Check, alert)
            .await
            .expect("noted")
    };
    assert!(!at.overlapping(first, second).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_its_own_alerts_only() {
    let at = Fixture::new().await;
    let mut db = at.db().await;
    for (source, code) in [
        (AlertSource::Check, "address_lost"),
        (AlertSource::Check, "queue_interrupted"),
        (AlertSource::Notification, "unreadable_notification/pix"),
        (AlertSource::Polling, "catch_up_behind/asaas"),
    ] {
        note(&mut db, &at.connection, source, (code, "why"))
            .await
            .expect("noted");
    }
    let still = ["queue_interrupted".to_owned()];
    keep_only(&mut db, at.connection.id, AlertSource::Check, &still)
        .await
        .expect("ended");
    let left = [
        "check queue_interrupted",
        "notification unreadable_notification/pix",
        "polling catch_up_behind/asaas",
    ];
    assert_eq!(open(&at).await, left);
}
