//! A TCP proxy in front of Postgres whose connections can become silent: they stay open, but no byte passes any more.
//! New connections can be silent, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A running proxy.
pub(crate) struct Proxy {
    /// URL of the database through the proxy.
    pub(crate) url: String,
    /// Number of times that all connections were silenced.
    silences: watch::Sender<u32>,
    /// New connections are silent.
    is_away: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts a proxy in front of the database with this URL.
    pub(crate) async fn in_front_of(url: &str) -> Self {
        let (account, rest) = url.rsplit_once('@').unwrap();
        let (address, database) = rest.split_once('/').unwrap();
        let (silences, watched) = watch::channel(0);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{account}@{}/{database}", listener.local_addr().unwrap());
        let address = address.to_owned();
        let is_away = Arc::new(AtomicBool::new(false));
        let refuses = Arc::clone(&is_away);
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((client, _)) = listener.accept().await {
                if refuses.load(Ordering::SeqCst) {
                    silent.push(client);
                    continue;
                }
                let database = TcpStream::connect(&address).await.unwrap();
                tokio::spawn(forward(client, database, watched.clone()));
            }
        });
        Self { url, silences, is_away }
    }

    /// Silences the existing connections. New ones work.
    pub(crate) fn stop_forwarding(&mut self) {
        self.silences.send_modify(|count| *count += 1);
    }

    /// Silences the existing connections and all new ones, until [`Proxy::come_back`].
    #[allow(dead_code, reason = "not every test crate that includes this file uses it")]
    pub(crate) fn go_away(&mut self) {
        self.is_away.store(true, Ordering::SeqCst);
        self.stop_forwarding();
    }

    /// Lets new connections work again.
    #[allow(dead_code, reason = "not every test crate that includes this file uses it")]
    pub(crate) fn come_back(&mut self) {
        self.is_away.store(false, Ordering::SeqCst);
    }
}

async fn forward(mut client: TcpStream, mut database: TcpStream, mut watched: watch::Receiver<u32>) {
    watched.mark_unchanged();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut database) => {}
        Ok(()) = watched.changed() => std::future::pending().await,
    }
}
