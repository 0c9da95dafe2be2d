//! Setup of Temporal: the namespace, the search attributes, the schedules.

use std::{collections::HashMap, time::Duration};

use activities::retry::workflow::{
    CALL_TIMEOUT, EXECUTION_TIMEOUT, NAMESPACE_AGAIN, NAMESPACE_TRIES, PARTITIONS_EVERY, RETENTION,
};
use temporalio_client::{
    Client, RpcOptions,
    grpc::{OperatorService, WorkflowService},
    schedules::{
        CreateScheduleOptions, ScheduleAction, ScheduleError, ScheduleOverlapPolicy, ScheduleSpec,
        TriggerScheduleOptions,
    },
    tonic::{Code, Request, Status},
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType,
    operatorservice::v1::{AddSearchAttributesRequest, ListSearchAttributesRequest},
    schedule::v1::schedule_action::Action,
    workflowservice::v1::{
        DescribeNamespaceRequest, RegisterNamespaceRequest, UpdateScheduleRequest,
    },
};

use crate::{
    Queues, TemporalConfig,
    client::connection::open,
    maintenance::{
        CheckConnectionsWorkflow, PartitionsWorkflow, PollConnectionsWorkflow, SweepWorkflow,
    },
    pause,
    queues::SEARCH_ATTRIBUTES,
};

/// Error of the setup.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("cannot connect to Temporal: {0}")]
    Connect(String),
    #[error("Temporal: {0}")]
    Rpc(#[from] Status),
    #[error("Temporal's schedule: {0}")]
    Schedule(#[from] ScheduleError),
    #[error("missing in Temporal: {0}; run `orchestrator migrate`")]
    Missing(String),
}

/// Creates the missing parts and updates the schedules.
pub async fn ensure(
    config: &TemporalConfig,
    queues: &Queues,
    every: Intervals,
) -> Result<(), SetupError> {
    let client = connect(config).await?;
    ensure_namespace(&client, &config.namespace).await?;
    let missing = missing_attributes(&client, &config.namespace).await?;
    if !missing.is_empty() {
        let request = AddSearchAttributesRequest {
            search_attributes: missing
                .into_iter()
                .map(|name| (name, i32::from(IndexedValueType::Keyword)))
                .collect::<HashMap<_, _>>(),
            namespace: config.namespace.clone(),
        };
        let mut client = client.clone();
        OperatorService::add_search_attributes(&mut client, Request::new(request)).await?;
    }
    for planned in planned_schedules(queues, every) {
        ensure_schedule(&client, &config.namespace, planned).await?;
    }
    Ok(())
}

async fn ensure_schedule(
    client: &Client,
    namespace: &str,
    planned: PlannedSchedule,
) -> Result<(), SetupError> {
    let options = CreateScheduleOptions::builder()
        .action(planned.action)
        .spec(ScheduleSpec::from_interval(planned.every))
        .overlap_policy(ScheduleOverlapPolicy::Skip)
        .build();
    let is_new = match client.create_schedule(planned.id.clone(), options).await {
        Ok(_) => true,
        Err(ScheduleError::Rpc(status)) if status.code() == Code::AlreadyExists => false,
        Err(error) => return Err(error.into()),
    };
    // The client cannot set a timeout for the workflows of a schedule, so it is set in the schedule that the server returns.
    let handle = client.get_schedule_handle(planned.id.clone());
    let schedule = handle.describe(RpcOptions::default()).await?;
    let conflict_token = schedule.conflict_token().to_vec();
    let mut schedule = schedule.into_update();
    schedule.set_spec(ScheduleSpec::from_interval(planned.every));
    let mut schedule = schedule.into_raw();
    let action = schedule.action.as_mut().and_then(|a| a.action.as_mut());
    if let Some(Action::StartWorkflow(start)) = action {
        start.workflow_execution_timeout = EXECUTION_TIMEOUT.try_into().ok();
    }
    let request = UpdateScheduleRequest {
        namespace: namespace.to_owned(),
        schedule_id: planned.id,
        schedule: Some(schedule),
        conflict_token,
        ..UpdateScheduleRequest::default()
    };
    WorkflowService::update_schedule(&mut client.clone(), Request::new(request)).await?;
    if is_new {
        handle
            .trigger(
                ScheduleOverlapPolicy::Skip,
                TriggerScheduleOptions::default(),
            )
            .await?;
    }
    Ok(())
}

/// Returns an error if something is missing. Creates nothing.
pub async fn check(config: &TemporalConfig, queues: &Queues) -> Result<(), SetupError> {
    let client = connect(config).await?;
    let missing = missing_attributes(&client, &config.namespace).await?;
    if !missing.is_empty() {
        return Err(SetupError::Missing(format!(
            "the search attributes {}",
            missing.join(", ")
        )));
    }
    for name in SCHEDULES {
        let id = schedule_id(queues, name);
        match client
            .get_schedule_handle(id.clone())
            .describe(RpcOptions::default())
            .await
        {
            Ok(_) => {}
            Err(ScheduleError::Rpc(status)) if status.code() == Code::NotFound => {
                return Err(SetupError::Missing(format!("the schedule {id}")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Intervals of the schedules.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    pub sweep: Duration,
    /// Interval of looking up which connections' lists are due to be read.
    pub poll: Duration,
    /// Interval of looking up which connections are due to be checked.
    pub check: Duration,
}

struct PlannedSchedule {
    id: String,
    action: ScheduleAction,
    every: Duration,
}

const SWEEP: &str = "sweep";
const POLL_CONNECTIONS: &str = "poll-connections";
const CHECK_CONNECTIONS: &str = "check-connections";
const PARTITIONS: &str = "partitions";
/// Names of the schedules. Each schedule's id consists of its name and the maintenance queue.
pub const SCHEDULES: [&str; 4] = [SWEEP, POLL_CONNECTIONS, CHECK_CONNECTIONS, PARTITIONS];

fn planned_schedules(queues: &Queues, every: Intervals) -> [PlannedSchedule; 4] {
    let id = |name| schedule_id(queues, name);
    let queue = &queues.maintenance;
    [
        PlannedSchedule {
            action: ScheduleAction::start_workflow(SweepWorkflow::run, (), queue, id(SWEEP)),
            id: id(SWEEP),
            every: every.sweep,
        },
        PlannedSchedule {
            action: ScheduleAction::start_workflow(
                PollConnectionsWorkflow::run,
                (),
                queue,
                id(POLL_CONNECTIONS),
            ),
            id: id(POLL_CONNECTIONS),
            every: every.poll,
        },
        PlannedSchedule {
            action: ScheduleAction::start_workflow(
                CheckConnectionsWorkflow::run,
                (),
                queue,
                id(CHECK_CONNECTIONS),
            ),
            id: id(CHECK_CONNECTIONS),
            every: every.check,
        },
        PlannedSchedule {
            action: ScheduleAction::start_workflow(
                PartitionsWorkflow::run,
                (),
                queue,
                id(PARTITIONS),
            ),
            id: id(PARTITIONS),
            every: PARTITIONS_EVERY,
        },
    ]
}

/// Returns a schedule's id, which is unique for each deployment in the namespace.
fn schedule_id(queues: &Queues, name: &str) -> String {
    format!("{name}-{}", queues.maintenance)
}

async fn connect(config: &TemporalConfig) -> Result<Client, SetupError> {
    open(config)
        .await
        .map_err(|error| SetupError::Connect(error.to_string()))
}

async fn ensure_namespace(client: &Client, namespace: &str) -> Result<(), SetupError> {
    if has_namespace(client, namespace).await? {
        return Ok(());
    }
    let request = RegisterNamespaceRequest {
        namespace: namespace.to_owned(),
        workflow_execution_retention_period: RETENTION.try_into().ok(),
        ..RegisterNamespaceRequest::default()
    };
    match WorkflowService::register_namespace(&mut client.clone(), Request::new(request)).await {
        Ok(_) => {}
        Err(status) if status.code() == Code::AlreadyExists => {}
        Err(status) => return Err(status.into()),
    }
    for _ in 0..NAMESPACE_TRIES {
        if has_namespace(client, namespace).await?
            && missing_attributes(client, namespace).await.is_ok()
        {
            return Ok(());
        }
        pause(NAMESPACE_AGAIN).await;
    }
    Err(SetupError::Missing(format!("the namespace {namespace}")))
}

async fn has_namespace(client: &Client, namespace: &str) -> Result<bool, SetupError> {
    let request = DescribeNamespaceRequest {
        namespace: namespace.to_owned(),
        ..DescribeNamespaceRequest::default()
    };
    let mut request = Request::new(request);
    request.set_timeout(CALL_TIMEOUT);
    match WorkflowService::describe_namespace(&mut client.clone(), request).await {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(status.into()),
    }
}

async fn missing_attributes(client: &Client, namespace: &str) -> Result<Vec<String>, SetupError> {
    let request = ListSearchAttributesRequest {
        namespace: namespace.to_owned(),
    };
    let mut request = Request::new(request);
    request.set_timeout(CALL_TIMEOUT);
    let known = OperatorService::list_search_attributes(&mut client.clone(), request)
        .await?
        .into_inner();
    let missing = SEARCH_ATTRIBUTES
        .iter()
        .filter(|name| !known.custom_attributes.contains_key(**name));
    Ok(missing.map(|name| (*name).to_owned()).collect())
}
