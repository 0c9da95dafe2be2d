use schemas::validate::{Checked, Checker};
use schemas::{charge::CreateCharge, merchant::DuplicateReference};
use serde_json::{Value, json};
use sqlx::Connection;

use super::{
    create::{CreatedCharge, NewCharge, insert},
    list::{self, ChargeFilter},
    *,
};
use crate::{idempotency, merchants, page::Range, testing, vault::DataKey};

struct Fixture {
    store: Store,
    merchant: MerchantId,
}

fn order(document: &str, payment_method: &Value) -> Checked<CreateCharge> {
    let body = json!({
        "amount": 12345, "reference": "pedido-1",
        "payer": { "name": "Maria da Silva", "document": document }, "payment_method": payment_method,
    });
    Checker::new().check(body).expect("a request")
}

fn pix() -> Value {
    json!({ "type": "pix" })
}

impl Fixture {
    async fn open() -> Self {
        let master = DataKey::master("dGVzdHMgb25seTogMzIgYnl0ZXMgb2YgYSBrZXkuLi4=");
        let url = testing::migrated().await;
        let store = Store::connect(&url, master.expect("a key"), 2)
            .await
            .expect("a store");
        let mut db = store.pool.acquire().await.expect("a connection");
        let merchant = merchants::insert(&mut db, store.master(), "Loja").await;
        drop(db);
        Self {
            store,
            merchant: merchant.expect("a merchant"),
        }
    }

    /// Creates a charge as the API does, under a key of its own.
    async fn create(
        &self,
        order: &Checked<CreateCharge>,
        duplicates: DuplicateReference,
    ) -> (ChargeId, CreatedCharge) {
        let mut tx = self.store.begin().await.expect("a transaction");
        let id = ChargeId(crate::new_id());
        let merchant_key = self.store.merchant_key(&mut tx, self.merchant.uuid()).await;
        let merchant_key = merchant_key.expect("a key");
        let request = idempotency::IdempotentRequest::new(
            &merchant_key,
            "charges.create",
            &id.to_string(),
            &order.canonical,
        );
        let new = NewCharge {
            id,
            merchant: self.merchant,
            mode: Mode::Test,
            request: &order.request,
            idempotency: &request,
            duplicate_reference: duplicates,
            fallbacks: &[],
        };
        let created = insert(&mut tx, &self.store, &new).await.expect("an answer");
        if matches!(created, CreatedCharge::New | CreatedCharge::Open(_)) {
            tx.commit().await.expect("a commit");
        }
        (id, created)
    }
}

#[tokio::test]
async fn a_row_of_a_newer_version_stops_neither_its_charge_nor_another() {
    let fixture = Fixture::open().await;
    let order = order("52998224725", &pix());
    let (known, _) = fixture.create(&order, DuplicateReference::Allow).await;
    let (strange, _) = fixture.create(&order, DuplicateReference::Allow).await;
    let mut db = fixture.store.pool.acquire().await.expect("a connection");
    for sql in [
        // The newer version's migration allows its method.
        "alter table charges drop constraint charges_method_check".to_owned(),
        r#"update charges set payment_method = payment_method || '{"split": [1]}', fallbacks = '[{"gateway": "new"}]',
                  failure = '{"code": "new"}', metadata = '{"a": 1}'"#.to_owned(),
        format!(
            r#"update charges set method = 'wallet', payment_method = '{{"type": "wallet"}}' where id = '{}'"#,
            strange.uuid()
        ),
        r#"update merchants set settings = '{"duplicate_reference": "ask", "color": "red"}'"#.to_owned(),
    ] {
        testing::run(&mut db, &sql).await;
    }
    let mut tx = db.begin().await.expect("a transaction");
    let locked = lock(&mut tx, known).await.expect("an answer");
    assert_eq!(
        locked.expect("the charge").settings,
        schemas::merchant::MerchantSettings::default()
    );
    let page = Range {
        limit: 10,
        after: None,
        before: None,
    };
    let owner = (fixture.merchant, Mode::Test);
    let (charges, more) = list::list(
        &mut tx,
        &fixture.store,
        owner,
        &ChargeFilter::default(),
        page,
    )
    .await
    .expect("a page");
    assert!(!more);
    let [only] = charges.as_slice() else {
        panic!("the readable one: {charges:?}")
    };
    assert_eq!((only.id, only.method()), (known, PaymentMethodKind::Pix));
    assert!(only.failure.is_none() && only.fallbacks.is_empty() && only.metadata.is_empty());
}

#[tokio::test]
async fn an_open_charge_is_returned_for_the_same_order_of_the_same_payer_only() {
    let fixture = Fixture::open().await;
    let duplicates = DuplicateReference::ReturnOpen;
    let (first, _) = fixture
        .create(&order("52998224725", &pix()), duplicates)
        .await;
    let again = fixture
        .create(&order("529.982.247-25", &pix()), duplicates)
        .await;
    assert!(matches!(again.1, CreatedCharge::Open(open) if open == first));
    let boleto = json!({ "type": "boleto", "due_date": "2027-12-10" });
    for another in [
        order("11222333000181", &pix()),
        order("52998224725", &boleto),
    ] {
        let (_, refused) = fixture.create(&another, duplicates).await;
        assert!(matches!(refused, CreatedCharge::Conflict(open) if open == first));
    }
}

#[tokio::test]
async fn a_due_date_is_neither_over_nor_more_than_five_years_ahead() {
    let fixture = Fixture::open().await;
    for (due_date, past) in [("2020-01-02", true), ("9999-12-31", false)] {
        let boleto = json!({ "type": "boleto", "due_date": due_date, "days_after_due": 120 });
        let due = json!({ "type": "pix", "due": { "due_date": due_date } });
        for method in [boleto, due] {
            let order = order("52998224725", &method);
            let (_, refused) = fixture.create(&order, DuplicateReference::Allow).await;
            match refused {
                CreatedCharge::PastDue => assert!(past, "{due_date}"),
                CreatedCharge::DueTooFar => assert!(!past, "{due_date}"),
                other => panic!("{due_date}: {other:?}"),
            }
        }
    }
}
