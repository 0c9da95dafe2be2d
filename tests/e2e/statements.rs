//! Cost of a charge and of its payment in statements on our database, so that it does not grow unnoticed.

use schemas::gateway::GatewayKind;
use tests::{Options, Stack, api::pix, sql_proxy::Recorded};

/// Parts of statements that do not belong to a charge: deliveries have a cost of their own, and callers that wait long are polled for.
const OTHERS: [&str; 7] = [
    "delivery_attempts",
    "from deliveries d",
    "update deliveries",
    "update webhook_endpoints",
    "select id, status from charges where id = any",
    "update api_keys",
    "LISTEN",
];

/// Statements and commits.
#[derive(Debug)]
struct Cost {
    statements: Vec<String>,
    commits: usize,
}

fn cost(recorded: Vec<Recorded>) -> Cost {
    let is_own = |sql: &str| !sql.is_empty() && !OTHERS.iter().any(|part| sql.contains(part));
    let (mut statements, mut commits) = (Vec::new(), 0);
    for one in recorded {
        match one {
            Recorded::Statement(sql) if is_own(&sql) => statements.push(sql),
            Recorded::Commit(last) if is_own(&last) => commits += 1,
            _ => {}
        }
    }
    Cost {
        statements,
        commits,
    }
}

/// Creates a charge and has it paid. Returns the cost of each.
async fn live(stack: &Stack, gateway: GatewayKind) -> (Cost, Cost) {
    let sql = stack.sql.as_ref().expect("a proxy");
    sql.take();
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    stack.merchant_server.received("charge.pending", id).await;
    let created = cost(sql.take());
    let simulator = stack.simulator(gateway);
    let references = simulator.payable().await;
    let reference = references[0]["reference"].as_str().expect("a reference");
    simulator.pay(reference).await;
    stack.merchant_server.received("charge.paid", id).await;
    (created, cost(sql.take()))
}

async fn costs(gateway: GatewayKind) -> (Cost, Cost) {
    let stack = Stack::with(Options {
        gateways: vec![gateway],
        records_statements: true,
        ..Options::default()
    })
    .await;
    // fills caches of keys, clients and tokens
    live(&stack, gateway).await;
    let costs = live(&stack, gateway).await;
    stack.stop().await;
    costs
}

fn assert_at_most(cost: &Cost, statements: usize, commits: usize) {
    let count = (cost.statements.len(), cost.commits);
    assert!(
        count.0 <= statements && count.1 <= commits,
        "{count:?} instead of {statements} in {commits}: {:#?}",
        cost.statements
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_try_pix_takes_at_most_14_statements_and_its_payment_15_in_2_commits_each() {
    // Efí sends no notification of a new charge, and an unproved one of a payment: the charge is then read
    let (created, paid) = costs(GatewayKind::Efi).await;
    assert_at_most(&created, 14, 2);
    assert_at_most(&paid, 15, 2);
}
