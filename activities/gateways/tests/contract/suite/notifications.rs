//! Promises about notifications, and about the lists that replace lost ones.

use gateways::{GatewayCharge, GatewayNotice, NoticeKind, Received};
use serde_json::json;

use crate::{
    bench::{Bench, Registered, WITHIN, now},
    receiver::Receiver,
};

/// Time by which a poll reaches back.
const BACK: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Returns the notices of a request, with its tokens resolved.
async fn read(listening: &Registered, received: &Received) -> Vec<GatewayNotice> {
    let mut all = Vec::new();
    let entries = listening.notification(received).expect("a notification");
    assert_eq!(entries.unreadable, []);
    for notice in entries.notices {
        match &notice.means {
            NoticeKind::Token(token) => {
                let fetched = listening.gateway.resolve(token).await.expect("fetched");
                all.extend(fetched.notices);
            }
            _ => all.push(notice),
        }
    }
    all
}

fn is_about(notice: &GatewayNotice, charge: &GatewayCharge) -> bool {
    notice.reference == charge.reference || notice.charge.as_ref() == Some(&charge.id)
}

/// Creates and pays a charge that notifies the receiver.
async fn reported(bench: &Bench, receiver: &Receiver) -> (Registered, GatewayCharge) {
    let listening = bench.subscribed(&receiver.url).await;
    let order = gateways::ChargeRequest {
        notification_url: Some(receiver.url.clone()),
        ..bench.order.clone()
    };
    let charge = bench.gateway.charge(&order, WITHIN).await;
    bench.control.pay(&bench.order.reference).await;
    (listening, charge.expect("a charge"))
}

/// Reads until the payment of the charge is reported, and returns all notices received by then.
async fn until_paid(
    bench: &Bench,
    receiver: &Receiver,
    (listening, charge): (&Registered, &GatewayCharge),
) -> Vec<GatewayNotice> {
    let mut notices = Vec::new();
    for count in 1.. {
        let came = receiver.at_least(count).await;
        notices.extend(read(listening, &came[count - 1]).await);
        for notice in notices.iter().filter(|notice| is_about(notice, charge)) {
            let payments = match &notice.means {
                NoticeKind::ChargeState(charge) => charge.payments.clone(),
                NoticeKind::Hint => bench.found().await.payments,
                _ => Vec::new(),
            };
            if !payments.is_empty() {
                return notices;
            }
        }
    }
    notices
}

pub(crate) async fn a_payment_is_reported(bench: &Bench) {
    let receiver = Receiver::open().await;
    let (listening, charge) = reported(bench, &receiver).await;
    let notices = until_paid(bench, &receiver, (&listening, &charge)).await;
    let known = bench.found().await.payments;
    for notice in &notices {
        if let NoticeKind::ChargeState(charge) = &notice.means
            && is_about(notice, charge)
            && !charge.payments.is_empty()
        {
            let ids: Vec<_> = charge.payments.iter().map(|payment| &payment.id).collect();
            assert_eq!(ids, [&known[0].id], "one payment, whatever reports it");
        }
    }
}

pub(crate) async fn the_same_reported_twice_has_the_same_keys(bench: &Bench) {
    let receiver = Receiver::open().await;
    let (listening, charge) = reported(bench, &receiver).await;
    until_paid(bench, &receiver, (&listening, &charge)).await;
    bench.control.set(json!({ "notify": false })).await;
    let first = receiver.at_least(1).await.remove(0);
    bench.control.resend_all().await;
    let came = receiver.at_least(2).await;
    let again = came
        .iter()
        .skip(1)
        .find(|again| again.body == first.body)
        .expect("the same again");
    let keys = async |received| {
        let mut keys = Vec::new();
        for notice in read(&listening, received).await {
            keys.push(notice.dedupe_key);
        }
        keys
    };
    let (before, after) = (keys(&first).await, keys(again).await);
    assert!(!before.is_empty());
    assert_eq!(before, after);
}

pub(crate) async fn what_no_one_proved_concludes_nothing(bench: &Bench) {
    let receiver = Receiver::open().await;
    let (listening, charge) = reported(bench, &receiver).await;
    until_paid(bench, &receiver, (&listening, &charge)).await;
    for received in receiver.at_least(1).await {
        let forged = Received {
            headers: Vec::new(),
            ..received
        };
        // refused, or no more than a hint to read the gateway
        for notice in listening.notification(&forged).unwrap_or_default().notices {
            assert!(
                matches!(
                    notice.means,
                    NoticeKind::Hint | NoticeKind::Token(_) | NoticeKind::Nothing
                ),
                "{notice:?}"
            );
        }
    }
}

pub(crate) async fn a_payment_no_one_reported_is_caught_up(bench: &Bench) {
    let charge = bench.charged().await;
    bench.control.set(json!({ "notify": false })).await;
    bench.control.pay(&bench.order.reference).await;
    let payment = bench.found().await.payments.remove(0);
    let caught = bench.poll(now() - BACK).await.expect("a list");
    let ours = |notice: &&GatewayNotice| is_about(notice, &charge);
    let reported: Vec<_> = caught.iter().filter(ours).collect();
    let is_reported = reported.iter().any(|notice| match &notice.means {
        NoticeKind::ChargeState(charge) => charge.payments.iter().any(|of| of.id == payment.id),
        NoticeKind::Hint => true,
        _ => false,
    });
    assert!(is_reported, "{caught:?}");
    let again = bench.poll(now() - BACK).await.expect("a list");
    let keys = |all: &[GatewayNotice]| -> Vec<String> {
        all.iter().map(|notice| notice.dedupe_key.clone()).collect()
    };
    assert_eq!(keys(&caught), keys(&again), "the same keys each time");
}

pub(crate) async fn a_future_with_nothing_in_it_lists_nothing(bench: &Bench) {
    let caught = bench.poll(now()).await.expect("a list");
    assert_eq!(caught, []);
}
