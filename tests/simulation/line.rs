//! Proxy between the pool and PostgreSQL that knows which connections wait for an answer.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

const READ_BYTES: usize = 16 * 1024;

/// Message kinds of PostgreSQL's protocol: a request ends with `QUERY` or `SYNC`, its answer with `READY`.
const QUERY: u8 = b'Q';
const SYNC: u8 = b'S';
const READY: u8 = b'Z';
const KEY_DATA: u8 = b'K';

#[derive(Default)]
struct One {
    /// Number of requests without an answer; the first is the startup message.
    open: usize,
    /// Pid of the server process.
    pid: i32,
    /// True if the connection is known to wait for a lock.
    locked: bool,
}

#[derive(Default)]
struct All {
    made: u64,
    ones: BTreeMap<u64, One>,
}

/// Address of PostgreSQL.
#[derive(Clone, Debug)]
pub(super) enum Server {
    Tcp(String, u16),
    /// Path of its socket.
    Unix(PathBuf),
}

/// Handle of the proxy.
#[derive(Clone)]
pub(super) struct Line {
    all: Arc<Mutex<All>>,
    changed: Arc<Notify>,
    pub folder: PathBuf,
    accepting: Arc<JoinHandle<()>>,
}

impl Line {
    /// Listens on the socket `.s.PGSQL.{port}` in a folder of its own.
    pub(super) fn open(server: Server, port: u16) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("sim-{}", Uuid::now_v7().simple()));
        std::fs::create_dir(&folder)?;
        let listener = UnixListener::bind(folder.join(format!(".s.PGSQL.{port}")))?;
        let all: Arc<Mutex<All>> = Arc::default();
        let changed: Arc<Notify> = Arc::default();
        let (ones, woken) = (all.clone(), changed.clone());
        let tracker = TaskTracker::new();
        let carrying = tracker.clone();
        let accepting = tracker.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let one = Connected {
                    id: begin(&ones),
                    all: ones.clone(),
                    changed: woken.clone(),
                };
                carrying.spawn(one.carry(client, server.clone()));
            }
        });
        Ok(Self {
            all,
            changed,
            folder,
            accepting: Arc::new(accepting),
        })
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        lock(&self.all)
    }

    /// Returns the number of connections that wait for an answer, without those that wait for a lock.
    pub(super) fn pending(&self) -> usize {
        let all = self.lock();
        all.ones
            .values()
            .filter(|one| one.open > 0 && !one.locked)
            .count()
    }

    /// Returns the pids of the server processes with an unanswered request.
    pub(super) fn asked(&self) -> Vec<i32> {
        let all = self.lock();
        let asked = all.ones.values().filter(|one| one.open > 0);
        asked.map(|one| one.pid).collect()
    }

    /// Marks those of `pids` with an unanswered request as waiting for a lock.
    pub(super) fn set_locked(&self, pids: &[i32]) {
        for one in self.lock().ones.values_mut() {
            one.locked = one.open > 0 && pids.contains(&one.pid);
        }
    }

    /// Returns true if a connection waits for a lock.
    pub(super) fn has_locked(&self) -> bool {
        self.lock().ones.values().any(|one| one.locked)
    }

    /// Waits until an answer arrives.
    pub(super) async fn change(&self) {
        self.changed.notified().await;
    }

    pub(super) fn close(&self) {
        self.accepting.abort();
        let _ = std::fs::remove_dir_all(Path::new(&self.folder));
    }
}

fn lock(all: &Mutex<All>) -> MutexGuard<'_, All> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

fn begin(all: &Mutex<All>) -> u64 {
    let mut all = lock(all);
    all.made += 1;
    let id = all.made;
    let one = One {
        open: 1,
        ..One::default()
    };
    all.ones.insert(id, one);
    id
}

/// One connection of the pool.
struct Connected {
    all: Arc<Mutex<All>>,
    changed: Arc<Notify>,
    id: u64,
}

impl Connected {
    async fn carry(self, client: UnixStream, server: Server) {
        let carried = self.try_carry(client, server).await;
        lock(&self.all).ones.remove(&self.id);
        self.changed.notify_one();
        drop(carried);
    }

    async fn try_carry(&self, client: UnixStream, server: Server) -> io::Result<()> {
        match server {
            Server::Tcp(host, port) => {
                let server = TcpStream::connect((host, port)).await?;
                server.set_nodelay(true)?;
                let (from, to) = server.into_split();
                self.both(client, (from, to)).await
            }
            Server::Unix(path) => {
                let (from, to) = UnixStream::connect(path).await?.into_split();
                self.both(client, (from, to)).await
            }
        }
    }

    /// Carries both directions until one ends.
    async fn both<R, W>(&self, client: UnixStream, server: (R, W)) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let (from_client, to_client) = client.into_split();
        tokio::select! {
            ended = self.requests(from_client, server.1) => ended,
            ended = self.answers(server.0, to_client) => ended,
        }
    }

    async fn requests(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut frames = Frames {
            greeting: true,
            ..Frames::default()
        };
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let n = from.read(&mut bytes).await?;
            if n == 0 {
                return Ok(());
            }
            frames.each(&bytes[..n], |kind, _| {
                if kind == QUERY || kind == SYNC {
                    self.with(|one| one.open += 1);
                }
            });
            to.write_all(&bytes[..n]).await?;
        }
    }

    async fn answers(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut frames = Frames::default();
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let n = from.read(&mut bytes).await?;
            if n == 0 {
                return Ok(());
            }
            // forwarded first, so that the pool can read it before the scheduler concludes that nothing is pending
            to.write_all(&bytes[..n]).await?;
            let mut answered = false;
            frames.each(&bytes[..n], |kind, body| match kind {
                READY => {
                    answered = true;
                    self.with(|one| {
                        one.open = one.open.saturating_sub(1);
                        one.locked = false;
                    });
                }
                KEY_DATA => {
                    let pid = body.first_chunk().map_or(0, |pid| i32::from_be_bytes(*pid));
                    self.with(|one| one.pid = pid);
                }
                _ => {}
            });
            if answered {
                self.changed.notify_one();
            }
        }
    }

    fn with(&self, change: impl FnOnce(&mut One)) {
        if let Some(one) = lock(&self.all).ones.get_mut(&self.id) {
            change(one);
        }
    }
}

/// Splits the stream into messages: one byte of kind, four of length, the body. Only the part of a body that is used here is stored.
#[derive(Default)]
struct Frames {
    /// The first message has no kind byte.
    greeting: bool,
    head: Vec<u8>,
    /// Number of bytes of the body still to come.
    left: usize,
}

/// Number of bytes of each body that are stored.
const BODY_BYTES: usize = 4;

impl Frames {
    fn each(&mut self, mut bytes: &[u8], mut message: impl FnMut(u8, &[u8])) {
        loop {
            let size = if self.greeting { 4 } else { 5 };
            if self.head.len() < size {
                let Some((first, rest)) = bytes.split_first() else {
                    return;
                };
                self.head.push(*first);
                bytes = rest;
                if self.head.len() == size {
                    let length = self.head.last_chunk().map_or(4, |l| u32::from_be_bytes(*l));
                    self.left = usize::try_from(length).unwrap_or(4).saturating_sub(4);
                }
                if self.head.len() < size || self.left > 0 {
                    continue;
                }
            } else {
                let n = self.left.min(bytes.len());
                let (mine, rest) = bytes.split_at(n);
                let room = (size + BODY_BYTES).saturating_sub(self.head.len());
                self.head.extend_from_slice(&mine[..room.min(n)]);
                self.left -= n;
                bytes = rest;
                if self.left > 0 {
                    return;
                }
            }
            if !self.greeting {
                message(self.head[0], &self.head[5..]);
            }
            self.greeting = false;
            self.head.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_whatever_pieces_they_come() {
        let bytes = b"\0\0\0\x08\0\x03\0\0Q\0\0\0\x06a\0S\0\0\0\x04Z\0\0\0\x05I";
        for size in 1..=bytes.len() {
            let mut frames = Frames {
                greeting: true,
                ..Frames::default()
            };
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                frames.each(piece, |kind, body| found.push((kind, body.to_vec())));
            }
            let expected = vec![
                (QUERY, b"a\0".to_vec()),
                (SYNC, Vec::new()),
                (READY, b"I".to_vec()),
            ];
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }
}
