//! Maintenance of connections: finds payments that were never notified, and repairs our registrations at the gateways.

use activities::connection::{AddError, ArchiveError};
use schemas::{connection::ConnectionStatus, gateway::GatewayKind};
use serde_json::{Value, json};
use tests::{Options, Stack, api::pix, eventually, simulated_gateways};
use url::Url;

async fn only(gateway: GatewayKind) -> Stack {
    Stack::with(Options {
        gateways: vec![gateway],
        complete: true,
        ..Options::default()
    })
    .await
}

async fn alerts(stack: &Stack, code: &str) -> Value {
    eventually(&format!("the operator is alerted about {code}"), || async {
        let path = "/v1/events?type=gateway_connection.action_required";
        let events = stack.api.get(path).await.expect(200);
        let events = events["data"].as_array().cloned().unwrap_or_default();
        let found = events.iter().find(|e| e["data"]["reason"]["code"] == code);
        found.cloned().ok_or(events)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_no_one_reported_us_of_is_found_in_the_gateways_list() {
    for gateway in simulated_gateways() {
        let stack = only(gateway).await;
        let charge = stack.api.charge(&pix()).await;
        let simulator = stack.simulator(gateway);
        simulator
            .pay_silently(&simulator.only_reference().await)
            .await;
        let paid = stack
            .api
            .until(charge["id"].as_str().expect("an id"), "paid")
            .await;
        assert_eq!(paid["amount_paid"], 12345, "{gateway}");
        stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimated_fee_gives_way_to_the_one_that_stripe_charged() {
    let stack = only(GatewayKind::Stripe).await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    stack.stripe.pay(&stack.stripe.only_reference().await).await;
    stack.api.until(id, "paid").await;
    let payment = eventually("Stripe's own fee is known", || async {
        let payment = stack.api.show(id).await["payments"][0].clone();
        if payment["fee_is_estimated"] == false {
            Ok(payment)
        } else {
            Err(payment)
        }
    })
    .await;
    let (fee, net) = (payment["fee"].as_i64(), payment["net"].as_i64());
    assert_eq!(fee.zip(net).map(|(fee, net)| fee + net), Some(12345));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_asaas_queue_is_repaired_and_reported() {
    let stack = only(GatewayKind::Asaas).await;
    let asaas = stack.gateway_url(GatewayKind::Asaas);
    let client = tests::http();
    let list = asaas.join("/v3/webhooks").expect("a URL");
    let get = || async {
        let request = client
            .get(list.clone())
            .header("access_token", "$aact_hmlg_loja");
        let answer = request
            .header("user-agent", "tests")
            .send()
            .await
            .expect("an answer");
        answer.json::<Value>().await.expect("JSON")["data"][0].clone()
    };
    let id = get().await["id"].as_str().expect("an id").to_owned();
    let interrupt = client
        .put(asaas.join(&format!("/v3/webhooks/{id}")).expect("a URL"))
        .header("access_token", "$aact_hmlg_loja")
        .header("user-agent", "tests")
        .json(&json!({ "interrupted": true }))
        .send()
        .await
        .expect("an answer");
    assert!(interrupt.status().is_success());
    alerts(&stack, "notifications_interrupted").await;
    eventually("the queue runs again", || async {
        let webhook = get().await;
        if webhook["interrupted"] == false {
            Ok(())
        } else {
            Err(webhook)
        }
    })
    .await;
    stack.stop().await;
}

/// Efí's one notification address of the merchant's Pix key, as the merchant's other systems use it.
struct Address {
    url: Url,
    bearer: String,
    client: reqwest::Client,
}

impl Address {
    async fn of(stack: &Stack) -> Self {
        let (efi, client) = (stack.gateway_url(GatewayKind::Efi), tests::http());
        let token: Value = client
            .post(efi.join("/oauth/token").expect("a URL"))
            .basic_auth("Client_Id_loja", Some("Client_Secret_loja"))
            .json(&json!({ "grant_type": "client_credentials" }))
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        let path = "/v2/webhook/71cdf9ba-c695-4e3c-b010-abb521a3f1be";
        Self {
            url: efi.join(path).expect("a URL"),
            bearer: token["access_token"].as_str().expect("a token").to_owned(),
            client,
        }
    }

    /// Registers another system's address.
    async fn take(&self, by: &str) {
        let taken = self
            .client
            .put(self.url.clone())
            .bearer_auth(&self.bearer)
            .header("x-skip-mtls-checking", "true")
            .json(&json!({ "webhookUrl": by }))
            .send()
            .await
            .expect("an answer");
        assert!(taken.status().is_success(), "{}", taken.status());
    }

    /// Returns the registered address; null if there is none.
    async fn reported(&self) -> Value {
        let asked = self.client.get(self.url.clone()).bearer_auth(&self.bearer);
        let answer = asked.send().await.expect("an answer");
        answer.json::<Value>().await.expect("JSON")["webhookUrl"].clone()
    }
}

const ERP: &str = "https://erp.example.com/efi";

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_took_efis_address_is_reported_and_left_alone() {
    let stack = only(GatewayKind::Efi).await;
    let address = Address::of(&stack).await;
    address.take(ERP).await;
    alerts(&stack, "address_replaced").await;
    assert_eq!(address.reported().await, ERP);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_replaced_by_consent_is_restored_when_the_connection_is_archived() {
    let stack = only(GatewayKind::Efi).await;
    let address = Address::of(&stack).await;
    let first = stack.connections().await.remove(0);
    // two connections of one account would each receive the other's notifications
    match stack.connect_again(GatewayKind::Efi).await {
        Err(AddError::AccountConnected { id, label }) => {
            assert_eq!((id, label), (first.id, first.label));
        }
        other => panic!("{other:?}"),
    }
    stack.archive(first.id).await.expect("archived");
    address.take(ERP).await;
    let again = stack.connect_again(GatewayKind::Efi).await.expect("added");
    let reported = address.reported().await;
    assert!(
        reported
            .as_str()
            .is_some_and(|url| url.contains(&again.to_string())),
        "{reported}"
    );
    stack.archive(again).await.expect("archived");
    assert_eq!(address.reported().await, ERP);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_archived_once_nothing_on_it_can_be_paid_and_takes_no_charge_after_that() {
    let stack = only(GatewayKind::Efi).await;
    let connection = stack.connections().await[0].id;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    let refused = stack.archive(connection).await;
    assert!(
        matches!(refused, Err(ArchiveError::Payable(1))),
        "{refused:?}"
    );
    assert_eq!(
        stack.connections().await[0].status,
        ConnectionStatus::Active
    );

    let cancel = format!("/v1/charges/{id}/cancel");
    stack.api.post(&cancel, &json!({})).await.expect(200);
    stack.api.until(id, "canceled").await;
    stack.archive(connection).await.expect("archived");
    assert_eq!(Address::of(&stack).await.reported().await, Value::Null);
    let late = stack.api.post("/v1/charges", &pix()).await.expect(422);
    assert_eq!(late["code"], "no_gateway_connection");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_notifications_can_be_read_again_without_harm() {
    let stack = only(GatewayKind::Stripe).await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    stack.stripe.pay(&stack.stripe.only_reference().await).await;
    stack.api.until(id, "paid").await;
    let replayed = stack.replay().await;
    assert!(
        replayed.read > 0 && replayed.unreadable == 0,
        "{replayed:?}"
    );
    eventually("all of it was handled again", || async {
        let reported = stack.api.timeline(id, "notification").await;
        let done = reported
            .iter()
            .any(|entry| entry["received_count"].as_i64() > Some(1))
            && reported.iter().all(|entry| !entry["handled_at"].is_null());
        if done { Ok(()) } else { Err(reported) }
    })
    .await;
    let paid = stack.api.show(id).await;
    assert_eq!(
        (&paid["status"], &paid["amount_paid"]),
        (&json!("paid"), &json!(12345))
    );
    stack.stop().await;
}
