use serde_json::json;
use sqlx::Executor;

use super::*;
use crate::testing::Fixture;

async fn note(at: &Fixture, merchant: MerchantId, action: AuditAction, subject: &str) {
    let new = NewAuditEntry {
        merchant,
        mode: Some(Mode::Test),
        action,
        subject: subject.to_owned(),
        author: "ana",
        reason: "requested",
        details: json!({}),
    };
    append(&mut *at.db().await, &new).await.expect("appended");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_listed_newest_first_for_their_merchant_or_subject() {
    let at = Fixture::new().await;
    let other = at.other_merchant().await;
    note(&at, at.merchant, AuditAction::ApiKeyRolled, "key_1").await;
    note(&at, other, AuditAction::ApiKeyRolled, "key_1").await;
    note(&at, at.merchant, AuditAction::BreakerHeld, "gc_1").await;
    note(&at, at.merchant, AuditAction::ApiKeyRevoked, "key_1").await;
    let mut db = at.db().await;
    let all = list(&mut db, at.merchant, None, 10).await.expect("read");
    let actions: Vec<_> = all.iter().map(|entry| entry.action).collect();
    assert_eq!(
        actions,
        [
            AuditAction::ApiKeyRevoked,
            AuditAction::BreakerHeld,
            AuditAction::ApiKeyRolled
        ]
    );
    let of_key = list(&mut db, at.merchant, Some("key_1"), 10)
        .await
        .expect("read");
    assert_eq!(of_key.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_never_changed_or_deleted() {
    let at = Fixture::new().await;
    note(&at, at.merchant, AuditAction::PayerErased, "pa_1").await;
    let mut db = at.db().await;
    for sql in [
        "update audit_log set author = 'eva'",
        "delete from audit_log",
        "truncate audit_log",
    ] {
        let refused = (&mut *db).execute(sqlx::AssertSqlSafe(sql)).await;
        let why = refused.expect_err("refused").to_string();
        assert!(why.contains("append-only"), "{sql}: {why}");
    }
    assert_eq!(at.texts("select author from audit_log").await, ["ana"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_ten_thousand_entries_is_read_through_an_index() {
    let at = Fixture::new().await;
    let merchant = at.merchant.uuid();
    at.run(&format!(
        "insert into audit_log (id, merchant_id, mode, action, subject, author, reason)
         select uuidv7(), '{merchant}', 'test', 'delivery.retried', 'de_' || n, 'ana', 'requested' from generate_series(1, 10000) n"
    ))
    .await;
    at.run("analyze audit_log").await;
    let page = list(&mut *at.db().await, at.merchant, None, 50)
        .await
        .expect("read");
    assert_eq!((page.len(), page[0].subject.as_str()), (50, "de_10000"));
    let plan = at
        .texts(&format!(
            "explain select * from audit_log where merchant_id = '{merchant}' order by id desc limit 50"
        ))
        .await
        .join("\n");
    assert!(
        !plan.contains("Seq Scan") && !plan.contains("Sort"),
        "{plan}"
    );
}
