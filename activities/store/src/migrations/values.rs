//! Columns that hold the names of an enum: the types, the check constraints, the indexes and the rows of the migration tests agree.

use std::collections::BTreeSet;

use schemas::{
    attempt::{AttemptState, ErrorClass},
    breaker::{BreakerState, HoldKind},
    charge::ChargeStatus,
    connection::ConnectionStatus,
    delivery::DeliveryState,
    dispute::{DisputeKind, DisputeStatus},
    event::{EventSubjectKind, EventType},
    gateway::{GatewayApi, GatewayKind, Mode},
    merchant::{MerchantStatus, Permission},
    message::Topic,
    payment_method::PaymentMethodKind,
    refund::{RefundOrigin, RefundStatus},
    route::RouteReason,
    webhook_endpoint::WebhookEndpointStatus,
};
use strum::IntoEnumIterator;

use super::tests::ROWS;
use crate::{
    audit::AuditAction,
    connection_alerts::AlertSource,
    sweep::SweepKind,
    testing::{connect, migrated, run, texts},
};

type Names = BTreeSet<String>;

fn names<E: IntoEnumIterator + AsRef<str>>() -> Names {
    E::iter().map(|name| name.as_ref().to_owned()).collect()
}

/// Returns the names that a column may hold, or `None` if it holds other texts.
fn names_of(column: &str) -> Option<Names> {
    let (_, name) = column.split_once('.')?;
    Some(match (column, name) {
        ("api_keys.permission", _) => names::<Permission>(),
        ("attempts.error_class", _) => names::<ErrorClass>(),
        ("attempts.reason", _) => names::<RouteReason>(),
        ("attempts.state", _) => names::<AttemptState>(),
        ("audit_log.action", _) => names::<AuditAction>(),
        (
            "breaker_transitions.from_state"
            | "breaker_transitions.to_state"
            | "circuit_breakers.state",
            _,
        ) => names::<BreakerState>(),
        ("charges.status", _) => names::<ChargeStatus>(),
        ("circuit_breakers.hold", _) => names::<HoldKind>(),
        ("connection_alerts.source", _) => names::<AlertSource>(),
        ("deliveries.event_type" | "events.type", _) => names::<EventType>(),
        ("deliveries.state", _) => names::<DeliveryState>(),
        ("disputes.kind", _) => names::<DisputeKind>(),
        ("disputes.status", _) => names::<DisputeStatus>(),
        ("events.subject_type", _) => names::<EventSubjectKind>(),
        ("gateway_connections.status", _) => names::<ConnectionStatus>(),
        ("merchants.status", _) => names::<MerchantStatus>(),
        ("outbox.topic", _) => names::<Topic>(),
        ("refunds.origin", _) => names::<RefundOrigin>(),
        ("refunds.status", _) => names::<RefundStatus>(),
        ("sweep_marks.kind", _) => names::<SweepKind>(),
        ("webhook_endpoints.status", _) => names::<WebhookEndpointStatus>(),
        (_, "api") => names::<GatewayApi>(),
        (_, "gateway") => names::<GatewayKind>(),
        (_, "method") => names::<PaymentMethodKind>(),
        (_, "mode") => names::<Mode>(),
        _ => return None,
    })
}

/// Query of each check constraint on one column that compares it with texts: the column, a space, the condition.
const CHECKS: &str = "
    select format('%s.%s %s', c.conrelid::regclass, a.attname, pg_get_constraintdef(c.oid))
      from pg_constraint c
      join pg_class r on r.oid = c.conrelid and not r.relispartition
      join pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
     where c.contype = 'c' and c.connamespace = 'public'::regnamespace and pg_get_constraintdef(c.oid) like '%::text%'
     order by 1";
/// Query of all columns of type text.
const TEXTS: &str = "
    select format('%s.%s', r.relname, a.attname)
      from pg_class r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and a.atttypid = 'text'::regtype
     where r.relnamespace = 'public'::regnamespace and r.relkind in ('r', 'p') and not r.relispartition
       and r.relname <> '_sqlx_migrations'
     order by 1";
/// Query of the conditions of partial indexes.
const PREDICATES: &str = "
    select format('%s %s', i.indexrelid::regclass, pg_get_expr(i.indpred, i.indrelid))
      from pg_index i join pg_class r on r.oid = i.indrelid
     where r.relnamespace = 'public'::regnamespace and i.indpred is not null
     order by 1";

/// Returns the texts in quotes.
fn quoted(condition: &str) -> Names {
    let parts = condition.split('\'').skip(1).step_by(2);
    parts.map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_check_constraint_allows_the_names_of_its_type_and_no_others() {
    let mut db = connect(&migrated().await).await;
    let mut checked = Names::new();
    for line in texts(&mut db, CHECKS).await {
        let (column, condition) = line.split_once(' ').expect("a column and a condition");
        let Some(names) = names_of(column) else {
            panic!("`names_of` does not have the type of {column}: {condition}");
        };
        assert_eq!(quoted(condition), names, "{column}");
        checked.insert(column.to_owned());
    }
    let ends = [".status", ".state", ".origin", ".kind", ".permission"];
    let unchecked = texts(&mut db, TEXTS)
        .await
        .into_iter()
        .filter(|column| ends.iter().any(|end| column.ends_with(end)) && !checked.contains(column));
    let unchecked: Vec<_> = unchecked.collect();
    assert_eq!(unchecked, [""; 0], "columns without a check constraint");
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_indexes_and_the_rows_of_the_migration_tests_use_existing_names_only() {
    let mut db = connect(&migrated().await).await;
    run(&mut db, ROWS).await;
    let (mut known, mut columns) = (Names::from(["{}".to_owned()]), 0);
    for column in texts(&mut db, TEXTS).await {
        let Some(names) = names_of(&column) else {
            continue;
        };
        let (table, name) = column.split_once('.').expect("a table and a column");
        let sql = format!("select distinct {name} from {table} where {name} is not null");
        let held: Names = texts(&mut db, &sql).await.into_iter().collect();
        let unknown: Vec<_> = held.difference(&names).collect();
        assert_eq!(unknown, [""; 0], "{column}");
        known.extend(names);
        columns += 1;
    }
    assert!(columns >= 50, "{columns} columns");
    for line in texts(&mut db, PREDICATES).await {
        let unknown: Vec<_> = quoted(&line).difference(&known).cloned().collect();
        assert_eq!(unknown, [""; 0], "{line}");
    }
}
