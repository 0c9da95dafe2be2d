//! Gateways' messages that repeat the payer's data: none is left in any column after the payer's erasure.

use std::collections::BTreeSet;

use schemas::{
    attempt::{AttemptError, ErrorClass},
    charge::{ChargeFailure, FailureCode, GatewayFailure},
    id::{PaymentId, RefundId},
    refund::RefundStatus,
};
use serde_json::Value;

use super::*;
use crate::{error::to_json, events, refunds};

const NAME: &str = "Maria Zzyzx";
/// Data of the payer, in the forms in which a gateway could repeat it.
const TRACES: [&str; 4] = [
    "zzyzx",
    "52998224725",
    "529.982.247-25",
    "maria@example.com",
];
/// Query of all values of a table: the column, a space, the value. Sealed values are not readable.
const VALUES: &str = "select f.name || ' ' || f.value from TABLE t, jsonb_each_text(to_jsonb(t)) as f (name, value) where f.value is not null";
const TABLES: &str = "
    select relname::text from pg_class
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
     order by 1";

fn message() -> String {
    format!("{NAME} (529.982.247-25, 52998224725, maria@example.com) is not accepted as a payer")
}

fn gateway_failure() -> GatewayFailure {
    GatewayFailure {
        kind: GatewayKind::Asaas,
        code: "invalid_customer".to_owned(),
        message: message(),
    }
}

impl Case {
    /// Returns the columns that contain the payer's data.
    async fn columns_with_traces(&self) -> BTreeSet<String> {
        let mut db = connect(&self.url).await;
        let mut found = BTreeSet::new();
        for table in texts(&mut db, TABLES).await {
            for line in texts(&mut db, &VALUES.replace("TABLE", &table)).await {
                let (column, value) = line.split_once(' ').expect("a column and a value");
                let value = value.to_lowercase();
                if TRACES.iter().any(|trace| value.contains(trace)) {
                    found.insert(format!("{table}.{column}"));
                }
            }
        }
        found
    }

    async fn append_event(&self, db: &mut PgConnection, kind: &str, subject: Uuid, data: &Value) {
        let new = events::NewEvent {
            id: crate::new_id(),
            merchant: self.connection.merchant,
            mode: Mode::Test,
            kind: kind.parse().expect("an event's type"),
            subject: kind
                .split('.')
                .next()
                .expect("a subject")
                .parse()
                .expect("a subject"),
            subject_id: subject,
            sequence: 1,
            data: data.clone(),
        };
        events::append(db, new).await.expect("an event");
    }

    /// Inserts a refund of the charge.
    async fn refund(&self, status: &str, failure: Option<&GatewayFailure>) -> RefundId {
        let mut db = connect(&self.url).await;
        let (refund, payment) = (RefundId(crate::new_id()), PaymentId(crate::new_id()));
        let failure = failure.map_or("null".to_owned(), |failure| {
            format!("'{}'", to_json(failure))
        });
        let sql = format!(
            "insert into refunds (id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount, failure)
             values ('{}', '{}', 'test', '{}', '{}', '{}', 'asaas', '{status}', 'merchant', 1, {failure})",
            refund.uuid(),
            self.connection.merchant.uuid(),
            self.charge.uuid(),
            payment.uuid(),
            self.connection.id.uuid(),
        );
        run(&mut db, &sql).await;
        refund
    }

    /// Writes the gateway's message wherever the product stores it.
    async fn store_messages(&self) {
        let failure = ChargeFailure {
            code: FailureCode::RejectedByGateway,
            message: "every gateway rejected it".to_owned(),
            retryable: false,
            gateway: Some(gateway_failure()),
            reasons: vec![gateway_failure(), gateway_failure()],
        };
        let error = AttemptError {
            class: ErrorClass::Rejected,
            code: "invalid_customer".to_owned(),
            message: message(),
        };
        let link =
            json!({ "type": "redirect", "url": "https://example.com/?email=maria@example.com" });
        let mut db = self.begin().await;
        let sql = format!(
            "update charges set failure = '{}' where id = '{}';
             update attempts set error_class = '{}', error_code = '{}', error_message = '{}', next_action = '{link}' where id = '{}'",
            to_json(&failure),
            self.charge.uuid(),
            error.class,
            error.code,
            error.message,
            self.attempt.uuid(),
        );
        let refund = self.refund("failed", Some(&gateway_failure())).await;
        let charge = self.charge.uuid();
        let pending = json!({ "failure": null, "next_action": link });
        self.append_event(&mut db, "charge.pending", charge, &pending)
            .await;
        let failed = json!({ "amount": 100, "failure": failure, "next_action": null });
        self.append_event(&mut db, "charge.failed", charge, &failed)
            .await;
        let failed = json!({ "amount": 1, "failure": gateway_failure() });
        self.append_event(&mut db, "refund.failed", refund.uuid(), &failed)
            .await;
        let alert = json!({ "reason": { "code": error.code, "message": error.message } });
        let kind = "gateway_connection.action_required";
        self.append_event(&mut db, kind, self.connection.id.uuid(), &alert)
            .await;
        self.sync(&mut db).await;
        self.record(&mut db).await;
        run(&mut db, &sql).await;
        db.commit().await.expect("committed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_column_holds_a_gateways_message_about_an_erased_payer() {
    let case = Case::new().await;
    case.store_messages().await;
    let before: Vec<_> = case.columns_with_traces().await.into_iter().collect();
    let stored = [
        "attempts.error_message",
        "attempts.next_action",
        "charges.failure",
        "events.data",
        "refunds.failure",
    ];
    assert_eq!(before, stored);
    let mut tx = case.begin().await;
    let done = erase::erase(&mut tx, case.payer).await.expect("erased");
    assert!(matches!(done, Erasure::Erased { .. }), "{done:?}");
    tx.commit().await.expect("committed");
    assert_eq!(case.columns_with_traces().await, BTreeSet::new());

    let mut db = connect(&case.url).await;
    let left = texts(
        &mut db,
        "select failure #>> '{message}' || '|' || (failure #>> '{gateway,code}') || '|' || (failure #>> '{gateway,message}')
                || '|' || jsonb_array_length(failure -> 'reasons') from charges
         union all select error_code || '|' || error_message from attempts
         union all select data #>> '{failure,gateway,message}' || '|' || (data ->> 'amount') from events where type = 'charge.failed'
         union all select data #>> '{reason,code}' || '|' || (data #>> '{reason,message}') from events
                    where subject_type = 'gateway_connection'",
    )
    .await;
    let erased = erase::ERASED_MESSAGE;
    assert_eq!(
        left,
        [
            format!("every gateway rejected it|invalid_customer|{erased}|2"),
            format!("invalid_customer|{erased}"),
            format!("{erased}|100"),
            format!("invalid_customer|{erased}"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_after_the_erasure_stores_no_message() {
    let case = Case::new().await;
    let mut tx = case.begin().await;
    erase::erase(&mut tx, case.payer).await.expect("erased");
    tx.commit().await.expect("committed");
    let id = case.refund("pending", None).await;
    let mut tx = case.begin().await;
    let mut row = refunds::find(&mut tx, id)
        .await
        .expect("read")
        .expect("a refund");
    let failure = gateway_failure();
    let moved = refunds::transition(&mut tx, &mut row, RefundStatus::Failed, Some(&failure)).await;
    assert!(moved.expect("moved"));
    let mut row = refunds::find(&mut tx, id)
        .await
        .expect("read")
        .expect("a refund");
    let charge = charges::lock(&mut tx, &case.store, case.charge).await;
    let mut charge = charge.expect("locked").expect("a charge");
    refunds::append_event(&mut tx, &mut charge, &mut row)
        .await
        .expect("an event");
    charges::save(&mut tx, &mut charge).await.expect("saved");
    tx.commit().await.expect("committed");
    assert_eq!(case.columns_with_traces().await, BTreeSet::new());
    let failure = row.failure.expect("a failure");
    assert_eq!(
        (failure.code.as_str(), failure.message.as_str()),
        ("invalid_customer", erase::ERASED_MESSAGE)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_leaves_the_messages_of_other_payers() {
    let case = Case::new().await;
    case.store_messages().await;
    let before = case.columns_with_traces().await;
    let mut tx = case.begin().await;
    let other = json!({ "name": "Ana", "document": "11144477735" });
    let other = serde_json::from_value(other).expect("a payer");
    let other = upsert(
        &mut tx,
        &case.store,
        case.connection.merchant,
        Mode::Test,
        &other,
    )
    .await
    .expect("a payer");
    erase::erase(&mut tx, other.id).await.expect("erased");
    tx.commit().await.expect("committed");
    assert_eq!(case.columns_with_traces().await, before);
}
