//! A TCP proxy in front of Postgres whose connections can become silent: they stay open, but no byte passes any more.
//! New connections can be silent, too, or all can be closed and new ones refused.

use crate::port::free_address;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running proxy.
pub(crate) struct Proxy {
    /// URL of the database through the proxy.
    pub(crate) url: String,
    address: SocketAddr,
    database: String,
    /// The latest change of all connections.
    cuts: watch::Sender<Cut>,
    /// New connections are silent.
    is_away: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

/// A change of all connections.
#[derive(Clone, Copy)]
enum Cut {
    Silence,
    Close,
}

impl Proxy {
    /// Starts a proxy in front of the database with this URL.
    pub(crate) async fn in_front_of(url: &str) -> Self {
        let (account, rest) = url.rsplit_once('@').unwrap();
        let (database, name) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind(free_address()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, is_away) = (watch::Sender::new(Cut::Silence), Arc::default());
        Self {
            url: format!("{account}@{address}/{name}"),
            address,
            database: database.to_owned(),
            accepting: accept(listener, database.to_owned(), Arc::clone(&is_away), cuts.subscribe()),
            cuts,
            is_away,
        }
    }

    /// Silences the existing connections. New ones work.
    pub(crate) fn stop_forwarding(&mut self) {
        self.cuts.send_replace(Cut::Silence);
    }

    /// Silences the existing connections and all new ones, until [`Proxy::come_back`].
    #[allow(dead_code, reason = "not every test crate that includes this file uses it")]
    pub(crate) fn go_away(&mut self) {
        self.is_away.store(true, Ordering::SeqCst);
        self.stop_forwarding();
    }

    /// Closes the existing connections and refuses new ones, until [`Proxy::come_back`].
    #[allow(dead_code, reason = "not every test crate that includes this file uses it")]
    pub(crate) async fn refuse(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        self.cuts.send_replace(Cut::Close);
    }

    /// Lets new connections work again.
    #[allow(dead_code, reason = "not every test crate that includes this file uses it")]
    pub(crate) async fn come_back(&mut self) {
        self.is_away.store(false, Ordering::SeqCst);
        if self.accepting.is_finished() {
            let listener = TcpListener::bind(self.address).await.unwrap();
            let (database, watched) = (self.database.clone(), self.cuts.subscribe());
            self.accepting = accept(listener, database, Arc::clone(&self.is_away), watched);
        }
    }
}

/// Accepts connections to a database.
fn accept(
    listener: TcpListener,
    database: String,
    is_away: Arc<AtomicBool>,
    watched: watch::Receiver<Cut>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((client, _)) = listener.accept().await {
            if is_away.load(Ordering::SeqCst) {
                silent.push(client);
                continue;
            }
            let database = TcpStream::connect(&database).await.unwrap();
            tokio::spawn(forward(client, database, watched.clone()));
        }
    })
}

async fn forward(mut client: TcpStream, mut database: TcpStream, mut watched: watch::Receiver<Cut>) {
    watched.mark_unchanged();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut database) => {}
        Ok(()) = watched.changed() => {
            let cut = *watched.borrow();
            if matches!(cut, Cut::Silence) {
                std::future::pending::<()>().await;
            }
        }
    }
}
