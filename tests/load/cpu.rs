//! CPU time of processes, from Linux's `/proc`.

use std::{collections::BTreeMap, fs, path::Path};

/// Milliseconds per clock tick of `/proc`: 100 ticks a second, as on common Linux kernels.
const MS_PER_TICK: u64 = 10;

/// PostgreSQL's work for our database.
pub(crate) const POSTGRES: &str = "postgres";
/// PostgreSQL's work for Temporal's databases.
pub(crate) const POSTGRES_FOR_TEMPORAL: &str = "postgres for temporal";
/// PostgreSQL's work for all databases: log writer, checkpointer, vacuum, ended connections.
pub(crate) const POSTGRES_SHARED: &str = "postgres shared";
/// Start of the names of Temporal's databases.
const TEMPORALS: &str = "temporal";

/// One process.
#[derive(Clone, Copy)]
struct Process {
    parent: u32,
    /// Own user and system time, and that of ended children.
    ticks: u64,
}

/// Returns the milliseconds of CPU used so far, by process name, children included. PostgreSQL's are divided by the database of each
/// connection.
pub(crate) fn used_ms(pids: &Path, database: &str) -> BTreeMap<String, u64> {
    let all = processes();
    let mut used = BTreeMap::new();
    for entry in fs::read_dir(pids).into_iter().flatten().flatten() {
        let Ok(text) = fs::read_to_string(entry.path()) else {
            continue;
        };
        let pid = text.lines().next().map(str::trim);
        let Some(pid) = pid.and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == POSTGRES {
            postgres(&all, pid, database, &mut used);
        } else {
            used.insert(name, tree(&all, pid) * MS_PER_TICK);
        }
    }
    let load = tree(&all, std::process::id()) * MS_PER_TICK;
    used.insert("load".to_owned(), load);
    used
}

/// Adds the work of PostgreSQL's processes.
fn postgres(
    all: &BTreeMap<u32, Process>,
    root: u32,
    database: &str,
    used: &mut BTreeMap<String, u64>,
) {
    for (pid, process) in all {
        if *pid != root && process.parent != root {
            continue;
        }
        let connected = database_of(*pid);
        let name = match connected.as_deref() {
            Some(name) if name == database => POSTGRES,
            Some(name) if name.starts_with(TEMPORALS) => POSTGRES_FOR_TEMPORAL,
            _ => POSTGRES_SHARED,
        };
        *used.entry(name.to_owned()).or_default() += process.ticks * MS_PER_TICK;
    }
}

/// Returns the database of a connection's process, whose title is `postgres: USER DATABASE ADDRESS(PORT) STATE`.
fn database_of(pid: u32) -> Option<String> {
    let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let mut fields = title.strip_prefix("postgres: ")?.split(' ');
    let (_user, database, address) = (fields.next()?, fields.next()?, fields.next()?);
    let is_address = address.contains('(') || address.starts_with("[local]");
    is_address.then(|| database.to_owned())
}

/// Returns all processes, by pid.
fn processes() -> BTreeMap<u32, Process> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // the name in parentheses may contain spaces and parentheses
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| {
            fields
                .get(at)
                .and_then(|field| field.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let process = Process {
            parent: u32::try_from(number(1)).unwrap_or(0),
            ticks: number(11) + number(12) + number(13) + number(14),
        };
        all.insert(pid, process);
    }
    all
}

fn tree(all: &BTreeMap<u32, Process>, root: u32) -> u64 {
    let own = all.get(&root).map_or(0, |process| process.ticks);
    let children = all
        .iter()
        .filter(|(pid, process)| process.parent == root && **pid != root);
    own + children.map(|(pid, _)| tree(all, *pid)).sum::<u64>()
}
