//! CPU time of processes, from Linux's `/proc`.

use std::{collections::BTreeMap, fs, path::Path};

/// Milliseconds per clock tick of `/proc`: 100 ticks a second, as on common Linux kernels.
const MS_PER_TICK: u64 = 10;

/// Returns the milliseconds of CPU used so far, by process name, children included.
pub(crate) fn used_ms(pids: &Path) -> BTreeMap<String, u64> {
    let all = processes();
    let mut used = BTreeMap::new();
    for entry in fs::read_dir(pids).into_iter().flatten().flatten() {
        let Ok(text) = fs::read_to_string(entry.path()) else {
            continue;
        };
        let Some(pid) = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok())
        else {
            continue;
        };
        used.insert(
            entry.file_name().to_string_lossy().into_owned(),
            tree(&all, pid) * MS_PER_TICK,
        );
    }
    used.insert(
        "load".to_owned(),
        tree(&all, std::process::id()) * MS_PER_TICK,
    );
    used
}

/// Returns the parent and the ticks of each process, by pid.
fn processes() -> BTreeMap<u32, (u32, u64)> {
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
        let parent = u32::try_from(number(1)).unwrap_or(0);
        // own user and system time, and that of ended children
        all.insert(
            pid,
            (parent, number(11) + number(12) + number(13) + number(14)),
        );
    }
    all
}

fn tree(all: &BTreeMap<u32, (u32, u64)>, root: u32) -> u64 {
    let own = all.get(&root).map_or(0, |(_, ticks)| *ticks);
    let children = all
        .iter()
        .filter(|(pid, (parent, _))| *parent == root && **pid != root);
    own + children.map(|(pid, _)| tree(all, *pid)).sum::<u64>()
}
