//! Tests of lists, searches and expansions.

use serde_json::Value;

use crate::client::{PIX, Stripe, text, with};

const INTENTS: &str = "/v1/payment_intents";

fn ids(page: &Value) -> Vec<String> {
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| text(&item["id"]).to_owned())
        .collect()
}

#[tokio::test]
async fn a_list_is_walked_in_both_directions() {
    let stripe = Stripe::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, text(&stripe.make(INTENTS, &PIX).await["id"]).to_owned());
    }
    let page = async |query: &[(&str, &str)]| stripe.get(INTENTS, query).await.body;
    let first = page(&[("limit", "2")]).await;
    assert_eq!(
        (ids(&first), &first["has_more"]),
        (made[..2].to_vec(), &Value::Bool(true))
    );
    let next = page(&[("limit", "2"), ("starting_after", &made[1])]).await;
    assert_eq!(
        (ids(&next), &next["has_more"]),
        (made[2..4].to_vec(), &Value::Bool(true))
    );
    let last = page(&[("limit", "2"), ("starting_after", &made[3])]).await;
    assert_eq!(
        (ids(&last), &last["has_more"]),
        (made[4..].to_vec(), &Value::Bool(false))
    );
    let back = page(&[("limit", "2"), ("ending_before", &made[3])]).await;
    assert_eq!(
        (ids(&back), &back["has_more"]),
        (made[1..3].to_vec(), &Value::Bool(true))
    );
    for limit in ["0", "101", "x"] {
        assert_eq!(
            stripe.get(INTENTS, &[("limit", limit)]).await.refused(400),
            "parameter_invalid_integer"
        );
    }
    assert_eq!(
        stripe
            .get(INTENTS, &[("starting_after", "pi_1")])
            .await
            .refused(400),
        "resource_missing"
    );
    assert_eq!(
        ids(&page(&[("created[lt]", "1000")]).await),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn the_search_is_a_minute_behind_and_the_list_is_not() {
    let stripe = Stripe::start().await;
    let made = stripe.make(INTENTS, &PIX).await;
    stripe
        .make(
            INTENTS,
            &with(&PIX, &[("metadata[reference]", "o2"), ("amount", "500")]),
        )
        .await;
    let search = async |query: &str| {
        ids(&stripe
            .get("/v1/payment_intents/search", &[("query", query)])
            .await
            .body)
    };
    assert_eq!(search("metadata['reference']:'o1'").await.len(), 0);
    assert_eq!(ids(&stripe.read(INTENTS).await).len(), 2);
    stripe.advance(61).await;
    assert_eq!(
        search("metadata['reference']:'o1'").await,
        [text(&made["id"])]
    );
    assert_eq!(
        search("metadata[\"reference\"]:\"o1\" AND status:\"requires_action\"")
            .await
            .len(),
        1
    );
    assert_eq!(
        search("metadata['reference']:'o1' OR amount<1000")
            .await
            .len(),
        2
    );
    assert_eq!(search("-metadata['reference']:'o1'").await.len(), 1);
    let answer = stripe
        .get("/v1/payment_intents/search", &[("query", "color:'red'")])
        .await;
    assert_eq!(
        (answer.status, &answer.body["error"]["param"]),
        (400, &"query".into())
    );
    let first = stripe
        .get(
            "/v1/payment_intents/search",
            &[("query", "currency:'brl'"), ("limit", "1")],
        )
        .await
        .body;
    let next = [
        ("query", "currency:'brl'"),
        ("limit", "1"),
        ("page", text(&first["next_page"])),
    ];
    assert_eq!(
        ids(&stripe.get("/v1/payment_intents/search", &next).await.body),
        [text(&made["id"])]
    );
}

#[tokio::test]
async fn only_what_exists_can_be_expanded() {
    let stripe = Stripe::start().await;
    stripe.make(INTENTS, &PIX).await;
    let listed = stripe
        .get(INTENTS, &[("expand[]", "data.payment_method")])
        .await
        .body;
    assert_eq!(listed["data"][0]["payment_method"]["type"], "pix");
    for path in ["data.status", "data.nothing", "a.b.c.d.e"] {
        let answer = stripe.get(INTENTS, &[("expand[]", path)]).await;
        assert_eq!(
            (answer.status, &answer.body["error"]["param"]),
            (400, &"expand".into()),
            "{path}"
        );
    }
}
