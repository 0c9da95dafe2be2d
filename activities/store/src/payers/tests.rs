//! Personal data that one transaction writes while another erases its payer, in both orders.

mod messages;

use std::cell::Cell;

use schemas::{
    connection::ConnectionStatus,
    gateway::GatewayKind,
    id::{AttemptId, ConnectionId},
};
use serde_json::json;

use super::{erase::Erasure, *};
use crate::{
    attempts, charges,
    connections::Connection,
    merchants,
    notifications::{self, Notice, NotificationSource, ReadNotices, unmatched},
    testing::{connect, migrated, run, texts},
};

/// Paid charge with a payer to erase.
struct Case {
    store: Store,
    url: String,
    payer: PayerId,
    charge: ChargeId,
    attempt: AttemptId,
    connection: Connection,
}

impl Case {
    async fn new() -> Self {
        let url = migrated().await;
        let (_, name) = url.rsplit_once('/').expect("a database");
        // Rows without the rows that they reference: only the reference to the payer is used here.
        let mut db = connect(&url).await;
        let sql = format!("alter database \"{name}\" set session_replication_role = replica");
        run(&mut db, &sql).await;
        let store = Store::connect(&url, DataKey::random(), 5)
            .await
            .expect("a store");
        let mut db = store.pool.acquire().await.expect("a connection");
        let merchant = merchants::insert(&mut db, store.master(), "Loja")
            .await
            .expect("a merchant");
        let payer = json!({ "name": "Maria Zzyzx", "document": "52998224725" });
        let payer = serde_json::from_value(payer).expect("a payer");
        let (payer, _) = upsert(&mut db, &store, merchant, Mode::Test, &payer)
            .await
            .expect("a payer");
        let charge = ChargeId(crate::new_id());
        let attempt = AttemptId(crate::new_id());
        let connection = Connection {
            id: ConnectionId(crate::new_id()),
            merchant,
            mode: Mode::Test,
            gateway: GatewayKind::Asaas,
            label: "asaas".to_owned(),
            status: ConnectionStatus::Active,
            fingerprint: "acc".to_owned(),
        };
        let of = format!("'{}', 'test'", merchant.uuid());
        let (charge_id, attempt_id) = (charge.uuid(), attempt.uuid());
        let sql = format!(
            "insert into charges (id, merchant_id, mode, payer_id, payer_sealed, method, payment_method, amount, status, expires_at,
                                  created_at)
             values ('{charge_id}', {of}, '{}', '', 'pix', '{{\"type\": \"pix\", \"expires_in\": 3600}}', 100, 'paid', now(), now());
             insert into attempts (id, merchant_id, mode, charge_id, n, connection_id, gateway, api, reason, plan, policy_version,
                                   state, lease_owner, lease_expires_at, deadline_at, started_at)
             values ('{attempt_id}', {of}, '{charge_id}', 1, '{}', 'asaas', 'asaas', 'primary', '{{}}', 1, 'paid', '{attempt_id}',
                     now(), now(), now())",
            payer.uuid(),
            connection.id.uuid(),
        );
        run(&mut db, &sql).await;
        drop(db);
        Self {
            store,
            url,
            payer,
            charge,
            attempt,
            connection,
        }
    }

    /// Records a notice that contains the payer's name and changes nothing.
    async fn record(&self, db: &mut PgConnection) {
        let notice = Notice {
            dedupe_key: "evt_1".to_owned(),
            event: "PAYMENT_UPDATED".to_owned(),
            reference: Some(self.attempt.reference()),
            gateway_charge: None,
            gateway_payment: None,
            observed: Some(json!({ "customer": "Maria" })),
            stated_at: None,
            is_payable: false,
            matters: false,
        };
        let read = ReadNotices {
            notices: vec![notice],
            unreadable: None,
        };
        let source = NotificationSource::Received(b"Maria");
        notifications::ingest(db, &self.store, &self.connection, source, &read)
            .await
            .expect("recorded");
    }

    /// Writes the gateway's id of the payer and the link to the charge.
    async fn sync(&self, db: &mut PgConnection) {
        let charge = charges::lock(db, self.charge).await.expect("locked");
        let charge = charge.expect("a charge");
        charges::remember_payer_at(db, &charge, self.connection.id, "cus_maria")
            .await
            .expect("written");
        let page = json!({ "type": "redirect", "url": "https://example.com/maria", "expires_at": "2027-01-01T00:00:00Z" });
        let page = serde_json::from_value(page).expect("an action");
        attempts::fill_in(db, self.attempt, "pay_1", Some(&page))
            .await
            .expect("written");
    }

    async fn begin(&self) -> crate::Tx {
        self.store.begin().await.expect("a transaction")
    }

    /// Returns all plaintext about the payer.
    async fn plaintext(&self) -> Vec<String> {
        let mut db = connect(&self.url).await;
        texts(
            &mut db,
            "select observed::text from observations where observed is not null
             union all select external_id from payer_gateway_ids
             union all select next_action::text from attempts where next_action is not null",
        )
        .await
    }

    /// Returns once a session waits for a lock, or once the other transaction is done without having waited.
    async fn until_waiting(&self, is_done: &Cell<bool>) {
        let mut db = connect(&self.url).await;
        let waiting = "select pid::text from pg_stat_activity
                        where wait_event_type = 'Lock' and datname = current_database()";
        while !is_done.get() && texts(&mut db, waiting).await.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

/// Kind of write by the concurrent transaction.
#[derive(Clone, Copy, Debug)]
enum Writes {
    Notification,
    Sync,
}

impl Writes {
    async fn write(self, case: &Case, db: &mut PgConnection) {
        match self {
            Self::Notification => case.record(db).await,
            Self::Sync => case.sync(db).await,
        }
    }
}

#[tokio::test]
async fn what_is_written_while_its_payer_is_erased_holds_no_plaintext() {
    for writes in [Writes::Notification, Writes::Sync] {
        let (case, is_done) = (Case::new().await, Cell::new(false));
        let mut erasing = case.begin().await;
        let done = erase::erase(&mut erasing, case.payer)
            .await
            .expect("erased");
        assert!(matches!(done, Erasure::Erased { .. }), "{done:?}");
        let writing = async {
            let mut tx = case.begin().await;
            writes.write(&case, &mut tx).await;
            tx.commit().await.expect("committed");
            is_done.set(true);
        };
        let ending = async {
            case.until_waiting(&is_done).await;
            erasing.commit().await.expect("committed");
        };
        tokio::join!(writing, ending);
        assert_eq!(case.plaintext().await, [""; 0], "{writes:?}");
    }
}

#[tokio::test]
async fn what_was_written_before_its_payer_was_erased_is_erased_with_it() {
    for writes in [Writes::Notification, Writes::Sync] {
        let (case, is_done) = (Case::new().await, Cell::new(false));
        let mut writing = case.begin().await;
        writes.write(&case, &mut writing).await;
        let erasing = async {
            let mut tx = case.begin().await;
            let done = erase::erase(&mut tx, case.payer).await.expect("erased");
            tx.commit().await.expect("committed");
            is_done.set(true);
            done
        };
        let ending = async {
            case.until_waiting(&is_done).await;
            writing.commit().await.expect("committed");
        };
        let (done, ()) = tokio::join!(erasing, ending);
        assert!(matches!(done, Erasure::Erased { .. }), "{done:?}");
        assert_eq!(case.plaintext().await, [""; 0], "{writes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_matched_to_an_erased_payer_is_deleted() {
    let case = Case::new().await;
    let body = crate::new_id();
    let (m, g) = (case.connection.merchant.uuid(), case.connection.id.uuid());
    let reference = case.attempt.reference();
    let mut tx = case.begin().await;
    let sql = format!(
        "insert into notifications (id, merchant_id, mode, connection_id, gateway, body_sealed, key_sealed)
         values ('{body}', '{m}', 'test', '{g}', 'asaas', 'Maria', 'key');
         insert into unmatched_notifications (connection_id, dedupe_key, merchant_id, mode, notification_id, reference, next_check_at)
         values ('{g}', 'evt_1', '{m}', 'test', '{body}', '{reference}', now())"
    );
    run(&mut tx, &sql).await;
    erase::erase(&mut tx, case.payer).await.expect("erased");
    let due = unmatched::due(&mut tx, 1)
        .await
        .expect("an unmatched notification");
    let matched = unmatched::match_again(&mut tx, &due[0], None)
        .await
        .expect("matched");
    assert_eq!(matched, Some(case.charge));
    let left = texts(&mut tx, "select id::text from notifications").await;
    assert_eq!(left, [""; 0]);
}
